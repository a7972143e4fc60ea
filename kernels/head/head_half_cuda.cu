#include "kernels/half.h"
#include "kernels/head/head_half_cuda.h"

namespace pantiny {
namespace cuda {

template <class E>
ptn_status head_half(HalfTile tile, const Network& n, const Scene& scene, void* x, Stream stream) {
  return with_types(n.arch, tile, [&](auto w, auto t) {
    using W = decltype(w);
    using T = decltype(t);
    return launch_tiles<HeadHalf<E, W, T>, T>({scene, x, static_cast<const uint32_t*>(n.weights)},
                                              stream);
  });
}

template ptn_status head_half<Half>(HalfTile, const Network&, const Scene&, void*, Stream);
template ptn_status head_half<Bf16>(HalfTile, const Network&, const Scene&, void*, Stream);

}  // namespace cuda
}  // namespace pantiny
