// A model's tensors with LayerNorm folded into the 1x1 that follows it, on the host: what every
// precision packs its own layout from.
#pragma once

#include <vector>

#include "csrc/include/pantiny.h"

namespace pantiny {
namespace cuda {

// Columns C of qkv and expand hold LayerNorm's bias: the weight of a channel that is 1 inside
// the image and 0 outside.
struct BlockTensors {
  std::vector<float> qkv, qkv_dw;     // [3C][C + 1], [3C][9]: q, k, v
  std::vector<float> expand, ffn_dw;  // [4C][C + 1], [4C][9]: a, b
  std::vector<float> contract;        // [C][2C]
  std::vector<float> project;         // [C][C], attention
  std::vector<float> temperature;     // [heads]
};

struct Tensors {
  ptn_arch arch;
  std::vector<float> head;          // [C][K][9]
  std::vector<BlockTensors> block;  // encoder, then body
  std::vector<float> fuse1, fuse2;  // [C][C + 1][9], [C][C][9]; PAN is input C
  std::vector<float> refine;        // [C][C][9]
  std::vector<float> output;        // [K][C][9]

  int blocks() const { return arch.encoder_blocks + arch.body_blocks; }
};

// One sum of an image: gram [heads][c][c] (rows: channels of q), |q|^2 [C], |k|^2 [C].
inline int statistics_size(const ptn_arch& a) {
  const int c = a.channels / a.heads;
  return a.heads * c * c + 2 * a.channels;
}

// Widths that kernels are compiled for: C = 28 with 2 heads, C = 40 with 4, K = 4,
// enhanced_conv.
bool arch_compiled(const ptn_arch& arch);
ptn_status read_tensors(const ptn_arch& arch, const ptn_tensor* tensors, int count, Tensors* out);

}  // namespace cuda
}  // namespace pantiny
