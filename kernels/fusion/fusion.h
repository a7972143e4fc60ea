// Fusion segment: apply the last encoder block, merge PAN, gather the next statistics.
#pragma once

#include "csrc/tile.h"

namespace pantiny {

static inline int fuse_pan_halo(int fusion) {
  return fusion == PTN_FUSION_ENHANCED_CONV ? 2 : fusion == PTN_FUSION_GATED_CONV ? 1 : 0;
}

}  // namespace pantiny
