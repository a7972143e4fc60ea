// A block whose matrix is known, then v and the sums of the next: one kernel, or either half.
//
// A warp takes 16 columns and T::kRows inner rows of its block's region, from load to store; its
// activations stay in its lanes. Only the expanded tensors, 32 channels at a time, go through
// shared memory, because the 3x3 looks at neighbours:
//
//   mix           x + M v in float, kept in registers; its norm, as fragments, in shared memory
//   feed_forward  3.5 or 5 times: 1x1 into h | 3x3, gelu(a) b, 1x1 onto the registers
//   sums          x' stored; its norm in registers; a head's q, k at a time: 1x1 into h | 3x3, q
//                 and k transposed, q k^T, q q^T, k k^T by mma; then v: 1x1 into h | 3x3, stored
#pragma once

#include "kernels/boundary/depthwise_half_cuda.h"
#include "kernels/feature_tile_cuda.h"
#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

enum class BlockPart { kBoth, kApply, kSums };

template <class E, class W, class T, BlockPart Part>
struct BlockHalf {
  static constexpr bool kApplies = Part != BlockPart::kSums, kSumsUp = Part != BlockPart::kApply;
  static constexpr const char* kName = Part == BlockPart::kBoth    ? "boundary, 16 bits"
                                       : Part == BlockPart::kApply ? "apply, 16 bits"
                                                                   : "statistics, 16 bits";
  static constexpr int kThreads = T::kThreads, kMinBlocks = T::kMinBlocks;
  static constexpr int kHalo = kSumsUp ? 2 : 1;  // sums alone: the region of both, so its tiles
  static constexpr int kFragment = 2 * W::kTiles;

  struct Args {
    Scene scene;
    const void *x, *v;         // [images][H][W][slots]
    void *x_out, *v_out;       // the same
    const uint32_t* matrices;  // [images][steps][tiles] fragments
    const uint32_t* block;     // PackedBlock: the chunks of gates are read
    const uint32_t* next;      // PackedBlock: the chunks of q, k, v are read
    float* partials;           // [images][tiles][W::kSums]
  };

  // The expanded chunk, then either the norms as fragments (each lane reads back what it wrote)
  // or, later, what the warps sum up of a head: [warps][24][32 lanes] float.
  static constexpr size_t kChunkBytes =
      static_cast<size_t>(T::kHeight) * T::kWidth * kChunkPixelBytes;
  static constexpr size_t kNormBytes =
      static_cast<size_t>(T::kHeight) * T::kColumnBlocks * kWarp * kFragment * 4;
  static constexpr size_t kHeadBytes = static_cast<size_t>(T::kWarps) * 24 * kWarp * 4;
  static constexpr size_t kSecond =
      Part == BlockPart::kSums || kNormBytes < kHeadBytes ? kHeadBytes : kNormBytes;
  static constexpr size_t shared_bytes(const Args&) {
    return 2 * kChunkMargin + kChunkBytes + kSecond;
  }

  using Sums = float (&)[T::kRows][4 * W::kTiles];

  // Where the fragments of 16 pixels lie, and of a lane's two: 16 bytes `part` of them.
  static PTN_DEVICE char* piece(char* norms, int row) {
    char* of_row = norms + warp_index() % T::kColumnBlocks * kFragment * kWarp * 4;
    return of_row + row * (T::kColumnBlocks * kFragment * kWarp * 4);
  }
  static PTN_DEVICE char* norm_at(char* norms, int row, int part) {
    return piece(norms + lane() * 16, row) + part * kWarp * 16;
  }

  // A lane's part of a row of x in float; `bits` 0 and 1: which pixels are there.
  static PTN_DEVICE void load(const char* from, int t, uint32_t bits, float* c) {
    uint32_t x[kFragment];
    PTN_UNROLL
    for (int p = 0; p < 2; ++p) load_pixel<W>(x, p, from + p * W::kPixelBytes, t, bit(bits, p));
    widen(x, c);
  }
  static PTN_DEVICE void widen(const uint32_t* x, float* c) {
    PTN_UNROLL
    for (int j = 0; j < W::kTiles; ++j) {
      E::unpack(x[2 * j], c[4 * j], c[4 * j + 1]);
      E::unpack(x[2 * j + 1], c[4 * j + 2], c[4 * j + 3]);
    }
  }

