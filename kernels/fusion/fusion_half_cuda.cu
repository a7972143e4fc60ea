#include "kernels/fusion/fusion_half_cuda.h"
#include "kernels/half.h"

namespace pantiny {
namespace cuda {

template <class E>
ptn_status fuse_half(HalfTile tile, const Network& n, const Scene& scene, const void* x, void* to,
                     Stream stream) {
  return with_types(n.arch, tile, [&](auto w, auto t) {
    using W = decltype(w);
    using T = decltype(t);
    return launch_tiles<FuseHalf<E, W, T>, T>(
        {scene, x, to, static_cast<const uint32_t*>(n.weights)}, stream);
  });
}

template ptn_status fuse_half<Half>(HalfTile, const Network&, const Scene&, const void*, void*,
                                    Stream);
template ptn_status fuse_half<Bf16>(HalfTile, const Network&, const Scene&, const void*, void*,
                                    Stream);

}  // namespace cuda
}  // namespace pantiny
