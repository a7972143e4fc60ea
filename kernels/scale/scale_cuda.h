#pragma once

#include "csrc/cuda/launch.h"
#include "csrc/cuda/scene.h"

namespace pantiny {
namespace cuda {

// The scene contract: twice the 99th percentile of the MS samples that exist.
struct Scale {
  Scene scene;          // images, bands, MS and its mask
  void* scratch;        // scale_scratch_bytes(images)
  double* dn_per_unit;  // [images]
  uint64_t* found;      // [images][2], may be null: samples that exist, not finite ones
};

size_t scale_scratch_bytes(int images);
ptn_status scale_cuda(const Scale& scale, Stream stream);

}  // namespace cuda
}  // namespace pantiny
