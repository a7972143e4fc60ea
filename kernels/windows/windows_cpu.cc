// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>
#include <cmath>

#include "csrc/simd/planes.h"
#include "csrc/simd/real.h"
#include "kernels/windows/windows.h"

namespace pantiny {
namespace {

#ifdef PTN_REAL_SHIFT
// The same for a window of whole vectors: sums of 8 in shifted registers, then aligned ones of
// those. Loads that are not aligned, of which every one crosses a cache line, take three times as
// long.
inline const double* slide_whole(const double* from, double* t, int window, int64_t cols) {
  static_assert(kReals == 8, "the shifts below");
  const int64_t n = cols + window - kReals;
  auto fours = [](Real here, Real next) {
    return (here + shifted<1>(here, next)) + (shifted<2>(here, next) + shifted<3>(here, next));
  };
  Real b = load(from + kReals), low = fours(load(from), b);
  for (int64_t x = 0; x < n; x += kReals) {
    const Real c = load(from + x + 2 * kReals);
    const Real high = fours(b, c);
    store(t + x, low + shifted<4>(low, high));
    b = c;
    low = high;
  }
  const int vectors = window / kReals;
  if (vectors == 1) return t;
  for (int64_t x = 0; x < cols; x += kReals) {  // reads ahead of what it writes
    Real sum = load(t + x) + load(t + x + kReals);
    for (int i = 2; i + 1 < vectors; i += 2)
      sum += load(t + x + i * kReals) + load(t + x + (i + 1) * kReals);
    if (vectors % 2) sum += load(t + x + (vectors - 1) * kReals);
    store(t + x, sum);
  }
  return t;
}
#endif

// Sums of from[x] .. from[x + window - 1] for x < cols. Powers of two are made by adding halves (or
// quarters), the others from them: no sum is ever taken apart. Returns where the result is: `from`,
// `t` or `second`.
inline const double* slide(const double* from, double* t, double* second, int window,
                           int64_t cols) {
#ifdef PTN_REAL_SHIFT
  if (window % kReals == 0) return slide_whole(from, t, window, cols);
#endif
  int64_t done = 0;  // samples in `second`
  for (int64_t len = 1;; from = t) {
    if (window & len) {
      if (done == 0 && len * 2 > window) return from;
      for (int64_t x = 0; x < cols; x += kReals)
        store(second + x, done ? load(second + x) + load(from + x + done) : load(from + x));
      done += len;
    }
    if (len * 2 > window) return second;
    if (len * 4 <= window && !(window & (len * 2))) {
      const int64_t n = cols + window - 4 * len;
      for (int64_t x = 0; x < n; x += kReals)
        store(t + x, (load(from + x) + load(from + x + len)) +
                         (load(from + x + 2 * len) + load(from + x + 3 * len)));
      len *= 4;
    } else {
      const int64_t n = cols + window - 2 * len;
      for (int64_t x = 0; x < n; x += kReals) store(t + x, load(from + x) + load(from + x + len));
      len *= 2;
    }
  }
}

// One block: the sums of every quantity (means, squares, products, valid samples) over windows
// that move down a row at a time, and what is made of them. Of integers a row is added and one is
// taken off: their sums are exact. Of others a window is a suffix of one group of rows, whole
// groups and a prefix of one, so that nothing is taken off and nothing drifts.
class Windows {
 public:
  explicit Windows(const WindowBlock& b)
      : b_(b),
        w_(*b.planes),
        pitch_(window_pitch(w_.window)),
        quantities_(window_quantities(w_) - (w_.valid ? 0 : 1)),
        group_(window_group(w_.window)),
        groups_(w_.window / group_),
        columns_(b.cols + w_.window - 1),
        n_(static_cast<double>(w_.window) * w_.window) {
    double* p = b.scratch;
    auto take = [&](int64_t rows) {
      double* at = p;
      p += rows * pitch_;
      return at;
    };
    lines_ = take(2 * (w_.planes + 1));
    means_ = take(w_.planes);
    suffix_ = take(group_ * quantities_);
    whole_ = take(groups_ * quantities_);
    prefix_ = take(quantities_);
    total_ = take(quantities_);
    second_ = take(quantities_);
    acc_ = p;
    anchors_ = p + kMaxReals * (w_.pairs + 1);
    zero(acc_, kMaxReals * (w_.pairs + 1));
    zero(total_, quantities_ * pitch_);
    for (int i = 0; i < w_.planes; ++i)
      anchors_[i] = first_valid(w_.plane[i], w_, b.y0, b.rows + w_.window - 1, b.x0, columns_);
  }

  template <class Evaluate>
  void run(Evaluate&& evaluate) {
    if (integers())
      run_exact(evaluate);
    else
      run_grouped(evaluate);
  }

 private:
  bool integers() const {
    for (int i = 0; i < w_.planes; ++i)
      if (w_.plane[i].dtype > PTN_I16) return false;
    return true;
  }

