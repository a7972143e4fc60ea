// The network over a batch of images on the device: segments of a precision in their order, one
// global reduction between them, then back-projection and rounding.
#pragma once

#include "csrc/cuda/segments.h"
#include "csrc/include/pantiny_cuda.h"
#include "kernels/consistency/consistency_cuda.h"

struct ptn_cuda_model {
  pantiny::cuda::Network network;
  const pantiny::cuda::Segments* segments;
  const float *project, *temperature;  // device: [blocks][C][C], [blocks][heads]
};

struct ptn_cuda_plan {
  const ptn_cuda_model* model;
  ptn_cuda_scene scene;
  // device memory
  void* features[4];
  float* partials;
  double* slices;
  float* folded;   // [images][C][C]
  void* matrices;  // the same as the precision wants it
  float* fused;    // [images][K][H][W]
  float* residual;
  uint8_t* there;
  pantiny::CubicTaps *rows, *columns;
  float* units_per_dn;
  pantiny::cuda::GaussianTables tables;
};

namespace pantiny {
namespace cuda {

const Segments* segments_of(int precision);  // null: not compiled in

size_t model_bytes(const ptn_arch& arch, const Segments& segments);
ptn_status model_place(const ptn_arch& arch, const Segments& segments, const Tensors& tensors,
                       void* memory, ptn_cuda_model* out);

bool plan_supported(const ptn_cuda_model& model, const ptn_cuda_scene& scene);
size_t plan_bytes(const ptn_cuda_model& model, const ptn_cuda_scene& scene);
ptn_status plan_place(const ptn_cuda_model& model, const ptn_cuda_scene& scene, void* memory,
                      ptn_cuda_plan* out);
ptn_status plan_run(const ptn_cuda_plan& plan, const ptn_cuda_input& input,
                    const ptn_cuda_output& output, Stream stream);

}  // namespace cuda
}  // namespace pantiny
