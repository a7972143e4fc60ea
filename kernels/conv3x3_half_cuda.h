// 3x3 convolutions of 16-bit features as products: the fragment of a tap is two shifted pixels.
#pragma once

#include "kernels/feature_tile_cuda.h"
#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

template <class W, class T>
using RegionTile = FeatureTile<W, T::kWidth, T::kHeight>;

// Rows [first, first + rows) of a 3x3 over a tile, rows <= T::kRows; sums [rows][tiles][4]. The
// outermost columns of the region come out wrong: nothing inside needs them.
template <class E, class W, class T, int Tiles>
PTN_DEVICE void convolve(RegionTile<W, T> in, const uint32_t* weights, const Place<T>& at,
                         int first, int rows, float (&sums)[T::kRows][4 * Tiles]) {
  constexpr int kFlat = W::kSteps * Tiles;                // products of a tap
  constexpr int kWords = (kFlat + 1) / 2 * 2 * 2;         // of a lane, 16-byte loads
  constexpr int kTap = (kFlat + 1) / 2 * 2 * kStepWords;  // of the warp
  PTN_UNROLL
  for (int k = 0; k < T::kRows; ++k) PTN_UNROLL
  for (int e = 0; e < 4 * Tiles; ++e) sums[k][e] = 0;
  // a row of input serves three rows of output: with few weights, the taps of a column at once
  constexpr int kAtOnce = kWords <= 16 ? 3 : 1;
  PTN_NO_UNROLL
  for (int tap = 0; tap < 9; tap += kAtOnce) {  // [dx][dy]
    const int dx = tap / 3, shift = tap % 3;
    uint32_t b[kAtOnce][kWords];
    PTN_UNROLL
    for (int dy = 0; dy < kAtOnce; ++dy) load_fragments(b[dy], weights + (tap + dy) * kTap);
    const char* from[W::kSteps];
    PTN_UNROLL
    for (int s = 0; s < W::kSteps; ++s)
      from[s] = in.fragment(s, first - 1 + shift, at.px - 2 * at.g + dx - 1);
    PTN_UNROLL
    for (int i = 0; i < T::kRows + kAtOnce - 1; ++i) {
      if (!at.is_core(i - (kAtOnce - 1), rows)) continue;
      uint32_t a[4 * W::kSteps];
      PTN_UNROLL
      for (int s = 0; s < W::kSteps; ++s)
        load_matrices(a + 4 * s, from[s] + i * (s < 2 ? in.kRowBytes : in.kRowBytes / 2));
      PTN_UNROLL
      for (int dy = 0; dy < kAtOnce; ++dy) {
        const int o = i - dy;
        if (o < 0 || o >= T::kRows) continue;
        multiply<E, W::kSteps, Tiles>(sums[o], a, b[dy]);
      }
    }
  }
}

// Two 3x3 one after the other, halo 2 in all: x of the region into shared memory (and PAN into
// slot C), the first over its inner rows into a second tile, the second over what is left.
template <class E, class W, class T>
struct TwoConvolutions {
  static constexpr int kFragment = 2 * W::kTiles;
  static constexpr int kHalo = 2;
  static constexpr size_t kBytes = 2 * RegionTile<W, T>::kBytes;

  // Returns the bits of the rows from at.first_row() on that are there; wait_copies() follows.
  static PTN_DEVICE uint32_t load(const Scene& s, const Place<T>& at, const void* x,
                                  RegionTile<W, T> tile) {
    const uint32_t bits = at.template there<T::kRows + 1>(s, at.first_row());
    const char* from = static_cast<const char*>(x) + at.template offset<W>(s, at.first_row());
    PTN_UNROLL
    for (int i = 0; i < T::kRows + 1; ++i) {
      const int row = at.first_row() + i;
      if (!at.has_row(i)) continue;
      PTN_UNROLL
      for (int p = 0; p < 2; ++p)
        tile.copy(from + i * row_bytes<W>(s) + p * W::kPixelBytes, bit(bits, 2 * i + p), row,
                  at.px + p, at.t);
    }
    return bits;
  }

  // Waits for what load() copies and puts PAN into slot C of it; `bits` from there.
  static PTN_DEVICE void wait_and_add_pan(const Scene& s, const Place<T>& at, uint32_t bits,
                                          RegionTile<W, T> tile) {
    float dn[T::kRows + 1][2] = {};
    const bool mine = at.t == W::kExtraLane;  // the lane that copied the slot
    if (mine)
      with_samples(s.pan, [&](const auto* pan) {
        pan += at.image * s.pan.image_stride + (at.y0 + at.first_row()) * s.pan.row_stride +
               (at.x0 + at.px) * s.pan.col_stride;
        PTN_UNROLL
        for (int i = 0; i < T::kRows + 1; ++i, pan += s.pan.row_stride) PTN_UNROLL
        for (int p = 0; p < 2; ++p)
          if (bit(bits, 2 * i + p)) dn[i][p] = static_cast<float>(pan[p * s.pan.col_stride]);
      });
    wait_copies();
    if (!mine) return;
    const float units = s.units_per_dn[at.image];
    PTN_UNROLL
    for (int i = 0; i < T::kRows + 1; ++i) {
      if (!at.has_row(i)) continue;
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        char* slots = tile.part(at.first_row() + i, at.px + p, W::kChannels / 8);
        *reinterpret_cast<uint32_t*>(slots + W::kChannels % 8 * 2) =
            E::pack_finite(dn[i][p] * units, 0.0f);
      }
    }
  }

  // The first 3x3; zero where no pixel exists, before the second reads it.
  template <class Pack>
  static PTN_DEVICE void first(const Place<T>& at, uint32_t bits, RegionTile<W, T> in,
                               const uint32_t* weights, RegionTile<W, T> out, Pack&& pack) {
    float sums[T::kRows][4 * W::kTiles];
    convolve<E, W, T, W::kTiles>(in, weights, at, at.first_inner(), T::kRows, sums);
    if (at.group == 0) bits >>= 2;
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      uint32_t a[kFragment];
      pack_fragment(a, sums[k], W::kTiles, pack);
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        if (!bit(bits, 2 * k + p)) clear_pixel<W>(a, p);
        out.store(a, p, at.first_inner() + k, at.px + p, at.t);
      }
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
