// Included by memory.cu, and compiled as it is for the emulator.
#include "csrc/cuda/memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace pantiny {
namespace cuda {

namespace {
thread_local char last_error[256];
}

ptn_status fail(const char* what, const char* why) {
  std::snprintf(last_error, sizeof last_error, "%s: %s", what, why);
  return PTN_ERR_CUDA;
}

const char* error_text() { return last_error; }

#ifdef __CUDACC__

ptn_status allocate(size_t bytes, void** out) {
  return check(cudaMalloc(out, bytes ? bytes : 1), "cudaMalloc");
}

void release(void* memory) { cudaFree(memory); }

ptn_status copy_in(void* device, const void* host, size_t bytes, Stream stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  return check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, s), "copy to device");
}

ptn_status copy_out(void* host, const void* device, size_t bytes, Stream stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  const ptn_status status =
      check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, s), "copy from device");
  return status == PTN_OK ? wait_for(stream) : status;
}

ptn_status fill_zero(void* device, size_t bytes, Stream stream) {
  return check(cudaMemsetAsync(device, 0, bytes, static_cast<cudaStream_t>(stream)), "memset");
}

ptn_status wait_for(Stream stream) {
  return check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "kernels");
}

size_t shared_memory_limit() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
          cudaSuccess)
    return size_t{48} << 10;
  return static_cast<size_t>(bytes);
}

#else

ptn_status allocate(size_t bytes, void** out) {
  constexpr size_t kAlign = 256;  // as cudaMalloc
  *out = std::aligned_alloc(kAlign, (bytes / kAlign + 1) * kAlign);
  if (!*out) return fail("allocate", "out of memory");
  std::memset(*out, 0xff, bytes);  // NaN: what is read must have been written
  return PTN_OK;
}

void release(void* memory) { std::free(memory); }

ptn_status copy_in(void* device, const void* host, size_t bytes, Stream) {
  std::memcpy(device, host, bytes);
  return PTN_OK;
}

ptn_status copy_out(void* host, const void* device, size_t bytes, Stream) {
  std::memcpy(host, device, bytes);
  return PTN_OK;
}

ptn_status fill_zero(void* device, size_t bytes, Stream) {
  std::memset(device, 0, bytes);
  return PTN_OK;
}

ptn_status wait_for(Stream) { return PTN_OK; }

size_t shared_memory_limit() { return size_t{227} << 10; }

#endif

}  // namespace cuda
}  // namespace pantiny
