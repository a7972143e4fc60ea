// What kernels are written in: the device's instructions under nvcc, their emulation elsewhere.
//
// A kernel is a struct: Args, kThreads, kMinBlocks (per multiprocessor), shared_bytes(args) and
// run(args, shared). The same source is compiled by nvcc and, to be tested where there is no
// GPU, by the host compiler (emulator.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pantiny {
namespace cuda {

struct Dim3 {
  int x, y, z;
};

struct alignas(16) Words {  // 16 bytes: one access
  uint32_t x, y, z, w;
};

}  // namespace cuda
}  // namespace pantiny

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define PTN_DEVICE __device__ __forceinline__
#define PTN_HOST_DEVICE __host__ __device__ __forceinline__
#define PTN_UNROLL _Pragma("unroll")
#define PTN_NO_UNROLL _Pragma("unroll 1")

namespace pantiny {
namespace cuda {

PTN_DEVICE int thread() { return threadIdx.x; }
// What was computed from a value is computed anew after this, not kept in registers till then.
PTN_DEVICE void forget(uint32_t& value) { asm volatile("" : "+r"(value)); }
PTN_DEVICE int thread_again() {
  int i;
  asm volatile("mov.u32 %0,%%tid.x;" : "=r"(i));
  return i;
}
PTN_DEVICE Dim3 block() {
  return {static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z)};
}
PTN_DEVICE Dim3 grid() {
  return {static_cast<int>(gridDim.x), static_cast<int>(gridDim.y), static_cast<int>(gridDim.z)};
}
PTN_DEVICE void sync_block() { __syncthreads(); }
PTN_DEVICE void sync_warp() { __syncwarp(); }

PTN_DEVICE float shuffle_xor(float v, int mask) { return __shfl_xor_sync(~0u, v, mask); }
PTN_DEVICE double shuffle_xor(double v, int mask) { return __shfl_xor_sync(~0u, v, mask); }
PTN_DEVICE int64_t shuffle_xor(int64_t v, int mask) { return __shfl_xor_sync(~0u, v, mask); }
PTN_DEVICE uint32_t ballot(bool yes) { return __ballot_sync(~0u, yes); }  // bit i: lane i's

// Pairs of 16-bit numbers in one word, the first in the low half; the host packs weights.
PTN_HOST_DEVICE uint32_t word(__half2 h) {
  uint32_t u;
  memcpy(&u, &h, sizeof u);
  return u;
}
PTN_DEVICE __half2 halves(uint32_t u) { return *reinterpret_cast<__half2*>(&u); }
PTN_HOST_DEVICE uint32_t pack_half(float a, float b) { return word(__floats2half2_rn(a, b)); }
// The same, clamped to +-65504: no infinity from a finite number.
PTN_DEVICE uint32_t pack_finite_half(float a, float b) {
  uint32_t u;
  asm("cvt.rn.satfinite.f16x2.f32 %0,%1,%2;" : "=r"(u) : "f"(b), "f"(a));
  return u;
}
PTN_DEVICE uint32_t pack_relu_half(float a, float b) {  // max(., 0), clamped
  uint32_t u;
  asm("cvt.rn.relu.satfinite.f16x2.f32 %0,%1,%2;" : "=r"(u) : "f"(b), "f"(a));
  return u;
}
PTN_DEVICE void unpack_half(uint32_t u, float& a, float& b) {
  const float2 f = __half22float2(halves(u));
  a = f.x;
  b = f.y;
}
PTN_DEVICE uint32_t half_fma(uint32_t a, uint32_t b, uint32_t c) {
  return word(__hfma2(halves(a), halves(b), halves(c)));
}
PTN_DEVICE uint32_t half_mul(uint32_t a, uint32_t b) { return word(__hmul2(halves(a), halves(b))); }
PTN_HOST_DEVICE uint32_t pack_bf16(float a, float b) {
  const __nv_bfloat162 h = __floats2bfloat162_rn(a, b);
  uint32_t u;
  memcpy(&u, &h, sizeof u);
  return u;
}
PTN_DEVICE uint32_t pack_relu_bf16(float a, float b) {
  uint32_t u;
  asm("cvt.rn.relu.bf16x2.f32 %0,%1,%2;" : "=r"(u) : "f"(b), "f"(a));
  return u;
}
PTN_DEVICE void unpack_bf16(uint32_t u, float& a, float& b) {
  a = __uint_as_float(u << 16);
  b = __uint_as_float(u & 0xffff0000u);
}
PTN_DEVICE __nv_bfloat162 bf16s(uint32_t u) { return *reinterpret_cast<__nv_bfloat162*>(&u); }
PTN_DEVICE uint32_t bf16_fma(uint32_t a, uint32_t b, uint32_t c) {
  __nv_bfloat162 h = __hfma2(bf16s(a), bf16s(b), bf16s(c));
  return *reinterpret_cast<uint32_t*>(&h);
}
PTN_DEVICE uint32_t bf16_mul(uint32_t a, uint32_t b) {
  __nv_bfloat162 h = __hmul2(bf16s(a), bf16s(b));
  return *reinterpret_cast<uint32_t*>(&h);
}

// d[4] += A (16 x 16) B (16 x 8), fragments as in the PTX manual.
PTN_DEVICE void mma_half(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// A (16 x 8) B (8 x 8): a[2], one word of B.
PTN_DEVICE void mma_half_8(float* d, const uint32_t* a, uint32_t b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
}
PTN_DEVICE void mma_bf16_8(float* d, const uint32_t* a, uint32_t b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5},{%6},"
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(b));
}
PTN_DEVICE void mma_bf16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Four 8 x 8 matrices of 16-bit numbers in shared memory, as a fragment holds them: lanes 8i ..
// 8i + 7 give the rows of matrix i, 16 bytes each.
PTN_DEVICE void load_matrices(uint32_t* a, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
               : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}
