// Indices of uniform windows on a GPU; pointers are the device's, but for the struct itself.
#pragma once

#include "csrc/cuda/planes.h"
#include "csrc/cuda/tile_sums.h"

namespace pantiny {
namespace cuda {

struct WindowsCuda {
  Planes planes;   // one pair at least
  int window;      // 1 .. PTN_MAX_WINDOW
  int index;       // PTN_UQI or PTN_DECORRELATION
  void* scratch;   // windows_cuda_bytes(...), aligned to 64 bytes
  double* sums;    // [images][pairs], added to
  int64_t* count;  // [images], added to
};

size_t windows_cuda_bytes(const WindowsCuda& w);
// PTN_ERR_ARGUMENT: more tiles than a grid has blocks.
ptn_status windows_cuda(const WindowsCuda& w, Stream stream);

}  // namespace cuda
}  // namespace pantiny
