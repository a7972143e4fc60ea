// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>
#include <cstring>

#include "csrc/simd/vec.h"
#include "kernels/resample/resample.h"

namespace pantiny {
namespace {

inline int64_t clamp_index(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

inline float dn_at(const void* data, int dtype, int64_t at) {
  switch (dtype) {
    case PTN_U8:
      return static_cast<const uint8_t*>(data)[at];
    case PTN_U16:
      return static_cast<const uint16_t*>(data)[at];
    case PTN_I16:
      return static_cast<const int16_t*>(data)[at];
    default:
      return static_cast<const float*>(data)[at];
  }
}

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

inline void upsample_tile(const UpsampleArgs& a) {
  const Tile& t = a.tile;
  for (int r = 0; r < t.rows; ++r) a.row_taps[r] = cubic_taps(a.y, t.y0 + r);
  for (int c = 0; c < t.cols; ++c) a.col_taps[c] = cubic_taps(a.x, t.x0 + c);
  const MsSource& ms = a.ms;
  auto at = [&](int64_t band, int64_t row, int64_t col) {
    return band * ms.band_stride + (row - ms.first) * ms.row_stride + col * ms.col_stride;
  };
  auto exists = [&](int64_t row, int64_t col) {
    return ms.valid[(row - ms.first) * ms.valid_row_stride + col] != 0;
  };
  for (int k = 0; k < a.bands; ++k) {
    const int64_t band = ms.bands ? ms.bands[k] : k;
    for (int r = 0; r < t.rows; ++r) {
      float* out = a.ms_up + k * t.plane + r * t.pitch;
      const float* valid = t.valid + r * t.pitch;
      const CubicTaps& y = a.row_taps[r];
      auto sample = [&](int64_t row, int64_t col) {
        return dn_at(ms.data, ms.dtype, at(band, row, col)) * a.units_per_dn;
      };
      for (int c = 0; c < t.cols; ++c) {
        if (valid[c] == 0.0f) {
          out[c] = 0.0f;
          continue;
        }
        const CubicTaps& x = a.col_taps[c];
        if (ms.valid) {
          out[c] = interpolate_masked(y, x, a.y.ms_size, a.x.ms_size, sample, exists);
          continue;
        }
        float v = 0;
        for (int i = 0; i < 4; ++i) {
          const int64_t row = clamp_index(y.first + i, a.y.ms_size);
          float line = 0;
          for (int j = 0; j < 4; ++j)
            line += x.cubic[j] * sample(row, clamp_index(x.first + j, a.x.ms_size));
          v += y.cubic[i] * line;
        }
        out[c] = v;
      }
    }
  }
}

}  // namespace
}  // namespace pantiny
