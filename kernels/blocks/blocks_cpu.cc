// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

#include "csrc/simd/planes.h"
#include "csrc/simd/real.h"
#include "kernels/blocks/blocks.h"

namespace pantiny {
namespace {

// Column `x` of an image mirrored at its edges over and over.
inline int64_t mirrored(int64_t x, int64_t width) {
  x %= 2 * width;
  return x < width ? x : 2 * width - 1 - x;
}

inline int64_t read_block_line(const MomentBlock& b, int plane, int64_t y, double anchor,
                               double* out) {
  const ptn_windows& w = *b.planes;
  const int64_t inside = std::min<int64_t>(w.window, w.width - b.x0);
  read_line(w.plane[plane], w, y, b.x0, inside, anchor, out);
  int64_t valid = inside;
  if (w.valid) {
    valid = 0;
    for (int64_t i = 0; i < inside; ++i) valid += *valid_at(w, y, b.x0 + i) != 0;
  }
  for (int64_t i = inside; i < w.window; ++i) {
    const int64_t x = mirrored(b.x0 + i, w.width);
    read_line(w.plane[plane], w, y, x, 1, anchor, out + i);
    valid += !w.valid || *valid_at(w, y, x);
  }
  return valid;
}

void block_moments(const MomentBlock& b) {
  const ptn_windows& w = *b.planes;
  const int64_t pitch = moment_pitch(w.window), n = whole_reals(w.window);
  double *lines = b.scratch, *acc = lines + w.planes * pitch;
  const int quantities = 2 * w.planes + w.pairs;
  double* anchors = acc + kMaxReals * quantities;
  std::fill(b.scratch, anchors, 0.0);
  const int64_t inside = std::min<int64_t>(w.window, w.width - b.x0);
  for (int i = 0; i < w.planes; ++i)
    anchors[i] = first_valid(w.plane[i], w, b.y0, w.window, b.x0, inside);
  *b.valid = 0;
  for (int64_t y = 0; y < w.window; ++y) {
    int64_t valid = 0;
    for (int i = 0; i < w.planes; ++i)
      valid = read_block_line(b, i, b.y0 + y, anchors[i], lines + i * pitch);
    *b.valid += valid;
    double* to = acc;
    for (int i = 0; i < w.planes; ++i, to += kMaxReals) {
      Real sum = load(to);
      for (int64_t x = 0; x < n; x += kReals) sum += load(lines + i * pitch + x);
      store(to, sum);
    }
    auto product = [&](int i, int j) {
      const double *a = lines + i * pitch, *c = lines + j * pitch;
      Real sum = load(to);
      for (int64_t x = 0; x < n; x += kReals) sum = mul_add(load(a + x), load(c + x), sum);
      store(to, sum);
      to += kMaxReals;
    };
    for (int i = 0; i < w.planes; ++i) product(i, i);
    for (int p = 0; p < w.pairs; ++p) product(w.pair[2 * p], w.pair[2 * p + 1]);
  }
  const double count = static_cast<double>(w.window) * w.window;
  double *means = b.moments, *variances = means + w.planes, *covariances = variances + w.planes;
  auto total = [&](int q) { return sum_lanes(load(acc + kMaxReals * q)); };
  for (int p = 0; p < w.pairs; ++p)
    covariances[p] = total(2 * w.planes + p) / count -
                     (total(w.pair[2 * p]) / count) * (total(w.pair[2 * p + 1]) / count);
  for (int i = 0; i < w.planes; ++i) {
    const double mean = total(i) / count, square = total(w.planes + i) / count;
    const double variance = square - mean * mean;
    means[i] = anchors[i] + mean;
    variances[i] = variance <= flat_share(w.window) * square ? 0.0 : variance;  // NaN stays
  }
}

}  // namespace
}  // namespace pantiny
