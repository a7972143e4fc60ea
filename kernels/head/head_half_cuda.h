// The head in 16 bits: ms_up of a region in shared memory, then one product a row piece. K is 12
// taps of 4 bands: lane t of step s holds tap 4s + t; taps 9..11 weigh nothing.
#pragma once

#include "kernels/half_weights.h"

namespace pantiny {
namespace cuda {

template <class E, class W, class T>
struct HeadHalf {
  static constexpr const char* kName = "head, 16 bits";
  static constexpr int kThreads = T::kThreads, kMinBlocks = T::kMinBlocks, kHalo = 1;
  static constexpr int kSteps = PackedModel<W>::kHeadSteps;

  struct Args {
    Scene scene;
    void* x;                  // [images][H][W][slots]
    const uint32_t* weights;  // PackedModel
  };

  static constexpr size_t shared_bytes(const Args&) {
    return static_cast<size_t>(T::kHeight) * T::kWidth * sizeof(TwoWords);
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Scene& s = a.scene;
    const Place<T> at(a.scene, kHalo);
    auto* ms_up = reinterpret_cast<TwoWords*>(shared);  // [rows][width]: bands 0..3
    for (int i = thread(); i < T::kHeight * T::kWidth; i += kThreads) {
      const int iy = at.y0 + i / T::kWidth, ix = at.x0 + i % T::kWidth;
      TwoWords v{0, 0};
      if (exists(s, at.image, iy, ix)) {
        v.x = E::pack(ms_up_at(s, at.image, 0, iy, ix), ms_up_at(s, at.image, 1, iy, ix));
        v.y = E::pack(ms_up_at(s, at.image, 2, iy, ix), ms_up_at(s, at.image, 3, iy, ix));
      }
      ms_up[i] = v;
    }
    uint32_t b[2 * kSteps * W::kTiles];
    load_fragments(b, a.weights + PackedModel<W>::kHead);
    sync_block();
    PTN_UNROLL
    for (int k = 0; k < T::kRows; ++k) {
      const int row = at.first_inner() + k;
      uint32_t taps[4 * kSteps];
      PTN_UNROLL
      for (int step = 0; step < kSteps; ++step) {
        const int tap = 4 * step + at.t < 9 ? 4 * step + at.t : 8;
        PTN_UNROLL
        for (int p = 0; p < 2; ++p) {
          int column = at.px + p + tap % 3 - 1;
          column = column < 0 ? 0 : column > T::kWidth - 1 ? T::kWidth - 1 : column;
          const TwoWords v = ms_up[(row + tap / 3 - 1) * T::kWidth + column];
          taps[4 * step + p] = v.x;
          taps[4 * step + 2 + p] = v.y;
        }
      }
      float c[4 * W::kTiles] = {};
      multiply<E, kSteps, W::kTiles>(c, taps, b);
      uint32_t f[2 * W::kTiles];
      pack_fragment<E, W::kTiles>(f, c);
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) {
        if (!at.owns_column(kHalo, p) || !at.in_image(s, row, p)) continue;
        if (!at.there(s, row, p)) clear_pixel<W>(f, p);
        store_pixel<W>(a.x, at.pixel(s, row, p), at.t, f, p);
      }
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
