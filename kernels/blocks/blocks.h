// Moments of distinct blocks: the contract of one block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/include/pantiny.h"
#include "kernels/windows/windows.h"

namespace pantiny {

// Columns [x0, x0 + window) of the first `window` rows from y0 on. Columns from the width on are
// those of the image mirrored at its right edge.
struct MomentBlock {
  const ptn_windows* planes;
  int64_t y0, x0;
  double* scratch;  // moment_scratch(...) doubles, aligned to 64 bytes
  double* moments;  // [2 * planes + pairs]: means, variances, covariances, written
  int64_t* valid;   // samples that are valid, written
};

using MomentFn = void(const MomentBlock&);

constexpr int64_t moment_pitch(int window) {
  return (window + kMaxReals - 1) / kMaxReals * kMaxReals;
}

constexpr int64_t kMomentSamples = 256;  // of a plane, held as doubles: 16 planes fill 32 kB

// Rows of a block that are held at a time.
constexpr int64_t moment_rows(int window) {
  const int64_t rows = kMomentSamples / moment_pitch(window);
  return rows < 1 ? 1 : rows < window ? rows : window;
}

// Planes are taken four at a time.
constexpr int whole_planes(const ptn_windows& w) { return (w.planes + 3) / 4 * 4; }

// Lines of doubles, vectors of partial sums, anchors.
constexpr size_t moment_scratch(const ptn_windows& w) {
  return static_cast<size_t>(whole_planes(w) * moment_rows(w.window) * moment_pitch(w.window) +
                             kMaxReals * (2 * whole_planes(w) + w.pairs) + w.planes);
}

}  // namespace pantiny
