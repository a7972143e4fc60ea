#pragma once

#include "csrc/cuda/segments.h"
#include "kernels/layers_cuda.h"

namespace pantiny {
namespace cuda {

// enhanced_conv: to = conv3x3(relu(conv3x3([x, pan]))); weights [C + 1][9][C], [C][9][C].
template <class W>
ptn_status float_fuse(const float* first, const float* second, const Scene& scene, const void* x,
                      void* between, void* to, Stream stream);

}  // namespace cuda
}  // namespace pantiny