  template <class Evaluate>
  void run_exact(Evaluate&& evaluate) {
    zero(prefix_, quantities_ * pitch_);
    for (int y = 0; y < w_.window; ++y) add_row(y, prefix_, prefix_);
    for (int64_t y = 0;; ++y) {
      for (int q = 0; q < quantities_; ++q) sum_columns(prefix_ + q * pitch_, q);
      evaluate(*this);
      if (y + 1 >= b_.rows) return;
      replace_row(y, y + w_.window);
    }
  }

  template <class Evaluate>
  void run_grouped(Evaluate&& evaluate) {
    for (int g = 1; g < groups_; ++g) {  // whole groups below the first
      double* sums = whole_ + g % groups_ * quantities_ * pitch_;
      zero(sums, quantities_ * pitch_);
      for (int i = 0; i < group_; ++i) add_row(g * group_ + i, sums, sums);
    }
    for (int64_t first = 0, g = 0; first < b_.rows; first += group_, ++g) {
      zero(prefix_, quantities_ * pitch_);
      for (int k = 1; k < groups_; ++k) add(whole_ + (g + k) % groups_ * quantities_ * pitch_);
      const double* below = prefix_;
      for (int i = group_ - 1; i >= 0; --i) {
        double* here = suffix_ + i * quantities_ * pitch_;
        add_row(first + i, below, here);
        below = here;
      }
      zero(prefix_, quantities_ * pitch_);
      for (int i = 0; i < group_; ++i) {
        const int64_t y = first + i;
        if (y >= b_.rows) return;
        add_columns(suffix_ + i * quantities_ * pitch_);
        evaluate(*this);
        if (y + 1 < b_.rows) add_row(y + w_.window, prefix_, prefix_);
      }
      std::copy(prefix_, prefix_ + quantities_ * pitch_,
                whole_ + g % groups_ * quantities_ * pitch_);
    }
  }

 public:
  // Calls use(pair, first plane, second plane, x, keep): `keep` is not 0 in lanes that count.
  template <class Use>
  void each_pair(Use&& use) {
    const double* valid = w_.valid ? row_[2 * w_.planes + w_.pairs] : nullptr;
    double* counted = acc_ + kMaxReals * w_.pairs;
    const Real n = splat(n_);
    for (int64_t x = 0; x < b_.cols; x += kReals) {
      Choice keep = first_lanes(b_.cols - x);
      if (valid) keep &= load(valid + x) == n;
      store(counted, load(counted) + only(keep, splat(1.0)));
      for (int p = 0; p < w_.pairs; ++p) {
        const Real value = use(p, w_.pair[2 * p], w_.pair[2 * p + 1], x);
        store(acc_ + kMaxReals * p, load(acc_ + kMaxReals * p) + only(keep, value));
      }
    }
  }

  // n^2 times the variance of every plane in place of its squares; means. What is rounding only
  // becomes 0; NaN stays.
  void finish_planes() {
    const Real n = splat(n_), one_nth = splat(1.0 / n_), share = splat(flat_share(w_.window));
    for (int i = 0; i < w_.planes; ++i) {
      const Real anchor = splat(anchors_[i]);
      const Real black = splat(flat_share(w_.window) * std::fabs(anchors_[i]));
      double *sums = row_[i], *squares = row_[w_.planes + i], *means = means_ + i * pitch_;
      for (int64_t x = 0; x < b_.cols; x += kReals) {
        const Real s = load(sums + x), square = n * load(squares + x);
        const Real variance = square - s * s;
        const Real mean = mul_add(s, one_nth, anchor);
        store(squares + x, only(~(variance <= share * square), variance));
        store(means + x, only(~((mean <= black) & (mean >= -black)), mean));
      }
    }
  }

  Real mean(int plane, int64_t x) const { return load(means_ + plane * pitch_ + x); }
  Real variance(int plane, int64_t x) const { return load(row_[w_.planes + plane] + x); }
  Real covariance(int p, int i, int j, int64_t x) const {
    return splat(n_) * load(row_[2 * w_.planes + p] + x) - load(row_[i] + x) * load(row_[j] + x);
  }

  void write() const {
    for (int p = 0; p < w_.pairs; ++p) b_.sums[p] = sum_lanes(load(acc_ + kMaxReals * p));
    *b_.count = static_cast<int64_t>(sum_lanes(load(acc_ + kMaxReals * w_.pairs)));
  }

 private:
  static void zero(double* p, int64_t count) { std::fill(p, p + count, 0.0); }

  void add(const double* sums) {
    for (int64_t x = 0; x < quantities_ * pitch_; x += kReals)
      store(prefix_ + x, load(prefix_ + x) + load(sums + x));
  }

