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

// `rows` rows of a plane from row y on, `pitch` doubles apart; what lies between stays as it is.
inline void read_block_rows(const MomentBlock& b, int plane, int64_t y, int64_t rows, double anchor,
                            int64_t pitch, double* out) {
  const ptn_windows& w = *b.planes;
  const ptn_plane& from = w.plane[plane];
  const int64_t inside = std::min<int64_t>(w.window, w.width - b.x0);
  with_plane(from, [&](const auto* p) {
    p += y * from.row_stride + b.x0 * from.col_stride;
    double* to = out;
    for (int64_t r = 0; r < rows; ++r, p += from.row_stride, to += pitch) {
      if (from.col_stride == 1) prefetch_line(p, from.row_stride, inside);
      read_samples(p, from.col_stride, inside, anchor, to);
    }
  });
  for (int64_t r = 0; w.valid && r < rows; ++r) blank_line(w, y + r, b.x0, inside, out + r * pitch);
  for (int64_t r = 0; inside < w.window && r < rows; ++r)
    for (int64_t i = inside; i < w.window; ++i)
      read_line(from, w, y + r, mirrored(b.x0 + i, w.width), 1, anchor, out + r * pitch + i);
}

inline int64_t valid_samples(const MomentBlock& b) {
  const ptn_windows& w = *b.planes;
  if (!w.valid) return static_cast<int64_t>(w.window) * w.window;
  int64_t found = 0;
  for (int64_t y = b.y0; y < b.y0 + w.window; ++y)
    for (int64_t i = 0; i < w.window; ++i)
      found += *valid_at(w, y, mirrored(b.x0 + i, w.width)) != 0;
  return found;
}

// Sums and sums of squares of four planes, added to `sums` and `squares`. Eight chains of
// additions: fewer would wait for themselves.
inline void add_squares(const double* lines, int64_t size, int64_t n, double* sums,
                        double* squares) {
  const double *a = lines, *b = a + size, *c = b + size, *d = c + size;
  Real s0 = load(sums), s1 = load(sums + kMaxReals), s2 = load(sums + 2 * kMaxReals),
       s3 = load(sums + 3 * kMaxReals);
  Real q0 = load(squares), q1 = load(squares + kMaxReals), q2 = load(squares + 2 * kMaxReals),
       q3 = load(squares + 3 * kMaxReals);
  for (int64_t x = 0; x < n; x += kReals) {
    const Real va = load(a + x), vb = load(b + x), vc = load(c + x), vd = load(d + x);
    s0 += va;
    s1 += vb;
    s2 += vc;
    s3 += vd;
    q0 = mul_add(va, va, q0);
    q1 = mul_add(vb, vb, q1);
    q2 = mul_add(vc, vc, q2);
    q3 = mul_add(vd, vd, q3);
  }
  store(sums, s0);
  store(sums + kMaxReals, s1);
  store(sums + 2 * kMaxReals, s2);
  store(sums + 3 * kMaxReals, s3);
  store(squares, q0);
  store(squares + kMaxReals, q1);
  store(squares + 2 * kMaxReals, q2);
  store(squares + 3 * kMaxReals, q3);
}

// Products of one plane with four; eight loads become five.
inline void add_products(const double* a, const double* const* with, int64_t n, double* to) {
  const double *c0 = with[0], *c1 = with[1], *c2 = with[2], *c3 = with[3];
  Real s0 = load(to), s1 = load(to + kMaxReals), s2 = load(to + 2 * kMaxReals),
       s3 = load(to + 3 * kMaxReals);
  for (int64_t x = 0; x < n; x += kReals) {
    const Real v = load(a + x);
    s0 = mul_add(v, load(c0 + x), s0);
    s1 = mul_add(v, load(c1 + x), s1);
    s2 = mul_add(v, load(c2 + x), s2);
    s3 = mul_add(v, load(c3 + x), s3);
  }
  store(to, s0);
  store(to + kMaxReals, s1);
  store(to + 2 * kMaxReals, s2);
  store(to + 3 * kMaxReals, s3);
}

inline void add_product(const double* a, const double* c, int64_t n, double* to) {
  Real sum = load(to);
  for (int64_t x = 0; x < n; x += kReals) sum = mul_add(load(a + x), load(c + x), sum);
  store(to, sum);
}

// Adds up some rows of a block; `acc` holds a vector per sum, square and product.
inline void add_rows(const ptn_windows& w, const double* lines, int64_t size, int64_t n,
                     double* acc) {
  const int planes = whole_planes(w);  // those that are not there are zeros
  double *squares = acc + kMaxReals * planes, *products = squares + kMaxReals * planes;
  for (int i = 0; i < planes; i += 4)
    add_squares(lines + i * size, size, n, acc + kMaxReals * i, squares + kMaxReals * i);
  for (int p = 0; p < w.pairs;) {
    const int32_t* pair = w.pair + 2 * p;
    const double* a = lines + pair[0] * size;
    double* to = products + kMaxReals * p;
    if (p + 4 <= w.pairs && pair[0] == pair[2] && pair[0] == pair[4] && pair[0] == pair[6]) {
      const double* with[4];
      for (int k = 0; k < 4; ++k) with[k] = lines + pair[2 * k + 1] * size;
      add_products(a, with, n, to);
      p += 4;
    } else {
      add_product(a, lines + pair[1] * size, n, to);
      ++p;
    }
  }
}

void block_moments(const MomentBlock& b) {
  const ptn_windows& w = *b.planes;
  const int planes = whole_planes(w);
  const int64_t pitch = moment_pitch(w.window), at_once = moment_rows(w.window);
  const int64_t size = at_once * pitch;
  double *lines = b.scratch, *acc = lines + planes * size;
  double* anchors = acc + kMaxReals * (2 * planes + w.pairs);
  std::fill(b.scratch, anchors, 0.0);
  const int64_t inside = std::min<int64_t>(w.window, w.width - b.x0);
  for (int i = 0; i < w.planes; ++i)
    anchors[i] = first_valid(w.plane[i], w, b.y0, w.window, b.x0, inside);
  *b.valid = valid_samples(b);
  for (int64_t y = 0; y < w.window; y += at_once) {
    const int64_t rows = std::min(at_once, w.window - y);
    for (int i = 0; i < w.planes; ++i)
      read_block_rows(b, i, b.y0 + y, rows, anchors[i], pitch, lines + i * size);
    add_rows(w, lines, size, rows * pitch, acc);
  }
  const double count = static_cast<double>(w.window) * w.window;
  double *means = b.moments, *variances = means + w.planes, *covariances = variances + w.planes;
  auto mean_of = [&](int q) { return sum_lanes(load(acc + kMaxReals * q)) / count; };
  for (int i = 0; i < w.planes; ++i) means[i] = mean_of(i);
  for (int p = 0; p < w.pairs; ++p)
    covariances[p] = mean_of(2 * planes + p) - means[w.pair[2 * p]] * means[w.pair[2 * p + 1]];
  for (int i = 0; i < w.planes; ++i) {
    const double mean = means[i], square = mean_of(planes + i);
    const double variance = square - mean * mean;
    means[i] = anchors[i] + mean;
    variances[i] = variance <= flat_share(w.window) * square ? 0.0 : variance;  // NaN stays
  }
}

}  // namespace
}  // namespace pantiny
