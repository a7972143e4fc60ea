// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

#include "csrc/simd/planes.h"
#include "csrc/simd/real.h"
#include "kernels/shrink/shrink.h"

namespace pantiny {
namespace {

// out[row] = sum over taps of both axes, rows first: a row of the input is read contiguously.
void shrink_row(const ShrinkRow& r) {
  const ptn_shrink& s = *r.shrink;
  const int64_t padded = (s.width + kMaxReals) / kMaxReals * kMaxReals;
  const int64_t columns = shrink_columns(s), taps = shrink_taps(s.taps);
  double *line = r.scratch, *mixed = line + padded, *weights = mixed + padded,
         *wide = weights + taps;
  std::fill(line, weights, 0.0);
  std::copy(s.col_weights, s.col_weights + s.taps, weights);
  std::fill(weights + s.taps, weights + taps, 0.0);
  ptn_windows mask{};  // only its validity is read
  mask.valid = s.valid;
  mask.valid_row_stride = s.valid_row_stride;
  for (int t = 0; t < s.taps; ++t) {
    const int64_t y = std::clamp<int64_t>(s.first_row + r.row * s.step + t, 0, s.rows - 1);
    const Real w = splat(s.row_weights[t]);
    read_line(s.plane, mask, y, 0, s.width, 0.0, line);
    for (int64_t x = 0; x < s.width; x += kReals)
      store(mixed + x, mul_add(w, load(line + x), load(mixed + x)));
  }
  for (int64_t x = 0; x < columns; ++x)
    wide[x] = mixed[std::clamp<int64_t>(s.first_col + x, 0, s.width - 1)];
  double* out = s.out + r.row * s.cols;
  for (int64_t i = 0; i < s.cols; ++i) {
    Real sum{};
    for (int64_t t = 0; t < taps; t += kReals)
      sum = mul_add(load(weights + t), load(wide + i * s.step + t), sum);
    out[i] = sum_lanes(sum);
  }
}

}  // namespace
}  // namespace pantiny
