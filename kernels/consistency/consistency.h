// Back-projection: repeat n times fused += up(ms - degrade(fused)), then round to DN. Pixels
// so far outside the MS grid that none of the taps lies in it are not corrected.
//
// The rows of `network` are corrected in place, all steps in one sweep down the scene: step s
// takes MS row i as soon as the PAN rows under it have had s - 1 steps, and corrects a PAN row
// once its residuals are there and no later residual of this step reads it. Nothing is computed
// twice, and nothing depends on where a band ends.
#pragma once

#include "csrc/arena.h"
#include "kernels/resample/resample.h"

namespace pantiny {

constexpr int kMaxSteps = 8;

// State of one scene. Rows of a step: residual rows are MS rows i at i % residual_rows.
struct Consistency {
  int steps, bands, radius;
  int64_t height, width;  // PAN grid
  Axis y, x;
  int64_t ms_first, ms_last, ms_left, ms_right;  // MS samples that pixels are corrected with
  int64_t residual_rows;
  float* residual;  // [steps][K][residual_rows][ms_right - ms_left]
  uint8_t* exists;  // the same
  float* weights;   // [K][ms_right - ms_left][padded taps], of MS columns
  int64_t* firsts;  // PAN column of their first tap
  double sigma[2][PTN_MAX_BANDS];

  int64_t residual_next[kMaxSteps];  // first MS row without a residual of this step
  int64_t corrected[kMaxSteps + 1];  // rows above this one have had so many steps

  int64_t ms_width() const { return ms_right - ms_left; }
  int taps() const { return gaussian_tap_count(radius); }
  int64_t padded_taps() const { return round_up(taps(), kMaxWidth); }
  int64_t scratch_row() const { return (width > ms_width() ? width : ms_width()) + 8 + kMaxWidth; }
};

// What both halves of a step read.
struct ConsistencyArgs {
  const Consistency* state;
  int step;        // from 0
  float* network;  // [K] planes
  int64_t network_rows, network_plane;
  MsSource ms;
  float units_per_dn;
  ValidSource valid;
  const CubicTaps* columns;
  float* scratch;  // consistency_scratch() floats
  bool masked() const { return valid.data || ms.valid; }
};

// Residual of one band and MS row; correction of one band and PAN row.
using ConsistencyRowFn = void(const ConsistencyArgs&, int band, int64_t row);

struct RoundArgs {
  int64_t width;
  double dn_per_unit;
  ValidSource valid;
  const ptn_output* output;
};

// Write a row of network values to row `row` of the output, in DN.
using RoundFn = void(const RoundArgs&, const float* network, int64_t y, int64_t row, int64_t band);

// PAN rows below a pixel that one step must have to finish it.
int consistency_lag(int radius, double scale_y);

// Memory from `arena`, tables filled if it has any.
Consistency take_consistency(Arena& arena, const ptn_scene& scene, int bands, int64_t rows);
void restart(Consistency* state);

// MS rows whose residual step `step` can take now, and PAN rows that can then be corrected.
int64_t residuals_ready(const Consistency& state, int step);
int64_t corrections_ready(const Consistency& state, int step);

int64_t consistency_scratch(const Consistency& state);

// MS samples [first, last) that PAN samples [begin, end) are corrected with, clamped.
void ms_span(const Axis& axis, int64_t begin, int64_t end, int64_t* first, int64_t* last);

// No sample that a pixel would be corrected with lies in the MS grid.
static inline bool beyond(const CubicTaps& taps, int64_t ms_size) {
  return taps.first + 3 < 0 || taps.first >= ms_size;
}

}  // namespace pantiny
