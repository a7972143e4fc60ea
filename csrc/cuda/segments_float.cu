// The float precision: packing and the table of its segments.
#include <cstring>
#include <vector>

#include "csrc/cuda/segments.h"
#include "kernels/boundary/boundary_cuda.h"
#include "kernels/fusion/fusion_cuda.h"
#include "kernels/head/head_cuda.h"
#include "kernels/tail/tail_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

// [outputs][inputs][9] -> [inputs][9][outputs]
void pack_conv(const std::vector<float>& w, int inputs, int outputs, float* out) {
  for (int o = 0; o < outputs; ++o)
    for (int i = 0; i < inputs * 9; ++i) out[i * outputs + o] = w[o * inputs * 9 + i];
}

// Rows of a 1x1 with its bias, and their 3x3.
template <class W>
void pack_planes(const std::vector<float>& rows, const std::vector<float>& taps,
                 const std::vector<int>& order, float* out, float* out_taps) {
  constexpr int C = W::kChannels, kRow = BlockLayout<W>::kRow;
  for (size_t j = 0; j < order.size(); ++j) {
    std::memcpy(out + j * kRow, &rows[order[j] * (C + 1)], (C + 1) * sizeof(float));
    std::memcpy(out_taps + j * 9, &taps[order[j] * 9], 9 * sizeof(float));
  }
}

template <class W>
void pack_block(const BlockTensors& t, float* out) {
  constexpr int C = W::kChannels;
  using L = BlockLayout<W>;
  std::vector<int> order(2 * L::kGates);
  for (int chunk = 0; chunk < L::kChunks; ++chunk) {
    float* const to = out + chunk * L::kChunk;
    for (int g = 0; g < L::kGates; ++g) {
      order[g] = chunk * L::kGates + g;
      order[L::kGates + g] = 2 * C + order[g];
      for (int o = 0; o < C; ++o) to[L::kChunkOut + g * C + o] = t.contract[o * 2 * C + order[g]];
    }
    pack_planes<W>(t.expand, t.ffn_dw, order, to, to + L::kChunkTaps);
  }
  order.resize(2 * W::kHead);
  for (int group = 0; group < L::kGroups; ++group) {
    float* const to = out + L::kQkv + group * L::kGroup;
    for (int j = 0; j < 2 * W::kHead; ++j)
      order[j] = group >= W::kHeads ? 2 * C + (group - W::kHeads) * 2 * W::kHead + j
                 : j < W::kHead     ? group * W::kHead + j
                                    : C + group * W::kHead + j - W::kHead;
    pack_planes<W>(t.qkv, t.qkv_dw, order, to, to + L::kGroupTaps);
  }
}

template <class W>
size_t pack_for(const Tensors& t, void* memory) {
  constexpr int C = W::kChannels;
  using N = FloatLayout<W>;
  const size_t bytes = N::floats(t.blocks()) * sizeof(float);
  if (!memory) return bytes;
  auto* const out = static_cast<float*>(memory);
  std::memset(out, 0, bytes);
  pack_conv(t.head, N::kBands, C, out + N::kHead);
  pack_conv(t.fuse1, C + 1, C, out + N::kFuse1);
  pack_conv(t.fuse2, C, C, out + N::kFuse2);
  pack_conv(t.refine, C, C, out + N::kRefine);
  pack_conv(t.output, C, N::kBands, out + N::kOutput);
  for (int i = 0; i < t.blocks(); ++i)
    pack_block<W>(t.block[i], out + N::kBlocks + i * BlockLayout<W>::kFloats);
  return bytes;
}

// Rows of outputs to rows of inputs.
struct TransposeMatrices {
  static constexpr const char* kName = "matrices";
  static constexpr int kThreads = 256, kMinBlocks = 1;
  struct Args {
    int channels;
    const float* from;  // [images][C][C]
    float* to;
  };
  static size_t shared_bytes(const Args&) { return 0; }
  static PTN_DEVICE void run(const Args& a, char*) {
    const int c = a.channels;
    const int64_t image = static_cast<int64_t>(block().x) * c * c;
    for (int i = thread(); i < c * c; i += kThreads)
      a.to[image + i] = a.from[image + i % c * c + i / c];
  }
};

