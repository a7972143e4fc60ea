// The segments of a precision for ctypes: host arrays in, host arrays out.
#include "tests/cuda/segment_ops.h"

#include <memory>

#include "tests/cuda/placed.h"

using namespace pantiny;
using namespace pantiny::cuda;

namespace {

struct Model {
  bool bf16;
  ptn_arch arch;
  std::unique_ptr<OnDevice> weights;

  Network network() const { return {arch, weights->get()}; }
};

size_t partial_bytes(const Model& m, const Segments& table, const Scene& s, bool alone) {
  return static_cast<size_t>(s.images * table.tiles(m.arch, s, alone).count() *
                             statistics_size(m.arch)) *
         sizeof(float);
}

}  // namespace

extern "C" {

void segment_run_ahead(int on) { run_ahead(on); }

const char* segment_error() { return error_text(); }

Model* segment_model(int bf16, const ptn_arch* arch, const ptn_tensor* tensors, int count) {
  Tensors read;
  if (read_tensors(*arch, tensors, count, &read) != PTN_OK) return nullptr;
  auto m = std::make_unique<Model>();
  m->bf16 = bf16 != 0;
  m->arch = *arch;
  const Segments table = segments_for(m->bf16, kByImage);
  std::vector<char> packed(table.pack(read, nullptr));
  table.pack(read, packed.data());
  m->weights = std::make_unique<OnDevice>(packed.data(), packed.size());
  return m.release();
}

void segment_free(Model* m) { delete m; }

int64_t segment_tiles(const Model* m, const Image* image, int tile, int alone) {
  const Placed placed(*image);
  return segments_for(m->bf16, tile).tiles(m->arch, placed.scene(), alone != 0).count();
}

int segment_head(const Model* m, const Image* image, int tile, void* x) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const Segments table = segments_for(m->bf16, tile);
  const OnDevice out(table.feature_bytes(m->arch, s));
  return finish(table.head(m->network(), s, out.get(), nullptr), {{&out, x}});
}

int segment_statistics(const Model* m, const Image* image, int tile, int block, const void* x,
                       void* v, float* partials) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const Segments table = segments_for(m->bf16, tile);
  const size_t bytes = table.feature_bytes(m->arch, s);
  const OnDevice in(x, bytes), out(bytes), sums(partial_bytes(*m, table, s, true));
  const ptn_status status =
      table.statistics(m->network(), s, block, {in.get(), out.get()}, sums.as<float>(), nullptr);
  return finish(status, {{&in, nullptr}, {&out, v}, {&sums, partials}});
}

// With `v_out` the boundary, else apply; folded [images][C][C].
int segment_block(const Model* m, const Image* image, int tile, int block, const void* x,
                  const void* v, const float* folded, void* x_out, void* v_out, float* partials) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const Segments table = segments_for(m->bf16, tile);
  const size_t bytes = table.feature_bytes(m->arch, s);
  const size_t c = static_cast<size_t>(m->arch.channels), images = static_cast<size_t>(s.images);
  const OnDevice in_x(x, bytes), in_v(v, bytes), to_x(bytes), to_v(bytes),
      sums(partial_bytes(*m, table, s, false)), matrix(folded, images * c * c * sizeof(float)),
      packed(images * table.matrix_bytes(m->arch));
  const ptn_status made =
      table.matrices(m->arch, s.images, matrix.as<float>(), packed.get(), nullptr);
  if (made != PTN_OK) return made;
  const Features from{in_x.get(), in_v.get()};
  const Network n = m->network();
  if (!v_out)
    return finish(table.apply(n, s, block, from, packed.get(), to_x.get(), nullptr),
                  {{&in_x, nullptr}, {&packed, nullptr}, {&to_x, x_out}});
  return finish(
      table.boundary(n, s, block, from, packed.get(), {to_x.get(), to_v.get()}, sums.as<float>(),
                     nullptr),
      {{&in_x, nullptr}, {&packed, nullptr}, {&to_x, x_out}, {&to_v, v_out}, {&sums, partials}});
}

int segment_fuse(const Model* m, const Image* image, int tile, const void* x, void* out) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const Segments table = segments_for(m->bf16, tile);
  const size_t bytes = table.feature_bytes(m->arch, s);
  const OnDevice in(x, bytes), between(bytes), to(bytes);
  const ptn_status status = table.fuse(m->network(), s, in.get(), between.get(), to.get(), nullptr);
  return finish(status, {{&in, nullptr}, {&between, nullptr}, {&to, out}});
}

int segment_tail(const Model* m, const Image* image, int tile, const void* x, float* fused) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const Segments table = segments_for(m->bf16, tile);
  const size_t bytes = table.feature_bytes(m->arch, s);
  const OnDevice in(x, bytes), between(bytes), to(placed.pixels * 4 * sizeof(float));
  const ptn_status status =
      table.tail(m->network(), s, in.get(), between.get(), to.as<float>(), nullptr);
  return finish(status, {{&in, nullptr}, {&between, nullptr}, {&to, fused}});
}

}  // extern "C"
