// Included by csrc/cpu_isa.cc, once per instruction set.
#include "csrc/simd/rows.h"
#include "kernels/tail/tail.h"

namespace pantiny {
namespace {

void tail_segment(const SegmentArgs& s) {
  const Tile& t = s.tile;
  const ptn_arch& a = s.weights->arch;
  const Scratch& m = s.scratch;
  apply_block(s, kTailHalo);
  conv3x3(m.x, a.channels, nullptr, s.weights->refine, a.channels, Epilogue{}, m.t, t, grown(t, 1),
          t.valid);
  const Range in = grown(t, 0);
  conv3x3(m.t, a.channels, nullptr, s.weights->output, a.bands, Epilogue{}, s.fused, t, in,
          t.valid);
  for (int k = 0; k < a.bands; ++k)  // ms_up is 0 where a pixel is not valid
    for (int row = in.r0; row < in.r1; ++row)
      for (int j = in.c0; j < in.c1; j += kWidth) {
        const int64_t at = k * t.plane + row * t.pitch + j;
        store(s.fused + at, load(s.fused + at) + load(m.ms_up + at));
      }
}

}  // namespace
}  // namespace pantiny
