// Feeds a plan: every band gets freshly allocated rows, no more than the plan asked for, in
// the memory layout of the setup; what must not be read is poisoned, what must not be
// written is compared.
#include <cstring>
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

constexpr unsigned char kPoison = 0xFF;  // NaN as float
constexpr unsigned char kGuardByte = 0xA5;
constexpr int64_t kGuardElements = 64;

int64_t size_of(int dtype) { return dtype == PTN_F32 ? 4 : dtype == PTN_U8 ? 1 : 2; }

double get(const unsigned char* p, int dtype) {
  switch (dtype) {
    case PTN_U8:
      return *p;
    case PTN_U16: {
      uint16_t v;
      std::memcpy(&v, p, sizeof v);
      return v;
    }
    case PTN_I16: {
      int16_t v;
      std::memcpy(&v, p, sizeof v);
      return v;
    }
    default: {
      float v;
      std::memcpy(&v, p, sizeof v);
      return v;
    }
  }
}

template <class T>
void put_as(unsigned char* p, double v) {
  const T value = static_cast<T>(v);
  std::memcpy(p, &value, sizeof value);
}

void put(unsigned char* p, int dtype, double v) {
  switch (dtype) {
    case PTN_U8:
      return put_as<uint8_t>(p, v);
    case PTN_U16:
      return put_as<uint16_t>(p, v);
    case PTN_I16:
      return put_as<int16_t>(p, v);
    default:
      return put_as<float>(p, v);
  }
}

// Rows of `bands` planes in a layout; exactly as large as the strides need.
struct Raster {
  int dtype;
  int64_t bands, rows, cols, guard;
  int64_t band_stride, row_stride, col_stride, first = 0;  // in elements
  std::vector<unsigned char> bytes;

  Raster(int type, int64_t k, int64_t r, int64_t c, Layout layout, int64_t guard_elements,
         unsigned char filling)
      : dtype(type), bands(k), rows(r), cols(c), guard(guard_elements) {
    col_stride = layout == kInterleaved ? k : layout == kGaps ? 2 : 1;
    row_stride = layout == kInterleaved ? k * c : layout == kGaps ? 2 * c + 3 : c;
    band_stride = layout == kInterleaved ? 1 : row_stride * r + (layout == kGaps ? 5 : 0);
    int64_t size = (k - 1) * band_stride + (r - 1) * row_stride + (c - 1) * col_stride + 1;
    if (k <= 0 || r <= 0) size = 0;
    if (layout == kBottomUp) {
      first = (r - 1) * row_stride;
      row_stride = -row_stride;
    }
    bytes.assign(static_cast<size_t>((size + 2 * guard) * size_of(type)), filling);
  }
  unsigned char* at(int64_t k, int64_t r, int64_t c) {
    const int64_t i = guard + first + k * band_stride + r * row_stride + c * col_stride;
    return bytes.data() + i * size_of(dtype);
  }
};

}  // namespace

Runner::Runner(const Model& model, const Pair& pair, const ptn_scene& scene, const Setup& setup)
    : model_(model),
      pair_(pair),
      scene_(scene),
      setup_(setup),
      memory_(
          [&] {
            size_t bytes = 0;
            CHECK_EQ(ptn_plan_bytes(model.get(), &scene, &bytes), PTN_OK);
            return bytes;
          }(),
          setup.memory_fill) {
  restart();
}

void Runner::restart() {
  CHECK_EQ(ptn_plan_create(model_.get(), &scene_, memory_.get(), memory_.bytes(), &plan_), PTN_OK);
  fused_.assign(static_cast<size_t>(pair_.bands * pair_.height * pair_.width),
                std::numeric_limits<double>::quiet_NaN());
}

