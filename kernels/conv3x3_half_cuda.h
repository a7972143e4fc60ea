// 3x3 convolutions of 16-bit features as products: the fragment of a tap is two shifted pixels.
#pragma once

#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

// Features of a region [rows][width][slots] in shared memory: 32 slots, then, of wider ones, a
// second plane of 16. Pixels and their 16-byte parts are swizzled: the eight that an access takes
// at once, every other pixel of a row or two pixels whole, meet no bank twice.
template <class W, class T>
struct FeatureTile {
  static constexpr int kRowBytes = T::kWidth * 64, kPlane = T::kHeight * kRowBytes;
  static constexpr size_t kBytes = static_cast<size_t>(T::kHeight) * T::kWidth * W::kPixelBytes;
  char* base;

  // Slots 8 part .. 8 part + 7 of a pixel.
  PTN_DEVICE char* part(int row, int px, int part) const {
    // rows are added last: a constant offset where rows are unrolled
    if (part < 4) {
      char* of_row = base + swizzled(px) * 64 + (part ^ ((px >> 2) & 3)) * 16;
      return of_row + row * kRowBytes;
    }
    char* of_row = base + kPlane + (px ^ (px >> 2 & 1)) * 32 + ((part - 4) ^ (px >> 3 & 1)) * 16;
    return of_row + row * (kRowBytes / 2);
  }
  // The fragment of step s of K, slots in their order, of 16 pixels from px on; of the next row
  // it lies kRowBytes or, of the second plane, half as far ahead.
  PTN_DEVICE const char* fragment(int s, int row, int px) const {
    const int column = px + 2 * (lane() & 7) + (lane() >> 3 & 1);
    return part(row,
                column < 0               ? 0
                : column > T::kWidth - 1 ? T::kWidth - 1
                                         : column,
                2 * s + (lane() >> 4));
  }
  // What a lane owns of a pixel.
  PTN_DEVICE void store(const uint32_t* a, int p, int row, int px, int t) const {
    store_words(part(row, px, t), pixel_words(a, p));
    if constexpr (W::kTiles > 4)
      *reinterpret_cast<TwoWords*>(part(row, px, 4 + (t >> 1)) + (t & 1) * 8) =
          TwoWords{a[8 + p], a[10 + p]};
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
  static constexpr size_t kBytes = 2 * FeatureTile<W, T>::kBytes;

  // Returns the bits of the rows from at.first_row() on that are there.
  static PTN_DEVICE uint32_t load(const Scene& s, const Place<T>& at, const void* x,
                                  FeatureTile<W, T> tile) {
    const uint32_t bits = at.template there<T::kRows + 1>(s, at.first_row());
    const char* from = static_cast<const char*>(x) + at.template offset<W>(s, at.first_row());
    PTN_UNROLL
    for (int i = 0; i < T::kRows + 1; ++i) {
      const int row = at.first_row() + i;
      if (!at.has_row(i)) continue;
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        uint32_t a[kFragment];
        load_pixel<W>(a, p, from + i * row_bytes<W>(s) + p * W::kPixelBytes, at.t,
                      bit(bits, 2 * i + p));
        tile.store(a, p, row, at.px + p, at.t);
      }
    }
    return bits;
  }

  // PAN into slot C of what load() has stored, `bits` from there.
  static PTN_DEVICE void add_pan(const Scene& s, const Place<T>& at, uint32_t bits,
                                 FeatureTile<W, T> tile) {
    if (at.t != W::kExtraLane) return;  // the lane that stored the slot
    const float units = s.units_per_dn[at.image];
    with_samples(s.pan, [&](const auto* pan) {
      pan += at.image * s.pan.image_stride + (at.y0 + at.first_row()) * s.pan.row_stride +
             (at.x0 + at.px) * s.pan.col_stride;
      PTN_UNROLL
      for (int i = 0; i < T::kRows + 1; ++i, pan += s.pan.row_stride) {
        const int row = at.first_row() + i;
        if (!at.has_row(i)) continue;
        PTN_UNROLL
        for (int p = 0; p < 2; ++p) {
          const float dn =
              bit(bits, 2 * i + p) ? static_cast<float>(pan[p * s.pan.col_stride]) : 0.0f;
          char* slots = tile.part(row, at.px + p, W::kChannels / 8);
          *reinterpret_cast<uint32_t*>(slots + W::kChannels % 8 * 2) =
              E::pack_finite(dn * units, 0.0f);
        }
      }
    });
  }

  // The first 3x3; zero where no pixel exists, before the second reads it.
  template <class Pack>
  static PTN_DEVICE void first(const Place<T>& at, uint32_t bits, FeatureTile<W, T> in,
                               const uint32_t* weights, FeatureTile<W, T> out, Pack&& pack) {
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
