// Included by csrc/cpu_isa.cc, once per instruction set.
#include "csrc/simd/rows.h"
#include "kernels/head/head.h"

namespace pantiny {
namespace {

void head_segment(const SegmentArgs& s) {
  const ptn_arch& a = s.weights->arch;
  conv3x3(s.scratch.ms_up, a.bands, nullptr, s.weights->head, a.channels, Epilogue{}, s.scratch.x,
          s.tile, grown(s.tile, s.margin), s.tile.valid);
  gather_statistics(s);
}

}  // namespace
}  // namespace pantiny
