// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>
#include <cstring>

#include "csrc/simd/dn.h"
#include "csrc/simd/vec.h"
#include "kernels/resample/resample.h"

namespace pantiny {
namespace {

inline int64_t clamp_index(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

// Bilinear weights below this are rounding, not neighbours.
constexpr float kMinWeight = 1e-6f;

// Cubic where all 16 samples exist, else bilinear over those of the nearest four that do.
// sample(i, j) and exists(i, j) take clamped indices of the MS grid.
template <class Sample, class Exists>
inline float interpolate_masked(const CubicTaps& y, const CubicTaps& x, int64_t height,
                                int64_t width, Sample&& sample, Exists&& exists) {
  bool all = true;
  float cubic = 0, linear = 0, weight = 0;
  for (int i = 0; i < 4; ++i) {
    const int64_t row = clamp_index(y.first + i, height);
    float line = 0;
    for (int j = 0; j < 4; ++j) {
      const int64_t col = clamp_index(x.first + j, width);
      const bool there = exists(row, col);
      all = all && there;
      if (!there) continue;
      const float v = sample(row, col);
      line += x.cubic[j] * v;
      if (i >= 1 && i <= 2 && j >= 1 && j <= 2) {
        const float w = y.linear[i - 1] * x.linear[j - 1];
        linear += w * v;
        weight += w;
      }
    }
    cubic += y.cubic[i] * line;
  }
  if (all) return cubic;
  return weight > kMinWeight ? linear / weight : 0.0f;
}

// out[i] = sum of four taps on mixed, which starts at MS index m0.
inline void interpolate_columns(const CubicTaps* columns, int64_t x0, int64_t x1, int64_t m0,
                                const float* mixed, float* out) {
  for (int64_t x = x0; x < x1; ++x) {
    const CubicTaps& t = columns[x];
    const float* p = mixed + (t.first - m0);
    out[x - x0] = t.cubic[0] * p[0] + t.cubic[1] * p[1] + t.cubic[2] * p[2] + t.cubic[3] * p[3];
  }
}

// ms_up of PAN row y, columns [x0, x1); bands `stride` apart; mixed: mixed_samples() floats.
inline void upsample_row(const Upsample& u, int64_t y, int64_t x0, int64_t x1, float* mixed,
                         float* out, int64_t stride) {
  if (x1 <= x0) return;
  const MsSource& ms = u.ms;
  const CubicTaps ty = cubic_taps(u.y, y);
  const int64_t m0 = u.columns[x0].first, count = mixed_samples(u.columns, x0, x1);
  int64_t rows[4];
  for (int i = 0; i < 4; ++i) rows[i] = clamp_index(ty.first + i, u.y.ms_size) - ms.first;
  for (int k = 0; k < u.bands; ++k, out += stride) {
    const int64_t band = (ms.bands ? ms.bands[k] : k) * ms.band_stride;
    if (ms.valid) {
      auto exists = [&](int64_t row, int64_t col) {
        return ms.valid[(row - ms.first) * ms.valid_row_stride + col] != 0;
      };
      with_dtype(ms.data, ms.dtype, [&](const auto* p) {
        auto sample = [&](int64_t row, int64_t col) {
          return static_cast<float>(
                     p[band + (row - ms.first) * ms.row_stride + col * ms.col_stride]) *
                 u.units_per_dn;
        };
        for (int64_t x = x0; x < x1; ++x)
          out[x - x0] =
              interpolate_masked(ty, u.columns[x], u.y.ms_size, u.x.ms_size, sample, exists);
      });
      continue;
    }
    with_dtype(ms.data, ms.dtype, [&](const auto* p) {
      const auto *r0 = p + band + rows[0] * ms.row_stride, *r1 = p + band + rows[1] * ms.row_stride;
      const auto *r2 = p + band + rows[2] * ms.row_stride, *r3 = p + band + rows[3] * ms.row_stride;
      auto mix = [&](int64_t m) {
        const int64_t at = m * ms.col_stride;
        return (ty.cubic[0] * static_cast<float>(r0[at]) +
                ty.cubic[1] * static_cast<float>(r1[at]) +
                ty.cubic[2] * static_cast<float>(r2[at]) +
                ty.cubic[3] * static_cast<float>(r3[at])) *
               u.units_per_dn;
      };
      const int64_t first = std::clamp<int64_t>(-m0, 0, count);
      const int64_t last = std::clamp<int64_t>(u.x.ms_size - m0, first, count);
      for (int64_t i = first; i < last; ++i) mixed[i] = mix(m0 + i);
      // beyond the grid its edge repeats
      if (first > 0) std::fill(mixed, mixed + first, mix(0));
      if (last < count) std::fill(mixed + last, mixed + count, mix(u.x.ms_size - 1));
    });
    interpolate_columns(u.columns, x0, x1, m0, mixed, out);
  }
}

}  // namespace
}  // namespace pantiny
