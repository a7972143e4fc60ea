// Reduction to matrix: softmax of the normalised Gram matrix folded with the projection.
#pragma once

#include "csrc/tile.h"

namespace pantiny {

// statistics [heads][c][c], |q|^2 [C], |k|^2 [C] -> matrix [k][o] (float32), computed in double.
void fold(const Weights& weights, const BlockWeights& block, const double* statistics,
          float* matrix);

}  // namespace pantiny
