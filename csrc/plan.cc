#include "csrc/plan.h"

#include <algorithm>
#include <cstring>

#include "csrc/cpu_table.h"
#include "csrc/parallel.h"
#include "csrc/plan_tile.h"
#include "kernels/fold/fold.h"

namespace pantiny {

namespace {

// Limits that keep sizes and indices well within 64 bits: 2^40 pixels times (4 * 64 + 10)
// planes, 4 bytes and 4096 threads are less than 2^63.
constexpr int64_t kMaxPixels = int64_t{1} << 40, kMaxTile = int64_t{1} << 20;
constexpr double kMaxOffset = 1e9;  // MS pixels

int64_t block_columns(const ptn_scene& s) { return round_up(s.width, PTN_BLOCK) / PTN_BLOCK; }

ConsistencyScratch take_consistency(Arena& arena, const ptn_scene& s, int reach, int radius) {
  const int64_t margin = 2 * s.consistency * reach;
  const int64_t rows = std::min(s.tile_rows + margin, s.height);
  const int64_t cols = std::min(s.tile_cols + margin, s.width);
  // MS samples that touch so many PAN samples, with four taps at the ends
  const int64_t ms_rows = std::min(static_cast<int64_t>(rows * s.scale_y) + 6, s.ms_height);
  const int64_t ms_cols = std::min(static_cast<int64_t>(cols * s.scale_x) + 6, s.ms_width);
  ConsistencyScratch c{};
  c.fused = arena.take<float>(rows * cols);
  c.valid = arena.take<float>(rows * cols);
  if (s.consistency == 0) return c;
  c.mixed = arena.take<float>(ms_rows * std::max(cols, ms_cols));
  c.mixed_valid = arena.take<float>(ms_rows * cols);
  c.residual = arena.take<float>(ms_rows * ms_cols);
  c.exists = arena.take<uint8_t>(ms_rows * ms_cols);
  c.row_weights = arena.take<float>(ms_rows * gaussian_tap_count(radius));
  c.col_weights = arena.take<float>(ms_cols * gaussian_tap_count(radius));
  c.row_first = arena.take<int64_t>(ms_rows);
  c.col_first = arena.take<int64_t>(ms_cols);
  c.row_taps = arena.take<CubicTaps>(rows);
  c.col_taps = arena.take<CubicTaps>(cols);
  return c;
}

void lay_out(Arena& arena, const ptn_model& model, const ptn_scene& s, ptn_plan** out) {
  const Weights& w = model.weights;
  auto* plan = arena.take<ptn_plan>(1);
  ptn_plan p{};
  p.model = &model;
  p.scene = s;
  const bool keep = s.storage == PTN_KEEP;
  if (s.consistency > 0) {
    p.radius = gaussian_radius(s.gains, w.arch.bands, s.scale_y, s.scale_x);
    p.reach = consistency_reach(p.radius, s.scale_y, s.scale_x);
  }
  const int64_t channels = w.arch.channels;
  const int64_t band_blocks = std::min(s.band_rows, round_up(s.height, PTN_BLOCK)) / PTN_BLOCK;
  const int64_t band_rows = std::min(s.band_rows, s.height);
  p.statistics = arena.take<double>(w.statistics_size());
  p.partials = arena.take<double>(band_blocks * block_columns(s) * w.statistics_size());
  p.matrices = arena.take<float>(w.blocks_total() * channels * channels);
  if (keep) {
    p.features = arena.take<float>(channels * s.height * s.width);
    p.band = arena.take<float>(channels * band_rows * s.width);
    p.carry = arena.take<float>(channels * carry_rows(w) * s.width);
  }
  p.network_height = std::min(s.height, band_rows + 2 * s.consistency * p.reach);
  p.network = arena.take<float>(w.arch.bands * p.network_height * s.width);
  Arena one;
  take_tile(one, w, s);
  Arena other;
  take_consistency(other, s, p.reach, p.radius);
  p.thread_bytes = std::max(one.used(), other.used());
  p.thread_memory = arena.take<char>(p.thread_bytes * s.threads);
  if (out) {
    *plan = p;
    *out = plan;
  }
}

struct Job {
  ptn_plan& plan;
  int pass;
  const ptn_input& input;
  void* thread_memory(int thread) const { return plan.thread_memory + plan.thread_bytes * thread; }
};

// Calls body(y, x, thread) for the tiles of rows [y0, y1).
template <class Body>
void each_tile(const ptn_plan& plan, int64_t y0, int64_t y1, Body&& body) {
  const ptn_scene& s = plan.scene;
  const int64_t across = (s.width + s.tile_cols - 1) / s.tile_cols;
  const int64_t down = (y1 - y0 + s.tile_rows - 1) / s.tile_rows;
  parallel_for(across * down, s.threads, [&](int64_t i, int thread) {
    body(y0 + i / across * s.tile_rows, i % across * s.tile_cols, thread);
  });
}

// Copy the finished band over the features, keeping the rows the next band looks back at.
void commit_band(ptn_plan& plan, int64_t y0, int64_t y1) {
  const ptn_scene& s = plan.scene;
  const int64_t rows = y1 - y0, keep = std::min<int64_t>(carry_rows(plan.model->weights), rows);
  const int64_t held = carry_rows(plan.model->weights);
  const size_t line = static_cast<size_t>(s.width) * sizeof(float);
  parallel_for(plan.model->weights.arch.channels, s.threads, [&](int64_t c, int) {
    float* x = plan.features + (c * s.height + y0) * s.width;
    std::memcpy(plan.carry + (c * held + held - keep) * s.width, x + (rows - keep) * s.width,
                static_cast<size_t>(keep) * line);
    std::memcpy(x, plan.band + c * std::min(s.band_rows, s.height) * s.width,
                static_cast<size_t>(rows) * line);
  });
}

void sum_partials(ptn_plan& plan, int64_t rows) {
  const int size = plan.model->weights.statistics_size();
  const int64_t columns = block_columns(plan.scene);
  for (int64_t by = 0; by * PTN_BLOCK < rows; ++by)
    for (int i = 0; i < size; ++i) {
      double sum = 0;
      for (int64_t bx = 0; bx < columns; ++bx) sum += plan.partials[(by * columns + bx) * size + i];
      plan.statistics[i] += sum;
    }
}

TileTask task(const Job& job, int64_t y, int64_t x, int64_t y1, int thread) {
  const ptn_scene& s = job.plan.scene;
  return {&job.plan,
          &job.input,
          y,
          x,
          std::min(y + s.tile_rows, y1),
          std::min(x + s.tile_cols, s.width),
          job.thread_memory(thread)};
}

void run_statistics(const Job& job, int64_t y0, int64_t y1) {
  ptn_plan& plan = job.plan;
  const bool keep = plan.scene.storage == PTN_KEEP;
  each_tile(plan, y0, y1, [&](int64_t y, int64_t x, int thread) {
    const int64_t block = (y - y0) / PTN_BLOCK * block_columns(plan.scene) + x / PTN_BLOCK;
    double* partials = plan.partials + block * plan.model->weights.statistics_size();
    run_tile(task(job, y, x, y1, thread), job.pass, y0, partials, block_columns(plan.scene));
  });
  if (keep && job.pass > 0) commit_band(plan, y0, y1);
  sum_partials(plan, y1 - y0);
  if (y1 == plan.scene.height) {
    const Weights& w = plan.model->weights;
    const int size = w.arch.channels * w.arch.channels;
    fold(w, w.blocks[job.pass], plan.statistics, plan.matrices + job.pass * size);
  }
}

// Rows of network output that must be held to finish rows [y0, y1).
void network_span(const ptn_plan& plan, int64_t y0, int64_t y1, int64_t* first, int64_t* last) {
  const int64_t margin = static_cast<int64_t>(plan.scene.consistency) * plan.reach;
  *first = std::max<int64_t>(y0 - margin, 0);
  *last = std::min(y1 + margin, plan.scene.height);
}

MsSource ms_source(const ptn_input& in) {
  return {in.ms,
          in.ms_dtype,
          in.ms_first,
          in.ms_rows,
          in.ms_band_stride,
          in.ms_row_stride,
          in.ms_col_stride,
          in.ms_bands,
          in.ms_valid,
          in.ms_valid_row_stride};
}

void run_output(const Job& job, int64_t y0, int64_t y1, const ptn_output& output) {
  ptn_plan& plan = job.plan;
  const ptn_scene& s = plan.scene;
  const int bands = plan.model->weights.arch.bands;
  int64_t first, last;
  network_span(plan, y0, y1, &first, &last);
  const int64_t kept = plan.network_rows - first;
  const int64_t plane = plan.network_height * s.width;
  if (kept > 0 && first > plan.network_first)
    for (int k = 0; k < bands; ++k)
      std::memmove(plan.network + k * plane,
                   plan.network + k * plane + (first - plan.network_first) * s.width,
                   static_cast<size_t>(kept * s.width) * sizeof(float));
  plan.network_first = first;
  const int64_t from = std::max(plan.network_rows, first);
  each_tile(plan, from, last, [&](int64_t y, int64_t x, int thread) {
    // the last pass overwrites no features: nothing is in carry
    run_tile(task(job, y, x, last, thread), job.pass, 0, nullptr, 0);
  });
  plan.network_rows = last;

  each_tile(plan, y0, y1, [&](int64_t y, int64_t x, int thread) {
    Arena arena(job.thread_memory(thread));
    ConsistencyArgs a{};
    a.height = s.height;
    a.width = s.width;
    a.y = {s.scale_y, s.offset_y, s.ms_height};
    a.x = {s.scale_x, s.offset_x, s.ms_width};
    a.bands = bands;
    a.steps = s.consistency;
    a.reach = plan.reach;
    a.radius = plan.radius;
    a.gains = s.gains;
    a.dn_per_unit = s.dn_per_unit;
    a.y0 = y;
    a.y1 = std::min(y + s.tile_rows, y1);
    a.x0 = x;
    a.x1 = std::min(x + s.tile_cols, s.width);
    a.network = plan.network;
    a.network_first = plan.network_first;
    a.network_pitch = s.width;
    a.network_plane = plane;
    a.ms = ms_source(job.input);
    a.valid = job.input.valid;
    a.valid_first = job.input.pan_first;
    a.valid_row_stride = job.input.valid_row_stride;
    a.output = &output;
    a.output_first = y0;
    a.scratch = take_consistency(arena, s, plan.reach, plan.radius);
    cpu_table().consistency(a);
  });
}

}  // namespace

bool scene_supported(const ptn_model& model, const ptn_scene& s) {
  auto size_ok = [](int64_t n) { return n > 0 && n < (int64_t{1} << 31); };
  const bool sizes = size_ok(s.height) && size_ok(s.width) && size_ok(s.ms_height) &&
                     size_ok(s.ms_width) && s.height <= kMaxPixels / s.width;
  auto tile_ok = [](int64_t n) { return n > 0 && n <= kMaxTile && n % PTN_BLOCK == 0; };
  const bool tiles = tile_ok(s.tile_rows) && tile_ok(s.tile_cols) && tile_ok(s.band_rows);
  // what must hold, not what must not: NaN fails
  auto scale_ok = [](double v) { return v > 0.05 && v <= 1; };
  auto offset_ok = [](double v) { return v > -kMaxOffset && v < kMaxOffset; };
  const bool grid = scale_ok(s.scale_y) && scale_ok(s.scale_x) && offset_ok(s.offset_y) &&
                    offset_ok(s.offset_x) && s.dn_per_unit > 1e-30 && s.dn_per_unit < 1e30;
  bool gains = true;
  for (int k = 0; s.consistency > 0 && k < model.weights.arch.bands; ++k)
    gains = gains && s.gains[k] > 0.001 && s.gains[k] < 0.999;
  return sizes && tiles && grid && gains && s.threads >= 1 && s.threads <= 4096 &&
         s.consistency >= 0 && s.consistency <= 8 &&
         (s.storage == PTN_KEEP || s.storage == PTN_RECOMPUTE);
}

size_t plan_bytes(const ptn_model& model, const ptn_scene& scene) {
  Arena arena;
  lay_out(arena, model, scene, nullptr);
  return arena.used();
}

ptn_plan* plan_place(const ptn_model& model, const ptn_scene& scene, void* memory) {
  Arena arena(memory);
  ptn_plan* plan = nullptr;
  lay_out(arena, model, scene, &plan);
  return plan;
}

ptn_rows plan_rows(const ptn_plan& plan, int pass, int64_t y0, int64_t y1) {
  const ptn_scene& s = plan.scene;
  const int64_t halo = pass_halo(plan.model->weights, s.storage, pass);
  int64_t first = y0, last = y1;
  if (pass == plan.model->weights.blocks_total()) network_span(plan, y0, y1, &first, &last);
  ptn_rows r;
  r.pan_first = std::max<int64_t>(first - halo, 0);
  r.pan_last = std::min(last + halo, s.height);
  ms_span({s.scale_y, s.offset_y, s.ms_height}, r.pan_first, r.pan_last, &r.ms_first, &r.ms_last);
  return r;
}

void plan_run(ptn_plan& plan, int pass, int64_t y0, int64_t y1, const ptn_input& input,
              const ptn_output* output) {
  if (y0 == 0) {
    std::fill_n(plan.statistics, plan.model->weights.statistics_size(), 0.0);
    plan.network_rows = plan.network_first = 0;
  }
  const Job job{plan, pass, input};
  if (pass < plan.model->weights.blocks_total())
    run_statistics(job, y0, y1);
  else
    run_output(job, y0, y1, *output);
  plan.pass = y1 == plan.scene.height ? pass + 1 : pass;
  plan.next_row = y1 == plan.scene.height ? 0 : y1;
}

}  // namespace pantiny
