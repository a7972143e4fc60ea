// Indices of 11 x 11 Gaussian windows on a GPU; pointers are the device's, but for the struct.
#pragma once

#include "csrc/cuda/planes.h"
#include "csrc/cuda/tile_sums.h"

namespace pantiny {
namespace cuda {

struct GaussianCuda {
  Planes planes;  // one pair at least
  int index;      // PTN_SSIM or PTN_GAUSSIAN_UQI
  double c1, c2;
  void* scratch;   // gaussian_cuda_bytes(...), aligned to 64 bytes
  double* sums;    // [images][pairs], added to
  int64_t* count;  // [images], added to
};

size_t gaussian_cuda_bytes(const GaussianCuda& g);
// PTN_ERR_ARGUMENT: more tiles than a grid has blocks.
ptn_status gaussian_cuda(const GaussianCuda& g, Stream stream);

}  // namespace cuda
}  // namespace pantiny