  // to = from + the quantities of row `y` of the block's samples
  void add_row(int64_t y, const double* from, double* to) {
    const int64_t n = whole_reals(columns_);
    read_row(y, lines_);
    auto product = [&](int i, int j) {
      const double *a = lines_ + i * pitch_, *c = lines_ + j * pitch_;
      for (int64_t x = 0; x < n; x += kReals)
        store(to + x, mul_add(load(a + x), load(c + x), load(from + x)));
      from += pitch_, to += pitch_;
    };
    auto sum = [&](const double* a) {
      for (int64_t x = 0; x < n; x += kReals) store(to + x, load(from + x) + load(a + x));
      from += pitch_, to += pitch_;
    };
    each_quantity(sum, product);
  }

  // prefix += row `fresh` - row `stale`
  void replace_row(int64_t stale, int64_t fresh) {
    const int64_t n = whole_reals(columns_), old = (w_.planes + 1) * pitch_;
    read_row(fresh, lines_);
    read_row(stale, lines_ + old);
    double* to = prefix_;
    auto sum = [&](const double* a) {
      for (int64_t x = 0; x < n; x += kReals)
        store(to + x, load(to + x) + (load(a + x) - load(a + old + x)));
      to += pitch_;
    };
    auto product = [&](int i, int j) {
      const double *a = lines_ + i * pitch_, *c = lines_ + j * pitch_;
      for (int64_t x = 0; x < n; x += kReals) {
        const Real gone = load(a + old + x) * load(c + old + x);
        store(to + x, load(to + x) + mul_add(load(a + x), load(c + x), -gone));
      }
      to += pitch_;
    };
    each_quantity(sum, product);
  }

  void read_row(int64_t y, double* lines) {
    const int64_t whole = readable(columns_, b_.x0, w_.width);
    for (int i = 0; i < w_.planes; ++i)
      read_line(w_.plane[i], w_, b_.y0 + y, b_.x0, whole, anchors_[i], lines + i * pitch_);
    if (w_.valid) read_valid(w_, b_.y0 + y, b_.x0, columns_, lines + w_.planes * pitch_);
  }

  template <class Sum, class Product>
  void each_quantity(Sum&& sum, Product&& product) {
    for (int i = 0; i < w_.planes; ++i) sum(lines_ + i * pitch_);
    for (int i = 0; i < w_.planes; ++i) product(i, i);
    for (int p = 0; p < w_.pairs; ++p) product(w_.pair[2 * p], w_.pair[2 * p + 1]);
    if (w_.valid) sum(lines_ + w_.planes * pitch_);
  }

  void add_columns(const double* suffix) {
    const int64_t n = whole_reals(columns_);
    for (int q = 0; q < quantities_; ++q) {
      double* t = total_ + q * pitch_;
      const double *a = suffix + q * pitch_, *c = prefix_ + q * pitch_;
      for (int64_t x = 0; x < n; x += kReals) store(t + x, load(a + x) + load(c + x));
      sum_columns(t, q);
    }
  }

  void sum_columns(const double* from, int q) {
    double *t = total_ + q * pitch_, *second = second_ + q * pitch_;
    const double* found = slide(from, t, second, w_.window, b_.cols);
    if (found != t && found != second) {  // a window of one sample; squares are written over
      std::copy(found, found + whole_reals(b_.cols), t);
      found = t;
    }
    row_[q] = found == t ? t : second;
  }

  const WindowBlock& b_;
  const ptn_windows& w_;
  const int64_t pitch_, quantities_;
  const int group_, groups_;
  const int64_t columns_;  // samples under the block's windows
  const double n_;
  double *lines_, *means_, *suffix_, *whole_, *prefix_, *total_, *second_, *acc_, *anchors_;
  double* row_[2 * PTN_MAX_PLANES + PTN_MAX_PAIRS + 1];
};

void window_uqi(const WindowBlock& b) {
  Windows windows(b);
  windows.run([](Windows& w) {
    w.finish_planes();
    w.each_pair([&w](int p, int i, int j, int64_t x) {
      const Real mi = w.mean(i, x), mj = w.mean(j, x), one = splat(1.0);
      const Real v = w.variance(i, x) + w.variance(j, x), c = w.covariance(p, i, j, x);
      const Real m = mul_add(mi, mi, mj * mj);
      const Real structure = select(nonzero(v), c + c, one), spread = select(nonzero(v), v, one);
      const Real bias = select(nonzero(m), splat(2.0) * mi * mj, one);
      return structure * bias / (spread * select(nonzero(m), m, one));
    });
  });
  windows.write();
}

// 1 - correlation: 1 where one side is constant, 0 where both are.
void window_decorrelation(const WindowBlock& b) {
  Windows windows(b);
  windows.run([](Windows& w) {
    w.finish_planes();
    w.each_pair([&w](int p, int i, int j, int64_t x) {
      const Real vi = w.variance(i, x), vj = w.variance(j, x), one = splat(1.0);
      const Real v = root(vi) * root(vj), c = w.covariance(p, i, j, x);
      return select(nonzero(v), one - c / select(nonzero(v), v, one), only(nonzero(vi + vj), one));
    });
  });
  windows.write();
}

}  // namespace
}  // namespace pantiny
