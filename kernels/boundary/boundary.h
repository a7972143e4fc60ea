// Boundary segment: apply the block whose attention is known, then gather the statistics
// of the next one.
#pragma once

#include "csrc/tile.h"

namespace pantiny {

constexpr int kApplyHalo = 2;       // depthwise 3x3 of v, depthwise 3x3 of the feed-forward
constexpr int kStatisticsHalo = 1;  // depthwise 3x3 of q and k

}  // namespace pantiny
