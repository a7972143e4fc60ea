#include <algorithm>
#include <memory>
#include <vector>

#include "csrc/arena.h"
#include "csrc/cuda/memory.h"
#include "csrc/cuda/plan.h"
#include "kernels/fold/fold_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

constexpr int kMaxSteps = 8;
constexpr int64_t kMaxPixels = int64_t{1} << 30;
constexpr int64_t kMaxRows = 65535;  // of a grid's second and third axis
constexpr int kMaxImages = 4096;
constexpr double kMaxOffset = 1e9;

// Memory of a model; without a block only its size.
struct ModelMemory {
  char* weights;
  float *project, *temperature;
};

ModelMemory take_model(Arena& arena, const ptn_arch& a, size_t weights) {
  const int64_t blocks = a.encoder_blocks + a.body_blocks;
  ModelMemory m{};
  m.weights = arena.take<char>(weights);
  m.project = arena.take<float>(blocks * a.channels * a.channels);
  m.temperature = arena.take<float>(blocks * a.heads);
  return m;
}

// What the kernels of a plan are told about its images, without the images.
Scene geometry(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  Scene scene{};
  scene.images = s.images;
  scene.bands = model.network.arch.bands;
  scene.height = static_cast<int>(s.height);
  scene.width = static_cast<int>(s.width);
  scene.ms_height = static_cast<int>(s.ms_height);
  scene.ms_width = static_cast<int>(s.ms_width);
  return scene;
}

int radius_of(const ptn_cuda_scene& s, int bands) {
  return gaussian_radius(s.gains, bands, s.scale_y, s.scale_x);
}

struct Tables {
  CubicTaps *rows, *columns;
  float *row_weights, *column_weights;
  int64_t *row_firsts, *column_firsts;
};

Tables take_tables(Arena& arena, const ptn_cuda_scene& s, int bands) {
  Tables t{};
  t.rows = arena.take<CubicTaps>(s.height);
  t.columns = arena.take<CubicTaps>(s.width);
  if (!s.consistency) return t;
  const int taps = gaussian_tap_count(radius_of(s, bands));
  t.row_weights = arena.take<float>(bands * s.ms_height * taps);
  t.column_weights = arena.take<float>(bands * s.ms_width * taps);
  t.row_firsts = arena.take<int64_t>(s.ms_height);
  t.column_firsts = arena.take<int64_t>(s.ms_width);
  return t;
}

void fill_axis(const Axis& axis, int64_t size, CubicTaps* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = cubic_taps(axis, i);
}

void fill_gaussian(const Axis& axis, const double* gains, int bands, int radius, float* weights,
                   int64_t* firsts) {
  const int taps = gaussian_tap_count(radius);
  for (int k = 0; k < bands; ++k)
    for (int64_t i = 0; i < axis.ms_size; ++i)
      firsts[i] = gaussian_taps(axis, i, gaussian_sigma(gains[k], axis.scale), radius,
                                weights + (k * axis.ms_size + i) * taps);
}

// Tables on the host, then to the device.
ptn_status place_tables(const ptn_cuda_scene& s, int bands, const Tables& device) {
  Arena sized;
  take_tables(sized, s, bands);
  std::vector<CubicTaps> room(sized.used() / sizeof(CubicTaps) + 64);
  void* start = room.data();
  size_t space = room.size() * sizeof(CubicTaps);
  start = std::align(kAlign, sized.used(), start, space);
  Arena arena(start);
  const Tables t = take_tables(arena, s, bands);
  const Axis y{s.scale_y, s.offset_y, s.ms_height}, x{s.scale_x, s.offset_x, s.ms_width};
  fill_axis(y, s.height, t.rows);
  fill_axis(x, s.width, t.columns);
  if (s.consistency) {
    const int radius = radius_of(s, bands);
    fill_gaussian(y, s.gains, bands, radius, t.row_weights, t.row_firsts);
    fill_gaussian(x, s.gains, bands, radius, t.column_weights, t.column_firsts);
  }
  const ptn_status status = copy_in(device.rows, t.rows, arena.used(), nullptr);
  return status == PTN_OK ? wait_for(nullptr) : status;
}

