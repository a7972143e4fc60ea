// enhanced_conv of 16-bit features: both 3x3 in one kernel, PAN in slot C of the first.
#pragma once

#include "kernels/conv3x3_half_cuda.h"

namespace pantiny {
namespace cuda {

template <class E, class W, class T>
struct FuseHalf {
  static constexpr const char* kName = "fuse, 16 bits";
  static constexpr int kThreads = T::kThreads, kMinBlocks = T::kMinBlocks, kHalo = 2;
  using Two = TwoConvolutions<E, W, T>;

  struct Args {
    Scene scene;
    const void* x;  // [images][H][W][slots]
    void* out;
    const uint32_t* weights;  // PackedModel
  };

  static constexpr size_t shared_bytes(const Args&) { return Two::kBytes; }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const RegionTile<W, T> x{shared}, between{shared + RegionTile<W, T>::kBytes};
    {
      const Place<T> at(a.scene, kHalo, thread());
      const uint32_t bits = Two::load(a.scene, at, a.x, x);
      Two::wait_and_add_pan(a.scene, at, bits, x);
      sync_block();
      Two::first(at, bits, x, a.weights + PackedModel<W>::kFuse1, between, E::pack_relu);
    }
    sync_block();
    const Place<T> at(a.scene, kHalo, thread_again());
    float sums[T::kRows][4 * W::kTiles];
    const int first = at.first_core(), rows = at.core_rows();
    convolve<E, W, T, W::kTiles>(between, a.weights + PackedModel<W>::kFuse2, at, first, rows,
                                 sums);
    const uint32_t there = at.template there<T::kRows>(a.scene, first);
    const uint32_t owned = at.template in_image<T::kRows>(a.scene, first) & at.owned(kHalo);
    char* to = static_cast<char*>(a.out) + at.template offset<W>(a.scene, first);
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      if (!at.is_core(k, rows)) continue;
      uint32_t f[2 * W::kTiles];
      pack_fragment(f, sums[k], W::kTiles, E::pack_finite);
      store_pixels<W>(to + k * row_bytes<W>(a.scene), at.t, f, owned >> 2 * k, there >> 2 * k);
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
