// Quality indices: checks arguments, deals blocks out to threads, adds up in a fixed order.
#include <cmath>
#include <cstdint>

#include "csrc/arena.h"
#include "csrc/cpu_table.h"
#include "csrc/include/pantiny.h"
#include "csrc/parallel.h"
#include "csrc/windows_args.h"
#include "kernels/gaussian/gaussian.h"

namespace pantiny {
namespace {

bool supported(const ptn_windows& w) {
  return windows_supported(w) && w.threads >= 1 && w.threads <= 4096;
}

int64_t along(int64_t count, int64_t side) { return count <= 0 ? 0 : (count + side - 1) / side; }

// How the windows of an image are dealt out.
struct Blocks {
  explicit Blocks(const ptn_windows& w)
      : rows(w.rows - w.window + 1), cols(w.width - w.window + 1) {
    across = along(cols, kWindowBlock);
    count = rows > 0 ? across * along(rows, kWindowBlock) : 0;
  }
  int64_t rows, cols, across, count;
};

struct WindowMemory {
  WindowMemory(const ptn_windows& w, Arena& arena) : blocks(w) {
    // apart by a cache line: threads write their scratch all the time
    each = ((gaussian(w) ? gaussian_scratch() : window_scratch(w)) + 7) / 8 * 8;
    const auto n = static_cast<size_t>(blocks.count);
    scratch = arena.take<double>(each * static_cast<size_t>(w.threads));
    sums = arena.take<double>(n * static_cast<size_t>(w.pairs));
    counts = arena.take<int64_t>(n);
  }
  Blocks blocks;
  size_t each;
  double *scratch, *sums;
  int64_t* counts;
};

void run_windows(const ptn_windows& w, void* memory, double* sums, int64_t* count) {
  Arena arena(memory);
  const WindowMemory m(w, arena);
  double taps[kGaussian], total = 0;
  for (int i = 0; i < kGaussian; ++i) {
    const double at = (i - kGaussian / 2) / kGaussianSigma;
    total += taps[i] = std::exp(-0.5 * at * at);
  }
  for (double& tap : taps) tap /= total;
  WindowFn* const run = cpu_table().window[w.index];
  parallel_for(m.blocks.count, w.threads, [&](int64_t i, int thread) {
    const int64_t y0 = i / m.blocks.across * kWindowBlock;
    const int64_t x0 = i % m.blocks.across * kWindowBlock;
    const int64_t rows = m.blocks.rows - y0, cols = m.blocks.cols - x0;
    run({&w, taps, y0, rows < kWindowBlock ? rows : kWindowBlock, x0,
         cols < kWindowBlock ? cols : kWindowBlock,
         m.scratch + m.each * static_cast<size_t>(thread), m.sums + i * w.pairs, m.counts + i});
  });
  for (int64_t i = 0; i < m.blocks.count; ++i) {
    for (int p = 0; p < w.pairs; ++p) sums[p] += m.sums[i * w.pairs + p];
    *count += m.counts[i];
  }
}

size_t moment_bytes(const ptn_windows& w) {
  return (moment_scratch(w) * sizeof(double) + kAlign - 1) / kAlign * kAlign *
         static_cast<size_t>(w.threads);
}

void run_moments(const ptn_windows& w, void* memory, double* moments, int64_t* valid) {
  const int64_t across = along(w.width, w.window), count = across * (w.rows / w.window);
  const size_t each = moment_bytes(w) / static_cast<size_t>(w.threads) / sizeof(double);
  const int quantities = 2 * w.planes + w.pairs;
  MomentFn* const run = cpu_table().moments;
  parallel_for(count, w.threads, [&](int64_t i, int thread) {
    run({&w, i / across * w.window, i % across * w.window,
         static_cast<double*>(memory) + each * static_cast<size_t>(thread),
         moments + i * quantities, valid + i});
  });
}

bool shrinks(const ptn_shrink& s) {
  constexpr int64_t kMax = INT32_MAX;
  if (!s.plane.data || s.plane.dtype < PTN_U8 || s.plane.dtype > PTN_F64) return false;
  if (s.rows < 1 || s.rows > kMax || s.width < 1 || s.width > kMax) return false;
  if (s.out_rows < 0 || s.out_rows > kMax || s.cols < 1 || s.cols > kMax) return false;
  if (s.step < 1 || s.step > 64 || s.taps < 1 || s.taps > 4096) return false;
  if (s.first_row < -kMax || s.first_row > kMax || s.first_col < -kMax || s.first_col > kMax)
    return false;
  return s.row_weights && s.col_weights && s.threads >= 1 && s.threads <= 4096;
}

size_t shrink_each(const ptn_shrink& s) { return (shrink_scratch(s) + 7) / 8 * 8; }

ptn_status check(const ptn_windows* w, size_t need, const void* memory, size_t bytes,
                 const void* first, const void* second) {
  if (!w || !memory || !first || !second) return PTN_ERR_ARGUMENT;
  const bool aligned = reinterpret_cast<uintptr_t>(memory) % kAlign == 0;
  return bytes < need || !aligned ? PTN_ERR_WORKSPACE : PTN_OK;
}

}  // namespace
}  // namespace pantiny

