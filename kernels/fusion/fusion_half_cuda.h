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
    const Place<T> at(a.scene, kHalo);
    const FeatureTile<W, T> x{shared}, between{shared + FeatureTile<W, T>::kBytes};
    Two::template load<true>(a.scene, at, a.x, x);
    sync_block();
    Two::template first<true>(a.scene, at, x, a.weights + PackedModel<W>::kFuse1, between);
    sync_block();
    float sums[T::kRows][4 * W::kTiles];
    const int first = at.first_core(), rows = at.core_rows();
    convolve<E, W, T, W::kTiles>(between, a.weights + PackedModel<W>::kFuse2, at, first, rows,
                                 sums);
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      if (k >= rows) continue;
      uint32_t f[2 * W::kTiles];
      pack_fragment<E, W::kTiles>(f, sums[k]);
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        const int row = first + k;
        if (!at.owns_column(kHalo, p) || !at.in_image(a.scene, row, p)) continue;
        if (!at.there(a.scene, row, p)) clear_pixel<W>(f, p);
        store_pixel<W>(a.out, at.pixel(a.scene, row, p), at.t, f, p);
      }
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