// Bytes from global to shared memory, zeros if not `there`: in place for this thread after
// wait_copies().
template <int Bytes>
PTN_DEVICE void copy_async(void* to, const void* from, bool there) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = there ? Bytes : 0;
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0],[%1],%3,%2;" ::"r"(at), "l"(from), "r"(bytes),
                 "n"(Bytes)
                 : "memory");
}
PTN_DEVICE void wait_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
// An 8 x 8 matrix of 16-bit numbers, transposed across the warp.
PTN_DEVICE uint32_t transpose_8x8(uint32_t v) {
  uint32_t r;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0,%1;" : "=r"(r) : "r"(v));
  return r;
}

PTN_DEVICE float tanh_approx(float x) {  // relative error 2^-11
  float r;
  asm("tanh.approx.f32 %0,%1;" : "=f"(r) : "f"(x));
  return r;
}
PTN_DEVICE uint32_t tanh_half(uint32_t x) {  // both within 2^-10.9
  uint32_t r;
  asm("tanh.approx.f16x2 %0,%1;" : "=r"(r) : "r"(x));
  return r;
}
PTN_DEVICE float rsqrt_approx(float x) { return rsqrtf(x); }  // 2 ulp
PTN_DEVICE float rsqrt_exact(float x) { return __frcp_rn(__fsqrt_rn(x)); }
PTN_DEVICE float fma_float(float a, float b, float c) { return __fmaf_rn(a, b, c); }
PTN_DEVICE uint32_t float_bits(float x) { return __float_as_uint(x); }
PTN_DEVICE float bits_float(uint32_t u) { return __uint_as_float(u); }

// Integers only: their sum does not depend on the order.
PTN_DEVICE void add_count(uint32_t* at, uint32_t n) { atomicAdd(at, n); }
PTN_DEVICE void add_shared_count(uint32_t* at, uint32_t n) { atomicAdd(at, n); }

}  // namespace cuda
}  // namespace pantiny

#else
#include "csrc/cuda/emulator.h"
#endif

namespace pantiny {
namespace cuda {

// Threads and lanes of a warp.
constexpr int kWarp = 32;
PTN_DEVICE int lane() { return thread() & (kWarp - 1); }
PTN_DEVICE int warp() { return thread() / kWarp; }

PTN_DEVICE Words load_words(const void* p) { return *static_cast<const Words*>(p); }
PTN_DEVICE void store_words(void* p, Words v) { *static_cast<Words*>(p) = v; }

PTN_HOST_DEVICE int64_t clamp_to(int64_t i, int64_t size) {
  return i < 0 ? 0 : i >= size ? size - 1 : i;
}

PTN_HOST_DEVICE int ceil_div(int64_t n, int64_t m) { return static_cast<int>((n + m - 1) / m); }

}  // namespace cuda
}  // namespace pantiny
