#include <algorithm>
#include <vector>

#include "csrc/cuda/memory.h"
#include "csrc/cuda/plan.h"

namespace pantiny {
namespace cuda {

namespace {

constexpr int kMaxSteps = 8;
constexpr int kMaxImages = 4096;
constexpr int64_t kGraphPixels = int64_t{1} << 20;  // of all images; not tuned on a GPU
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

int64_t rows_of_tiles(const ptn_cuda_model& m, const Scene& scene) {
  const ptn_arch& a = m.network.arch;
  return std::max(m.segments->tiles(a, scene, true).down, m.segments->tiles(a, scene, false).down);
}

size_t lay_out(void* memory, const ptn_cuda_model& m, const ptn_cuda_scene& s, ptn_cuda_plan* p) {
  Arena arena(memory);
  const Scene scene = geometry_of(m, s);
  p->tables = take_tables(arena, s, scene.bands);
  p->space = take_workspace(arena, m, scene, rows_of_tiles(m, scene), s.consistency > 0);
  return arena.used();
}

// One run, put on a stream.
ptn_status queue(const ptn_cuda_plan& plan, const ptn_cuda_input& in, const ptn_cuda_output& o,
                 Stream stream) {
  const ptn_cuda_model& model = *plan.model;
  Scene scene = geometry_of(model, plan.scene);
  scene.ms = samples_of(in.ms);
  scene.pan = samples_of(in.pan);
  std::copy_n(in.ms_bands, PTN_MAX_BANDS, scene.ms_bands);
  scene.valid = mask_of(in.valid);
  scene.ms_valid = mask_of(in.ms_valid);
  scene.rows = plan.tables.rows;
  scene.columns = plan.tables.columns;
  scene.units_per_dn = plan.space.units_per_dn;
  Output output = output_of(o, in.device_dn_per_unit);
  output.rows = scene.height;
  Steps steps(model, scene, plan.space, stream);
  PTN_TRY(steps.units(in.device_dn_per_unit));
  PTN_TRY(steps.head());
  PTN_TRY(steps.statistics(0));
  for (int block = 0; block < blocks_of(model); ++block) {
    if (block) PTN_TRY(steps.advance(block - 1));
    const int64_t rows = tiles_of(model, scene, block).down;
    PTN_TRY(steps.sum(block, 0, rows, 0, rows));
    PTN_TRY(steps.fold(block, rows));
  }
  PTN_TRY(steps.end());
  return steps.finish(gaussian_of(plan.scene, scene.bands, plan.tables), plan.scene.consistency,
                      output);
}

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

bool geometry_supported(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  constexpr int64_t kMaxSide = (int64_t{1} << 31) - 1;
  auto side_ok = [](int64_t n) { return n >= 1 && n <= kMaxSide; };
  auto scale_ok = [](double v) { return v > 0.05 && v <= 1; };
  auto offset_ok = [](double v) { return v > -kMaxOffset && v < kMaxOffset; };
  bool ok = side_ok(s.height) && side_ok(s.width) && side_ok(s.ms_height) && side_ok(s.ms_width) &&
            scale_ok(s.scale_y) && scale_ok(s.scale_x) && offset_ok(s.offset_y) &&
            offset_ok(s.offset_x) && s.consistency >= 0 && s.consistency <= kMaxSteps;
  for (int k = 0; ok && s.consistency > 0 && k < model.network.arch.bands; ++k)
    ok = s.gains[k] > 0.001 && s.gains[k] < 0.999;
  return ok;
}

bool plan_supported(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  return geometry_supported(model, s) && s.images >= 1 && s.images <= kMaxImages &&
         s.height <= kMaxRows && s.width <= kMaxPixels / s.height && s.ms_height <= kMaxGridRows &&
         s.ms_width <= kMaxPixels / s.ms_height;
}

size_t plan_bytes(const ptn_cuda_model& model, const ptn_cuda_scene& scene) {
  ptn_cuda_plan plan{};
  return lay_out(nullptr, model, scene, &plan);
}

ptn_status plan_place(const ptn_cuda_model& model, const ptn_cuda_scene& scene, void* memory,
                      ptn_cuda_plan* out) {
  out->model = &model;
  out->scene = scene;
  lay_out(memory, model, scene, out);
  return place_tables(scene, model.network.arch.bands, out->tables);
}

ptn_status plan_run(ptn_cuda_plan& plan, const ptn_cuda_input& in, const ptn_cuda_output& out,
                    Stream stream) {
  const ptn_cuda_scene& s = plan.scene;
  if (s.images * s.height * s.width > kGraphPixels) return queue(plan, in, out, stream);
  const struct {
    ptn_cuda_input in;
    ptn_cuda_output out;
  } key{in, out};
  return plan.graphs.run(&key, sizeof key, stream,
                         [&](Stream on) { return queue(plan, in, out, on); });
}

}  // namespace cuda
}  // namespace pantiny
