// Features in shared memory, and fragments of them.
#pragma once

#include "kernels/half_cuda.h"

namespace pantiny {
namespace cuda {

// Features of a region [rows][width][slots] in shared memory: 32 slots, then, of wider ones, a
// second plane of 16. Pixels and their 16-byte parts are swizzled: the eight that an access takes
// at once, every other pixel of a row or two pixels whole, meet no bank twice.
template <class W, int Width, int Height>
struct FeatureTile {
  static constexpr int kRowBytes = Width * 64, kPlane = Height * kRowBytes;
  static constexpr size_t kBytes = static_cast<size_t>(Height) * Width * W::kPixelBytes;
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
                column < 0           ? 0
                : column > Width - 1 ? Width - 1
                                     : column,
                2 * s + (lane() >> 4));
  }
  // What a lane owns of a pixel, from features (Place::offset) or zeros if it is not `there`; in
  // place after wait_copies().
  PTN_DEVICE void copy(const char* from, bool there, int row, int px, int t) const {
    copy_async<16>(part(row, px, t), from, there);
    if constexpr (W::kTiles > 4)
      copy_async<8>(part(row, px, 4 + (t >> 1)) + (t & 1) * 8, from + 64 - t * 8, there);
  }
  PTN_DEVICE void store(const uint32_t* a, int p, int row, int px, int t) const {
    store_words(part(row, px, t), pixel_words(a, p));
    if constexpr (W::kTiles > 4)
      *reinterpret_cast<TwoWords*>(part(row, px, 4 + (t >> 1)) + (t & 1) * 8) =
          TwoWords{a[8 + p], a[10 + p]};
  }
};

}  // namespace cuda
}  // namespace pantiny
