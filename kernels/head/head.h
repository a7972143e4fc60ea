// Head segment: x = valid * conv3x3(valid * ms_up), then the first block's statistics.
#pragma once

#include "csrc/tile.h"

namespace pantiny {

using SegmentFn = void(const SegmentArgs&);

// Needs ms_up on margin + 1 (+ 1 more for statistics).
constexpr int kHeadHalo = 1;

}  // namespace pantiny
