// Separable resampling between the MS and the PAN grid.
#pragma once

#include <cstdint>

#include "csrc/tile.h"

namespace pantiny {

// Where the PAN grid lies in MS pixels, along one axis (see ptn_scene).
struct Axis {
  double scale, offset;
  int64_t ms_size;
};

// Four cubic taps (a = -0.5) and two linear ones of one PAN sample. `first` is the MS
// index of tap 0, unclamped; the linear taps are taps 1 and 2.
struct CubicTaps {
  int64_t first;
  float cubic[4];
  float linear[2];
};

// MS rows [first, first + rows) of K planes, DN, strides in elements.
struct MsSource {
  const void* data;
  int dtype;
  int64_t first, rows, band_stride, row_stride, col_stride;
  const int32_t* bands;  // null: 0..K-1
  const uint8_t* valid;  // null: all valid
  int64_t valid_row_stride;
};

// ms_up = cubic(ms) * units_per_dn. Where one of the 16 taps is not valid: bilinear over the
// valid ones of the nearest four; none: 0.
struct Upsample {
  Axis y, x;
  MsSource ms;
  int bands;
  float units_per_dn;
  const CubicTaps* columns;  // of every PAN column
};

// MS samples that PAN columns [begin, end) are interpolated from, unclamped.
static inline int64_t mixed_samples(const CubicTaps* columns, int64_t begin, int64_t end) {
  return columns[end - 1].first + 4 - columns[begin].first;
}

CubicTaps cubic_taps(const Axis& axis, int64_t index);

// Standard deviation in PAN pixels of the Gaussian whose gain at MS Nyquist is `gain`.
double gaussian_sigma(double gain, double scale);

// Half the number of taps: four standard deviations of the widest band.
int gaussian_radius(const double* gains, int bands, double scale_y, double scale_x);

// Taps of one MS sample; those further than `radius` from its centre weigh nothing.
static inline int gaussian_tap_count(int radius) { return 2 * radius + 2; }

// Weights of one MS sample; returns the PAN index of the first, unclamped.
int64_t gaussian_taps(const Axis& axis, int64_t index, double sigma, int radius, float* weight);

}  // namespace pantiny
