// The folded model in the caller's memory.
#pragma once

#include "csrc/arena.h"
#include "csrc/tile.h"

struct ptn_model {
  pantiny::Weights weights;
};

namespace pantiny {

bool arch_supported(const ptn_arch& arch);
size_t model_bytes(const ptn_arch& arch);
// Fold LayerNorm into the 1x1 weights and lay everything out as the kernels read it.
ptn_status model_fill(const ptn_arch& arch, const ptn_tensor* tensors, int count, void* memory,
                      ptn_model** out);

}  // namespace pantiny
