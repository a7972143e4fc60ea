// The segments of 16-bit features (segments.h), with the shape of their tiles.
#pragma once

#include "csrc/cuda/segments.h"
#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

// Columns and rows that a block owns, C = 28 | 40. Partial sums are one set a tile of the boundary.
enum class HalfTile {
  kWide,   // 60 x 13 | 60 x 7: 139 kB of shared memory
  kLean,   // 60 x 8 | 60 x 4: for devices that offer a block 99 kB
  kSmall,  // 28 x 8 | 28 x 4: many blocks of small images
};

// E: Half or Bf16.
template <class E>
ptn_status head_half(HalfTile, const Network&, const Scene&, void* x, Stream);
template <class E>
ptn_status statistics_half(HalfTile, const Network&, const Scene&, int block, Features,
                           float* partials, Stream);
template <class E>
ptn_status boundary_half(HalfTile, const Network&, const Scene&, int block, Features from,
                         const void* matrices, Features to, float* partials, Stream);
template <class E>
ptn_status apply_half(HalfTile, const Network&, const Scene&, int block, Features from,
                      const void* matrices, void* to, Stream);
template <class E>
ptn_status fuse_half(HalfTile, const Network&, const Scene&, const void* x, void* to, Stream);
template <class E>
ptn_status tail_half(HalfTile, const Network&, const Scene&, const void* x, float* fused, Stream);

// run(Width, Tile) with the types of an architecture and a shape.
template <class Run>
ptn_status with_types(const ptn_arch& arch, HalfTile tile, Run&& run) {
  if (arch.channels == 28 && arch.heads == 2) {
    using W = Width<28, 2>;
    switch (tile) {
      case HalfTile::kWide:
        return run(W{}, Tile<4, 3, 5>{});
      case HalfTile::kLean:
        return run(W{}, Tile<4, 2, 5>{});
      case HalfTile::kSmall:
        return run(W{}, Tile<2, 2, 5>{});
    }
  }
  if (arch.channels == 40 && arch.heads == 4) {
    using W = Width<40, 4>;  // half as much again a pixel: fewer rows a warp
    switch (tile) {
      case HalfTile::kWide:
        return run(W{}, Tile<4, 3, 3>{});
      case HalfTile::kLean:
        return run(W{}, Tile<4, 2, 3>{});
      case HalfTile::kSmall:
        return run(W{}, Tile<2, 2, 3>{});
    }
  }
  return PTN_ERR_UNSUPPORTED;
}

// Blocks of a kernel whose tiles lie next to each other; PTN_ERR_ARGUMENT if there are too many.
template <class T>
ptn_status tile_grid(const Scene& s, int halo, Dim3* grid) {
  constexpr int kMost = 65535;
  *grid = {ceil_div(s.width, T::kWidth - 2 * halo), ceil_div(s.height, T::kHeight - 2 * halo),
           s.images};
  return grid->y > kMost || grid->z > kMost ? PTN_ERR_ARGUMENT : PTN_OK;
}

// Tiles that partial sums are of.
template <class T>
TileGrid sum_tiles(const Scene& s) {
  constexpr int kHalo = 2, kHeight = T::kHeight - 2 * kHalo;
  return {kHeight, ceil_div(s.height, kHeight), ceil_div(s.width, T::kWidth - 2 * kHalo)};
}

template <class W>
const uint32_t* packed_block(const Network& n, int block) {
  return static_cast<const uint32_t*>(n.weights) + PackedModel<W>::kBlocks +
         static_cast<int64_t>(block) * PackedBlock<W>::kWords;
}

template <class Kernel, class T>
ptn_status launch_tiles(const typename Kernel::Args& args, Stream stream) {
  Dim3 grid;
  const ptn_status status = tile_grid<T>(args.scene, Kernel::kHalo, &grid);
  return status == PTN_OK ? launch<Kernel>(args, grid, stream) : status;
}

}  // namespace cuda
}  // namespace pantiny
