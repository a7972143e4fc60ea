// Indices of windows that slide by one sample: the contract of one block of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/include/pantiny.h"

namespace pantiny {

constexpr int64_t kWindowBlock = PTN_WINDOW_ROWS;  // windows along each side of a block
constexpr int kMaxReals = 8;                       // doubles in the widest vector

// Windows [y0, y0 + rows) x [x0, x0 + cols) of `planes`, at most a block.
struct WindowBlock {
  const ptn_windows* planes;
  const double* taps;  // of the Gaussian; kGaussian of them
  int64_t y0, rows, x0, cols;
  double* scratch;  // window_scratch(...) doubles, aligned to 64 bytes
  double* sums;     // [pairs], written
  int64_t* count;   // windows without an invalid sample, written
};

using WindowFn = void(const WindowBlock&);

constexpr int kGaussian = 11;  // taps a side

// Rows that are summed on the way down and rows that are summed on the way up: a window is a
// suffix of one group, whole groups, a prefix of one.
constexpr int window_group(int window) {
  for (int g = 8; g >= 4; --g)
    if (window % g == 0) return g;
  return window;
}

// Doubles from one row of a quantity to the next.
constexpr int64_t window_pitch(int window) {
  return (kWindowBlock + window + 3 * kMaxReals - 1) / kMaxReals * kMaxReals;
}

// Means, squares, products and the count of valid samples.
constexpr int64_t window_quantities(const ptn_windows& w) { return 2 * w.planes + w.pairs + 1; }

constexpr size_t window_scratch(const ptn_windows& w) {
  const int group = window_group(w.window);
  const int64_t held = group + w.window / group + 3;  // suffixes, groups; prefix, total, second
  return static_cast<size_t>(window_pitch(w.window) *
                                 (window_quantities(w) * held + 3 * w.planes + 2) +
                             kMaxReals * (w.pairs + 1) + w.planes);
}

}  // namespace pantiny
