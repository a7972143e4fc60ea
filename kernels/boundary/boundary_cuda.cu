// Boundary segment in float: one thread per pixel of a tile with its halo, channels in
// registers; only planes that a 3x3 reads go through shared memory, a chunk at a time.
#include "kernels/boundary/boundary_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

template <class W, bool kApply, bool kNext>
struct FloatSegment {
  static constexpr int C = W::kChannels;
  using L = BlockLayout<W>;
  static constexpr const char* kName = kApply ? kNext ? "boundary" : "apply" : "statistics";
  static constexpr int kThreads = kFloatThreads, kMinBlocks = 1;
  static constexpr int kHalo = (kApply ? 1 : 0) + (kNext ? 1 : 0);
  static constexpr int kTileCols = kFloatCols - 2 * kHalo, kTileRows = kFloatRows - 2 * kHalo;
  static constexpr int kHalf = W::kHead / 2;           // of a head's channels
  static constexpr int kSums = kHalf * kHalf + kHalf;  // a warp's share of a head's sums
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kWeights = L::kChunk > C* C ? L::kChunk : C * C;
  static_assert(L::kGroup <= kWeights && kWarps * kSums <= kWeights, "shared memory");
  static_assert(kWarps == 16 && kFloatCols == kWarp, "a warp takes a row");

  struct Args {
    Scene scene;
    const float *block, *next;  // weights
    const float* matrices;      // [images][C][C], rows: inputs
    const float *x, *v;         // [images][C][H][W]
    float *x_out, *v_out;
    float* partials;  // [images][tiles][kStatistics]
  };

  static size_t shared_bytes(const Args&) {
    return (L::kPlanes * kThreads + kWeights) * sizeof(float);
  }
  static Dim3 tiles(const Scene& s) {
    return {ceil_div(s.width, kTileCols), ceil_div(s.height, kTileRows), s.images};
  }

  // Planes [first, first + count) of the 1x1 of y into the tile, 0 where no pixel exists.
  static PTN_DEVICE void expand(const float (&y)[C], bool there, const float* rows, int count,
                                float* tile) {
    PTN_NO_UNROLL
    for (int j = 0; j < count; j += 2) {  // two chains of sums at a time
      const float a = dot_with_bias(y, rows + j * L::kRow);
      const float b = dot_with_bias(y, rows + (j + 1) * L::kRow);
      tile[j * kThreads + thread()] = there ? a : 0.0f;
      tile[(j + 1) * kThreads + thread()] = there ? b : 0.0f;
    }
  }

