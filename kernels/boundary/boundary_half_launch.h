// Starting the kernels of boundary_half_cuda.h; included by one source an element type.
#pragma once

#include "kernels/boundary/boundary_half_cuda.h"
#include "kernels/half.h"

namespace pantiny {
namespace cuda {

template <class E>
ptn_status statistics_half(HalfTile tile, const Network& n, const Scene& scene, int block,
                           Features f, float* partials, Stream stream) {
  return with_types(n.arch, tile, [&](auto w, auto t) {
    using W = decltype(w);
    using T = decltype(t);
    return launch_tiles<BlockHalf<E, W, T, BlockPart::kSums>, T>(
        {scene, f.x, nullptr, nullptr, f.v, nullptr, nullptr, packed_block<W>(n, block), partials},
        stream);
  });
}

template <class E>
ptn_status boundary_half(HalfTile tile, const Network& n, const Scene& scene, int block,
                         Features from, const void* matrices, Features to, float* partials,
                         Stream stream) {
  return with_types(n.arch, tile, [&](auto w, auto t) {
    using W = decltype(w);
    using T = decltype(t);
    return launch_tiles<BlockHalf<E, W, T, BlockPart::kBoth>, T>(
        {scene, from.x, from.v, to.x, to.v, static_cast<const uint32_t*>(matrices),
         packed_block<W>(n, block), packed_block<W>(n, block + 1), partials},
        stream);
  });
}

template <class E>
ptn_status apply_half(HalfTile tile, const Network& n, const Scene& scene, int block, Features from,
                      const void* matrices, void* to, Stream stream) {
  return with_types(n.arch, tile, [&](auto w, auto t) {
    using W = decltype(w);
    using T = decltype(t);
    return launch_tiles<BlockHalf<E, W, T, BlockPart::kApply>, T>(
        {scene, from.x, from.v, to, nullptr, static_cast<const uint32_t*>(matrices),
         packed_block<W>(n, block), nullptr, nullptr},
        stream);
  });
}

#define PTN_INSTANTIATE_BLOCK(E)                                                                \
  template ptn_status statistics_half<E>(HalfTile, const Network&, const Scene&, int, Features, \
                                         float*, Stream);                                       \
  template ptn_status boundary_half<E>(HalfTile, const Network&, const Scene&, int, Features,   \
                                       const void*, Features, float*, Stream);                  \
  template ptn_status apply_half<E>(HalfTile, const Network&, const Scene&, int, Features,      \
                                    const void*, void*, Stream);

}  // namespace cuda
}  // namespace pantiny
