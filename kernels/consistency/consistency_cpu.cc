// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>
#include <type_traits>

#include "csrc/simd/dn.h"
#include "csrc/simd/vec.h"
#include "kernels/consistency/consistency.h"

namespace pantiny {
namespace {

// A residual exists where at least half of the kernel is. A straight edge through its middle
// leaves exactly half: a little less, so that rounding does not decide.
constexpr float kMinCoverage = 0.5f - 1e-4f;

// out[x] = sum over taps of w[i] * row(i)[x]; row(i, at) gives the vector at column `at`.
template <class RowAt>
inline void mix_rows(int taps, const float* w, int64_t width, float* out, RowAt&& row) {
  constexpr int kBlock = 4;
  int64_t x = 0;
  for (; x + kBlock * kWidth <= width; x += kBlock * kWidth) {
    Vec a[kBlock] = {};
    for (int i = 0; i < taps; ++i) {
      const Vec s = splat(w[i]);
#pragma GCC unroll 4
      for (int v = 0; v < kBlock; ++v) a[v] = mul_add(s, row(i, x + v * kWidth), a[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kBlock; ++v) store(out + x + v * kWidth, a[v]);
  }
  for (; x < width; x += kWidth) {
    Vec a{};
    for (int i = 0; i < taps; ++i) a = mul_add(splat(w[i]), row(i, x), a);
    store(out + x, a);
  }
}

// Sum of taps on a mixed row of `width` PAN columns, the edge repeated beyond it.
inline float mix_columns(const float* row, int64_t first, const float* w, int taps, int64_t padded,
                         int64_t width) {
  if (first >= 0 && first + padded <= width) {
    Vec a{};
    for (int64_t i = 0; i < padded; i += kWidth) a = mul_add(load(w + i), load(row + first + i), a);
    float sum = 0;
    for (int l = 0; l < kWidth; ++l) sum += a[l];
    return sum;
  }
  float sum = 0;
  for (int i = 0; i < taps; ++i) sum += w[i] * row[std::clamp<int64_t>(first + i, 0, width - 1)];
  return sum;
}

inline int64_t residual_at(const Consistency& c, int step, int band, int64_t row) {
  return ((static_cast<int64_t>(step) * c.bands + band) * c.residual_rows + row % c.residual_rows) *
         c.ms_width();
}

inline const uint8_t* valid_row(const ValidSource& v, int64_t y) {
  return v.data + (y - v.first) * v.row_stride;
}

// Residual of MS row i: ms - degrade(fused), 0 where it does not exist.
void residual_row(const ConsistencyArgs& a, int band, int64_t i) {
  const Consistency& c = *a.state;
  const int taps = c.taps();
  const int64_t padded = c.padded_taps(), row = c.scratch_row();
  float *mixed = a.scratch, *mixed_valid = mixed + row, *w = mixed_valid + row;
  const int64_t first = gaussian_taps(c.y, i, c.sigma[0][band], c.radius, w);
  auto source = [&](int s) { return std::clamp<int64_t>(first + s, 0, c.height - 1); };
  const float* plane = a.network + band * a.network_plane;
  mix_rows(taps, w, c.width, mixed, [&](int s, int64_t x) {
    return load(plane + source(s) % a.network_rows * c.width + x);
  });
  if (a.valid.data)
    mix_rows(taps, w, c.width, mixed_valid, [&](int s, int64_t x) {
      const uint8_t* v = valid_row(a.valid, source(s));
      float lanes[kWidth];
      for (int l = 0; l < kWidth; ++l) lanes[l] = x + l < c.width && v[x + l] ? 1.0f : 0.0f;
      return load(lanes);
    });
  const int64_t at = residual_at(c, a.step, band, i);
  float* residual = c.residual + at;
  uint8_t* exists = c.exists + at;
  const MsSource& ms = a.ms;
  const int64_t from = (ms.bands ? ms.bands[band] : band) * ms.band_stride +
                       (i - ms.first) * ms.row_stride + c.ms_left * ms.col_stride;
  read_dn(ms.data, ms.dtype, from, ms.col_stride, a.units_per_dn, residual, c.ms_width());
  const uint8_t* ms_valid =
      ms.valid ? ms.valid + (i - ms.first) * ms.valid_row_stride + c.ms_left : nullptr;
  for (int64_t j = 0; j < c.ms_width(); ++j) {
    const float* wj = c.weights + (band * c.ms_width() + j) * padded;
    float degraded = mix_columns(mixed, c.firsts[j], wj, taps, padded, c.width);
    if (!a.masked()) {
      residual[j] -= degraded;
      continue;
    }
    bool there = !ms_valid || ms_valid[j] != 0;
    if (a.valid.data) {
      const float share = mix_columns(mixed_valid, c.firsts[j], wj, taps, padded, c.width);
      there = there && share >= kMinCoverage;
      degraded = there ? degraded / share : 0.0f;
    }
    residual[j] = there ? residual[j] - degraded : 0.0f;
    exists[j] = there;
  }
}

// fused += up(residual) on PAN row y.
void correct_row(const ConsistencyArgs& a, int band, int64_t y) {
  const Consistency& c = *a.state;
  const CubicTaps ty = cubic_taps(c.y, y);
  if (beyond(ty, c.y.ms_size)) return;
  float* f = a.network + band * a.network_plane + y % a.network_rows * c.width;
  int64_t x0 = 0, x1 = c.width;
  while (x0 < x1 && beyond(a.columns[x0], c.x.ms_size)) ++x0;
  while (x1 > x0 && beyond(a.columns[x1 - 1], c.x.ms_size)) --x1;
  if (x0 == x1) return;
  if (a.masked()) {
    const uint8_t* valid = a.valid.data ? valid_row(a.valid, y) : nullptr;
    auto at = [&](int64_t i, int64_t j) { return residual_at(c, a.step, band, i) + j - c.ms_left; };
    auto sample = [&](int64_t i, int64_t j) { return c.residual[at(i, j)]; };
    auto exists = [&](int64_t i, int64_t j) { return c.exists[at(i, j)] != 0; };
    for (int64_t x = x0; x < x1; ++x)
      if (!valid || valid[x])
        f[x] += interpolate_masked(ty, a.columns[x], c.y.ms_size, c.x.ms_size, sample, exists);
    return;
  }
  const int64_t m0 = a.columns[x0].first, count = mixed_samples(a.columns, x0, x1);
  const float* r[4];
  for (int i = 0; i < 4; ++i)
    r[i] = c.residual + residual_at(c, a.step, band, clamp_index(ty.first + i, c.y.ms_size));
  float* mixed = a.scratch;
  auto mix = [&](int64_t j) {
    j -= c.ms_left;
    return ty.cubic[0] * r[0][j] + ty.cubic[1] * r[1][j] + ty.cubic[2] * r[2][j] +
           ty.cubic[3] * r[3][j];
  };
  const int64_t first = std::clamp<int64_t>(-m0, 0, count);
  const int64_t last = std::clamp<int64_t>(c.x.ms_size - m0, first, count);
  for (int64_t i = first; i < last; ++i) mixed[i] = mix(m0 + i);
  if (first > 0) std::fill(mixed, mixed + first, mix(0));
  if (last < count) std::fill(mixed + last, mixed + count, mix(c.x.ms_size - 1));
  for (int64_t x = x0; x < x1; ++x) {
    const CubicTaps& t = a.columns[x];
    const float* p = mixed + (t.first - m0);
    f[x] += t.cubic[0] * p[0] + t.cubic[1] * p[1] + t.cubic[2] * p[2] + t.cubic[3] * p[3];
  }
}

// DN of one pixel, as the output takes it.
inline double rounded(const ptn_output& o, double dn, bool valid) {
  if (!valid) return o.fill;
  double v = dn < o.low ? o.low : dn > o.high ? o.high : dn;
  if (o.dtype == PTN_F32) {
    if (!o.reserve_fill || static_cast<float>(v) != static_cast<float>(o.fill)) return v;
    const float f = static_cast<float>(v), high = static_cast<float>(o.high);
    return std::nextafter(f, f < high ? high : static_cast<float>(o.low));
  }
  if (std::isnan(v)) v = o.low;                  // no integer stands for it
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: rounds half to even
  v = (v + kMagic) - kMagic;
  if (o.reserve_fill && v == o.fill) v = v + 1 <= o.high ? v + 1 : v - 1 >= o.low ? v - 1 : v;
  return v;
}

// What rounded() does where every pixel exists and none needs moving, without branches.
template <class T>
inline void round_plain(const ptn_output& o, const float* f, double dn, int64_t width, T* out) {
  constexpr double kMagic = 6755399441055744.0;
  for (int64_t x = 0; x < width; ++x) {
    double v = static_cast<double>(f[x]) * dn;
    v = v >= o.low ? v : o.low;  // NaN becomes low
    v = v > o.high ? o.high : v;
    out[x] = static_cast<T>(static_cast<int32_t>((v + kMagic) - kMagic));
  }
}

void round_row(const RoundArgs& a, const float* f, int64_t y, int64_t row, int64_t band) {
  const ptn_output& o = *a.output;
  const int64_t at = band * o.band_stride + row * o.row_stride;
  const uint8_t* valid = a.valid.data ? valid_row(a.valid, y) : nullptr;
  const bool plain = !valid && !o.reserve_fill && o.col_stride == 1;
  auto each = [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    if (plain && !std::is_same_v<T, float>) return round_plain(o, f, a.dn_per_unit, a.width, out);
    for (int64_t x = 0; x < a.width; ++x)
      out[x * o.col_stride] = static_cast<T>(
          rounded(o, static_cast<double>(f[x]) * a.dn_per_unit, !valid || valid[x] != 0));
  };
  switch (o.dtype) {
    case PTN_U8:
      return each(static_cast<uint8_t*>(o.fused) + at);
    case PTN_U16:
      return each(static_cast<uint16_t*>(o.fused) + at);
    case PTN_I16:
      return each(static_cast<int16_t*>(o.fused) + at);
    default:
      return each(static_cast<float*>(o.fused) + at);
  }
}

}  // namespace
}  // namespace pantiny