// Calls run with the width of an architecture.
template <class Run>
auto with_width(const ptn_arch& a, Run&& run) {
  return a.channels == 28 ? run(Width28()) : run(Width40());
}

template <class W>
const float* weights_of(const Network& n, int part) {
  return static_cast<const float*>(n.weights) + part;
}
template <class W>
const float* block_of(const Network& n, int block) {
  return weights_of<W>(n, FloatLayout<W>::kBlocks) +
         static_cast<int64_t>(block) * BlockLayout<W>::kFloats;
}

size_t pack(const Tensors& t, void* out) {
  return with_width(t.arch, [&](auto w) { return pack_for<decltype(w)>(t, out); });
}

size_t feature_bytes(const ptn_arch& a, const Scene& s) {
  return static_cast<size_t>(s.images) * a.channels * s.height * s.width * sizeof(float);
}

size_t matrix_bytes(const ptn_arch& a) { return a.channels * a.channels * sizeof(float); }

int planes(const ptn_arch& a) { return a.channels; }

TileGrid tiles(const ptn_arch&, const Scene& s, bool alone) {
  const int halo = 2 * (alone ? 1 : 2), height = kFloatRows - halo;
  return {height, ceil_div(s.height, height), ceil_div(s.width, kFloatCols - halo)};
}

ptn_status head(const Network& n, const Scene& s, void* x, Stream stream) {
  return with_width(n.arch, [&](auto w) {
    using W = decltype(w);
    return float_head<W>(weights_of<W>(n, FloatLayout<W>::kHead), s, x, stream);
  });
}

ptn_status statistics(const Network& n, const Scene& s, int block, Features x, float* partials,
                      Stream stream) {
  return with_width(n.arch, [&](auto w) {
    using W = decltype(w);
    return float_statistics<W>(block_of<W>(n, block), s, x, partials, stream);
  });
}

ptn_status matrices(const ptn_arch& a, int images, const float* folded, void* out, Stream stream) {
  return launch<TransposeMatrices>({a.channels, folded, static_cast<float*>(out)}, {images, 1, 1},
                                   stream);
}

ptn_status boundary(const Network& n, const Scene& s, int block, Features from,
                    const void* matrices, Features to, float* partials, Stream stream) {
  return with_width(n.arch, [&](auto w) {
    using W = decltype(w);
    return float_boundary<W>(block_of<W>(n, block), block_of<W>(n, block + 1), s, from,
                             static_cast<const float*>(matrices), to, partials, stream);
  });
}

ptn_status apply(const Network& n, const Scene& s, int block, Features from, const void* matrices,
                 void* to, Stream stream) {
  return with_width(n.arch, [&](auto w) {
    using W = decltype(w);
    return float_apply<W>(block_of<W>(n, block), s, from, static_cast<const float*>(matrices),
                          static_cast<float*>(to), stream);
  });
}

ptn_status fuse(const Network& n, const Scene& s, const void* x, void* between, void* to,
                Stream stream) {
  return with_width(n.arch, [&](auto w) {
    using W = decltype(w);
    using N = FloatLayout<W>;
    return float_fuse<W>(weights_of<W>(n, N::kFuse1), weights_of<W>(n, N::kFuse2), s, x, between,
                         to, stream);
  });
}

ptn_status tail(const Network& n, const Scene& s, const void* x, void* between, float* fused,
                Stream stream) {
  return with_width(n.arch, [&](auto w) {
    using W = decltype(w);
    using N = FloatLayout<W>;
    return float_tail<W>(weights_of<W>(n, N::kRefine), weights_of<W>(n, N::kOutput), s, x, between,
                         fused, stream);
  });
}

}  // namespace

const Segments& float_segments() {
  static const Segments table = {pack,       feature_bytes, planes,   matrix_bytes, tiles, head,
                                 statistics, matrices,      boundary, apply,        fuse,  tail};
  return table;
}

}  // namespace cuda
}  // namespace pantiny
