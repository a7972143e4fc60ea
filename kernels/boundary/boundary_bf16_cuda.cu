#include "kernels/boundary/boundary_half_launch.h"

namespace pantiny {
namespace cuda {

PTN_INSTANTIATE_BLOCK(Bf16)

}  // namespace cuda
}  // namespace pantiny
