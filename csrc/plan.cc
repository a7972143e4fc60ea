#include "csrc/plan.h"

#include <algorithm>
#include <cstring>

#include "csrc/cpu_table.h"
#include "csrc/pairs.h"
#include "csrc/parallel.h"
#include "csrc/plan_tile.h"
#include "kernels/fold/fold.h"

namespace pantiny {

namespace {

// Limits that keep sizes and indices well within 64 bits: 2^40 pixels times (4 * 64 + 10)
// planes, 4 bytes and 4096 threads are less than 2^63.
constexpr int64_t kMaxPixels = int64_t{1} << 40, kMaxTile = int64_t{1} << 20;
constexpr double kMaxOffset = 1e9;  // MS pixels

int64_t block_columns(const ptn_scene& s) { return (s.width + kStrip - 1) / kStrip; }

int64_t tiles_across(const ptn_scene& s) {
  return s.storage == PTN_KEEP ? 1 : (s.width + s.tile_cols - 1) / s.tile_cols;
}

int64_t tiles_down(const ptn_scene& s, int64_t rows) {
  return (rows + s.tile_rows - 1) / s.tile_rows;
}

// Rows of network output that are made at a time: a few tiles for every thread, fewer where they
// are large.
int64_t network_step(const ptn_scene& s) {
  const int64_t tiles = s.threads * (s.tile_rows > 128 ? 2 : 4);
  const int64_t down = (tiles + tiles_across(s) - 1) / tiles_across(s);
  return std::min(s.band_rows, round_up(down * s.tile_rows, PTN_BLOCK));
}

// Rows of network output below a row that its back-projection reads.
int64_t network_lag(const ptn_scene& s, int bands) {
  if (s.consistency == 0) return 0;
  const int radius = gaussian_radius(s.gains, bands, s.scale_y, s.scale_x);
  return static_cast<int64_t>(s.consistency) * consistency_lag(radius, s.scale_y);
}

int64_t network_last(const ptn_plan& p, int64_t y1) {
  const int64_t lag = network_lag(p.scene, p.model->weights.arch.bands);
  return std::min(round_up(y1 + lag, PTN_BLOCK), p.scene.height);
}

void lay_out(Arena& arena, const ptn_model& model, ptn_scene s, ptn_plan** out) {
  s.tile_cols = round_up(s.tile_cols, kStrip);  // a tile is a whole number of blocks
  const Weights& w = model.weights;
  auto* plan = arena.take<ptn_plan>(1);
  ptn_plan p{};
  p.model = &model;
  p.scene = s;
  const int64_t channels = w.arch.channels;
  const int64_t band_rows = std::min(s.band_rows, round_up(s.height, PTN_BLOCK));
  p.statistics = arena.take<double>(w.statistics_size());
  p.partials = arena.take<double>(band_rows / PTN_BLOCK * block_columns(s) * w.statistics_size());
  p.matrices = arena.take<float>(w.blocks_total() * channels * channels);
  p.pairs =
      arena.take<uint32_t>(w.blocks_total() * pairs_size(1, w.arch.channels, w.arch.channels));
  p.columns = arena.take<CubicTaps>(s.width);
  const int64_t lag = network_lag(s, w.arch.bands);
  p.network_height = std::min(round_up(network_step(s) + lag, PTN_BLOCK), s.height);
  p.network = arena.take<float>(w.arch.bands * p.network_height * s.width + kMaxWidth);
  p.halo = stored_halo(w);
  if (s.storage == PTN_KEEP) {
    p.pitch = feature_pitch(s.width);
    const int64_t row = channels * p.pitch;
    const int64_t tiles = tiles_down(s, std::max(band_rows, p.network_height));
    p.features = arena.take<float>(s.height * row + 2 * kGuard);
    p.borders = arena.take<float>(tiles * 2 * p.halo * row + 2 * kGuard);
    p.carry = arena.take<float>(p.halo * row + kGuard);
  } else {
    p.pitch = tile_pitch(s);
  }
  const int64_t zeros = channels * p.pitch + 2 * kGuard;
  p.zero_row = arena.take<float>(zeros);
  p.consistency = take_consistency(arena, s, w.arch.bands, p.network_height);
  const size_t scratch =
      s.consistency ? static_cast<size_t>(consistency_scratch(p.consistency)) * sizeof(float) : 0;
  p.thread_bytes = static_cast<size_t>(
      round_up(static_cast<int64_t>(std::max(tile_bytes(w, s), scratch)), kAlign));
  p.thread_memory = arena.take<char>(p.thread_bytes * s.threads);
  if (!out) return;
  for (int64_t x = 0; x < s.width; ++x)
    p.columns[x] = cubic_taps({s.scale_x, s.offset_x, s.ms_width}, x);
  std::fill_n(p.zero_row, zeros, 0.0f);
  *plan = p;
  *out = plan;
}

struct Job {
  ptn_plan& plan;
  int pass;
  const ptn_input& input;
  void* thread_memory(int thread) const { return plan.thread_memory + plan.thread_bytes * thread; }
};

// Copy the rows that tiles of rows [y0, y1) read of each other, as they are before any runs.
void save_borders(const Job& job, int64_t y0, int64_t y1) {
  ptn_plan& p = job.plan;
  const ptn_scene& s = p.scene;
  const Weights& w = p.model->weights;
  const int64_t row = w.arch.channels * p.pitch, halo = pass_halo(w, PTN_KEEP, job.pass);
  const size_t bytes = static_cast<size_t>(row) * sizeof(float);
  parallel_for(tiles_down(s, y1 - y0), s.threads, [&](int64_t i, int) {
    const int64_t top = y0 + i * s.tile_rows, end = std::min(top + s.tile_rows, y1);
    for (int64_t r = -halo; r < halo; ++r) {
      const int64_t y = r < 0 ? top + r : end + r;
      if (y < 0 || y >= s.height) continue;
      const float* from = y < y0 ? p.carry + (p.halo + y - y0) * row : p.features + y * row;
      std::memcpy(border_row(p, i, r), from, bytes);
    }
  });
  // rows of short bands move up
  for (int64_t i = 0; i < p.halo; ++i) {
    const int64_t y = y1 - p.halo + i;
    if (y < 0) continue;
    const float* from = y < y0 ? p.carry + (p.halo + y - y0) * row : p.features + y * row;
    std::memmove(p.carry + i * row, from, bytes);
  }
}

// All tiles of rows [y0, y1); without statistics in the last pass.
void run_tiles(const Job& job, int64_t y0, int64_t y1) {
  ptn_plan& plan = job.plan;
  const ptn_scene& s = plan.scene;
  const bool keep = s.storage == PTN_KEEP, last = job.pass == plan.model->weights.blocks_total();
  if (keep && job.pass > 0) save_borders(job, y0, y1);
  const int64_t across = tiles_across(s), columns = block_columns(s);
  parallel_for(across * tiles_down(s, y1 - y0), s.threads, [&](int64_t i, int thread) {
    const int64_t y = y0 + i / across * s.tile_rows, x = i % across * s.tile_cols;
    const int64_t x1 = keep ? s.width : std::min(x + s.tile_cols, s.width);
    const int64_t block = (y - y0) / PTN_BLOCK * columns + x / kStrip;
    run_tile({&plan, &job.input, job.pass, y, x, std::min(y + s.tile_rows, y1), x1, i,
              job.thread_memory(thread)},
             last ? nullptr : plan.partials + block * plan.model->weights.statistics_size(),
             columns);
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

void run_statistics(const Job& job, int64_t y0, int64_t y1) {
  ptn_plan& plan = job.plan;
  run_tiles(job, y0, y1);
  sum_partials(plan, y1 - y0);
  if (y1 == plan.scene.height) {
    const Weights& w = plan.model->weights;
    const int c = w.arch.channels;
    float* const matrix = plan.matrices + job.pass * c * c;
    fold(w, w.blocks[job.pass], plan.statistics, matrix);
    pack_pairs(matrix, 1, c, c, plan.pairs + job.pass * pairs_size(1, c, c));
  }
}

// All back-projection that the rows done so far allow.
void correct(const Job& job) {
  ptn_plan& plan = job.plan;
  Consistency& state = plan.consistency;
  const ptn_scene& s = plan.scene;
  const CpuTable& table = cpu_table();
  ConsistencyArgs args{};
  args.state = &state;
  args.network = plan.network;
  args.network_rows = plan.network_height;
  args.network_plane = plan.network_height * s.width;
  args.ms = ms_source(job.input);
  args.units_per_dn = static_cast<float>(1 / s.dn_per_unit);
  args.valid = {job.input.valid, job.input.pan_first, job.input.valid_row_stride};
  args.columns = plan.columns;
  auto rows = [&](int64_t first, int64_t last, ConsistencyRowFn* run) {
    // a thread takes a few rows of one band that lie next to each other
    constexpr int64_t kRows = 16;
    const int64_t groups = (last - first + kRows - 1) / kRows;
    parallel_for(groups * state.bands, s.threads, [&](int64_t i, int thread) {
      ConsistencyArgs mine = args;
      mine.scratch = static_cast<float*>(job.thread_memory(thread));
      const int64_t from = first + i / state.bands * kRows;
      for (int64_t y = from; y < std::min(from + kRows, last); ++y)
        run(mine, static_cast<int>(i % state.bands), y);
    });
  };
  state.corrected[0] = plan.network_rows;
  for (int step = 0; step < state.steps; ++step) {
    args.step = step;
    const int64_t residuals = residuals_ready(state, step);
    rows(state.residual_next[step], residuals, table.residual_row);
    state.residual_next[step] = residuals;
    const int64_t corrections = corrections_ready(state, step);
    rows(state.corrected[step + 1], corrections, table.correct_row);
    state.corrected[step + 1] = corrections;
  }
}

void round_rows(const Job& job, int64_t y0, int64_t y1, int64_t output_first,
                const ptn_output& output) {
  const ptn_plan& plan = job.plan;
  const ptn_scene& s = plan.scene;
  const RoundArgs args{s.width,
                       s.dn_per_unit,
                       {job.input.valid, job.input.pan_first, job.input.valid_row_stride},
                       &output};
  parallel_for(y1 - y0, s.threads, [&](int64_t i, int) {
    const int64_t y = y0 + i;
    for (int k = 0; k < plan.model->weights.arch.bands; ++k) {
      const int64_t band = output.bands ? output.bands[k] : k;
      if (band < 0) continue;
      const float* row =
          plan.network + (k * plan.network_height + y % plan.network_height) * s.width;
      cpu_table().round_row(args, row, y, y - output_first, band);
    }
  });
}

void run_output(const Job& job, int64_t y0, int64_t y1, const ptn_output& output) {
  ptn_plan& plan = job.plan;
  const int64_t step = network_step(plan.scene);
  for (int64_t y = y0; y < y1; y += step) {
    const int64_t end = std::min(y + step, y1), last = network_last(plan, end);
    if (last > plan.network_rows) run_tiles(job, plan.network_rows, last);
    plan.network_rows = last;
    correct(job);
    round_rows(job, y, end, y0, output);
  }
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
         s.consistency >= 0 && s.consistency <= kMaxSteps &&
         (s.storage == PTN_KEEP || s.storage == PTN_RECOMPUTE) &&
         (s.precision == PTN_FP32 || s.precision == PTN_BF16);
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
  const int64_t last = pass == plan.model->weights.blocks_total() ? network_last(plan, y1) : y1;
  ptn_rows r;
  r.pan_first = std::max<int64_t>(y0 - halo, 0);
  r.pan_last = std::min(last + halo, s.height);
  ms_span({s.scale_y, s.offset_y, s.ms_height}, r.pan_first, r.pan_last, &r.ms_first, &r.ms_last);
  return r;
}

void plan_run(ptn_plan& plan, int pass, int64_t y0, int64_t y1, const ptn_input& input,
              const ptn_output* output) {
  if (y0 == 0) {
    std::fill_n(plan.statistics, plan.model->weights.statistics_size(), 0.0);
    plan.network_rows = 0;
    restart(&plan.consistency);
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
