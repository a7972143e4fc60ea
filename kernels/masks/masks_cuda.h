#pragma once

#include "csrc/cuda/launch.h"
#include "csrc/cuda/scene.h"

namespace pantiny {
namespace cuda {

struct Masks {
  Scene scene;  // sizes and images, MS and PAN; valid, ms_valid: masks of the caller or null
  int ratio;
  int has_nodata;
  double nodata;
  uint8_t* ms_valid;  // [images][h][w]
  uint8_t* valid;     // [images][H][W]
  // [images][3], zero before: valid PAN pixels; values that are not finite among the valid MS
  // samples; among the valid PAN pixels
  uint32_t* found;
};

// ms_valid: no band is nodata; valid: PAN is not nodata and lies on an MS pixel that is valid.
ptn_status masks_cuda(const Masks& masks, Stream stream);

}  // namespace cuda
}  // namespace pantiny
