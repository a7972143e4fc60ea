#pragma once

#include "csrc/cuda/launch.h"

namespace pantiny {
namespace cuda {

// Partial sums that one block adds up; part of the order of the sum.
constexpr int kSlice = 64;

struct Fold {
  int images, channels, heads;
  int64_t tiles;             // of one image
  const float* partials;     // [images][tiles][statistics]
  double* slices;            // [images][ceil(tiles / kSlice)][statistics], scratch
  const float* project;      // [C][C], rows: outputs
  const float* temperature;  // [heads]
  float* matrices;           // [images][C][C], rows: outputs
};

// Sums in double in the order of the tiles, softmax, product with the projection.
ptn_status fold_cuda(const Fold& fold, Stream stream);

}  // namespace cuda
}  // namespace pantiny
