#pragma once

#include "csrc/cuda/segments.h"
#include "kernels/layers_cuda.h"

namespace pantiny {
namespace cuda {

// x = conv3x3(ms_up); weights [K][9][C].
template <class W>
ptn_status float_head(const float* weights, const Scene& scene, void* x, Stream stream);

}  // namespace cuda
}  // namespace pantiny
