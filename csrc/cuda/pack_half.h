// Weights in the order that the lanes of 16-bit products read them; on the host.
#pragma once

#include <cstring>

#include "csrc/cuda/weights.h"
#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

// Channel of row k of step s of K, and of column n of tile j of N, where lanes own channels.
template <class W>
PTN_HOST_DEVICE int input_channel(int s, int k) {
  return W::channel(2 * s + (k >> 3), (k & 7) >> 1) + (k & 1);
}
template <class W>
PTN_HOST_DEVICE int output_channel(int j, int n) {
  return W::channel(j, n >> 1) + (n & 1);
}

// Where word `i` of B [steps][tiles] lies, two products in 16 bytes of a lane: it holds rows k and
// k + 1 of step s, column n of tile j.
struct FragmentAt {
  int s, k, j, n;
};
PTN_HOST_DEVICE FragmentAt fragment_at(int i, int tiles) {
  const int lane = i / 4 % kWarp, flat = i / (4 * kWarp) * 2 + (i & 3) / 2;
  return {flat / tiles, (lane & 3) * 2 + 8 * (i & 1), flat % tiles, lane >> 2};
}

template <class E, class W>
class HalfPacker {
 public:
  explicit HalfPacker(const Tensors& tensors) : t_(tensors) {}

  // [PackedModel<W>::words(blocks)], zero before.
  void pack(uint32_t* out) const {
    using P = PackedModel<W>;
    fragments(out + P::kHead, P::kHeadSteps, W::kTiles, [&](int s, int k, int j, int n) {
      const int tap = 4 * s + ((k & 7) >> 1), band = (k >> 3) * 2 + (k & 1);
      const int o = output_channel<W>(j, n);
      return tap < 9 && o < kC ? t_.head[(o * 4 + band) * 9 + tap] : 0.0f;
    });
    const auto natural = [](int j, int n) { return output_channel<W>(j, n); };
    convolution(out + P::kFuse1, t_.fuse1, kC, kC + 1, W::kTiles, natural);
    convolution(out + P::kFuse2, t_.fuse2, kC, kC, W::kTiles, natural);
    convolution(out + P::kRefine, t_.refine, kC, kC, W::kTiles, natural);
    // band b in column 2b: one band a lane
    convolution(out + P::kOutput, t_.output, 4, kC, 1,
                [](int, int n) { return n & 1 ? 4 : n >> 1; });
    for (int i = 0; i < t_.blocks(); ++i)
      block(out + P::kBlocks + static_cast<size_t>(i) * PackedBlock<W>::kWords,
            t_.block[static_cast<size_t>(i)]);
  }

 private:
  static constexpr int kC = W::kChannels;

  template <class Value>
  static void fragments(uint32_t* out, int steps, int tiles, Value&& value) {
    for (int i = 0; i < (steps * tiles + 1) / 2 * 2 * kStepWords; ++i) {
      const FragmentAt at = fragment_at(i, tiles);
      out[i] = at.s < steps
                   ? E::pack(value(at.s, at.k, at.j, at.n), value(at.s, at.k + 1, at.j, at.n))
                   : 0u;
    }
  }

  // w [outputs][inputs][9] -> [dx][dy] fragments; rows of K in the order of the slots, as
  // FeatureTile::fragment() has them
  template <class Output>
  static void convolution(uint32_t* out, const std::vector<float>& w, int outputs, int inputs,
                          int tiles, Output&& output) {
    const int words = (W::kSteps * tiles + 1) / 2 * 2 * kStepWords;
    for (int dx = 0; dx < 3; ++dx)
      for (int dy = 0; dy < 3; ++dy)
        fragments(out + (dx * 3 + dy) * words, W::kSteps, tiles, [&](int s, int k, int j, int n) {
          const int o = output(j, n), i = 16 * s + k;
          return o < outputs && i < inputs ? w[(o * inputs + i) * 9 + dy * 3 + dx] : 0.0f;
        });
  }

  // w [rows][C + 1], dw [rows][9]; row(j, n) of the chunk, or -1
  template <class Row>
  static void chunk(uint32_t* out, uint32_t* out_dw, const std::vector<float>& w,
                    const std::vector<float>& dw, int tiles, Row&& row) {
    fragments(out, W::kSteps, tiles, [&](int s, int k, int j, int n) {
      const int o = row(j, n), i = input_channel<W>(s, k);
      return o >= 0 && i <= kC ? w[o * (kC + 1) + i] : 0.0f;
    });
    for (int i = 0; i < 9 * 4 * tiles; ++i) {
      const int tap = i / (4 * tiles), t = i / tiles % 4, first = row(i % tiles, 2 * t),
                second = row(i % tiles, 2 * t + 1);
      out_dw[i] = E::pack(first >= 0 ? dw[first * 9 + tap] : 0.0f,
                          second >= 0 ? dw[second * 9 + tap] : 0.0f);
    }
  }

  static void block(uint32_t* out, const BlockTensors& b) {
    using P = PackedBlock<W>;
    // of a chunk of 16 and 16: lane t owns 4t .. 4t + 3 of both halves
    const auto within = [](int j, int n) { return 4 * (n >> 1) + 2 * (j & 1) + (n & 1); };
    // halved: gate() gives twice
    const auto contract = [&](int o, int gate) {
      return o < kC ? 0.5f * b.contract[o * 2 * kC + gate] : 0.0f;
    };
    uint32_t* to = out;
    for (int c = 0; c < W::kGateChunks; ++c, to += P::kGateChunk) {
      chunk(to, to + P::kExpand, b.expand, b.ffn_dw, 4, [&](int j, int n) {
        const int gate = 16 * c + within(j, n);
        return j < 2 ? gate : 2 * kC + gate;
      });
      fragments(to + P::kExpand + kDwWords, 1, W::kTiles, [&](int, int k, int j, int n) {
        const int gate = 16 * c + 4 * ((k & 7) >> 1) + 2 * (k >> 3) + (k & 1);
        return contract(output_channel<W>(j, n), gate);
      });
    }
    if (W::kHalfChunk) {  // lane t owns 2t and 2t + 1 of both halves
      const int first = 16 * W::kGateChunks;
      chunk(to, to + P::kExpand / 2, b.expand, b.ffn_dw, 2,
            [&](int j, int n) { return (j < 1 ? 0 : 2 * kC) + first + n; });
      to += (P::kExpand + kDwWords) / 2;
      for (int i = 0; i < P::kContract / 2; ++i) {  // [lanes][tiles], K of 8
        const int lane = i / W::kTiles, gate = first + 2 * (lane & 3);
        const int o = output_channel<W>(i % W::kTiles, lane >> 2);
        to[i] = E::pack(contract(o, gate), contract(o, gate + 1));
      }
    }
    to = out + P::kQkv;
    for (int c = 0; c < P::kQkvChunks; ++c, to += P::kQkvChunk)
      chunk(to, to + P::kExpand, b.qkv, b.qkv_dw, 4, [&](int j, int n) {
        if (c < W::kHeads) {
          const int i = within(j, n);
          if (i >= W::kHeadChannels) return -1;
          return (j < 2 ? 0 : kC) + c * W::kHeadChannels + i;
        }
        const int tile = 4 * (c - W::kHeads) + j;
        const int v = tile < W::kTiles ? output_channel<W>(tile, n) : kC;
        return v < kC ? 2 * kC + v : -1;
      });
  }

  const Tensors& t_;
};

}  // namespace cuda
}  // namespace pantiny
