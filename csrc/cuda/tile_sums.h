// Sums of an index over tiles, on their way to one number per pair.
#pragma once

#include "csrc/cuda/launch.h"

namespace pantiny {
namespace cuda {

// What the tiles of images leave behind; tiles count along rows first.
struct TileSums {
  int64_t tiles;     // of an image
  int64_t together;  // tiles of PTN_WINDOW_ROWS rows of windows
  int images, pairs;
  double* sums;      // [images][pairs][tiles]
  uint32_t* counts;  // [images][tiles]: windows that count

  // Those of the image of this block.
  PTN_DEVICE double* sums_of(int pair) const {
    return sums + (static_cast<int64_t>(block().z) * pairs + pair) * tiles;
  }
  PTN_DEVICE uint32_t* counts_of() const { return counts + block().z * tiles; }
};

// Tiles of windows of an image; 0 where there is no window.
inline int64_t tiles_along(int64_t windows, int64_t side) {
  return windows <= 0 ? 0 : (windows + side - 1) / side;
}

inline size_t tile_sums_bytes(int64_t tiles, int images, int pairs) {
  const auto n = static_cast<size_t>(tiles) * static_cast<size_t>(images);
  return (n * (sizeof(double) * static_cast<size_t>(pairs) + sizeof(uint32_t)) + 63) / 64 * 64;
}

// For tiles of `rows` x `cols` windows in `memory`, aligned to 8 bytes.
inline TileSums tile_sums(int64_t down, int64_t across, int rows, int images, int pairs,
                          void* memory) {
  TileSums t;
  t.images = images;
  t.pairs = pairs;
  t.tiles = down * across;
  t.together = across * (PTN_WINDOW_ROWS / rows);
  t.sums = static_cast<double*>(memory);
  t.counts = reinterpret_cast<uint32_t*>(t.sums + t.tiles * images * pairs);
  return t;
}

// sums [images][pairs] and count [images] += those of all tiles. PTN_WINDOW_ROWS rows of windows
// are summed on their own, so that an image in pieces of them has the same bits.
ptn_status add_tile_sums(const TileSums& tiles, double* sums, int64_t* count, Stream stream);

}  // namespace cuda
}  // namespace pantiny
