#pragma once

#include "csrc/cuda/segments.h"
#include "kernels/layers_cuda.h"

namespace pantiny {
namespace cuda {

// fused = conv3x3(conv3x3(x)) + ms_up; weights [C][9][C], [C][9][K].
template <class W>
ptn_status float_tail(const float* refine, const float* output, const Scene& scene, const void* x,
                      void* between, float* fused, Stream stream);

}  // namespace cuda
}  // namespace pantiny
