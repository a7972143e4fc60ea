// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

#include "csrc/simd/planes.h"
#include "csrc/simd/real.h"
#include "kernels/gaussian/gaussian.h"

namespace pantiny {
namespace {

constexpr int kHalf = kGaussian / 2;

// out[x] = sum over i of taps[i] * line[x + i]; the taps are symmetric.
inline void blur_line(const double* line, const double* taps, int64_t cols, double* out) {
  Real w[kHalf + 1];
  for (int i = 0; i <= kHalf; ++i) w[i] = splat(taps[i]);
#ifdef PTN_REAL_SHIFT
  // Two of three loads that are not aligned cross a cache line; shifted registers do not.
  Real a = load(line), b = load(line + kReals);
  for (int64_t x = 0; x < cols; x += kReals) {
    const Real c = load(line + x + 2 * kReals);
    Real sum = w[5] * shifted<5>(a, b);
    sum = mul_add(w[0], a + shifted<2>(b, c), sum);
    sum = mul_add(w[1], shifted<1>(a, b) + shifted<1>(b, c), sum);
    sum = mul_add(w[2], shifted<2>(a, b) + b, sum);
    sum = mul_add(w[3], shifted<3>(a, b) + shifted<7>(a, b), sum);
    sum = mul_add(w[4], shifted<4>(a, b) + shifted<6>(a, b), sum);
    store(out + x, sum);
    a = b;
    b = c;
  }
#else
  for (int64_t x = 0; x < cols; x += kReals) {
    Real sum = w[kHalf] * load(line + x + kHalf);
#pragma GCC unroll 5
    for (int i = 0; i < kHalf; ++i)
      sum = mul_add(w[i], load(line + x + i) + load(line + x + kGaussian - 1 - i), sum);
    store(out + x, sum);
  }
#endif
}

// upper[x] = sum over i of taps[i] * rows[i][x], lower[x] the same one row down: of twelve rows
// they share ten. The taps are symmetric: five additions and six products instead of eleven.
inline void blur_down(const double* const* rows, const double* taps, int64_t cols, double* upper,
                      double* lower) {
  Real w[kHalf + 1];
  for (int i = 0; i <= kHalf; ++i) w[i] = splat(taps[i]);
  for (int64_t x = 0; x < cols; x += kReals) {
    Real row[kGaussian + 1];
#pragma GCC unroll 12
    for (int i = 0; i <= kGaussian; ++i) row[i] = load(rows[i] + x);
    Real up = w[kHalf] * row[kHalf], down = w[kHalf] * row[kHalf + 1];
#pragma GCC unroll 5
    for (int i = 0; i < kHalf; ++i) {
      up = mul_add(w[i], row[i] + row[kGaussian - 1 - i], up);
      down = mul_add(w[i], row[i + 1] + row[kGaussian - i], down);
    }
    store(upper + x, up);
    store(lower + x, down);
  }
}

// Gaussian moments of one pair of planes, two rows of windows at a time: their rows of samples
// are the same but for two. x, y, x^2 + y^2 and x y are enough: only the sum of the variances is
// asked for.
class Gaussian {
 public:
  explicit Gaussian(const WindowBlock& b) : b_(b), w_(*b.planes) {
    double* p = b.scratch;
    auto take = [&](int64_t rows, int64_t pitch) {
      double* at = p;
      p += rows * pitch;
      return at;
    };
    lines_ = take(kGaussianMoments, kGaussianPitch);
    invalid_ = take(1, kGaussianPitch);
    ring_ = take(kGaussianRing * kGaussianMoments, kGaussianRow);
    bad_ = take(kGaussianRing, kGaussianRow);
    windows_ = take(2 * kGaussianMoments, kGaussianRow);
    std::fill(b.scratch, p, 0.0);
  }

  // evaluate(mean of x, of y, sum of their variances, covariance)
  template <class Evaluate>
  void run(Evaluate&& evaluate) {
    int64_t count = 0;
    for (int p = 0; p < w_.pairs; ++p) {
      x_ = &w_.plane[w_.pair[2 * p]];
      y_ = &w_.plane[w_.pair[2 * p + 1]];
      const int64_t rows = b_.rows + kGaussian - 1, cols = b_.cols + kGaussian - 1;
      anchor_x_ = first_valid(*x_, w_, b_.y0, rows, b_.x0, cols);
      anchor_y_ = first_valid(*y_, w_, b_.y0, rows, b_.x0, cols);
      sum_ = counted_ = Real{};
      for (int64_t x0 = 0; x0 < b_.cols; x0 += kGaussianCols) {
        first_ = b_.x0 + x0;
        cols_ = std::min<int64_t>(b_.cols - x0, kGaussianCols);
        for (int64_t i = 0; i + 1 < kGaussian; ++i) read_row(i);
        for (int64_t i = 0; i < b_.rows; i += 2) {
          const bool two = i + 1 < b_.rows;
          read_row(i + kGaussian - 1);
          if (two) read_row(i + kGaussian);
          add_windows(i, two, evaluate);
        }
      }
      b_.sums[p] = sum_lanes(sum_);
      count = static_cast<int64_t>(sum_lanes(counted_));
    }
    *b_.count = count;
  }

