// refine and output of 16-bit features in one kernel; ms_up is added in float.
#pragma once

#include "kernels/conv3x3_half_cuda.h"
#include "kernels/ms_tile_cuda.h"

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

  using Ms = MsTile<T::kHeight - 2 * kHalo, T::kWidth - 2 * kHalo, kThreads>;

  // MS takes the place of x after the first 3x3; behind it, what a thread interpolates by itself.
  static constexpr size_t kOwn = Ms::kBytes;
  static_assert(kOwn + sizeof(float) * 2 * T::kRows * kThreads <= RegionTile<W, T>::kBytes, "");
  static constexpr size_t shared_bytes(const Args&) { return Two::kBytes; }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Scene& s = a.scene;
    const RegionTile<W, T> x{shared}, refined{shared + RegionTile<W, T>::kBytes};
    {
      const Place<T> at(s, kHalo, thread());
      const uint32_t bits = Two::load(s, at, a.x, x);
      wait_copies();
      sync_block();
      Two::first(at, bits, x, a.weights + PackedModel<W>::kRefine, refined, E::pack_finite);
    }
    sync_block();
    const Place<T> at(s, kHalo, thread_again());
    const Ms ms(s, at.image, at.y0 + kHalo, at.x0 + kHalo, shared);
    ms.mix(s);
    float sums[T::kRows][4];  // band t of two pixels: column 2t of the product
    const int first = at.first_core(), rows = at.core_rows();
    convolve<E, W, T, 1>(refined, a.weights + PackedModel<W>::kOutput, at, first, rows, sums);
    sync_block();
    const uint32_t bits = at.template there<T::kRows>(s, first);
    const uint32_t owned =
        at.template in_image<T::kRows>(s, first) & at.owned(kHalo) & ((1u << 2 * rows) - 1u);
    float* own = reinterpret_cast<float*>(shared + kOwn) + thread();
    if (s.ms_valid.data) {
      PTN_NO_UNROLL
      for (int i = 0; i < 2 * rows; ++i) {
        const int y = at.y0 + first + i / 2, x = at.x0 + at.px + (i & 1);
        if (bit(bits & owned, i)) own[i * kThreads] = ms_up_at(s, at.image, at.t, y, x);
      }
    }
    const float units = s.units_per_dn[at.image];
    const int64_t line = (static_cast<int64_t>(at.image) * 4 + at.t) * s.height + at.y0 + first;
    float* to = a.fused + line * s.width + at.x0 + at.px;
    PTN_UNROLL
    for (int p = 0; p < 2; ++p) {
      if (!bit(owned, p)) continue;
      const CubicTaps& taps = s.columns[at.x0 + at.px + p];
      PTN_UNROLL
      for (int k = 0; k < T::kRows; ++k) {
        if (!bit(owned, 2 * k + p)) continue;
        const float dn = ms.cubic(taps, first + k - kHalo, at.t);
        const float ms_up = dn == dn ? dn * units : own[(2 * k + p) * kThreads];
        to[static_cast<int64_t>(k) * s.width + p] =
            bit(bits, 2 * k + p) ? sums[k][2 * p] + ms_up : 0.0f;
      }
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
