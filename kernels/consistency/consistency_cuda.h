#pragma once

#include "csrc/cuda/launch.h"
#include "csrc/cuda/scene.h"

namespace pantiny {
namespace cuda {

// Weights of the MTF's Gaussian at every MS row and column: [K][size][taps] and the PAN index of
// the first tap of each, unclamped.
struct GaussianTables {
  int taps;
  const float *rows, *columns;
  const int64_t *row_firsts, *column_firsts;  // rows count from the top of the whole image
  double scale_x;                             // PAN columns to MS columns
};

// Where the result goes, in DN; as ptn_output. Strides in elements.
struct Output {
  void* data;
  int dtype;
  int64_t image_stride, band_stride, row_stride, col_stride;
  int32_t bands[PTN_MAX_BANDS];  // -1: nowhere
  double low, high, fill;
  int reserve_fill;
  const double* dn_per_unit;  // [images]
  int first_row, rows;        // of the scene, that are stored
};

// residual [images][K][ms_count][w] = ms - degrade(fused), 0 where it does not exist; `there` the
// same.
ptn_status residual_cuda(const Scene& scene, const GaussianTables& tables, const float* fused,
                         float* residual, uint8_t* there, Stream stream);
// fused += up(residual), where a residual is near. With an output also rounded and stored;
// residual may be null: only stored.
ptn_status correct_cuda(const Scene& scene, const float* residual, const uint8_t* there,
                        float* fused, const Output* output, Stream stream);

}  // namespace cuda
}  // namespace pantiny
