// The images a plan works on, as kernels see them. Pointers are the device's.
#pragma once

#include "csrc/cuda/device.h"
#include "csrc/include/pantiny.h"
#include "kernels/resample/resample.h"

namespace pantiny {
namespace cuda {

// Samples in DN; strides in elements.
struct Samples {
  const void* data;
  int dtype;  // ptn_dtype
  int64_t image_stride, band_stride, row_stride, col_stride;
};

// Which pixels exist; null: all.
struct Mask {
  const uint8_t* data;
  int64_t image_stride, row_stride;
};

struct Scene {
  int images, bands;  // N, K
  int height, width;  // PAN grid: a whole image, or a band of its rows
  int ms_height, ms_width;
  int scene_height;        // rows of the image
  int64_t first_row;       // where the band starts in it
  int ms_first, ms_count;  // MS rows that the band is corrected with
  Samples ms, pan;
  int32_t ms_bands[PTN_MAX_BANDS];  // which bands of ms to read
  Mask valid, ms_valid;
  const CubicTaps *rows, *columns;  // of every PAN row of the band and column
  const float* units_per_dn;        // [images]: network value of one DN
};

// What a scene is that is no band.
inline Scene whole(Scene s) {
  s.scene_height = s.height;
  s.first_row = 0;
  s.ms_first = 0;
  s.ms_count = s.ms_height;
  return s;
}

// run(data) with the samples in their type.
template <class Run>
PTN_DEVICE auto with_samples(const Samples& s, Run&& run) {
  switch (s.dtype) {
    case PTN_U8:
      return run(static_cast<const uint8_t*>(s.data));
    case PTN_U16:
      return run(static_cast<const uint16_t*>(s.data));
    case PTN_I16:
      return run(static_cast<const int16_t*>(s.data));
    default:
      return run(static_cast<const float*>(s.data));
  }
}

PTN_DEVICE float sample(const Samples& s, int64_t at) {
  return with_samples(s, [&](const auto* data) { return static_cast<float>(data[at]); });
}

PTN_DEVICE bool inside(const Scene& s, int y, int x) {
  return y >= 0 && y < s.height && x >= 0 && x < s.width;
}

// Whether a pixel exists: a nodata pixel is treated like one outside the image.
PTN_DEVICE bool exists(const Scene& s, int image, int y, int x) {
  return inside(s, y, x) &&
         (!s.valid.data ||
          s.valid.data[image * s.valid.image_stride + y * s.valid.row_stride + x] != 0);
}

PTN_DEVICE bool ms_exists(const Scene& s, int image, int64_t i, int64_t j) {
  return !s.ms_valid.data ||
         s.ms_valid.data[image * s.ms_valid.image_stride + i * s.ms_valid.row_stride + j] != 0;
}

// DN of one MS sample of a band of the network.
PTN_DEVICE float ms_at(const Scene& s, int image, int band, int64_t i, int64_t j) {
  return sample(s.ms, image * s.ms.image_stride + s.ms_bands[band] * s.ms.band_stride +
                          i * s.ms.row_stride + j * s.ms.col_stride);
}

// Network values; only of pixels that exist.
PTN_DEVICE float pan_at(const Scene& s, int image, int y, int x) {
  return sample(s.pan, image * s.pan.image_stride + y * s.pan.row_stride + x * s.pan.col_stride) *
         s.units_per_dn[image];
}

// A plane on the MS grid interpolated at a pixel of the PAN grid: cubic where all 16 samples
// exist, else bilinear over those of the nearest four that do, else 0.
template <class SampleAt, class ExistsAt>
PTN_DEVICE float interpolate(const CubicTaps& ty, const CubicTaps& tx, int64_t ms_height,
                             int64_t ms_width, bool masked, SampleAt&& sample_at,
                             ExistsAt&& exists_at) {
  bool all = true;
  if (masked)
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        all = all && exists_at(clamp_to(ty.first + i, ms_height), clamp_to(tx.first + j, ms_width));
  float sum = 0;
  if (all) {
    // the order of the CPU: rows are mixed first
    float mixed[4];
    PTN_UNROLL
    for (int j = 0; j < 4; ++j) {
      float m = 0;
      PTN_UNROLL
      for (int i = 0; i < 4; ++i)
        m = fma_float(
            ty.cubic[i],
            sample_at(clamp_to(ty.first + i, ms_height), clamp_to(tx.first + j, ms_width)), m);
      mixed[j] = m;
    }
    PTN_UNROLL
    for (int j = 0; j < 4; ++j) sum = fma_float(tx.cubic[j], mixed[j], sum);
    return sum;
  }
  float weight = 0;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) {
      const int64_t row = clamp_to(ty.first + 1 + i, ms_height);
      const int64_t col = clamp_to(tx.first + 1 + j, ms_width);
      if (!exists_at(row, col)) continue;
      const float w = ty.linear[i] * tx.linear[j];
      weight += w;
      sum = fma_float(w, sample_at(row, col), sum);
    }
  constexpr float kMinWeight = 1e-6f;  // rounding alone
  return weight > kMinWeight ? sum / weight : 0.0f;
}

// ms_up of one band at a pixel that exists, network values.
PTN_DEVICE float ms_up_at(const Scene& s, int image, int band, int y, int x) {
  const float dn = interpolate(
      s.rows[y], s.columns[x], s.ms_height, s.ms_width, s.ms_valid.data != nullptr,
      [&](int64_t i, int64_t j) { return ms_at(s, image, band, i, j); },
      [&](int64_t i, int64_t j) { return ms_exists(s, image, i, j); });
  return dn * s.units_per_dn[image];
}

}  // namespace cuda
}  // namespace pantiny