  // Returns which pixels of the inner rows are there.
  static PTN_DEVICE uint32_t mix(const Args& a, const Place<T>& at, char* h, char* norms,
                                 Sums sums) {
    const uint32_t all = at.template there<T::kRows + 1>(a.scene, at.first_row());
    const uint32_t inner = at.group == 0 ? all >> 2 : all;
    const uint32_t outer = at.group == 0 ? all : all >> 2 * T::kRows;
    const int64_t offset = at.template offset<W>(a.scene, at.first_inner());
    const int64_t to_outer = (at.outer_row() - at.first_inner()) * row_bytes<W>(a.scene);
    // the norms of 16 pixels take the place of their v, the first chunk that of x, if it fits
    constexpr bool kFits = W::kPixelBytes <= kChunkPixelBytes;
    using Piece = FeatureTile<W, 16, 1>;
    static_assert(Piece::kBytes == kFragment * kWarp * 4, "v and norms are as large");
    const auto each_row = [&](auto&& run) {
      float c[4 * W::kTiles];
      PTN_UNROLL
      for (int i = 0; i < T::kRows; ++i)
        run(at.first_inner() + i, offset + i * row_bytes<W>(a.scene), inner >> 2 * i, sums[i]);
      if (at.has_row(T::kRows)) run(at.outer_row(), offset + to_outer, outer, c);
    };
    each_row([&](int row, int64_t from, uint32_t bits, float*) {
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        const int64_t pixel = from + p * W::kPixelBytes;
        Piece{piece(norms, row)}.copy(static_cast<const char*>(a.v) + pixel, bit(bits, p), 0,
                                      2 * at.g + p, at.t);
        if constexpr (kFits)
          copy_async<16>(chunk_pixel<T>(h, row, at.px + p, at.t),
                         static_cast<const char*>(a.x) + pixel, bit(bits, p));
      }
    });
    uint32_t b[2 * W::kSteps * W::kTiles];
    load_fragments(b, a.matrices + static_cast<int64_t>(at.image) * PackedModel<W>::kMatrix);
    wait_copies();
    sync_warp();
    // v is read by all of a warp before a norm is there: its shuffles lie between
    each_row([&](int row, int64_t from, uint32_t bits, float* c) {
      uint32_t v[kFragment], y[kFragment];
      if constexpr (kFits) {
        uint32_t x[kFragment];
        PTN_UNROLL
        for (int p = 0; p < 2; ++p)
          set_pixel_words(x, p, load_words(chunk_pixel<T>(h, row, at.px + p, at.t)));
        widen(x, c);
      } else {
        load(static_cast<const char*>(a.x) + from, at.t, bits, c);
      }
      PTN_UNROLL
      for (int s = 0; s < W::kSteps; ++s)
        load_matrices(v + 4 * s, Piece{piece(norms, row)}.fragment(s, 0, 0));
      multiply<E, W::kSteps, W::kTiles>(c, v, b);
      norm_fragment<E, W>(y, c, at.t, bit(bits, 0), bit(bits, 1));
      PTN_UNROLL
      for (int k = 0; k < kFragment / 4; ++k)
        store_words(norm_at(norms, row, k), {y[4 * k], y[4 * k + 1], y[4 * k + 2], y[4 * k + 3]});
    });
    return inner;
  }

  // A chunk of gates, words of a lane 4, or 2 of half a chunk: 1x1 into h | 3x3, gate, 1x1.
  template <int Words>
  static PTN_DEVICE void gates(const Place<T>& at, char* h, char* norms, Sums sums,
                               const uint32_t* weights) {
    using Packed = PackedBlock<W>;
    const uint32_t* dw = weights + Packed::kExpand * Words / 4;
    {
      uint32_t b[2 * W::kSteps * Words];
      load_fragments(b, weights);
      const auto row = [&](int i) {
        uint32_t y[kFragment];
        PTN_UNROLL
        for (int k = 0; k < kFragment / 4; ++k) load_chunk<4>(y + 4 * k, norm_at(norms, i, k));
        expand_row<E, T, W::kSteps, Words>(h, i, at.px, at.t, y, b);
      };
      PTN_UNROLL
      for (int i = 0; i < T::kRows; ++i) row(at.first_inner() + i);
      if (at.has_row(T::kRows)) row(at.outer_row());
    }
    sync_block();
    uint32_t b[W::kTiles * Words / 2];
    load_fragments(b, dw + kDwWords * Words / 4);
    const auto contracted = [&](int k, const uint32_t* o) {
      uint32_t gated[Words];
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) PTN_UNROLL
      for (int j = 0; j < Words / 2; ++j)
        gated[2 * j + p] = gate(E{}, o[p * Words + j], o[p * Words + Words / 2 + j]);
      if constexpr (Words == 4)
        multiply<E, 1, W::kTiles>(sums[k], gated, b);
      else
        PTN_UNROLL
      for (int j = 0; j < W::kTiles; ++j) E::mma_8(sums[k] + 4 * j, gated, b[j]);
    };
    depthwise<E, T, Words>(h, dw, at.px, at.t, at.first_inner(), T::kRows, contracted);
    sync_block();  // before h is written again
  }

  static PTN_DEVICE void feed_forward(const Args& a, const Place<T>& at, char* h, char* norms,
                                      Sums sums) {
    const uint32_t* chunk = a.block;
    PTN_NO_UNROLL
    for (int i = 0; i < W::kGateChunks; ++i, chunk += PackedBlock<W>::kGateChunk)
      gates<4>(at, h, norms, sums, chunk);
    if constexpr (W::kHalfChunk) gates<2>(at, h, norms, sums, chunk);
  }

  using Norms = uint32_t (&)[T::kRows][kFragment];

  static PTN_DEVICE const uint32_t* weights_3x3(const Args& a, int chunk) {
    using Packed = PackedBlock<W>;
    return a.next + Packed::kQkv + chunk * Packed::kQkvChunk + Packed::kExpand;
  }
  // A chunk of the next block's qkv into h, inner rows.
  static PTN_DEVICE void expand_next(const Args& a, const Place<T>& at, char* h, int chunk,
                                     Norms y) {
    using Packed = PackedBlock<W>;
    uint32_t b[2 * W::kSteps * 4];
    load_fragments(b, a.next + Packed::kQkv + chunk * Packed::kQkvChunk);
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k)
      expand_row<E, T, W::kSteps, 4>(h, at.first_inner() + k, at.px, at.t, y[k], b);
  }

  // Sums of a head: its part of the tile's partial, warps added in order.
  static PTN_DEVICE void add_warps(const Args& a, const Place<T>& at, const float* of_warps,
                                   int head) {
    constexpr int c = W::kHeadChannels, kOfHead = c * c + 2 * c;
    const int64_t tile =
        (static_cast<int64_t>(at.image) * grid().y + block().y) * grid().x + block().x;
    float* out = a.partials + tile * W::kSums;
    for (int i = thread_again(); i < kOfHead; i += kThreads) {
      const int kind = i < c * c ? 0 : i < c * c + c ? 1 : 2;
      const int row = kind == 0 ? i / c : (i - c * c) % c, column = kind == 0 ? i % c : row;
      // channel 4u + 2h + e is column 2u + e of tile h, or row 2u + e + 8h
      const int g = (row >> 2) * 2 + (row & 1), tile_row = row >> 1 & 1;
      const int t = column >> 2, tile_column = column >> 1 & 1;
      const int word = kind * 8 + tile_column * 4 + tile_row * 2 + (column & 1);
      const int at_word = word * kWarp + g * 4 + t;
      float sum = 0;
      for (int w = 0; w < T::kWarps; ++w) sum += of_warps[w * 24 * kWarp + at_word];
      const int to = kind == 0 ? head * c * c + i
                               : W::kHeads * c * c + (kind - 1) * W::kChannels + head * c + row;
      out[to] = sum;
    }
  }

  // Returns which pixels of the core rows are there and the tile's own.
  static PTN_DEVICE uint32_t sum_up(const Args& a, char* h, char* second, Norms y) {
    const Place<T> at(a.scene, kHalo, thread_again());
    float* of_warps = reinterpret_cast<float*>(second);
    const int first = at.first_core(), rows = at.core_rows();
    // of the pixels that this tile owns
    const uint32_t bits = at.template there<T::kRows>(a.scene, first) & at.owned(kHalo);
    PTN_NO_UNROLL
    for (int head = 0; head < W::kHeads; ++head) {
      expand_next(a, at, h, head, y);
      sync_block();
      float gram[24] = {};  // q k^T, q q^T, k k^T: [2 tiles][4] each
      depthwise<E, T, 4>(
          h, weights_3x3(a, head), at.px, at.t, first, rows, [&](int k, const uint32_t* o) {
            uint32_t q[4], kk[4];  // transposed: rows are channels, K is the 16 pixels
            PTN_UNROLL
            for (int p = 0; p < 2; ++p) {
              const bool in = bit(bits, 2 * k + p);
              PTN_UNROLL
              for (int j = 0; j < 2; ++j) {
                q[2 * p + j] = transpose_8x8(in ? o[4 * p + j] : 0u);
                kk[2 * p + j] = transpose_8x8(in ? o[4 * p + 2 + j] : 0u);
              }
            }
            PTN_UNROLL
            for (int n = 0; n < 2; ++n) {
              E::mma(gram + 4 * n, q, kk[n], kk[2 + n]);
              E::mma(gram + 8 + 4 * n, q, q[n], q[2 + n]);
              E::mma(gram + 16 + 4 * n, kk, kk[n], kk[2 + n]);
            }
          });
      PTN_UNROLL
      for (int e = 0; e < 24; ++e) of_warps[(warp_index() * 24 + e) * kWarp + lane()] = gram[e];
      sync_block();  // h is free, the warps' sums are there
      add_warps(a, at, of_warps, head);
    }
    return bits;
  }

  static PTN_DEVICE void values(const Args& a, char* h, Norms y, uint32_t bits) {
    PTN_NO_UNROLL
    for (int chunk = 0; chunk < W::kValueChunks; ++chunk) {
      const Place<T> at(a.scene, kHalo, thread_again());
      expand_next(a, at, h, W::kHeads + chunk, y);
      sync_block();
      const int first = at.first_core(), rows = at.core_rows();
      const uint32_t owned = at.template in_image<T::kRows>(a.scene, first) & at.owned(kHalo);
      char* v_to = static_cast<char*>(a.v_out) + at.template offset<W>(a.scene, first);
      depthwise<E, T, 4>(h, weights_3x3(a, W::kHeads + chunk), at.px, at.t, first, rows,
                         [&](int k, const uint32_t* o) {
                           PTN_UNROLL
                           for (int p = 0; p < 2; ++p) {
                             if (!bit(owned, 2 * k + p)) continue;
                             char* to = v_to + p * W::kPixelBytes;
                             const bool in = bit(bits, 2 * k + p);
                             const uint32_t* v = o + 4 * p;
                             if (chunk == 0)
                               store_words(to,
                                           in ? Words{v[0], v[1], v[2], v[3]} : Words{0, 0, 0, 0});
                             else
                               *reinterpret_cast<TwoWords*>(to + 64 - at.t * 8) =
                                   in ? TwoWords{v[0], v[1]} : TwoWords{0, 0};
                           }
                           v_to += row_bytes<W>(a.scene);
                         });
      if (chunk + 1 < W::kValueChunks) sync_block();
    }
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    char *h = shared + kChunkMargin, *second = h + kChunkBytes + kChunkMargin;
    float sums[T::kRows][4 * W::kTiles];
    uint32_t bits = 0;
    if constexpr (kApplies) {
      const Place<T> at(a.scene, kHalo, thread());
      bits = mix(a, at, h, second, sums);
      feed_forward(a, at, h, second, sums);
      forget(bits);
    }
    const Place<T> at(a.scene, kHalo, thread_again());
    if constexpr (!kApplies) {
      bits = at.template there<T::kRows>(a.scene, at.first_inner());
      const char* from =
          static_cast<const char*>(a.x) + at.template offset<W>(a.scene, at.first_inner());
      PTN_UNROLL
      for (int k = 0; k < T::kRows; ++k)
        load(from + k * row_bytes<W>(a.scene), at.t, bits >> 2 * k, sums[k]);
    }
    uint32_t y[T::kRows][kFragment];
    const uint32_t owned = at.template in_image<T::kRows>(a.scene, at.first_inner()) &
                           at.owned(kHalo) & at.rows(kHalo);
    char* x_to = static_cast<char*>(a.x_out) + at.template offset<W>(a.scene, at.first_inner());
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      if constexpr (kApplies) {
        uint32_t f[kFragment];
        pack_fragment(f, sums[k], W::kTiles, E::pack_finite);
        store_pixels<W>(x_to, at.t, f, owned >> 2 * k, bits >> 2 * k);
        x_to += row_bytes<W>(a.scene);
      }
      if constexpr (kSumsUp)
        norm_fragment<E, W>(y[k], sums[k], at.t, bit(bits, 2 * k), bit(bits, 2 * k + 1));
    }
    if constexpr (kSumsUp) values(a, h, y, sum_up(a, h, second, y));
  }
};

}  // namespace cuda
}  // namespace pantiny