extern "C" {

ptn_status ptn_windows_bytes(const ptn_windows* windows, size_t* bytes) {
  if (!windows || !bytes || !pantiny::supported(*windows)) return PTN_ERR_ARGUMENT;
  if (!windows->pairs) return PTN_ERR_ARGUMENT;
  pantiny::Arena arena;
  const pantiny::WindowMemory memory(*windows, arena);
  *bytes = arena.used();
  return PTN_OK;
}

ptn_status ptn_windows_run(const ptn_windows* windows, void* memory, size_t bytes, double* sums,
                           int64_t* count) {
  size_t need = 0;
  ptn_status status = ptn_windows_bytes(windows, &need);
  if (status == PTN_OK) status = pantiny::check(windows, need, memory, bytes, sums, count);
  if (status == PTN_OK) pantiny::run_windows(*windows, memory, sums, count);
  return status;
}

ptn_status ptn_moments_bytes(const ptn_windows* windows, size_t* bytes) {
  if (!windows || !bytes || !pantiny::supported(*windows)) return PTN_ERR_ARGUMENT;
  *bytes = pantiny::moment_bytes(*windows);
  return PTN_OK;
}

ptn_status ptn_moments_run(const ptn_windows* windows, void* memory, size_t bytes, double* moments,
                           int64_t* valid) {
  size_t need = 0;
  ptn_status status = ptn_moments_bytes(windows, &need);
  if (status == PTN_OK) status = pantiny::check(windows, need, memory, bytes, moments, valid);
  if (status == PTN_OK) pantiny::run_moments(*windows, memory, moments, valid);
  return status;
}

ptn_status ptn_shrink_bytes(const ptn_shrink* shrink, size_t* bytes) {
  if (!shrink || !bytes || !pantiny::shrinks(*shrink)) return PTN_ERR_ARGUMENT;
  *bytes = pantiny::shrink_each(*shrink) * sizeof(double) * static_cast<size_t>(shrink->threads);
  return PTN_OK;
}

ptn_status ptn_shrink_run(const ptn_shrink* shrink, void* memory, size_t bytes) {
  size_t need = 0;
  ptn_status status = ptn_shrink_bytes(shrink, &need);
  if (status != PTN_OK) return status;
  if (!memory || !shrink->out) return PTN_ERR_ARGUMENT;
  if (bytes < need || reinterpret_cast<uintptr_t>(memory) % pantiny::kAlign)
    return PTN_ERR_WORKSPACE;
  const size_t each = pantiny::shrink_each(*shrink);
  pantiny::ShrinkFn* const run = pantiny::cpu_table().shrink_row;
  pantiny::parallel_for(shrink->out_rows, shrink->threads, [&](int64_t row, int thread) {
    run({shrink, row, static_cast<double*>(memory) + each * static_cast<size_t>(thread)});
  });
  return PTN_OK;
}

}  // extern "C"
