// The segments of 16-bit features for ctypes: host arrays in, host arrays out.
#include <memory>

#include "csrc/cuda/segments.h"
#include "kernels/half.h"
#include "tests/cuda/on_device.h"

using namespace pantiny;
using namespace pantiny::cuda;

namespace {

constexpr int kByImage = -1;  // a tile's shape: what the plan would take
constexpr int kWroteOutside = -1;

struct Image {  // mirrored in half_ops.py
  int32_t images, height, width, ms_height, ms_width;
  double scale;             // MS pixels of a PAN pixel
  const float *ms, *pan;    // [images][4][h][w] DN, [images][H][W] DN; may be null
  const uint8_t* valid;     // [images][H][W], may be null
  const uint8_t* ms_valid;  // [images][h][w], may be null
  const float* units;       // [images]
};

struct Model {
  int bf16;
  ptn_arch arch;
  std::unique_ptr<OnDevice> weights;

  Network network() const { return {arch, weights->get()}; }
  const Segments& table() const { return bf16 ? bf16_segments() : half_segments(); }
};

std::vector<CubicTaps> taps_of(int size, double scale, int ms_size) {
  std::vector<CubicTaps> taps(static_cast<size_t>(size));
  const Axis axis{scale, 0.0, ms_size};  // grids that share their corner
  for (int i = 0; i < size; ++i) taps[static_cast<size_t>(i)] = cubic_taps(axis, i);
  return taps;
}

// A scene on the device.
struct Placed {
  explicit Placed(const Image& m)
      : image(m),
        pixels(static_cast<size_t>(m.images) * m.height * m.width),
        ms_pixels(static_cast<size_t>(m.images) * m.ms_height * m.ms_width),
        ms(m.ms, m.ms ? ms_pixels * 4 * sizeof(float) : 0),
        pan(m.pan, m.pan ? pixels * sizeof(float) : 0),
        valid(m.valid, m.valid ? pixels : 0),
        ms_valid(m.ms_valid, m.ms_valid ? ms_pixels : 0),
        units(m.units, static_cast<size_t>(m.images) * sizeof(float)),
        rows(taps_of(m.height, m.scale, m.ms_height).data(),
             static_cast<size_t>(m.height) * sizeof(CubicTaps)),
        columns(taps_of(m.width, m.scale, m.ms_width).data(),
                static_cast<size_t>(m.width) * sizeof(CubicTaps)) {}

  Scene scene() const {
    const Image& m = image;
    const int64_t plane = static_cast<int64_t>(m.height) * m.width;
    const int64_t ms_plane = static_cast<int64_t>(m.ms_height) * m.ms_width;
    Scene s{};
    s.images = m.images;
    s.bands = 4;
    s.height = m.height;
    s.width = m.width;
    s.ms_height = m.ms_height;
    s.ms_width = m.ms_width;
    s.ms = {ms.get(), PTN_F32, 4 * ms_plane, ms_plane, m.ms_width, 1};
    s.pan = {pan.get(), PTN_F32, plane, plane, m.width, 1};
    for (int i = 0; i < 4; ++i) s.ms_bands[i] = i;
    if (m.valid) s.valid = {valid.as<uint8_t>(), plane, m.width};
    if (m.ms_valid) s.ms_valid = {ms_valid.as<uint8_t>(), ms_plane, m.ms_width};
    s.rows = rows.as<CubicTaps>();
    s.columns = columns.as<CubicTaps>();
    s.units_per_dn = units.as<float>();
    return s;
  }

  const Image& image;
  size_t pixels, ms_pixels;
  OnDevice ms, pan, valid, ms_valid, units, rows, columns;
};

int finish(ptn_status status, std::initializer_list<std::pair<const OnDevice*, void*>> outputs) {
  if (status == PTN_OK) status = wait_for(nullptr);
  if (status != PTN_OK) return status;
  for (const auto& [memory, host] : outputs)
    if (!memory->back(host)) return kWroteOutside;
  return PTN_OK;
}

// run(E) with the element type of a model.
template <class Run>
ptn_status with_element(const Model& m, Run&& run) {
  return m.bf16 ? run(Bf16{}) : run(Half{});
}

}  // namespace

extern "C" {

void half_run_ahead(int on) {
#ifdef __CUDACC__
  (void)on;
#else
  set_run_ahead(on != 0);
#endif
}

const char* half_error() { return error_text(); }

Model* half_model(int bf16, const ptn_arch* arch, const ptn_tensor* tensors, int count) {
  Tensors read;
  if (read_tensors(*arch, tensors, count, &read) != PTN_OK) return nullptr;
  auto m = std::make_unique<Model>();
  m->bf16 = bf16;
  m->arch = *arch;
  std::vector<char> packed(m->table().pack(read, nullptr));
  m->table().pack(read, packed.data());
  m->weights = std::make_unique<OnDevice>(packed.data(), packed.size());
  return m.release();
}

void half_free(Model* m) { delete m; }

int64_t half_feature_bytes(const Model* m, const Image* image) {
  const Placed placed(*image);
  return static_cast<int64_t>(m->table().feature_bytes(m->arch, placed.scene()));
}

int64_t half_tiles(const Model* m, const Image* image, int tile) {
  const Placed placed(*image);
  if (tile == kByImage) return m->table().tiles(m->arch, placed.scene(), false);
  int64_t count = 0;
  with_types(m->arch, static_cast<HalfTile>(tile), [&](auto, auto t) {
    Dim3 grid;
    const ptn_status status = tile_grid<decltype(t)>(placed.scene(), 2, &grid);
    count = static_cast<int64_t>(grid.x) * grid.y;
    return status;
  });
  return count;
}

int half_head(const Model* m, const Image* image, int tile, void* x) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const OnDevice out(m->table().feature_bytes(m->arch, s));
  const ptn_status status =
      tile == kByImage ? m->table().head(m->network(), s, out.get(), nullptr)
                       : with_element(*m, [&](auto e) {
                           return head_half<decltype(e)>(static_cast<HalfTile>(tile), m->network(),
                                                         s, out.get(), nullptr);
                         });
  return finish(status, {{&out, x}});
}

