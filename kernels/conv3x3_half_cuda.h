// 3x3 convolutions of 16-bit features as products: the fragment of a tap is two shifted pixels.
#pragma once

#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

// Features of a region [rows][width][slots] in shared memory, swizzled: 32 slots, then, of wider
// ones, a second plane of 16.
template <class W, class T>
struct FeatureTile {
  static constexpr int kPlane = T::kHeight * T::kWidth * 64;
  static constexpr size_t kBytes = static_cast<size_t>(T::kHeight) * T::kWidth * W::kPixelBytes;
  char* base;

  PTN_DEVICE void load(uint32_t* a, int p, int row, int px, int t) const {
    const int at = row * T::kWidth + swizzled(px);
    set_pixel_words(a, p, load_words(base + at * 64 + t * 16));
    if constexpr (W::kTiles > 4) {
      const auto v = *reinterpret_cast<const TwoWords*>(base + kPlane + at * 32 + t * 8);
      a[8 + p] = v.x;
      a[10 + p] = v.y;
    }
  }
  PTN_DEVICE void store(const uint32_t* a, int p, int row, int px, int t) const {
    const int at = row * T::kWidth + swizzled(px);
    store_words(base + at * 64 + t * 16, pixel_words(a, p));
    if constexpr (W::kTiles > 4)
      *reinterpret_cast<TwoWords*>(base + kPlane + at * 32 + t * 8) = TwoWords{a[8 + p], a[10 + p]};
  }
};

// Rows [first, first + rows) of a 3x3 over a tile, rows <= T::kRows; sums [rows][tiles][4]. The
// outermost columns of the region come out wrong: nothing inside needs them.
template <class E, class W, class T, int Tiles>
PTN_DEVICE void convolve(FeatureTile<W, T> in, const uint32_t* weights, const Place<T>& at,
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
    int columns[2];
    PTN_UNROLL
    for (int p = 0; p < 2; ++p) {
      const int c = at.px + p + dx - 1;
      columns[p] = c < 0 ? 0 : c > T::kWidth - 1 ? T::kWidth - 1 : c;
    }
    PTN_UNROLL
    for (int i = 0; i < T::kRows + kAtOnce - 1; ++i) {
      if (i >= rows + kAtOnce - 1) continue;
      uint32_t a[2 * W::kTiles];
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) in.load(a, p, first - 1 + i + shift, columns[p], at.t);
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
  static constexpr size_t kBytes = 2 * FeatureTile<W, T>::kBytes;

  template <bool WithPan>
  static PTN_DEVICE void load(const Scene& s, const Place<T>& at, const void* x,
                              FeatureTile<W, T> tile) {
    PTN_UNROLL
    for (int i = 0; i < T::kRows + 1; ++i) {
      const int row = at.first_row() + i;
      if (row >= at.end_row()) continue;
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        uint32_t a[kFragment];
        const bool there = at.there(s, row, p);
        load_pixel<W>(a, p, x, at.pixel(s, row, p), at.t, there);
        if (WithPan && there && at.t == W::kExtraLane)
          a[2 * W::kExtraTile + p] =
              E::pack(pan_at(s, at.image, at.y0 + row, at.x0 + at.px + p), 0.0f);
        tile.store(a, p, row, at.px + p, at.t);
      }
    }
  }

  // The first 3x3; zero where no pixel exists, before the second reads it.
  template <bool Relu>
  static PTN_DEVICE void first(const Scene& s, const Place<T>& at, FeatureTile<W, T> in,
                               const uint32_t* weights, FeatureTile<W, T> out) {
    float sums[T::kRows][4 * W::kTiles];
    convolve<E, W, T, W::kTiles>(in, weights, at, at.first_inner(), T::kRows, sums);
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      const int row = at.first_inner() + k;
      if (Relu) PTN_UNROLL
      for (int e = 0; e < 4 * W::kTiles; ++e) sums[k][e] = sums[k][e] > 0 ? sums[k][e] : 0.0f;
      uint32_t a[kFragment];
      pack_fragment<E, W::kTiles>(a, sums[k]);
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        if (!at.there(s, row, p)) clear_pixel<W>(a, p);
        out.store(a, p, row, at.px + p, at.t);
      }
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
