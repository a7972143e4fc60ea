#include <algorithm>

#include "csrc/cuda/steps.h"
#include "kernels/fold/fold_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

struct Reciprocal {
  static constexpr const char* kName = "units";
  static constexpr int kThreads = 128, kMinBlocks = 1;
  struct Args {
    int count;
    const double* from;
    float* to;
  };
  static size_t shared_bytes(const Args&) { return 0; }
  static PTN_DEVICE void run(const Args& a, char*) {
    const int i = block().x * kThreads + thread();
    if (i < a.count) a.to[i] = static_cast<float>(1 / a.from[i]);
  }
};

// Whether the sums of a block are made by themselves.
bool alone(const ptn_arch& a, int block) { return block == 0 || block == a.encoder_blocks; }

}  // namespace

Scene geometry_of(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  Scene scene{};
  scene.images = s.images;
  scene.bands = model.network.arch.bands;
  scene.height = static_cast<int>(s.height);
  scene.width = static_cast<int>(s.width);
  scene.ms_height = static_cast<int>(s.ms_height);
  scene.ms_width = static_cast<int>(s.ms_width);
  return whole(scene);
}

TileGrid tiles_of(const ptn_cuda_model& m, const Scene& scene, int block) {
  return m.segments->tiles(m.network.arch, scene, alone(m.network.arch, block));
}

Workspace take_workspace(Arena& arena, const ptn_cuda_model& m, const Scene& scene, int64_t rows,
                         bool consistency) {
  const ptn_arch& a = m.network.arch;
  const Segments& seg = *m.segments;
  const int64_t images = scene.images, size = statistics_size(a);
  const int64_t pixels = static_cast<int64_t>(scene.height) * scene.width;
  Workspace w{};
  for (void*& f : w.features) f = arena.take<char>(seg.feature_bytes(a, scene));
  const int64_t tiles =
      std::max(seg.tiles(a, scene, true).count(), seg.tiles(a, scene, false).count());
  w.partials = arena.take<float>(images * tiles * size);
  w.sums = arena.take<double>(images * rows * size);
  w.folded = arena.take<float>(images * a.channels * a.channels);
  w.matrices = arena.take<char>(blocks_of(m) * images * seg.matrix_bytes(a));
  w.fused = arena.take<float>(images * a.bands * pixels);
  w.units_per_dn = arena.take<float>(images);
  if (!consistency) return w;
  const int64_t coarse = images * a.bands * scene.ms_count * scene.ms_width;
  w.residual = arena.take<float>(coarse);
  w.there = arena.take<uint8_t>(coarse);
  return w;
}

Samples samples_of(const ptn_cuda_samples& s) {
  return {s.device_data, s.dtype, s.image_stride, s.band_stride, s.row_stride, s.col_stride};
}

Mask mask_of(const ptn_cuda_mask& m) { return {m.device_data, m.image_stride, m.row_stride}; }

Output output_of(const ptn_cuda_output& o, const double* dn_per_unit) {
  Output output{};
  output.data = o.device_fused;
  output.dtype = o.dtype;
  output.image_stride = o.image_stride;
  output.band_stride = o.band_stride;
  output.row_stride = o.row_stride;
  output.col_stride = o.col_stride;
  std::copy_n(o.bands, PTN_MAX_BANDS, output.bands);
  output.low = o.low;
  output.high = o.high;
  output.fill = o.fill;
  output.reserve_fill = o.reserve_fill;
  output.dn_per_unit = dn_per_unit;
  return output;
}

char* Steps::matrices(int block) const {
  return w_.matrices + static_cast<size_t>(block) * static_cast<size_t>(scene_.images) *
                           m_.segments->matrix_bytes(m_.network.arch);
}

ptn_status Steps::units(const double* dn_per_unit) {
  return launch<Reciprocal>({scene_.images, dn_per_unit, w_.units_per_dn},
                            {ceil_div(scene_.images, Reciprocal::kThreads), 1, 1}, stream_);
}

ptn_status Steps::head() { return m_.segments->head(m_.network, scene_, now_.x, stream_); }

ptn_status Steps::statistics(int block) {
  return m_.segments->statistics(m_.network, scene_, block, now_, w_.partials, stream_);
}

ptn_status Steps::advance(int block) {
  const Segments& seg = *m_.segments;
  if (!alone(m_.network.arch, block + 1)) {
    PTN_TRY(seg.boundary(m_.network, scene_, block, now_, matrices(block), other_, w_.partials,
                         stream_));
    std::swap(now_, other_);
    return PTN_OK;
  }
  PTN_TRY(seg.apply(m_.network, scene_, block, now_, matrices(block), other_.x, stream_));
  PTN_TRY(seg.fuse(m_.network, scene_, other_.x, now_.x, now_.v, stream_));
  std::swap(now_.x, now_.v);
  return statistics(block + 1);
}

ptn_status Steps::end() {
  const int last = blocks_of(m_) - 1;
  PTN_TRY(m_.segments->apply(m_.network, scene_, last, now_, matrices(last), other_.x, stream_));
  return m_.segments->tail(m_.network, scene_, other_.x, now_.x, w_.fused, stream_);
}

ptn_status Steps::sum(int block, int64_t first, int64_t count, int64_t to, int64_t rows) {
  const TileGrid tiles = tiles_of(m_, scene_, block);
  const int size = statistics_size(m_.network.arch);
  return sum_tiles_cuda({scene_.images, size, tiles.down, tiles.across, first, count, w_.partials,
                         w_.sums + to * size, rows},
                        stream_);
}

ptn_status Steps::fold(int block, int64_t rows) {
  const ptn_arch& a = m_.network.arch;
  Fold f{};
  f.images = scene_.images;
  f.channels = a.channels;
  f.heads = a.heads;
  f.rows = rows;
  f.sums = w_.sums;
  f.project = m_.project + static_cast<int64_t>(block) * a.channels * a.channels;
  f.temperature = m_.temperature + block * a.heads;
  f.matrices = w_.folded;
  PTN_TRY(fold_cuda(f, stream_));
  return m_.segments->matrices(a, scene_.images, w_.folded, matrices(block), stream_);
}

ptn_status Steps::finish(const GaussianTables& tables, int steps, const Output& output) {
  for (int step = 0; step < steps; ++step) {
    PTN_TRY(residual_cuda(scene_, tables, w_.fused, w_.residual, w_.there, stream_));
    PTN_TRY(correct_cuda(scene_, w_.residual, w_.there, w_.fused,
                         step == steps - 1 ? &output : nullptr, stream_));
  }
  return steps ? PTN_OK : correct_cuda(scene_, nullptr, nullptr, w_.fused, &output, stream_);
}

}  // namespace cuda
}  // namespace pantiny
