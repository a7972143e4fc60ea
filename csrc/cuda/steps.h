// The steps of a network over the images of a scene, in the order of the plan or of a pass.
#pragma once

#include <utility>

#include "csrc/arena.h"
#include "csrc/cuda/segments.h"
#include "csrc/include/pantiny_cuda.h"
#include "kernels/consistency/consistency_cuda.h"

struct ptn_cuda_model {
  pantiny::cuda::Network network;
  const pantiny::cuda::Segments* segments;
  const float *project, *temperature;  // device: [blocks][C][C], [blocks][heads]
};

namespace pantiny {
namespace cuda {

// Device memory of the steps.
struct Workspace {
  void* features[4];
  float* partials;
  double* sums;    // [images][rows of tiles of the scene][statistics]
  float* folded;   // [images][C][C]
  char* matrices;  // [blocks][images], as the precision wants them
  float* fused;    // [images][K][H][W]
  float* residual;
  uint8_t* there;
  float* units_per_dn;
};

// For images, or bands, as large as `scene`; `rows` of the whole scene.
Workspace take_workspace(Arena& arena, const ptn_cuda_model& model, const Scene& scene,
                         int64_t rows, bool consistency);

// What kernels are told of a scene without its images: all of its rows.
Scene geometry_of(const ptn_cuda_model& model, const ptn_cuda_scene& scene);

// Rows of tiles of an image so high, of the sums of a block.
TileGrid tiles_of(const ptn_cuda_model& model, const Scene& scene, int block);

inline int blocks_of(const ptn_cuda_model& m) {
  return m.network.arch.encoder_blocks + m.network.arch.body_blocks;
}

// Samples as kernels read them.
Samples samples_of(const ptn_cuda_samples& samples);
Mask mask_of(const ptn_cuda_mask& mask);
Output output_of(const ptn_cuda_output& output, const double* dn_per_unit);

// Calls return the first failure.
class Steps {
 public:
  Steps(const ptn_cuda_model& model, const Scene& scene, const Workspace& space, Stream stream)
      : m_(model), scene_(scene), w_(space), stream_(stream) {}

  ptn_status units(const double* dn_per_unit);  // network values per DN
  ptn_status head();
  // v and the sums of a block from its x.
  ptn_status statistics(int block);
  // Block `block`, and v and the sums of the next one.
  ptn_status advance(int block);
  // The last block and what follows: network values.
  ptn_status end();
  // Sums of a block from rows [first, first + count) of tiles, to rows `to` of the scene's.
  ptn_status sum(int block, int64_t first, int64_t count, int64_t to, int64_t rows);
  // Its matrix, from all sums.
  ptn_status fold(int block, int64_t rows);
  // Back-projection, then DN.
  ptn_status finish(const GaussianTables& tables, int steps, const Output& output);

  Features features() const { return now_; }  // what a block reads

 private:
  char* matrices(int block) const;

  const ptn_cuda_model& m_;
  const Scene& scene_;
  const Workspace& w_;
  Stream stream_;
  Features now_{w_.features[0], w_.features[1]}, other_{w_.features[2], w_.features[3]};
};

}  // namespace cuda
}  // namespace pantiny
