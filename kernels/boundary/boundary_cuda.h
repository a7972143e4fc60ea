// Float segments: how the weights of a block lie, and the launchers.
#pragma once

#include "csrc/cuda/segments.h"
#include "kernels/layers_cuda.h"

namespace pantiny {
namespace cuda {

// Floats of one block. The feed-forward comes in chunks of kGates gates, {rows of a, rows of b;
// their 3x3; outputs by gate}; q, k, v in groups of 2 kHead planes: {q, k} of each head, then v.
template <class W>
struct BlockLayout {
  static constexpr int kChannels = W::kChannels;
  static constexpr int kRow = kChannels + 4;  // weights, bias, unused
  static constexpr int kGates = kChannels == 28 ? 14 : 16;
  static constexpr int kChunks = 2 * kChannels / kGates;
  static constexpr int kPlanes = 2 * kGates > 2 * W::kHead ? 2 * kGates : 2 * W::kHead;
  static constexpr int kChunkTaps = 2 * kGates * kRow;
  static constexpr int kChunkOut = kChunkTaps + round_up_4(2 * kGates * 9);
  static constexpr int kChunk = kChunkOut + kGates * kChannels;
  static constexpr int kGroups = W::kHeads + W::kHeads / 2;
  static constexpr int kGroupTaps = 2 * W::kHead * kRow;
  static constexpr int kGroup = kGroupTaps + round_up_4(2 * W::kHead * 9);
  static constexpr int kQkv = kChunks * kChunk;
  static constexpr int kFloats = kQkv + kGroups * kGroup;
  static_assert(2 * kChannels % kGates == 0, "chunks of gates");
};

// Of the whole network: 3x3 [inputs][9][outputs], then the blocks.
template <class W>
struct FloatLayout {
  static constexpr int kBands = 4;
  static constexpr int kHead = 0;
  static constexpr int kFuse1 = kHead + kBands * 9 * W::kChannels;
  static constexpr int kFuse2 = kFuse1 + (W::kChannels + 1) * 9 * W::kChannels;
  static constexpr int kRefine = kFuse2 + W::kChannels * 9 * W::kChannels;
  static constexpr int kOutput = kRefine + W::kChannels * 9 * W::kChannels;
  static constexpr int kBlocks = kOutput + W::kChannels * 9 * kBands;
  static int64_t floats(int blocks) {
    return kBlocks + static_cast<int64_t>(blocks) * BlockLayout<W>::kFloats;
  }
};

constexpr int kFloatCols = 32, kFloatRows = 16;  // of a tile with its halo: a thread each
constexpr int kFloatThreads = kFloatCols * kFloatRows;

template <class W>
ptn_status float_statistics(const float* block, const Scene& scene, Features x, float* partials,
                            Stream stream);
template <class W>
ptn_status float_boundary(const float* block, const float* next, const Scene& scene, Features from,
                          const float* matrices, Features to, float* partials, Stream stream);
template <class W>
ptn_status float_apply(const float* block, const Scene& scene, Features from, const float* matrices,
                       float* to, Stream stream);

}  // namespace cuda
}  // namespace pantiny
