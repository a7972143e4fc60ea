// The C interface to the quality indices on a GPU: checks arguments, starts kernels.
#include <cstdint>

#include "csrc/arena.h"
#include "csrc/include/pantiny_cuda_indices.h"
#include "csrc/windows_args.h"
#include "kernels/blocks/blocks_cuda.h"
#include "kernels/gaussian/gaussian_cuda.h"
#include "kernels/shrink/shrink_cuda.h"
#include "kernels/windows/windows_cuda.h"

namespace pantiny {
namespace cuda {
namespace {

constexpr int32_t kMostImages = 65535;  // of a grid's third axis

bool images_ok(const ptn_cuda_images* images) {
  return !images || (images->images >= 1 && images->images <= kMostImages && images->plane_stride);
}

GaussianCuda gaussian_of(const ptn_windows& w, const ptn_cuda_images* images) {
  return {planes_of(w, images), w.index, w.c1, w.c2, nullptr, nullptr, nullptr};
}

WindowsCuda windows_of(const ptn_windows& w, const ptn_cuda_images* images) {
  return {planes_of(w, images), w.window, w.index, nullptr, nullptr, nullptr};
}

bool shrink_ok(const ptn_cuda_shrink& s, const ptn_cuda_images* images) {
  if (!images_ok(images) || !s.plane || !s.weights) return false;
  if (s.planes < 1 || s.planes > PTN_MAX_PLANES || s.step < 1 || s.step > 64 || s.taps < 1 ||
      s.taps > 4096)
    return false;
  for (int i = 0; i < s.planes; ++i)
    if (!s.plane[i].data || s.plane[i].dtype < PTN_U8 || s.plane[i].dtype > PTN_F64) return false;
  return s.rows >= 1 && s.width >= 1 && s.rows <= INT32_MAX && s.width <= INT32_MAX &&
         s.out_rows >= 0 && s.cols >= 0 && s.out_rows <= INT32_MAX && s.cols <= INT32_MAX;
}

ShrinkCuda shrink_of(const ptn_cuda_shrink& s, const ptn_cuda_images* images) {
  ptn_windows w{};
  w.rows = s.rows;
  w.width = s.width;
  w.plane = s.plane;
  w.planes = s.planes;
  w.valid = s.valid;
  w.valid_row_stride = s.valid_row_stride;
  return {planes_of(w, images), s.first_row, s.first_col, s.step, s.taps, s.weights,
          s.out_rows,           s.cols};
}

template <class Work>
Work with(Work work, void* memory, double* sums, int64_t* count) {
  work.scratch = memory;
  work.sums = sums;
  work.count = count;
  return work;
}

}  // namespace
}  // namespace cuda
}  // namespace pantiny

extern "C" {

ptn_status ptn_cuda_windows_bytes(const ptn_windows* windows, const ptn_cuda_images* images,
                                  size_t* bytes) {
  using namespace pantiny::cuda;
  if (!windows || !bytes || !pantiny::windows_supported(*windows) || !windows->pairs ||
      !images_ok(images))
    return PTN_ERR_ARGUMENT;
  const size_t need = pantiny::gaussian(*windows)
                          ? gaussian_cuda_bytes(gaussian_of(*windows, images))
                          : windows_cuda_bytes(windows_of(*windows, images));
  *bytes = need ? need : pantiny::kAlign;
  return PTN_OK;
}

ptn_status ptn_cuda_windows_run(const ptn_windows* windows, const ptn_cuda_images* images,
                                void* memory, size_t bytes, double* sums, int64_t* count,
                                void* stream) {
  using namespace pantiny::cuda;
  size_t need = 0;
  const ptn_status status = ptn_cuda_windows_bytes(windows, images, &need);
  if (status != PTN_OK) return status;
  if (!memory || !sums || !count) return PTN_ERR_ARGUMENT;
  if (bytes < need || reinterpret_cast<uintptr_t>(memory) % pantiny::kAlign)
    return PTN_ERR_WORKSPACE;
  return pantiny::gaussian(*windows)
             ? gaussian_cuda(with(gaussian_of(*windows, images), memory, sums, count), stream)
             : windows_cuda(with(windows_of(*windows, images), memory, sums, count), stream);
}

ptn_status ptn_cuda_moments_run(const ptn_windows* windows, const ptn_cuda_images* images,
                                double* moments, int64_t* valid, void* stream) {
  using namespace pantiny::cuda;
  if (!windows || !moments || !valid || !pantiny::windows_supported(*windows) || !images_ok(images))
    return PTN_ERR_ARGUMENT;
  return blocks_cuda({planes_of(*windows, images), windows->window, moments, valid}, stream);
}

ptn_status ptn_cuda_shrink_run(const ptn_cuda_shrink* shrink, const ptn_cuda_images* images,
                               double* out, void* stream) {
  using namespace pantiny::cuda;
  if (!shrink || !out || !shrink_ok(*shrink, images)) return PTN_ERR_ARGUMENT;
  return shrink_cuda(shrink_of(*shrink, images), out, stream);
}

ptn_status ptn_cuda_reach_run(const ptn_cuda_shrink* shrink, const ptn_cuda_images* images,
                              const uint8_t* among, uint8_t* reached, void* stream) {
  using namespace pantiny::cuda;
  if (!shrink || !reached || !shrink_ok(*shrink, images)) return PTN_ERR_ARGUMENT;
  return reach_cuda(shrink_of(*shrink, images), among, reached, stream);
}

}  // extern "C"
