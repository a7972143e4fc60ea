// Back-projection: one kernel for the residual on the MS grid, one for its correction and for
// the rounding to DN.
#include <cmath>

#include "kernels/consistency/consistency_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

// A residual exists where at least half of the kernel does; a little less, so that rounding does
// not decide where a straight edge leaves exactly half.
constexpr float kMinCoverage = 0.5f - 1e-4f;

// A block takes kSamples MS samples of a row: it mixes the PAN rows under them, then columns.
struct Residual {
  static constexpr const char* kName = "residual";
  static constexpr int kThreads = 128, kMinBlocks = 1, kSamples = 32;

  struct Args {
    Scene scene;
    GaussianTables tables;
    const float* fused;  // [images][K][H][W]
    float* residual;     // [images][K][ms_count][w]
    uint8_t* there;
    int span;  // PAN columns a block may need
  };

  static size_t shared_bytes(const Args& a) { return 2 * a.span * sizeof(float); }

  // grid: samples, MS rows, images * K
  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Scene& s = a.scene;
    const GaussianTables& t = a.tables;
    auto* const mixed = reinterpret_cast<float*>(shared);
    float* const share = mixed + a.span;
    const int image = block().z / s.bands, band = block().z % s.bands;
    const int i = s.ms_first + block().y, j0 = block().x * kSamples;
    const int j1 = j0 + kSamples < s.ms_width ? j0 + kSamples : s.ms_width;
    const int64_t left = t.column_firsts[j0], top = t.row_firsts[i] - s.first_row;
    const int count = static_cast<int>(t.column_firsts[j1 - 1] - left) + t.taps;
    const float* plane = a.fused + static_cast<int64_t>(block().z) * s.height * s.width;
    const float* wy = t.rows + (static_cast<int64_t>(band) * s.ms_height + i) * t.taps;
    for (int n = thread(); n < count; n += kThreads) {
      const int x = static_cast<int>(clamp_to(left + n, s.width));
      float sum = 0, weight = 0;
      for (int k = 0; k < t.taps; ++k) {
        const int y = static_cast<int>(clamp_to(top + k, s.height));
        if (!exists(s, image, y, x)) continue;
        sum = fma_float(wy[k], plane[static_cast<int64_t>(y) * s.width + x], sum);
        weight += wy[k];
      }
      mixed[n] = sum;
      share[n] = weight;
    }
    sync_block();
    const int j = j0 + thread();
    if (j >= j1) return;
    const float* wx = t.columns + (static_cast<int64_t>(band) * s.ms_width + j) * t.taps;
    const int first = static_cast<int>(t.column_firsts[j] - left);
    float sum = 0, weight = 0;
    for (int k = 0; k < t.taps; ++k) {
      sum = fma_float(wx[k], mixed[first + k], sum);
      weight = fma_float(wx[k], share[first + k], weight);
    }
    bool there = ms_exists(s, image, i, j);
    if (s.valid.data) {
      there = there && weight >= kMinCoverage;
      sum = there ? sum / weight : 0.0f;
    }
    const int64_t row = static_cast<int64_t>(block().z) * s.ms_count + block().y;
    const int64_t at = row * s.ms_width + j;
    a.residual[at] = there ? ms_at(s, image, band, i, j) * s.units_per_dn[image] - sum : 0.0f;
    a.there[at] = there;
  }
};

// None of the taps lies in the MS grid.
PTN_DEVICE bool beyond(const CubicTaps& t, int64_t size) {
  return t.first + 3 < 0 || t.first >= size;
}

PTN_DEVICE float next_float(float x, float towards) {
  if (x == towards) return x;
  if (x == 0) return bits_float(towards > 0 ? 1u : 0x80000001u);
  const uint32_t bits = float_bits(x);
  return bits_float((x < towards) == (x > 0) ? bits + 1 : bits - 1);
}

