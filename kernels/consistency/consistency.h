// Back-projection: repeat n times fused += up(ms - degrade(fused)), then round to DN. Pixels
// so far outside the MS grid that none of the taps lies in it are not corrected: the sample
// that would be repeated there depends on pixels beyond the reach of a step.
#pragma once

#include "kernels/resample/resample.h"

namespace pantiny {

// Scratch of one tile, in floats unless named otherwise.
struct ConsistencyScratch {
  float *fused, *valid;        // PAN samples of the region
  float *mixed, *mixed_valid;  // MS rows x PAN columns
  float* residual;             // MS samples
  uint8_t* exists;             // MS samples
  float *row_weights, *col_weights;
  int64_t *row_first, *col_first;
  CubicTaps *row_taps, *col_taps;
};

struct ConsistencyArgs {
  int64_t height, width;  // PAN grid
  Axis y, x;
  int bands, steps, reach, radius;
  const double* gains;
  double dn_per_unit;
  int64_t y0, y1, x0, x1;  // what to finish
  const float* network;    // [K] planes, row network_first, network values; 0 where not valid
  int64_t network_first, network_pitch, network_plane;
  MsSource ms;
  const uint8_t* valid;  // null: all valid; first row valid_first
  int64_t valid_first, valid_row_stride;
  const ptn_output* output;  // its first row is output_first
  int64_t output_first;
  ConsistencyScratch scratch;
};

using ConsistencyFn = void(const ConsistencyArgs&);

// PAN pixels that one step looks beyond the pixel it corrects.
int consistency_reach(int radius, double scale_y, double scale_x);

// MS samples [first, last) that PAN samples [begin, end) are corrected with, clamped.
void ms_span(const Axis& axis, int64_t begin, int64_t end, int64_t* first, int64_t* last);

}  // namespace pantiny
