// The C interface to the quality indices on a GPU: checks arguments, starts kernels.
#include <cstdint>

#include "csrc/arena.h"
#include "csrc/include/pantiny_cuda_indices.h"
#include "csrc/windows_args.h"
#include "kernels/blocks/blocks_cuda.h"
#include "kernels/gaussian/gaussian_cuda.h"
#include "kernels/windows/windows_cuda.h"

namespace pantiny {
namespace cuda {
namespace {

GaussianCuda gaussian_of(const ptn_windows& w) {
  return {planes_of(w), w.index, w.c1, w.c2, nullptr, nullptr, nullptr};
}

WindowsCuda windows_of(const ptn_windows& w) {
  return {planes_of(w), w.window, w.index, nullptr, nullptr, nullptr};
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

ptn_status ptn_cuda_windows_bytes(const ptn_windows* windows, size_t* bytes) {
  using namespace pantiny::cuda;
  if (!windows || !bytes || !pantiny::windows_supported(*windows) || !windows->pairs)
    return PTN_ERR_ARGUMENT;
  const size_t need = pantiny::gaussian(*windows) ? gaussian_cuda_bytes(gaussian_of(*windows))
                                                  : windows_cuda_bytes(windows_of(*windows));
  *bytes = need ? need : pantiny::kAlign;
  return PTN_OK;
}

ptn_status ptn_cuda_windows_run(const ptn_windows* windows, void* memory, size_t bytes,
                                double* sums, int64_t* count, void* stream) {
  using namespace pantiny::cuda;
  size_t need = 0;
  const ptn_status status = ptn_cuda_windows_bytes(windows, &need);
  if (status != PTN_OK) return status;
  if (!memory || !sums || !count) return PTN_ERR_ARGUMENT;
  if (bytes < need || reinterpret_cast<uintptr_t>(memory) % pantiny::kAlign)
    return PTN_ERR_WORKSPACE;
  return pantiny::gaussian(*windows)
             ? gaussian_cuda(with(gaussian_of(*windows), memory, sums, count), stream)
             : windows_cuda(with(windows_of(*windows), memory, sums, count), stream);
}

ptn_status ptn_cuda_moments_bytes(const ptn_windows* windows, size_t* bytes) {
  if (!windows || !bytes || !pantiny::windows_supported(*windows)) return PTN_ERR_ARGUMENT;
  *bytes = 0;
  return PTN_OK;
}

ptn_status ptn_cuda_moments_run(const ptn_windows* windows, void*, size_t, double* moments,
                                int64_t* valid, void* stream) {
  using namespace pantiny::cuda;
  size_t need = 0;
  const ptn_status status = ptn_cuda_moments_bytes(windows, &need);
  if (status != PTN_OK) return status;
  if (!moments || !valid) return PTN_ERR_ARGUMENT;
  return blocks_cuda({planes_of(*windows), windows->window, moments, valid}, stream);
}

}  // extern "C"
