// Starting kernels and moving memory; errors become a status, their text is kept per thread.
#pragma once

#include <functional>
#include <utility>

#include "csrc/cuda/device.h"
#include "csrc/include/pantiny.h"

// Returns from the function with the first failure.
#define PTN_TRY(call)                                    \
  do {                                                   \
    const ptn_status ptn_try_status = (call);            \
    if (ptn_try_status != PTN_OK) return ptn_try_status; \
  } while (0)

namespace pantiny {
namespace cuda {

// The caller's stream: a cudaStream_t.
using Stream = void*;

// Keeps the text of an error of this thread; returns PTN_ERR_CUDA.
ptn_status fail(const char* what, const char* why);

#ifdef __CUDACC__

inline ptn_status check(cudaError_t error, const char* what) {
  return error == cudaSuccess ? PTN_OK : fail(what, cudaGetErrorString(error));
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kMinBlocks)
    entry(const __grid_constant__ typename Kernel::Args args) {
  extern __shared__ __align__(128) char shared[];
  Kernel::run(args, shared);
}

template <class Kernel>
ptn_status launch(const typename Kernel::Args& args, Dim3 grid, Stream stream) {
  if (grid.x <= 0 || grid.y <= 0 || grid.z <= 0) return PTN_OK;
  const size_t bytes = Kernel::shared_bytes(args);
  constexpr size_t kWithoutAsking = 48 << 10;
  if (bytes > kWithoutAsking) {
    const ptn_status status =
        check(cudaFuncSetAttribute(entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(bytes)),
              Kernel::kName);
    if (status != PTN_OK) return status;
  }
  const dim3 blocks(grid.x, grid.y, grid.z);
  entry<Kernel><<<blocks, Kernel::kThreads, bytes, static_cast<cudaStream_t>(stream)>>>(args);
  return check(cudaGetLastError(), Kernel::kName);
}

#else

// Emulated work in the order of its stream.
ptn_status submit(Stream stream, std::function<ptn_status()> work);

template <class Kernel>
ptn_status launch(const typename Kernel::Args& args, Dim3 grid, Stream stream) {
  if (grid.x <= 0 || grid.y <= 0 || grid.z <= 0) return PTN_OK;
  return submit(stream, [args, grid] {
    const char* wrong = emulate(grid, Kernel::kThreads, Kernel::shared_bytes(args),
                                [&](char* shared) { Kernel::run(args, shared); });
    return wrong ? fail(Kernel::kName, wrong) : PTN_OK;
  });
}

#endif

}  // namespace cuda
}  // namespace pantiny
