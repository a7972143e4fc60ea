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

// Gaussian moments of one pair of planes, two rows of windows at a time: their rows of samples
// are the same but for two. x, y, x^2 + y^2 and x y are enough: only the sum of the variances is
// asked for.
class Gaussian {
 public:
  explicit Gaussian(const WindowBlock& b) : b_(b), w_(*b.planes) {
    double* p = b.scratch;
    auto take = [&](int64_t rows) {
      double* at = p;
      p += rows * kGaussianPitch;
      return at;
    };
    lines_ = take(kGaussianMoments);
    invalid_ = take(1);
    ring_ = take(kGaussianRing * kGaussianMoments);
    bad_ = take(kGaussianRing);
    std::fill(b.scratch, p, 0.0);
    std::copy(b.taps, b.taps + kGaussian, taps_ + 1);
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
    return ring_ + y % kGaussianRing * kGaussianMoments * kGaussianPitch;
  }
  double* bad(int64_t y) const { return bad_ + y % kGaussianRing * kGaussianPitch; }

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
      blur_line(lines_ + m * kGaussianPitch, b_.taps, cols_, ring(y) + m * kGaussianPitch);
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
    for (int i = 0; i <= kGaussian; ++i) rows[i] = ring(first + i);
    for (int64_t x = 0; x < cols_; x += kReals) {
      Real m[kGaussianMoments] = {}, n[kGaussianMoments] = {};
      for (int i = 0; i <= kGaussian; ++i) {
        const Real upper = splat(taps_[i + 1]), lower = splat(taps_[i]);
#pragma GCC unroll 4
        for (int k = 0; k < kGaussianMoments; ++k) {
          const Real row = load(rows[i] + k * kGaussianPitch + x);
          m[k] = mul_add(upper, row, m[k]);
          n[k] = mul_add(lower, row, n[k]);
        }
      }
      add(first, x, m, evaluate);
      if (two) add(first + 1, x, n, evaluate);
    }
  }

  template <class Evaluate>
  void add(int64_t first, int64_t x, const Real* m, Evaluate&& evaluate) {
    Choice keep = first_lanes(cols_ - x);
    if (w_.valid)
      for (int i = 0; i < kGaussian; ++i) keep &= load(bad(first + i) + x) == Real{};
    const Real spread = m[2] - mul_add(m[0], m[0], m[1] * m[1]), cov = m[3] - m[0] * m[1];
    const Real value = evaluate(m[0] + splat(anchor_x_), m[1] + splat(anchor_y_),
                                only(spread > Real{}, spread), cov);
    sum_ += only(keep, value);
    counted_ += only(keep, splat(1.0));
  }

  const WindowBlock& b_;
  const ptn_windows& w_;
  const ptn_plane *x_ = nullptr, *y_ = nullptr;
  double anchor_x_ = 0, anchor_y_ = 0;
  int64_t first_ = 0, cols_ = 0;  // of the columns in work
  Real sum_{}, counted_{};
  double taps_[kGaussian + 2] = {};  // a zero at each end
  double *lines_, *invalid_, *ring_, *bad_;
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
