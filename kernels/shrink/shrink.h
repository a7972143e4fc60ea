// A plane on a grid that is coarser by a whole number: the contract of one output row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/include/pantiny.h"
#include "kernels/windows/windows.h"

namespace pantiny {

struct ShrinkRow {
  const ptn_shrink* shrink;
  int64_t row;      // of the output
  double* scratch;  // shrink_scratch(...) doubles, aligned to 64 bytes
};

using ShrinkFn = void(const ShrinkRow&);

constexpr int64_t shrink_taps(int taps) {
  return (taps + kMaxReals - 1) / kMaxReals * kMaxReals;  // weights are padded with zeros
}

// Columns of a row with its edge repeated, as far as the taps of any output sample reach.
constexpr int64_t shrink_columns(const ptn_shrink& s) {
  return (s.cols - 1) * s.step + shrink_taps(s.taps);
}

constexpr size_t shrink_scratch(const ptn_shrink& s) {
  const int64_t line = (s.width + kMaxReals) / kMaxReals * kMaxReals;
  return static_cast<size_t>(2 * line + shrink_columns(s) + kMaxReals + shrink_taps(s.taps));
}

}  // namespace pantiny
