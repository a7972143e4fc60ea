// Planes on a grid that is coarser by a whole number, on a GPU; pointers are the device's, but for
// the struct itself.
#pragma once

#include "csrc/cuda/launch.h"
#include "csrc/cuda/planes.h"

namespace pantiny {
namespace cuda {

struct ShrinkCuda {
  Planes planes;  // no pairs
  int64_t first_row, first_col;
  int step, taps;
  const double* weights;  // [planes][2][taps]: along rows of samples from above, along columns
  int64_t out_rows, cols;
};

// out [images][planes][out_rows][cols], written. PTN_ERR_ARGUMENT: more than a grid has blocks.
ptn_status shrink_cuda(const ShrinkCuda& s, double* out, Stream stream);

// reached [images][out_rows][cols], written: whether no weight above 0 of the first plane falls on
// a sample that is not valid, and `among`, which may be null, holds no 0 there. Samples are not
// read.
ptn_status reach_cuda(const ShrinkCuda& s, const uint8_t* among, uint8_t* reached, Stream stream);

}  // namespace cuda
}  // namespace pantiny
