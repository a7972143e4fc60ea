#include <algorithm>
#include <cmath>

#include "kernels/consistency/consistency.h"

namespace pantiny {

int consistency_reach(int radius, double scale_y, double scale_x) {
  // four taps reach two MS samples from the corrected pixel, each 1/scale PAN pixels wide
  return static_cast<int>(std::ceil(2 / std::min(scale_y, scale_x))) + radius + 1;
}

void ms_span(const Axis& axis, int64_t begin, int64_t end, int64_t* first, int64_t* last) {
  const int64_t low = cubic_taps(axis, begin).first, high = cubic_taps(axis, end - 1).first + 3;
  *first = std::clamp<int64_t>(low, 0, axis.ms_size - 1);
  *last = std::clamp<int64_t>(high, 0, axis.ms_size - 1) + 1;
}

}  // namespace pantiny
