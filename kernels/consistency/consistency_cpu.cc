// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>
#include <cstring>

#include "csrc/simd/vec.h"
#include "kernels/consistency/consistency.h"

namespace pantiny {
namespace {

// A residual exists where at least half of the kernel is. A straight edge through its middle
// leaves exactly half: a little less, so that rounding does not decide.
constexpr float kMinCoverage = 0.5f - 1e-4f;

// One band of one tile: the region is what the first step must read.
struct Region {
  int64_t y0, y1, x0, x1;  // PAN grid, within the scene
  int64_t cols() const { return x1 - x0; }
};

inline Region region_of(const ConsistencyArgs& a, int margin) {
  return {std::max<int64_t>(a.y0 - margin, 0), std::min(a.y1 + margin, a.height),
          std::max<int64_t>(a.x0 - margin, 0), std::min(a.x1 + margin, a.width)};
}

inline void store_pixel(const ptn_output& o, int64_t at, double dn, bool valid) {
  double v = o.fill;
  if (valid) {
    v = dn < o.low ? o.low : dn > o.high ? o.high : dn;
    if (o.dtype != PTN_F32) {
      if (std::isnan(v)) v = o.low;                  // no integer stands for it
      constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: rounds half to even
      v = (v + kMagic) - kMagic;
      if (o.reserve_fill && v == o.fill) v = v + 1 <= o.high ? v + 1 : v - 1 >= o.low ? v - 1 : v;
    } else if (o.reserve_fill && static_cast<float>(v) == static_cast<float>(o.fill)) {
      const float f = static_cast<float>(v), high = static_cast<float>(o.high);
      v = std::nextafter(f, f < high ? high : static_cast<float>(o.low));
    }
  }
  switch (o.dtype) {
    case PTN_U8:
      static_cast<uint8_t*>(o.fused)[at] = static_cast<uint8_t>(v);
      break;
    case PTN_U16:
      static_cast<uint16_t*>(o.fused)[at] = static_cast<uint16_t>(v);
      break;
    case PTN_I16:
      static_cast<int16_t*>(o.fused)[at] = static_cast<int16_t>(v);
      break;
    default:
      static_cast<float*>(o.fused)[at] = static_cast<float>(v);
  }
}

// mixed[i][x] = sum over a MS row's taps of plane rows; `plane` holds region rows.
inline void mix_rows(const ConsistencyArgs& a, const Region& in, const float* plane, int64_t m0,
                     int64_t m1, float* mixed) {
  const int taps = gaussian_tap_count(a.radius);
  const int64_t n = in.cols();
  for (int64_t i = m0; i < m1; ++i) {
    float* out = mixed + (i - m0) * n;
    std::fill(out, out + n, 0.0f);
    for (int s = 0; s < taps; ++s) {
      const int64_t row = clamp_index(a.scratch.row_first[i - m0] + s, a.height);
      if (row < in.y0 || row >= in.y1) continue;  // such a sample is not used further on
      const float w = a.scratch.row_weights[(i - m0) * taps + s];
      const float* p = plane + (row - in.y0) * n;
      for (int64_t x = 0; x < n; ++x) out[x] += w * p[x];
    }
  }
}

inline float mix_columns(const ConsistencyArgs& a, const Region& in, const float* row, int64_t j) {
  const int taps = gaussian_tap_count(a.radius);
  const float* w = a.scratch.col_weights + j * taps;
  float v = 0;
  for (int s = 0; s < taps; ++s) {
    const int64_t x = clamp_index(a.scratch.col_first[j] + s, a.width);
    if (x >= in.x0 && x < in.x1) v += w[s] * row[x - in.x0];
  }
  return v;
}

// No sample that a pixel would be corrected with lies in the MS grid.
inline bool beyond(const CubicTaps& taps, int64_t ms_size) {
  return taps.first + 3 < 0 || taps.first >= ms_size;
}

// One step on one band: fused (region `in`) is corrected on region `out`.
inline void correct(const ConsistencyArgs& a, int band, const Region& in, const Region& out,
                    float units_per_dn) {
  const ConsistencyScratch& s = a.scratch;
  int64_t m0, m1, n0, n1;
  ms_span(a.y, out.y0, out.y1, &m0, &m1);
  ms_span(a.x, out.x0, out.x1, &n0, &n1);
  const int taps = gaussian_tap_count(a.radius);
  const double sigma_y = gaussian_sigma(a.gains[band], a.y.scale);
  const double sigma_x = gaussian_sigma(a.gains[band], a.x.scale);
  for (int64_t i = m0; i < m1; ++i)
    s.row_first[i - m0] = gaussian_taps(a.y, i, sigma_y, a.radius, s.row_weights + (i - m0) * taps);
  for (int64_t j = n0; j < n1; ++j)
    s.col_first[j - n0] = gaussian_taps(a.x, j, sigma_x, a.radius, s.col_weights + (j - n0) * taps);

  const bool masked = a.valid || a.ms.valid;
  const int64_t width = n1 - n0, cols = in.cols();
  mix_rows(a, in, s.fused, m0, m1, s.mixed);
  if (a.valid) mix_rows(a, in, s.valid, m0, m1, s.mixed_valid);
  const int64_t source = a.ms.bands ? a.ms.bands[band] : band;
  for (int64_t i = m0; i < m1; ++i)
    for (int64_t j = n0; j < n1; ++j) {
      const int64_t at = (i - m0) * width + j - n0;
      bool exists = !a.ms.valid || a.ms.valid[(i - a.ms.first) * a.ms.valid_row_stride + j] != 0;
      float degraded = mix_columns(a, in, s.mixed + (i - m0) * cols, j - n0);
      if (a.valid) {
        const float share = mix_columns(a, in, s.mixed_valid + (i - m0) * cols, j - n0);
        exists = exists && share >= kMinCoverage;
        degraded = exists ? degraded / share : 0.0f;
      }
      s.residual[at] = 0.0f;
      if (exists) {
        const float ms = dn_at(
            a.ms.data, a.ms.dtype,
            source * a.ms.band_stride + (i - a.ms.first) * a.ms.row_stride + j * a.ms.col_stride);
        s.residual[at] = ms * units_per_dn - degraded;
      }
      s.exists[at] = exists;
    }

  for (int64_t y = out.y0; y < out.y1; ++y) s.row_taps[y - out.y0] = cubic_taps(a.y, y);
  for (int64_t x = out.x0; x < out.x1; ++x) s.col_taps[x - out.x0] = cubic_taps(a.x, x);
  auto sample = [&](int64_t i, int64_t j) { return s.residual[(i - m0) * width + j - n0]; };
  auto exists = [&](int64_t i, int64_t j) { return s.exists[(i - m0) * width + j - n0] != 0; };
  for (int64_t y = out.y0; y < out.y1; ++y) {
    float* f = s.fused + (y - in.y0) * cols - in.x0;
    const float* valid = a.valid ? s.valid + (y - in.y0) * cols - in.x0 : nullptr;
    const CubicTaps& ty = s.row_taps[y - out.y0];
    if (beyond(ty, a.y.ms_size)) continue;
    float* mixed = s.mixed;  // one MS row, four rows mixed
    if (!masked) {
      std::fill(mixed, mixed + width, 0.0f);
      for (int i = 0; i < 4; ++i) {
        const float* r = s.residual + (clamp_index(ty.first + i, a.y.ms_size) - m0) * width;
        for (int64_t j = 0; j < width; ++j) mixed[j] += ty.cubic[i] * r[j];
      }
    }
    for (int64_t x = out.x0; x < out.x1; ++x) {
      const CubicTaps& tx = s.col_taps[x - out.x0];
      if (beyond(tx, a.x.ms_size)) continue;
      if (masked) {
        if (!valid || valid[x] != 0.0f)
          f[x] += interpolate_masked(ty, tx, a.y.ms_size, a.x.ms_size, sample, exists);
        continue;
      }
      float v = 0;
      for (int j = 0; j < 4; ++j)
        v += tx.cubic[j] * mixed[clamp_index(tx.first + j, a.x.ms_size) - n0];
      f[x] += v;
    }
  }
}

void consistency_tile(const ConsistencyArgs& a) {
  const ConsistencyScratch& s = a.scratch;
  const Region in = region_of(a, a.steps * a.reach);
  const int64_t cols = in.cols();
  const float units_per_dn = static_cast<float>(1 / a.dn_per_unit);
  if (a.valid)
    for (int64_t y = in.y0; y < in.y1; ++y)
      for (int64_t x = in.x0; x < in.x1; ++x)
        s.valid[(y - in.y0) * cols + x - in.x0] =
            a.valid[(y - a.valid_first) * a.valid_row_stride + x] ? 1.0f : 0.0f;
  for (int k = 0; k < a.bands; ++k) {
    const int64_t target = a.output->bands ? a.output->bands[k] : k;
    if (target < 0) continue;
    for (int64_t y = in.y0; y < in.y1; ++y)
      std::memcpy(s.fused + (y - in.y0) * cols,
                  a.network + k * a.network_plane + (y - a.network_first) * a.network_pitch + in.x0,
                  static_cast<size_t>(cols) * sizeof(float));
    for (int step = 1; step <= a.steps; ++step)
      correct(a, k, in, region_of(a, (a.steps - step) * a.reach), units_per_dn);
    for (int64_t y = a.y0; y < a.y1; ++y)
      for (int64_t x = a.x0; x < a.x1; ++x) {
        const int64_t from = (y - in.y0) * cols + x - in.x0;
        const int64_t to = target * a.output->band_stride +
                           (y - a.output_first) * a.output->row_stride + x * a.output->col_stride;
        store_pixel(*a.output, to, static_cast<double>(s.fused[from]) * a.dn_per_unit,
                    !a.valid || s.valid[from] != 0.0f);
      }
  }
}

}  // namespace
}  // namespace pantiny