int half_statistics(const Model* m, const Image* image, int tile, int block, const void* x, void* v,
                    float* partials) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const size_t bytes = m->table().feature_bytes(m->arch, s);
  const OnDevice in(x, bytes), out(bytes),
      sums(static_cast<size_t>(s.images * half_tiles(m, image, tile) * statistics_size(m->arch)) *
           sizeof(float));
  const Features f{in.get(), out.get()};
  const ptn_status status =
      tile == kByImage
          ? m->table().statistics(m->network(), s, block, f, sums.as<float>(), nullptr)
          : with_element(*m, [&](auto e) {
              return statistics_half<decltype(e)>(static_cast<HalfTile>(tile), m->network(), s,
                                                  block, f, sums.as<float>(), nullptr);
            });
  return finish(status, {{&in, nullptr}, {&out, v}, {&sums, partials}});
}

// With `v_out` the boundary, else apply; folded [images][C][C].
int half_block(const Model* m, const Image* image, int tile, int block, const void* x,
               const void* v, const float* folded, void* x_out, void* v_out, float* partials) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const size_t bytes = m->table().feature_bytes(m->arch, s);
  const size_t c = static_cast<size_t>(m->arch.channels);
  const OnDevice in_x(x, bytes), in_v(v, bytes), to_x(bytes), to_v(bytes),
      sums(static_cast<size_t>(s.images * half_tiles(m, image, tile) * statistics_size(m->arch)) *
           sizeof(float)),
      matrix(folded, static_cast<size_t>(s.images) * c * c * sizeof(float)),
      packed(static_cast<size_t>(s.images) * m->table().matrix_bytes(m->arch));
  const ptn_status made =
      m->table().matrices(m->arch, s.images, matrix.as<float>(), packed.get(), nullptr);
  if (made != PTN_OK) return made;
  const Features from{in_x.get(), in_v.get()}, to{to_x.get(), to_v.get()};
  const Network n = m->network();
  const auto shape = static_cast<HalfTile>(tile);
  if (!v_out) {
    const ptn_status status = tile == kByImage
                                  ? m->table().apply(n, s, block, from, packed.get(), to.x, nullptr)
                                  : with_element(*m, [&](auto e) {
                                      return apply_half<decltype(e)>(shape, n, s, block, from,
                                                                     packed.get(), to.x, nullptr);
                                    });
    return finish(status, {{&in_x, nullptr}, {&packed, nullptr}, {&to_x, x_out}});
  }
  const ptn_status status =
      tile == kByImage
          ? m->table().boundary(n, s, block, from, packed.get(), to, sums.as<float>(), nullptr)
          : with_element(*m, [&](auto e) {
              return boundary_half<decltype(e)>(shape, n, s, block, from, packed.get(), to,
                                                sums.as<float>(), nullptr);
            });
  return finish(
      status,
      {{&in_x, nullptr}, {&packed, nullptr}, {&to_x, x_out}, {&to_v, v_out}, {&sums, partials}});
}

int half_fuse(const Model* m, const Image* image, int tile, const void* x, void* out) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const size_t bytes = m->table().feature_bytes(m->arch, s);
  const OnDevice in(x, bytes), between(bytes), to(bytes);
  const ptn_status status =
      tile == kByImage
          ? m->table().fuse(m->network(), s, in.get(), between.get(), to.get(), nullptr)
          : with_element(*m, [&](auto e) {
              return fuse_half<decltype(e)>(static_cast<HalfTile>(tile), m->network(), s, in.get(),
                                            to.get(), nullptr);
            });
  return finish(status, {{&in, nullptr}, {&between, nullptr}, {&to, out}});
}

int half_tail(const Model* m, const Image* image, int tile, const void* x, float* fused) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const size_t bytes = m->table().feature_bytes(m->arch, s);
  const OnDevice in(x, bytes), between(bytes), to(placed.pixels * 4 * sizeof(float));
  const ptn_status status =
      tile == kByImage
          ? m->table().tail(m->network(), s, in.get(), between.get(), to.as<float>(), nullptr)
          : with_element(*m, [&](auto e) {
              return tail_half<decltype(e)>(static_cast<HalfTile>(tile), m->network(), s, in.get(),
                                            to.as<float>(), nullptr);
            });
  return finish(status, {{&in, nullptr}, {&between, nullptr}, {&to, fused}});
}

}  // extern "C"
