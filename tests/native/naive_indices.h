// Planes in memory of their exact size, and the indices of one window in long double.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

using Exact = long double;
constexpr double kU = 0x1p-53;
constexpr double kC1 = 41.9, kC2 = 377.2;
const double kNan = std::numeric_limits<double>::quiet_NaN();
const int kPairs[] = {0, 1, 2, 1, 1, 1, 0, 2};

enum Content { kTexture, kFlat, kBlack, kRange };

struct Case {
  int64_t rows, width;
  int window, dtype;
  Content content = kTexture;
  bool masked = false, strided = false;
  double level = 600, sigma = 30;
};

size_t size_of(int dtype) {
  return dtype == PTN_U8 ? 1 : dtype <= PTN_I16 ? 2 : dtype == PTN_F32 ? 4 : 8;
}

double put(void* at, int dtype, double value) {
  auto as = [&](auto zero) {
    const auto v = static_cast<decltype(zero)>(value);
    std::memcpy(at, &v, sizeof v);
    return static_cast<double>(v);
  };
  switch (dtype) {
    case PTN_U8:
      return as(uint8_t{});
    case PTN_U16:
      return as(uint16_t{});
    case PTN_I16:
      return as(int16_t{});
    case PTN_F32:
      return as(float{});
    default:
      return as(double{});
  }
}

// Three planes in memory of their exact size, their values, a mask.
struct Image {
  explicit Image(const Case& c) : shape(c) {
    Rng rng(static_cast<uint64_t>(c.rows * 1009 + c.width * 31 + c.window));
    const int64_t n = c.rows * c.width;
    valid.assign(static_cast<size_t>(n), 1);
    if (c.masked)
      for (uint8_t& v : valid) v = rng.uniform() < 0.985;
    std::vector<double> shared(static_cast<size_t>(n));
    for (double& v : shared) v = rng.normal();
    const int64_t step = c.strided ? 3 : 1, size = static_cast<int64_t>(size_of(c.dtype));
    for (int p = 0; p < 3; ++p) {
      const int64_t samples = n ? (n - 1) * step + 1 : 0;
      memory.push_back(std::make_unique<Memory>(static_cast<size_t>(samples * size), 0xA5));
      values.emplace_back(static_cast<size_t>(n));
      auto* start = static_cast<unsigned char*>(memory.back()->get());
      for (int64_t y = 0; y < c.rows; ++y)
        for (int64_t x = 0; x < c.width; ++x) {
          const auto i = static_cast<size_t>(y * c.width + x);
          // strided: the last row comes first
          const int64_t place = (c.strided ? c.rows - 1 - y : y) * c.width + x;
          values.back()[i] =
              put(start + place * step * size, c.dtype, value(rng, p, y, x, shared[i]));
        }
      plane[p].dtype = c.dtype;
      plane[p].col_stride = step;
      plane[p].row_stride = (c.strided ? -step : step) * c.width;
      plane[p].data = start + (c.strided && n ? (c.rows - 1) * c.width * step * size : 0);
    }
  }

  double value(Rng& rng, int p, int64_t y, int64_t x, double shared) const {
    const Case& c = shape;
    const double own = rng.normal(), level = c.level * (1 + 0.1 * p);
    const bool real = c.dtype >= PTN_F32;
    if (!valid[static_cast<size_t>(y * c.width + x)]) return real ? kNan : 255;
    double v = level + c.sigma * 0.7 * (shared + own);
    if (c.content == kRange) {
      const double most = c.dtype == PTN_U8 ? 255 : c.dtype == PTN_I16 ? 32767 : 65535;
      v = rng.uniform(c.dtype == PTN_I16 ? -32768 : 0, most);
    } else if (c.content != kTexture && y >= c.rows / 3 && x >= c.width / 3) {
      v = c.content == kBlack ? 0 : level / 3;
    }
    return real ? v : std::rint(c.dtype == PTN_U8 ? std::fmin(std::fmax(v, 0), 255) : v);
  }