void lay_out(Arena& arena, const ptn_cuda_model& m, const ptn_cuda_scene& s, ptn_cuda_plan* p,
             Tables* tables) {
  const ptn_arch& a = m.network.arch;
  const Scene scene = geometry(m, s);
  const Segments& seg = *m.segments;
  // tables first: they are copied in one piece
  *tables = take_tables(arena, s, a.bands);
  for (void*& f : p->features) f = arena.take<char>(seg.feature_bytes(a, scene));
  const int64_t tiles = std::max(seg.tiles(a, scene, true), seg.tiles(a, scene, false));
  const int64_t size = statistics_size(a), images = s.images;
  p->partials = arena.take<float>(images * tiles * size);
  p->slices = arena.take<double>(images * ((tiles + kSlice - 1) / kSlice) * size);
  p->folded = arena.take<float>(images * a.channels * a.channels);
  p->matrices = arena.take<char>(images * seg.matrix_bytes(a));
  p->fused = arena.take<float>(images * a.bands * s.height * s.width);
  p->units_per_dn = arena.take<float>(images);
  if (!s.consistency) return;
  p->residual = arena.take<float>(images * a.bands * s.ms_height * s.ms_width);
  p->there = arena.take<uint8_t>(images * a.bands * s.ms_height * s.ms_width);
}

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

// One run: calls return the first failure.
class Run {
 public:
  Run(const ptn_cuda_plan& plan, const Scene& scene, Stream stream)
      : p_(plan), m_(*plan.model), scene_(scene), stream_(stream) {}

  ptn_status network() {
    const Segments& seg = *m_.segments;
    const ptn_arch& a = m_.network.arch;
    Features now{p_.features[0], p_.features[1]}, other{p_.features[2], p_.features[3]};
    PTN_TRY(seg.head(m_.network, scene_, now.x, stream_));
    PTN_TRY(seg.statistics(m_.network, scene_, 0, now, p_.partials, stream_));
    PTN_TRY(fold(0, true));
    const int last = a.encoder_blocks + a.body_blocks - 1;
    for (int i = 0; i < last; ++i) {
      const bool fusion = i == a.encoder_blocks - 1;
      if (!fusion) {
        PTN_TRY(seg.boundary(m_.network, scene_, i, now, p_.matrices, other, p_.partials, stream_));
        std::swap(now, other);
      } else {
        PTN_TRY(seg.apply(m_.network, scene_, i, now, p_.matrices, other.x, stream_));
        PTN_TRY(seg.fuse(m_.network, scene_, other.x, now.x, now.v, stream_));
        std::swap(now.x, now.v);
        PTN_TRY(seg.statistics(m_.network, scene_, i + 1, now, p_.partials, stream_));
      }
      PTN_TRY(fold(i + 1, fusion));
    }
    PTN_TRY(seg.apply(m_.network, scene_, last, now, p_.matrices, other.x, stream_));
    return seg.tail(m_.network, scene_, other.x, now.x, p_.fused, stream_);
  }

  ptn_status finish(const Output& output) {
    const int steps = p_.scene.consistency;
    for (int step = 0; step < steps; ++step) {
      PTN_TRY(residual_cuda(scene_, p_.tables, p_.fused, p_.residual, p_.there, stream_));
      PTN_TRY(correct_cuda(scene_, p_.residual, p_.there, p_.fused,
                           step == steps - 1 ? &output : nullptr, stream_));
    }
    return steps ? PTN_OK : correct_cuda(scene_, nullptr, nullptr, p_.fused, &output, stream_);
  }

 private:
  ptn_status fold(int block, bool alone) {
    const ptn_arch& a = m_.network.arch;
    Fold f{};
    f.images = scene_.images;
    f.channels = a.channels;
    f.heads = a.heads;
    f.tiles = m_.segments->tiles(a, scene_, alone);
    f.partials = p_.partials;
    f.slices = p_.slices;
    f.project = m_.project + static_cast<int64_t>(block) * a.channels * a.channels;
    f.temperature = m_.temperature + block * a.heads;
    f.matrices = p_.folded;
    PTN_TRY(fold_cuda(f, stream_));
    return m_.segments->matrices(a, scene_.images, p_.folded, p_.matrices, stream_);
  }

  const ptn_cuda_plan& p_;
  const ptn_cuda_model& m_;
  const Scene& scene_;
  Stream stream_;
};

Samples samples_of(const ptn_cuda_samples& s) {
  return {s.device_data, s.dtype, s.image_stride, s.band_stride, s.row_stride, s.col_stride};
}

Mask mask_of(const ptn_cuda_mask& m) { return {m.device_data, m.image_stride, m.row_stride}; }

}  // namespace

const Segments* segments_of(int precision) {
  switch (precision) {
    case PTN_CUDA_FP32:
      return &float_segments();
    case PTN_CUDA_FP16:
      return &half_segments();
    case PTN_CUDA_BF16:
      return &bf16_segments();
    default:
      return nullptr;
  }
}

