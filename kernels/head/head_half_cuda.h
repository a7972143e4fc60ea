// The head in 16 bits: ms_up of a region in shared memory, then one product a row piece. K is 12
// taps of 4 bands: lane t of step s holds tap 4s + t; taps 9..11 weigh nothing.
#pragma once

#include "kernels/half_weights.h"
#include "kernels/ms_tile_cuda.h"

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

  using Ms = MsTile<T::kHeight, T::kWidth, kThreads>;
  static constexpr size_t kMsUp = static_cast<size_t>(T::kHeight) * T::kWidth * sizeof(TwoWords);

  static constexpr size_t shared_bytes(const Args&) { return kMsUp + Ms::kBytes; }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Scene& s = a.scene;
    const Place<T> at(s, kHalo, thread());
    auto* ms_up = reinterpret_cast<TwoWords*>(shared);  // [rows][width]: bands 0..3
    const Ms ms(s, at.image, at.y0, at.x0, shared + kMsUp);
    ms.mix(s);
    sync_block();
    const float units = s.units_per_dn[at.image];
    for (int i = thread(); i < T::kHeight * T::kWidth; i += kThreads) {
      const int row = i / T::kWidth, iy = at.y0 + row, ix = at.x0 + i % T::kWidth;
      TwoWords v{0, 0};
      if (exists(s, at.image, iy, ix)) {
        const CubicTaps& taps = s.columns[ix];
        const auto value = [&](int band) { return ms.cubic(taps, row, band) * units; };
        v.x = E::pack_finite(value(0), value(1));
        v.y = E::pack_finite(value(2), value(3));
      }
      ms_up[i] = v;
    }
    if (s.ms_valid.data) {  // where the cubic is NaN: a thread's own pixels again
      constexpr int kEach = (T::kHeight * T::kWidth + kThreads - 1) / kThreads * Ms::kBands;
      PTN_NO_UNROLL
      for (int n = 0; n < kEach; ++n) {
        const int i = thread() + n / Ms::kBands * kThreads, band = n % Ms::kBands;
        const int row = i / T::kWidth, iy = at.y0 + row, ix = at.x0 + i % T::kWidth;
        if (i >= T::kHeight * T::kWidth || !exists(s, at.image, iy, ix)) continue;
        const float dn = ms.cubic(s.columns[ix], row, band);
        if (dn == dn) continue;
        const uint32_t v = E::pack_finite(ms_up_at(s, at.image, band, iy, ix), 0.0f);
        reinterpret_cast<uint16_t*>(shared)[i * Ms::kBands + band] = static_cast<uint16_t>(v);
      }
    }
    uint32_t b[2 * kSteps * W::kTiles];
    load_fragments(b, a.weights + PackedModel<W>::kHead);
    sync_block();
    const uint32_t there = at.template there<T::kRows>(s, at.first_inner());
    const uint32_t owned = at.template in_image<T::kRows>(s, at.first_inner()) & at.owned(kHalo);
    char* to = static_cast<char*>(a.x) + at.template offset<W>(s, at.first_inner());
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
      pack_fragment(f, c, W::kTiles, E::pack_finite);
      store_pixels<W>(to + k * row_bytes<W>(s), at.t, f, owned >> 2 * k, there >> 2 * k);
    }
  }
};

}  // namespace cuda
}  // namespace pantiny