  // Sums of one head over the tile's planes q [kHead], k [kHead]. A warp takes a quarter of the
  // channel pairs of a quarter of the pixels; quarters are added in their order.
  static PTN_DEVICE void gram(const float* tile, float* shares, int head, float* out) {
    const int quarter = warp() & 3, part = warp() >> 2;
    const int rows = (quarter >> 1) * kHalf, cols = (quarter & 1) * kHalf;
    float sum[kSums];
    PTN_UNROLL
    for (int i = 0; i < kSums; ++i) sum[i] = 0;
    PTN_NO_UNROLL
    for (int i = 0; i < kThreads / 4; i += kWarp) {
      const float* at = tile + part * (kThreads / 4) + i + lane();
      float k[kHalf];
      PTN_UNROLL
      for (int b = 0; b < kHalf; ++b) k[b] = at[(W::kHead + cols + b) * kThreads];
      PTN_UNROLL
      for (int a = 0; a < kHalf; ++a) {
        const float q = at[(rows + a) * kThreads];
        PTN_UNROLL
        for (int b = 0; b < kHalf; ++b) sum[a * kHalf + b] = fma_float(q, k[b], sum[a * kHalf + b]);
        // quarters on the diagonal take |q|^2 of their rows, the others |k|^2 of their columns
        const float n = rows == cols ? q : k[a];
        sum[kHalf * kHalf + a] = fma_float(n, n, sum[kHalf * kHalf + a]);
      }
    }
    PTN_UNROLL
    for (int i = 0; i < kSums; ++i) {
      PTN_UNROLL
      for (int m = kWarp / 2; m > 0; m >>= 1) sum[i] += shuffle_xor(sum[i], m);
      if (lane() == 0) shares[warp() * kSums + i] = sum[i];
    }
    sync_block();
    for (int i = thread(); i < 4 * kSums; i += kThreads) {
      const int q = i / kSums, at = i % kSums;
      float total = 0;
      for (int p = 0; p < 4; ++p) total += shares[(p * 4 + q) * kSums + at];
      const int row = (q >> 1) * kHalf, col = (q & 1) * kHalf;
      constexpr int kGram = W::kHeads * W::kHead * W::kHead;
      int to;
      if (at < kHalf * kHalf)
        to = (head * W::kHead + row + at / kHalf) * W::kHead + col + at % kHalf;
      else if (row == col)
        to = kGram + head * W::kHead + row + at - kHalf * kHalf;
      else
        to = kGram + C + head * W::kHead + col + at - kHalf * kHalf;
      out[to] = total;
    }
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    float* const tile = reinterpret_cast<float*>(shared);  // [kPlanes][kRows][kCols]
    float* const weights = tile + L::kPlanes * kThreads;
    const Scene& s = a.scene;
    const int image = block().z, row = thread() / kFloatCols, col = thread() % kFloatCols;
    const int y = block().y * kTileRows - kHalo + row, x = block().x * kTileCols - kHalo + col;
    const bool there = exists(s, image, y, x);
    const bool near = row >= 1 && row < kFloatRows - 1 && col >= 1 && col < kFloatCols - 1;
    const bool mine = row >= kHalo && row < kFloatRows - kHalo && col >= kHalo &&
                      col < kFloatCols - kHalo && inside(s, y, x);
    const int64_t plane = static_cast<int64_t>(s.height) * s.width;
    const int64_t at = image * C * plane + static_cast<int64_t>(y) * s.width + x;

    float c[C], norm[C];
    PTN_UNROLL
    for (int i = 0; i < C; ++i) c[i] = there ? a.x[at + i * plane] : 0.0f;

    if constexpr (kApply) {
      copy_floats<kThreads>(weights, a.matrices + static_cast<int64_t>(image) * C * C, C * C);
      sync_block();
      PTN_UNROLL
      for (int i = 0; i < C; ++i)
        add_scaled(c, there ? a.v[at + i * plane] : 0.0f, weights + i * C);
      normalise(c, norm);
      PTN_NO_UNROLL
      for (int chunk = 0; chunk < L::kChunks; ++chunk) {
        sync_block();  // the last chunk's weights and planes have been read
        copy_floats<kThreads>(weights, a.block + chunk * L::kChunk, L::kChunk);
        sync_block();
        expand(norm, there, weights, 2 * L::kGates, tile);
        sync_block();
        if (near && there) {
          PTN_NO_UNROLL
          for (int g = 0; g < L::kGates; ++g) {
            const float* at_a = tile + g * kThreads + thread();
            const float* taps = weights + L::kChunkTaps;
            const float gate =
                gelu(depthwise<kFloatCols>(at_a, taps + g * 9)) *
                depthwise<kFloatCols>(at_a + L::kGates * kThreads, taps + (L::kGates + g) * 9);
            add_scaled(c, gate, weights + L::kChunkOut + g * C);
          }
        }
      }
      if (mine) {
        PTN_UNROLL
        for (int i = 0; i < C; ++i) a.x_out[at + i * plane] = there ? c[i] : 0.0f;
      }
    }

    if constexpr (kNext) {
      normalise(c, norm);
      const int64_t tile_index =
          (static_cast<int64_t>(image) * grid().y + block().y) * grid().x + block().x;
      float* const partials = a.partials + tile_index * W::kStatistics;
      PTN_NO_UNROLL
      for (int group = 0; group < L::kGroups; ++group) {
        sync_block();
        copy_floats<kThreads>(weights, a.next + L::kQkv + group * L::kGroup, L::kGroup);
        sync_block();
        expand(norm, there, weights, 2 * W::kHead, tile);
        sync_block();
        float r[2 * W::kHead];
        PTN_UNROLL
        for (int j = 0; j < 2 * W::kHead; ++j)
          r[j] = mine && there ? depthwise<kFloatCols>(tile + j * kThreads + thread(),
                                                       weights + L::kGroupTaps + j * 9)
                               : 0.0f;
        if (group >= W::kHeads) {
          const int first = (group - W::kHeads) * 2 * W::kHead;
          if (mine) {
            PTN_UNROLL
            for (int j = 0; j < 2 * W::kHead; ++j) a.v_out[at + (first + j) * plane] = r[j];
          }
          continue;
        }
        sync_block();
        PTN_UNROLL
        for (int j = 0; j < 2 * W::kHead; ++j) tile[j * kThreads + thread()] = r[j];
        sync_block();
        gram(tile, weights, group, partials);
      }
    }
  }
};

}  // namespace

template <class W>
ptn_status float_statistics(const float* block, const Scene& scene, Features x, float* partials,
                            Stream stream) {
  using Kernel = FloatSegment<W, false, true>;
  return launch<Kernel>({scene, nullptr, block, nullptr, static_cast<const float*>(x.x), nullptr,
                         nullptr, static_cast<float*>(x.v), partials},
                        Kernel::tiles(scene), stream);
}

template <class W>
ptn_status float_boundary(const float* block, const float* next, const Scene& scene, Features from,
                          const float* matrices, Features to, float* partials, Stream stream) {
  using Kernel = FloatSegment<W, true, true>;
  return launch<Kernel>({scene, block, next, matrices, static_cast<const float*>(from.x),
                         static_cast<const float*>(from.v), static_cast<float*>(to.x),
                         static_cast<float*>(to.v), partials},
                        Kernel::tiles(scene), stream);
}

template <class W>
ptn_status float_apply(const float* block, const Scene& scene, Features from, const float* matrices,
                       float* to, Stream stream) {
  using Kernel = FloatSegment<W, true, false>;
  return launch<Kernel>({scene, block, nullptr, matrices, static_cast<const float*>(from.x),
                         static_cast<const float*>(from.v), to, nullptr, nullptr},
                        Kernel::tiles(scene), stream);
}

#define PTN_INSTANTIATE(W)                                                                       \
  template ptn_status float_statistics<W>(const float*, const Scene&, Features, float*, Stream); \
  template ptn_status float_boundary<W>(const float*, const float*, const Scene&, Features,      \
                                        const float*, Features, float*, Stream);                 \
  template ptn_status float_apply<W>(const float*, const Scene&, Features, const float*, float*, \
                                     Stream);
PTN_INSTANTIATE(Width28)
PTN_INSTANTIATE(Width40)
#undef PTN_INSTANTIATE

}  // namespace cuda
}  // namespace pantiny
