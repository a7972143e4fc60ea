// Which arguments of a quality index can be met.
#pragma once

#include <cstdint>

#include "csrc/include/pantiny.h"
#include "kernels/windows/windows.h"

namespace pantiny {

inline bool gaussian(const ptn_windows& w) {
  return w.index == PTN_SSIM || w.index == PTN_GAUSSIAN_UQI;
}

// But for `threads`.
inline bool windows_supported(const ptn_windows& w) {
  constexpr int64_t kMax = INT32_MAX;
  if (w.rows < 0 || w.rows > kMax || w.width < 0 || w.width > kMax) return false;
  if (w.planes < 1 || w.planes > PTN_MAX_PLANES || w.pairs < 0 || w.pairs > PTN_MAX_PAIRS)
    return false;
  if (!w.plane || (w.pairs && !w.pair)) return false;
  for (int i = 0; i < 2 * w.pairs; ++i)
    if (w.pair[i] < 0 || w.pair[i] >= w.planes) return false;
  for (int i = 0; i < w.planes; ++i)
    if (!w.plane[i].data || w.plane[i].dtype < PTN_U8 || w.plane[i].dtype > PTN_F64) return false;
  if (w.index < PTN_UQI || w.index > PTN_GAUSSIAN_UQI) return false;
  if (w.window < 1 || w.window > PTN_MAX_WINDOW) return false;
  return !gaussian(w) || (w.window == kGaussian && w.c1 >= 0 && w.c2 >= 0);
}

}  // namespace pantiny
