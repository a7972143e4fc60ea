// The segments that segment_ops.cc calls; a library defines it next to a precision.
#pragma once

#include "csrc/cuda/segments.h"

namespace pantiny {
namespace cuda {

constexpr int kByImage = -1;  // a tile's shape: what the plan would take

Segments segments_for(bool bf16, int tile);

}  // namespace cuda
}  // namespace pantiny
