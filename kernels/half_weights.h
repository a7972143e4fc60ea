// Where the packed weights of 16-bit precisions lie, in 32-bit words.
#pragma once

#include "kernels/half_cuda.h"

namespace pantiny {
namespace cuda {

constexpr int kStepWords = kWarp * 2;  // B of one mma: two words a lane
constexpr int kDwWords = 9 * 16;       // 3x3 of a chunk: [9 taps][4 lanes t][4 words]

template <class W>
struct PackedBlock {
  static constexpr int kExpandChunk = W::kSteps * 4 * kStepWords;
  static constexpr int kContractChunk = W::kTiles * kStepWords;
  static constexpr int kQkvChunks = W::kHeads + W::kValueChunks;

  static constexpr int kExpand = 0;  // [gate chunks][steps][4 tiles]
  static constexpr int kFfnDw = kExpand + W::kGateChunks * kExpandChunk;
  static constexpr int kContract = kFfnDw + W::kGateChunks * kDwWords;  // [gate chunks][tiles]
  static constexpr int kQkv = kContract + W::kGateChunks * kContractChunk;
  static constexpr int kQkvDw = kQkv + kQkvChunks * kExpandChunk;
  static constexpr int kWords = kQkvDw + kQkvChunks * kDwWords;
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
