// Included by csrc/cpu_isa.cc, once per instruction set.
#include <cstring>

#include "csrc/simd/strip.h"
#include "kernels/tail/tail.h"

namespace pantiny {
namespace {

// The gate of gated_conv has the same ring with more channels.
inline Ring tail_ring(const Strip& s) {
  Ring ring = s.scratch().between;
  ring.channels = s.channels();
  return ring;
}

// between = mask(conv3x3(x)), lead 1.
inline void refine(const Strip& s, int64_t y) {
  if (!s.wanted(y, 1) && !s.wanted(y + 1, 1)) return;  // its rows may not be there
  const Weights& w = *s.a.weights;
  convolve_to_ring(s, features_pair(s, y, 1), w.refine, y, 1, false, 1, tail_ring(s));
}

// fused = mask(conv3x3(between) + ms_up).
inline void finish_tile(const Strip& s, int64_t y) {
  const SegmentArgs& a = s.a;
  const Scratch& m = s.scratch();
  const int bands = a.weights->arch.bands;
  const int64_t count = std::min<int64_t>(s.width, a.x1 - s.x) - s.skip;
  for (int64_t row = y; row < y + 2; ++row) {
    if (!s.wanted(row, 0) || count <= 0) continue;
    upsample_strip(s, row, 0, m.fused, m.pitch);
    each_chunk(s.width, [&](int j, int columns) {
      // summed by itself: on top of ms_up, which is far larger, every term would be rounded
      // coarsely
      float* const residual = m.gates;
      product<3>(three_rows(tail_ring(s), row, j), a.weights->output, bands, s.fresh(), residual,
                 kChunkPitch, columns);
      s.mask_rows(residual, kChunkPitch, bands, row, 0, j, columns);
      for (int k = 0; k < bands; ++k) {
        float *f = m.fused + k * m.pitch + j, *r = residual + k * kChunkPitch;
        for (int i = 0; i < columns; i += kWidth) store(f + i, load(f + i) + load(r + i));
      }
    });
    for (int k = 0; k < bands; ++k)
      std::memcpy(a.fused + k * a.fused_plane + row % a.fused_rows * a.fused_pitch + s.x + s.skip,
                  m.fused + k * m.pitch + s.skip, static_cast<size_t>(count) * sizeof(float));
  }
}

void tail_segment(const SegmentArgs& a) {
  walk(a, 4, 2, [&](const Strip& s, int64_t y) {
    start_block(s, y, 4, 4);
    apply_attention(s, y - 1, 3, 3);
    finish_block(s, y - 2, 2, 2);
    refine(s, y - 3);
    finish_tile(s, y - 4);
  });
}

}  // namespace
}  // namespace pantiny