size_t model_bytes(const ptn_arch& arch, const Segments& segments) {
  Tensors shape{};
  shape.arch = arch;
  Arena arena;
  take_model(arena, arch, segments.pack(shape, nullptr));
  return arena.used();
}

ptn_status model_place(const ptn_arch& arch, const Segments& segments, const Tensors& tensors,
                       void* memory, ptn_cuda_model* out) {
  const size_t bytes = segments.pack(tensors, nullptr);
  Arena arena(memory);
  const ModelMemory m = take_model(arena, arch, bytes);
  std::vector<float> packed(bytes / sizeof(float) + 1), project, temperature;
  segments.pack(tensors, packed.data());
  for (const BlockTensors& b : tensors.block) {
    project.insert(project.end(), b.project.begin(), b.project.end());
    temperature.insert(temperature.end(), b.temperature.begin(), b.temperature.end());
  }
  PTN_TRY(copy_in(m.weights, packed.data(), bytes, nullptr));
  PTN_TRY(copy_in(m.project, project.data(), project.size() * sizeof(float), nullptr));
  PTN_TRY(copy_in(m.temperature, temperature.data(), temperature.size() * sizeof(float), nullptr));
  PTN_TRY(wait_for(nullptr));
  *out = {{arch, m.weights}, &segments, m.project, m.temperature};
  return PTN_OK;
}

bool plan_supported(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  const bool sizes = s.images >= 1 && s.images <= kMaxImages && s.height >= 1 && s.width >= 1 &&
                     s.height <= kMaxPixels && s.width <= kMaxPixels / s.height &&
                     s.ms_height >= 1 && s.ms_height <= kMaxRows && s.ms_width >= 1 &&
                     s.ms_width <= kMaxPixels / s.ms_height;
  auto scale_ok = [](double v) { return v > 0.05 && v <= 1; };
  auto offset_ok = [](double v) { return v > -kMaxOffset && v < kMaxOffset; };
  bool ok = sizes && scale_ok(s.scale_y) && scale_ok(s.scale_x) && offset_ok(s.offset_y) &&
            offset_ok(s.offset_x) && s.consistency >= 0 && s.consistency <= kMaxSteps;
  for (int k = 0; ok && s.consistency > 0 && k < model.network.arch.bands; ++k)
    ok = s.gains[k] > 0.001 && s.gains[k] < 0.999;
  return ok;
}

size_t plan_bytes(const ptn_cuda_model& model, const ptn_cuda_scene& scene) {
  Arena arena;
  ptn_cuda_plan plan{};
  Tables tables;
  lay_out(arena, model, scene, &plan, &tables);
  return arena.used();
}

ptn_status plan_place(const ptn_cuda_model& model, const ptn_cuda_scene& scene, void* memory,
                      ptn_cuda_plan* out) {
  Arena arena(memory);
  Tables t;
  *out = {};
  out->model = &model;
  out->scene = scene;
  lay_out(arena, model, scene, out, &t);
  out->rows = t.rows;
  out->columns = t.columns;
  if (scene.consistency)
    out->tables = {gaussian_tap_count(radius_of(scene, model.network.arch.bands)),
                   t.row_weights,
                   t.column_weights,
                   t.row_firsts,
                   t.column_firsts,
                   scene.scale_x};
  return place_tables(scene, model.network.arch.bands, t);
}

ptn_status plan_run(const ptn_cuda_plan& plan, const ptn_cuda_input& in, const ptn_cuda_output& o,
                    Stream stream) {
  Scene scene = geometry(*plan.model, plan.scene);
  scene.ms = samples_of(in.ms);
  scene.pan = samples_of(in.pan);
  std::copy_n(in.ms_bands, PTN_MAX_BANDS, scene.ms_bands);
  scene.valid = mask_of(in.valid);
  scene.ms_valid = mask_of(in.ms_valid);
  scene.rows = plan.rows;
  scene.columns = plan.columns;
  scene.units_per_dn = plan.units_per_dn;
  Output output{o.device_fused,
                o.dtype,
                o.image_stride,
                o.band_stride,
                o.row_stride,
                o.col_stride,
                {},
                o.low,
                o.high,
                o.fill,
                o.reserve_fill,
                in.device_dn_per_unit};
  std::copy_n(o.bands, PTN_MAX_BANDS, output.bands);
  PTN_TRY(launch<Reciprocal>({scene.images, in.device_dn_per_unit, plan.units_per_dn},
                             {ceil_div(scene.images, Reciprocal::kThreads), 1, 1}, stream));
  Run run(plan, scene, stream);
  PTN_TRY(run.network());
  return run.finish(output);
}

}  // namespace cuda
}  // namespace pantiny