// DN of one pixel, as the output takes it.
PTN_DEVICE double rounded(const Output& o, double dn, bool valid) {
  if (!valid) return o.fill;
  double v = dn < o.low ? o.low : dn > o.high ? o.high : dn;
  if (o.dtype == PTN_F32) {
    const float f = static_cast<float>(v), high = static_cast<float>(o.high);
    if (!o.reserve_fill || f != static_cast<float>(o.fill)) return v;
    return next_float(f, f < high ? high : static_cast<float>(o.low));
  }
  if (v != v) v = o.low;  // NaN: no integer stands for it
  v = rint(v);
  if (o.reserve_fill && v == o.fill) v = v + 1 <= o.high ? v + 1 : v - 1 >= o.low ? v - 1 : v;
  return v;
}

PTN_DEVICE void store_dn(const Output& o, int image, int band, int y, int x, double v) {
  if (o.bands[band] < 0) return;
  const int64_t at =
      image * o.image_stride + o.bands[band] * o.band_stride + y * o.row_stride + x * o.col_stride;
  switch (o.dtype) {
    case PTN_U8:
      static_cast<uint8_t*>(o.data)[at] = static_cast<uint8_t>(v);
      break;
    case PTN_U16:
      static_cast<uint16_t*>(o.data)[at] = static_cast<uint16_t>(v);
      break;
    case PTN_I16:
      static_cast<int16_t*>(o.data)[at] = static_cast<int16_t>(v);
      break;
    default:
      static_cast<float*>(o.data)[at] = static_cast<float>(v);
  }
}

struct Correct {
  static constexpr const char* kName = "correct";
  static constexpr int kCols = 32, kRows = 8, kThreads = kCols * kRows, kMinBlocks = 1;

  struct Args {
    Scene scene;
    const float* residual;  // null: nothing to add
    const uint8_t* there;
    float* fused;
    Output output;
    int finish;  // whether to store
  };

  static size_t shared_bytes(const Args&) { return 0; }

  // grid: columns, rows, images
  static PTN_DEVICE void run(const Args& a, char*) {
    const Scene& s = a.scene;
    const int image = block().z, y = block().y * kRows + thread() / kCols;
    const int x = block().x * kCols + thread() % kCols;
    if (!inside(s, y, x)) return;
    const bool valid = exists(s, image, y, x);
    const CubicTaps &ty = s.rows[y], &tx = s.columns[x];
    const bool add = a.residual && valid && !beyond(ty, s.ms_height) && !beyond(tx, s.ms_width);
    const bool masked = s.valid.data || s.ms_valid.data;
    for (int k = 0; k < s.bands; ++k) {
      const int64_t plane = static_cast<int64_t>(image) * s.bands + k;
      float* const at = a.fused + (plane * s.height + y) * s.width + x;
      float v = *at;
      if (add) {
        const int64_t coarse = plane * s.ms_count;
        // rows at the ends of a band may lack some; they are not stored
        auto index = [&](int64_t i, int64_t j) {
          return (coarse + clamp_to(i - s.ms_first, s.ms_count)) * s.ms_width + j;
        };
        v += interpolate(
            ty, tx, s.ms_height, s.ms_width, masked,
            [&](int64_t i, int64_t j) { return a.residual[index(i, j)]; },
            [&](int64_t i, int64_t j) { return a.there[index(i, j)] != 0; });
        if (!a.finish) *at = v;
      }
      const int to = y - a.output.first_row;
      if (a.finish && to >= 0 && to < a.output.rows)
        store_dn(a.output, image, k, to, x,
                 rounded(a.output, static_cast<double>(v) * a.output.dn_per_unit[image], valid));
    }
  }
};

}  // namespace

ptn_status residual_cuda(const Scene& s, const GaussianTables& t, const float* fused,
                         float* residual, uint8_t* there, Stream stream) {
  const int span = static_cast<int>(std::ceil((Residual::kSamples - 1) / t.scale_x)) + t.taps + 1;
  return launch<Residual>(
      {s, t, fused, residual, there, span},
      {ceil_div(s.ms_width, Residual::kSamples), s.ms_count, s.images * s.bands}, stream);
}

ptn_status correct_cuda(const Scene& s, const float* residual, const uint8_t* there, float* fused,
                        const Output* output, Stream stream) {
  return launch<Correct>(
      {s, residual, there, fused, output ? *output : Output{}, output != nullptr},
      {ceil_div(s.width, Correct::kCols), ceil_div(s.height, Correct::kRows), s.images}, stream);
}

}  // namespace cuda
}  // namespace pantiny
