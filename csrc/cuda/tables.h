// Taps of the rows and columns of a scene: made on the host, kept on the device.
#pragma once

#include "csrc/arena.h"
#include "csrc/cuda/launch.h"
#include "csrc/include/pantiny_cuda.h"
#include "kernels/consistency/consistency_cuda.h"

namespace pantiny {
namespace cuda {

struct Tables {
  CubicTaps *rows, *columns;  // of the PAN grid
  float *row_weights, *column_weights;
  int64_t *row_firsts, *column_firsts;
};

Axis rows_of(const ptn_cuda_scene& scene);
Axis columns_of(const ptn_cuda_scene& scene);

// Room for them; they come first in their arena.
Tables take_tables(Arena& arena, const ptn_cuda_scene& scene, int bands);
// Done when the call returns.
ptn_status place_tables(const ptn_cuda_scene& scene, int bands, const Tables& device);
GaussianTables gaussian_of(const ptn_cuda_scene& scene, int bands, const Tables& device);
int radius_of(const ptn_cuda_scene& scene, int bands);

}  // namespace cuda
}  // namespace pantiny
