// Moments of distinct blocks on a GPU; pointers are the device's, but for the struct itself.
#pragma once

#include "csrc/cuda/launch.h"
#include "csrc/cuda/planes.h"

namespace pantiny {
namespace cuda {

struct BlocksCuda {
  Planes planes;  // pairs may be none
  int window;     // 1 .. PTN_MAX_WINDOW
  // [images][ceil(rows / window)][ceil(width / window)] ...
  double* moments;  // ... [2 planes + pairs], written
  int64_t* valid;   // written
};

// No scratch. PTN_ERR_ARGUMENT: more blocks than a grid has.
ptn_status blocks_cuda(const BlocksCuda& b, Stream stream);

}  // namespace cuda
}  // namespace pantiny
