// The float segments: one shape of tile.
#include "tests/cuda/segment_ops.h"

namespace pantiny {
namespace cuda {

Segments segments_for(bool, int) { return float_segments(); }

}  // namespace cuda
}  // namespace pantiny
