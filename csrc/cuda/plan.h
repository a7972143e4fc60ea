// The network over a batch of whole images on the device: segments of a precision in their order,
// one global reduction between them, then back-projection and rounding.
#pragma once

#include "csrc/cuda/graphs.h"
#include "csrc/cuda/steps.h"
#include "csrc/cuda/tables.h"

struct ptn_cuda_plan {
  const ptn_cuda_model* model;
  ptn_cuda_scene scene;
  // device memory
  pantiny::cuda::Workspace space;
  pantiny::cuda::Tables tables;
  pantiny::cuda::Graphs graphs;
};

namespace pantiny {
namespace cuda {

const Segments* segments_of(int precision);  // null: not compiled in

size_t model_bytes(const ptn_arch& arch, const Segments& segments);
ptn_status model_place(const ptn_arch& arch, const Segments& segments, const Tensors& tensors,
                       void* memory, ptn_cuda_model* out);

constexpr int64_t kMaxPixels = int64_t{1} << 30;  // of an image or band
constexpr int64_t kMaxGridRows = 65535;           // of a grid's second and third axis
constexpr int64_t kMaxRows = 8 * kMaxGridRows;    // blocks are 8 rows high at least

// What a scene must be, its size aside.
bool geometry_supported(const ptn_cuda_model& model, const ptn_cuda_scene& scene);

bool plan_supported(const ptn_cuda_model& model, const ptn_cuda_scene& scene);
size_t plan_bytes(const ptn_cuda_model& model, const ptn_cuda_scene& scene);
ptn_status plan_place(const ptn_cuda_model& model, const ptn_cuda_scene& scene, void* memory,
                      ptn_cuda_plan* out);
ptn_status plan_run(ptn_cuda_plan& plan, const ptn_cuda_input& input, const ptn_cuda_output& output,
                    Stream stream);

}  // namespace cuda
}  // namespace pantiny
