// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

#include "csrc/simd/planes.h"
#include "csrc/simd/real.h"
#include "kernels/gaussian/gaussian.h"

namespace pantiny {
namespace {

constexpr int kMoments = 5;  // x, y, xx, yy, xy

// out[x] = sum over i of taps[i] * line[x + i]; the taps are symmetric.
inline void blur_line(const double* line, const double* taps, int64_t cols, double* out) {
  constexpr int kHalf = kGaussian / 2;
  Real w[kHalf + 1];
  for (int i = 0; i <= kHalf; ++i) w[i] = splat(taps[i]);
  for (int64_t x = 0; x < cols; x += kReals) {
    Real sum = w[kHalf] * load(line + x + kHalf);
#pragma GCC unroll 5
    for (int i = 0; i < kHalf; ++i)
      sum = mul_add(w[i], load(line + x + i) + load(line + x + kGaussian - 1 - i), sum);
    store(out + x, sum);
  }
}

// The Gaussian moments of one pair of planes, row by row.
class Gaussian {
 public:
  explicit Gaussian(const WindowBlock& b) : b_(b), w_(*b.planes), columns_(b.cols + kGaussian - 1) {
    double* p = b.scratch;
    auto take = [&](int64_t rows) {
      double* at = p;
      p += rows * kGaussianPitch;
      return at;
    };
    lines_ = take(kMoments);
    invalid_ = take(1);
    ring_ = take(kGaussian * kMoments);
    bad_ = take(kGaussian);
    std::fill(b.scratch, p, 0.0);
  }

  // evaluate(mean of x, of y, variance of x, of y, covariance)
  template <class Evaluate>
  void run(Evaluate&& evaluate) {
    int64_t count = 0;
    for (int p = 0; p < w_.pairs; ++p) {
      const ptn_plane &a = w_.plane[w_.pair[2 * p]], &c = w_.plane[w_.pair[2 * p + 1]];
      const int64_t rows = b_.rows + kGaussian - 1;
      const double anchor_a = first_valid(a, w_, b_.y0, rows, b_.x0, columns_);
      const double anchor_c = first_valid(c, w_, b_.y0, rows, b_.x0, columns_);
      Real sum{}, counted{};
      for (int64_t y = 0; y < rows; ++y) {
        read_row(a, anchor_a, c, anchor_c, y);
        if (y + 1 >= kGaussian) add_windows(y, anchor_a, anchor_c, evaluate, sum, counted);
      }
      b_.sums[p] = sum_lanes(sum);
      count = static_cast<int64_t>(sum_lanes(counted));
    }
    *b_.count = count;
  }

 private:
  double* ring(int64_t y, int moment) const {
    return ring_ + (y % kGaussian * kMoments + moment) * kGaussianPitch;
  }
  double* bad(int64_t y) const { return bad_ + y % kGaussian * kGaussianPitch; }

  void read_row(const ptn_plane& a, double anchor_a, const ptn_plane& c, double anchor_c,
                int64_t y) {
    double *la = lines_, *lc = la + kGaussianPitch, *aa = lc + kGaussianPitch,
           *cc = aa + kGaussianPitch, *ac = cc + kGaussianPitch;
    read_line(a, w_, b_.y0 + y, b_.x0, columns_, anchor_a, la);
    read_line(c, w_, b_.y0 + y, b_.x0, columns_, anchor_c, lc);
    for (int64_t x = 0; x < columns_; x += kReals) {
      const Real va = load(la + x), vc = load(lc + x);
      store(aa + x, va * va);
      store(cc + x, vc * vc);
      store(ac + x, va * vc);
    }
    for (int m = 0; m < kMoments; ++m)
      blur_line(lines_ + m * kGaussianPitch, b_.taps, b_.cols, ring(y, m));
    if (!w_.valid) return;
    read_valid(w_, b_.y0 + y, b_.x0, columns_, invalid_);
    double* out = bad(y);
    for (int64_t x = 0; x < b_.cols; ++x) {
      double found = 0;
      for (int i = 0; i < kGaussian; ++i) found += 1.0 - invalid_[x + i];
      out[x] = found;
    }
  }

  template <class Evaluate>
  void add_windows(int64_t last, double anchor_a, double anchor_c, Evaluate&& evaluate, Real& sum,
                   Real& counted) {
    const int64_t first = last - kGaussian + 1;
    const double* rows[kGaussian];
    for (int i = 0; i < kGaussian; ++i) rows[i] = ring(first + i, 0);
    for (int64_t x = 0; x < b_.cols; x += kReals) {
      Real m[kMoments] = {};
      for (int i = 0; i < kGaussian; ++i) {
        const Real w = splat(b_.taps[i]);
#pragma GCC unroll 5
        for (int k = 0; k < kMoments; ++k)
          m[k] = mul_add(w, load(rows[i] + k * kGaussianPitch + x), m[k]);
      }
      Choice keep = first_lanes(b_.cols - x);
      if (w_.valid)
        for (int i = 0; i < kGaussian; ++i) keep &= load(bad(first + i) + x) == Real{};
      const Real va = m[2] - m[0] * m[0], vc = m[3] - m[1] * m[1], cov = m[4] - m[0] * m[1];
      const Real value = evaluate(m[0] + splat(anchor_a), m[1] + splat(anchor_c),
                                  only(va > Real{}, va), only(vc > Real{}, vc), cov);
      sum += only(keep, value);
      counted += only(keep, splat(1.0));
    }
  }

  const WindowBlock& b_;
  const ptn_windows& w_;
  const int64_t columns_;
  double *lines_, *invalid_, *ring_, *bad_;
};

void gaussian_ssim(const WindowBlock& b) {
  const Real c1 = splat(b.planes->c1), c2 = splat(b.planes->c2), two = splat(2.0);
  Gaussian(b).run([=](Real ma, Real mc, Real va, Real vc, Real cov) {
    const Real bias = mul_add(two * ma, mc, c1), structure = mul_add(two, cov, c2);
    const Real power = mul_add(ma, ma, mul_add(mc, mc, c1)), spread = va + vc + c2;
    return bias * structure / (power * spread);
  });
}

// c1 is added to the variances and c2 to the denominator: what keeps it from being 0.
void gaussian_uqi(const WindowBlock& b) {
  const Real c1 = splat(b.planes->c1), c2 = splat(b.planes->c2), two = splat(2.0);
  Gaussian(b).run([=](Real ma, Real mc, Real va, Real vc, Real cov) {
    const Real power = mul_add(ma, ma, mc * mc);
    return (two * ma * mc) * (two * cov) / mul_add(power, va + vc + c1, c2);
  });
}

}  // namespace
}  // namespace pantiny