ptn_status Runner::run_band(int pass, int64_t y0, int64_t y1) {
  ptn_rows need{};
  const ptn_status asked = ptn_plan_input_rows(plan_, pass, y0, y1, &need);
  if (asked != PTN_OK) return asked;
  need.pan_first += damage.pan_top;
  need.pan_last -= damage.pan_bottom;
  need.ms_first += damage.ms_top;
  need.ms_last -= damage.ms_bottom;
  const int64_t pan_rows = need.pan_last - need.pan_first, ms_rows = need.ms_last - need.ms_first;
  const int64_t width = pair_.width, ms_width = pair_.ms_width;
  int64_t source_bands = pair_.bands;
  for (int32_t b : setup_.ms_bands) source_bands = std::max<int64_t>(source_bands, b + 1);

  Raster pan(setup_.pan_dtype, 1, pan_rows, width, setup_.layout, 0, kPoison);
  for (int64_t y = 0; y < pan_rows; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const auto i = static_cast<size_t>((need.pan_first + y) * width + x);
      if (pair_.valid.empty() || pair_.valid[i]) put(pan.at(0, y, x), pan.dtype, pair_.pan[i]);
    }
  Raster ms(setup_.ms_dtype, source_bands, ms_rows, ms_width, setup_.layout, 0, kPoison);
  for (int64_t k = 0; k < pair_.bands; ++k)
    for (int64_t y = 0; y < ms_rows; ++y)
      for (int64_t x = 0; x < ms_width; ++x) {
        const auto i = static_cast<size_t>((need.ms_first + y) * ms_width + x);
        const auto plane = static_cast<size_t>(k * pair_.ms_height * ms_width);
        const int64_t band = setup_.ms_bands.empty() ? k : setup_.ms_bands[static_cast<size_t>(k)];
        if (pair_.ms_valid.empty() || pair_.ms_valid[i])
          put(ms.at(band, y, x), ms.dtype, pair_.ms[plane + i]);
      }
  const int64_t gap = setup_.layout == kGaps ? 3 : 0;
  const Layout mask_layout = setup_.layout == kGaps ? kPlanar : setup_.layout;
  auto mask_of = [&](const std::vector<uint8_t>& mask, int64_t first, int64_t rows, int64_t cols) {
    Raster m(PTN_U8, 1, mask.empty() ? 0 : rows, cols + gap, mask_layout, 0, kPoison);
    for (int64_t y = 0; y < m.rows; ++y)
      for (int64_t x = 0; x < cols; ++x)
        put(m.at(0, y, x), PTN_U8, mask[static_cast<size_t>((first + y) * cols + x)]);
    return m;
  };
  Raster valid = mask_of(pair_.valid, need.pan_first, pan_rows, width);
  Raster ms_valid = mask_of(pair_.ms_valid, need.ms_first, ms_rows, ms_width);

  ptn_input in{};
  in.ms = ms.at(0, 0, 0);
  in.ms_dtype = ms.dtype;
  in.ms_first = need.ms_first;
  in.ms_rows = ms_rows;
  in.ms_band_stride = ms.band_stride;
  in.ms_row_stride = ms.row_stride;
  in.ms_col_stride = ms.col_stride;
  in.ms_bands = setup_.ms_bands.empty() ? nullptr : setup_.ms_bands.data();
  in.pan = pan.at(0, 0, 0);
  in.pan_dtype = pan.dtype;
  in.pan_first = need.pan_first;
  in.pan_rows = pan_rows;
  in.pan_row_stride = pan.row_stride;
  in.pan_col_stride = pan.col_stride;
  in.valid = pair_.valid.empty() ? nullptr : valid.at(0, 0, 0);
  in.valid_row_stride = valid.row_stride;
  in.ms_valid = pair_.ms_valid.empty() ? nullptr : ms_valid.at(0, 0, 0);
  in.ms_valid_row_stride = ms_valid.row_stride;
  if (pass + 1 < passes()) return ptn_plan_run(plan_, pass, y0, y1, &in, nullptr);

  int64_t planes = 0;
  std::vector<int32_t> bands = setup_.bands;
  for (int32_t k = 0; setup_.bands.empty() && k < pair_.bands; ++k) bands.push_back(k);
  for (int32_t b : bands) planes = std::max<int64_t>(planes, b + 1);
  Raster out(setup_.dtype, planes, y1 - y0, width, setup_.layout, kGuardElements, kGuardByte);
  ptn_output o{};
  o.fused = out.at(0, 0, 0);
  o.dtype = out.dtype;
  o.band_stride = out.band_stride;
  o.row_stride = out.row_stride;
  o.col_stride = out.col_stride;
  o.bands = setup_.bands.empty() ? nullptr : setup_.bands.data();
  o.low = setup_.low;
  o.high = setup_.high;
  o.fill = setup_.fill;
  o.reserve_fill = setup_.reserve_fill;
  const ptn_status status = ptn_plan_run(plan_, pass, y0, y1, &in, &o);
  if (status != PTN_OK) return status;

  // read what was to be written and put the guard back: then nothing else may differ
  for (size_t k = 0; k < bands.size(); ++k)
    for (int64_t y = 0; y < y1 - y0 && bands[k] >= 0; ++y)
      for (int64_t x = 0; x < width; ++x) {
        unsigned char* p = out.at(bands[k], y, x);
        const auto plane = static_cast<size_t>(pair_.height * width) * k;
        fused_[plane + static_cast<size_t>((y0 + y) * width + x)] = get(p, out.dtype);
        std::memset(p, kGuardByte, static_cast<size_t>(size_of(out.dtype)));
      }
  size_t touched = 0;
  for (unsigned char b : out.bytes) touched += b != kGuardByte;
  CHECK_EQ(touched, 0);
  return status;
}

std::vector<double> Runner::run() {
  const int64_t step = setup_.band_rows ? setup_.band_rows : scene_.band_rows;
  for (int pass = 0; pass < passes(); ++pass) {
    bool small = false;
    for (int64_t y0 = 0; y0 < pair_.height;) {
      const int64_t y1 = std::min(y0 + (small ? PTN_BLOCK : step), pair_.height);
      CHECK_EQ(run_band(pass, y0, y1), PTN_OK);
      y0 = y1;
      small = setup_.uneven_bands && !small;
    }
  }
  CHECK(memory_.intact());
  model_.check_unchanged();
  return fused_;
}

std::vector<double> fuse(const Model& model, const Pair& pair, const ptn_scene& scene,
                         const Setup& setup) {
  return Runner(model, pair, scene, setup).run();
}
