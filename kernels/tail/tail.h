// Tail segment: apply the last block, fused = valid * (conv3x3(conv3x3(x)) + ms_up).
#pragma once

#include "csrc/tile.h"

namespace pantiny {

constexpr int kTailHalo = 2;

}  // namespace pantiny
