// Where the packed weights of 16-bit precisions lie, in 32-bit words.
#pragma once

#include "kernels/half_cuda.h"

namespace pantiny {
namespace cuda {

constexpr int kStepWords = kWarp * 2;  // B of one mma: two words a lane
constexpr int kDwWords = 9 * 16;       // 3x3 of a chunk: [9 taps][4 lanes t][4 words]

template <class W>
struct PackedBlock {
  // 1x1 [steps][4 tiles] and 3x3 of a chunk of 32 expanded channels; 1x1 [tiles] after gates
  static constexpr int kExpand = W::kSteps * 4 * kStepWords;
  static constexpr int kContract = W::kTiles * kStepWords;

  // chunks of gates: expand, 3x3, contract each, of half a chunk the half of each; of q, k, v:
  // expand, 3x3
  static constexpr int kGateChunk = kExpand + kDwWords + kContract;
  static constexpr int kQkvChunk = kExpand + kDwWords, kQkvChunks = W::kHeads + W::kValueChunks;
  static constexpr int kQkv = W::kGateChunks * kGateChunk + (W::kHalfChunk ? kGateChunk / 2 : 0);
  static constexpr int kWords = kQkv + kQkvChunks * kQkvChunk;
};

template <class W>
struct PackedModel {
  static constexpr int kMatrix = W::kSteps * W::kTiles * kStepWords;  // one C x C product
  static constexpr int kHeadSteps = 3;                                // 9 taps in 12, 4 bands each

  // 3x3: [dx][dy][steps][tiles]
  static constexpr int kHead = 0;
  static constexpr int kFuse1 = kHead + kHeadSteps * W::kTiles * kStepWords;
  static constexpr int kFuse2 = kFuse1 + 9 * kMatrix;
  static constexpr int kRefine = kFuse2 + 9 * kMatrix;
  static constexpr int kOutput = kRefine + 9 * kMatrix;
  static constexpr int kOutputTap = (W::kSteps + 1) / 2 * 2 * kStepWords;  // 16-byte loads
  static constexpr int kBlocks = kOutput + 9 * kOutputTap;
  static constexpr size_t words(int blocks) {
    return kBlocks + static_cast<size_t>(blocks) * PackedBlock<W>::kWords;
  }
};

}  // namespace cuda
}  // namespace pantiny
