// The segments of 16-bit features in every shape of tile.
#include "kernels/half.h"
#include "tests/cuda/segment_ops.h"

namespace pantiny {
namespace cuda {

namespace {

// The table of a precision with one shape of tile in place of the image's.
template <class E, HalfTile kTile>
Segments shaped(Segments table) {
  table.tiles = [](const ptn_arch& arch, const Scene& scene, bool) {
    TileGrid found{};
    with_types(arch, kTile, [&](auto, auto t) {
      found = sum_tiles<decltype(t)>(scene);
      return PTN_OK;
    });
    return found;
  };
  table.head = [](const Network& n, const Scene& s, void* x, Stream stream) {
    return head_half<E>(kTile, n, s, x, stream);
  };
  table.statistics = [](const Network& n, const Scene& s, int block, Features x, float* partials,
                        Stream stream) {
    return statistics_half<E>(kTile, n, s, block, x, partials, stream);
  };
  table.boundary = [](const Network& n, const Scene& s, int block, Features from,
                      const void* matrices, Features to, float* partials, Stream stream) {
    return boundary_half<E>(kTile, n, s, block, from, matrices, to, partials, stream);
  };
  table.apply = [](const Network& n, const Scene& s, int block, Features from, const void* matrices,
                   void* to, Stream stream) {
    return apply_half<E>(kTile, n, s, block, from, matrices, to, stream);
  };
  table.fuse = [](const Network& n, const Scene& s, const void* x, void*, void* to, Stream stream) {
    return fuse_half<E>(kTile, n, s, x, to, stream);
  };
  table.tail = [](const Network& n, const Scene& s, const void* x, void*, float* fused,
                  Stream stream) { return tail_half<E>(kTile, n, s, x, fused, stream); };
  return table;
}

template <class E>
Segments of_tile(const Segments& table, int tile) {
  if (tile == kByImage) return table;
  switch (static_cast<HalfTile>(tile)) {
    case HalfTile::kWide:
      return shaped<E, HalfTile::kWide>(table);
    case HalfTile::kLean:
      return shaped<E, HalfTile::kLean>(table);
    default:
      return shaped<E, HalfTile::kSmall>(table);
  }
}

}  // namespace

Segments segments_for(bool bf16, int tile) {
  return bf16 ? of_tile<Bf16>(bf16_segments(), tile) : of_tile<Half>(half_segments(), tile);
}

}  // namespace cuda
}  // namespace pantiny
