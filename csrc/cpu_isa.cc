// All CPU kernels for one instruction set. Compiled once per set with PTN_ISA defined to
// its name; only the getter has external linkage.
#include "csrc/cpu_table.h"

// clang-format off
#include "kernels/resample/resample_cpu.cc"
#include "kernels/boundary/boundary_cpu.cc"
#include "kernels/head/head_cpu.cc"
#include "kernels/fusion/fusion_cpu.cc"
#include "kernels/tail/tail_cpu.cc"
#include "kernels/consistency/consistency_cpu.cc"
#include "kernels/windows/windows_cpu.cc"
#include "kernels/gaussian/gaussian_cpu.cc"
#include "kernels/blocks/blocks_cpu.cc"
#include "kernels/shrink/shrink_cpu.cc"
#include "csrc/simd/peak.h"
// clang-format on

#define PTN_TEXT_(x) #x
#define PTN_TEXT(x) PTN_TEXT_(x)
#define PTN_JOIN_(a, b) a##b
#define PTN_JOIN(a, b) PTN_JOIN_(a, b)

namespace pantiny {

const CpuTable& PTN_JOIN(cpu_table_, PTN_ISA)() {
#ifdef PTN_BF16
  constexpr bool kBf16 = true;
#else
  constexpr bool kBf16 = false;
#endif
#ifdef PTN_EMULATE_BF16
  constexpr bool kEmulated = true;
#else
  constexpr bool kEmulated = false;
#endif
  // clang-format off
  static constexpr CpuTable kTable = {
      PTN_TEXT(PTN_ISA), kBf16, kEmulated,
      head_segment, boundary_segment, fusion_segment, tail_segment,
      residual_row, correct_row, round_row,
      {window_uqi, window_decorrelation, gaussian_ssim, gaussian_uqi}, block_moments, shrink_row,
      multiply_add};
  // clang-format on
  return kTable;
}

}  // namespace pantiny
