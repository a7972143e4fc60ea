#include "kernels/boundary/boundary_half_launch.h"

namespace pantiny {
namespace cuda {

PTN_INSTANTIATE_BLOCK(Half)

}  // namespace cuda
}  // namespace pantiny
