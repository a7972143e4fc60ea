#include "kernels/half.h"
#include "kernels/tail/tail_half_cuda.h"

namespace pantiny {
namespace cuda {

template <class E>
ptn_status tail_half(HalfTile tile, const Network& n, const Scene& scene, const void* x,
                     float* fused, Stream stream) {
  return with_types(n.arch, tile, [&](auto w, auto t) {
    using W = decltype(w);
    using T = decltype(t);
    return launch_tiles<TailHalf<E, W, T>, T>(
        {scene, x, fused, static_cast<const uint32_t*>(n.weights)}, stream);
  });
}

template ptn_status tail_half<Half>(HalfTile, const Network&, const Scene&, const void*, float*,
                                    Stream);
template ptn_status tail_half<Bf16>(HalfTile, const Network&, const Scene&, const void*, float*,
                                    Stream);

}  // namespace cuda
}  // namespace pantiny