 private:
  double* ring(int64_t y) const {
    return ring_ + y % kGaussianRing * kGaussianMoments * kGaussianRow;
  }
  double* bad(int64_t y) const { return bad_ + y % kGaussianRing * kGaussianRow; }

  void read_row(int64_t y) {
    const int64_t samples = cols_ + kGaussian - 1;
    double *lx = lines_, *ly = lx + kGaussianPitch, *squares = ly + kGaussianPitch,
           *products = squares + kGaussianPitch;
    const int64_t whole = readable(samples, first_, w_.width);
    read_line(*x_, w_, b_.y0 + y, first_, whole, anchor_x_, lx);
    read_line(*y_, w_, b_.y0 + y, first_, whole, anchor_y_, ly);
    for (int64_t x = 0; x < samples; x += kReals) {
      const Real vx = load(lx + x), vy = load(ly + x);
      store(squares + x, mul_add(vx, vx, vy * vy));
      store(products + x, vx * vy);
    }
    for (int m = 0; m < kGaussianMoments; ++m)
      blur_line(lines_ + m * kGaussianPitch, b_.taps, cols_, ring(y) + m * kGaussianRow);
    if (!w_.valid) return;
    read_valid(w_, b_.y0 + y, first_, samples, invalid_);
    double* out = bad(y);
    for (int64_t x = 0; x < cols_; ++x) {
      double found = 0;
      for (int i = 0; i < kGaussian; ++i) found += 1.0 - invalid_[x + i];
      out[x] = found;
    }
  }

  template <class Evaluate>
  void add_windows(int64_t first, bool two, Evaluate&& evaluate) {
    const double* rows[kGaussian + 1];
    double* lower = windows_ + kGaussianMoments * kGaussianRow;
    for (int m = 0; m < kGaussianMoments; ++m) {
      for (int i = 0; i <= kGaussian; ++i) rows[i] = ring(first + i) + m * kGaussianRow;
      blur_down(rows, b_.taps, cols_, windows_ + m * kGaussianRow, lower + m * kGaussianRow);
    }
    add_row(first, windows_, evaluate);
    if (two) add_row(first + 1, lower, evaluate);
  }

  template <class Evaluate>
  void add_row(int64_t first, const double* moments, Evaluate&& evaluate) {
    Real sum = sum_, counted = counted_;
    for (int64_t x = 0; x < cols_; x += kReals) {
      Choice keep = first_lanes(cols_ - x);
      if (w_.valid)
        for (int i = 0; i < kGaussian; ++i) keep &= load(bad(first + i) + x) == Real{};
      const double* m = moments + x;
      const Real mx = load(m), my = load(m + kGaussianRow);
      const Real spread = load(m + 2 * kGaussianRow) - mul_add(mx, mx, my * my);
      const Real cov = load(m + 3 * kGaussianRow) - mx * my;
      const Real value = evaluate(mx + splat(anchor_x_), my + splat(anchor_y_),
                                  only(spread > Real{}, spread), cov);
      sum += only(keep, value);
      counted += only(keep, splat(1.0));
    }
    sum_ = sum;
    counted_ = counted;
  }

  const WindowBlock& b_;
  const ptn_windows& w_;
  const ptn_plane *x_ = nullptr, *y_ = nullptr;
  double anchor_x_ = 0, anchor_y_ = 0;
  int64_t first_ = 0, cols_ = 0;  // of the columns in work
  Real sum_{}, counted_{};
  double *lines_, *invalid_, *ring_, *bad_, *windows_;
};

void gaussian_ssim(const WindowBlock& b) {
  const Real c1 = splat(b.planes->c1), c2 = splat(b.planes->c2), two = splat(2.0);
  Gaussian(b).run([=](Real mx, Real my, Real spread, Real cov) {
    const Real bias = mul_add(two * mx, my, c1), structure = mul_add(two, cov, c2);
    return bias * structure / (mul_add(mx, mx, mul_add(my, my, c1)) * (spread + c2));
  });
}

// c1 is added to the variances and c2 to the denominator: what keeps it from being 0.
void gaussian_uqi(const WindowBlock& b) {
  const Real c1 = splat(b.planes->c1), c2 = splat(b.planes->c2), two = splat(2.0);
  Gaussian(b).run([=](Real mx, Real my, Real spread, Real cov) {
    const Real power = mul_add(mx, mx, my * my);
    return (two * mx * my) * (two * cov) / mul_add(power, spread + c1, c2);
  });
}

}  // namespace
}  // namespace pantiny