  ptn_windows windows(int index, int threads) const {
    ptn_windows w{};
    w.rows = shape.rows;
    w.width = shape.width;
    w.plane = plane;
    w.planes = 3;
    w.pair = kPairs;
    w.pairs = 4;
    if (shape.masked) {
      w.valid = valid.data();
      w.valid_row_stride = shape.width;
    }
    w.index = index;
    w.window = index >= PTN_SSIM ? 11 : shape.window;
    w.threads = threads;
    w.c1 = kC1;
    w.c2 = kC2;
    return w;
  }

  double at(int p, int64_t y, int64_t x) const {
    return values[static_cast<size_t>(p)][static_cast<size_t>(y * shape.width + x)];
  }
  bool good(int64_t y, int64_t x) const {
    return valid[static_cast<size_t>(y * shape.width + x)] != 0;
  }

  Case shape;
  std::vector<uint8_t> valid;
  std::vector<std::vector<double>> values;
  std::vector<std::unique_ptr<Memory>> memory;
  ptn_plane plane[3];
};

struct Weighted {
  std::vector<Exact> weight;  // [side * side], of sum 1
  explicit Weighted(int side, bool gaussian) {
    Exact total = 0;
    for (int i = 0; i < side * side; ++i) {
      const Exact y = i / side - side / 2, x = i % side - side / 2;
      weight.push_back(gaussian ? std::exp(-(y * y + x * x) / 4.5L) : 1.0L);
      total += weight.back();
    }
    for (Exact& w : weight) w /= total;
  }
};

struct Two {  // moments of two planes under a window
  Exact ma = 0, mb = 0, va = 0, vb = 0, cov = 0;
};

Two moments(const std::vector<Exact>& weight, const std::vector<double>& a,
            const std::vector<double>& b) {
  Two t;
  const Exact a0 = a[0], b0 = b[0];  // constant: no variance, not even by rounding
  for (size_t i = 0; i < a.size(); ++i) {
    t.ma += weight[i] * (a[i] - a0);
    t.mb += weight[i] * (b[i] - b0);
  }
  for (size_t i = 0; i < a.size(); ++i) {
    const Exact da = a[i] - a0 - t.ma, db = b[i] - b0 - t.mb;
    t.va += weight[i] * da * da;
    t.vb += weight[i] * db * db;
    t.cov += weight[i] * da * db;
  }
  t.ma += a0;
  t.mb += b0;
  return t;
}

Exact index_of(int index, const Two& t) {
  const Exact power = t.ma * t.ma + t.mb * t.mb, spread = t.va + t.vb;
  switch (index) {
    case PTN_UQI:
      return (power == 0 ? 1 : 2 * t.ma * t.mb / power) * (spread == 0 ? 1 : 2 * t.cov / spread);
    case PTN_DECORRELATION:
      if (t.va == 0 || t.vb == 0) return spread != 0;
      return 1 - t.cov / (std::sqrt(t.va) * std::sqrt(t.vb));
    case PTN_SSIM:
      return (2 * t.ma * t.mb + kC1) * (2 * t.cov + kC2) / ((power + kC1) * (spread + kC2));
    default:
      return 4 * t.ma * t.mb * t.cov / (power * (spread + kC1) + kC2);
  }
}

// Error of an index made of moments in double: variances and covariances are off by `step`
// times the square of the range of the samples, means by `step` times the largest.
double bound_of(int index, const Two& t, double range, double largest, double step) {
  const double v = step * range * range, m = step * largest;
  const double power = static_cast<double>(t.ma * t.ma + t.mb * t.mb);
  const double spread = static_cast<double>(t.va + t.vb);
  const double least = static_cast<double>(std::min(t.va, t.vb));
  const double bias = power == 0 ? 0 : m / std::sqrt(power);
  double off = 0;
  if (index == PTN_UQI) off = bias + (spread == 0 ? 0 : v / spread);
  if (index == PTN_DECORRELATION) off = least == 0 ? 0 : 2 * v / least;
  if (index == PTN_SSIM) off = bias + v / (spread + kC2);
  if (index == PTN_GAUSSIAN_UQI) off = bias + v / (spread + kC1);
  return std::min(3.0, off) + 32 * kU;
}

}  // namespace
