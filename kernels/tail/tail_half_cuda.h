// refine and output of 16-bit features in one kernel; ms_up is added in float.
#pragma once

#include "kernels/conv3x3_half_cuda.h"

namespace pantiny {
namespace cuda {

template <class E, class W, class T>
struct TailHalf {
  static constexpr const char* kName = "tail, 16 bits";
  static constexpr int kThreads = T::kThreads, kMinBlocks = T::kMinBlocks, kHalo = 2;
  using Two = TwoConvolutions<E, W, T>;

  struct Args {
    Scene scene;
    const void* x;            // [images][H][W][slots]
    float* fused;             // [images][4][H][W]
    const uint32_t* weights;  // PackedModel
  };

  static constexpr size_t shared_bytes(const Args&) { return Two::kBytes; }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Place<T> at(a.scene, kHalo);
    const FeatureTile<W, T> x{shared}, refined{shared + FeatureTile<W, T>::kBytes};
    Two::template load<false>(a.scene, at, a.x, x);
    sync_block();
    Two::template first<false>(a.scene, at, x, a.weights + PackedModel<W>::kRefine, refined);
    sync_block();
    float sums[T::kRows][4];  // band t of two pixels: column 2t of the product
    const int first = at.first_core(), rows = at.core_rows();
    convolve<E, W, T, 1>(refined, a.weights + PackedModel<W>::kOutput, at, first, rows, sums);
    const Scene& s = a.scene;
    const int64_t plane = static_cast<int64_t>(s.height) * s.width;
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      if (k >= rows) continue;
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        const int row = first + k, iy = at.y0 + row, ix = at.x0 + at.px + p;
        if (!at.owns_column(kHalo, p) || !at.in_image(s, row, p)) continue;
        const float v =
            at.there(s, row, p) ? sums[k][2 * p] + ms_up_at(s, at.image, at.t, iy, ix) : 0.0f;
        a.fused[(static_cast<int64_t>(at.image) * 4 + at.t) * plane +
                static_cast<int64_t>(iy) * s.width + ix] = v;
      }
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
