// Device code on a CPU: one fiber per thread of a block, barriers and warp exchanges between
// them, blocks one after the other. Slow and exact enough to test kernels where there is no GPU.
//
// Two orders of the fibers: in turn, and "run ahead", in which one warp goes as far as it can
// before another moves; a missing barrier shows in one of them. Shared memory starts as NaN, and
// what lies behind it must not change.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#include "csrc/cuda/device.h"

#define PTN_DEVICE inline
#define PTN_HOST_DEVICE inline
#define PTN_UNROLL
#define PTN_NO_UNROLL

namespace pantiny {
namespace cuda {

// Of the block and the thread that run.
int thread();
inline int thread_again() { return thread(); }
inline void forget(uint32_t&) {}
Dim3 block();
Dim3 grid();
void sync_block();
void sync_warp();

// Runs `body` as every thread of every block. Returns null, or what went wrong.
const char* emulate(Dim3 grid, int threads, size_t shared_bytes,
                    const std::function<void(char* shared)>& body);
void set_run_ahead(bool on);

// Every lane of the warp gives `count` words; returns them all, 32 words a lane, until the next.
const uint32_t* exchange(const uint32_t* words, int count);

// Copied when it is waited for, not earlier.
void keep_copy(void* to, const void* from, int bytes);
void wait_copies();
template <int Bytes>
inline void copy_async(void* to, const void* from, bool there) {
  keep_copy(to, there ? from : nullptr, Bytes);
}

template <class T>
inline T shuffle_xor(T v, int mask) {
  uint32_t words[sizeof(T) / 4];
  std::memcpy(words, &v, sizeof v);
  const uint32_t* all = exchange(words, sizeof(T) / 4);
  std::memcpy(&v, all + ((thread() & 31) ^ mask) * 32, sizeof v);
  return v;
}

inline uint32_t ballot(bool yes) {
  const uint32_t mine = yes ? 1 : 0;
  const uint32_t* all = exchange(&mine, 1);
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= all[i * 32] << i;
  return bits;
}

inline uint32_t float_bits(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}
inline float bits_float(uint32_t u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}

struct Halves {
  _Float16 a, b;
};
inline uint32_t word(Halves h) {
  uint32_t u;
  std::memcpy(&u, &h, 4);
  return u;
}
inline Halves halves(uint32_t u) {
  Halves h;
  std::memcpy(&h, &u, 4);
  return h;
}
inline uint32_t pack_half(float a, float b) {
  return word({static_cast<_Float16>(a), static_cast<_Float16>(b)});
}
inline float finite_half(float x) {
  constexpr float kMost = 65504;
  return x > kMost ? kMost : x < -kMost ? -kMost : x;
}
inline uint32_t pack_finite_half(float a, float b) {
  return pack_half(finite_half(a), finite_half(b));
}
inline float relu(float x) { return x < 0 ? 0.0f : x; }
inline uint32_t pack_relu_half(float a, float b) { return pack_finite_half(relu(a), relu(b)); }
inline void unpack_half(uint32_t u, float& a, float& b) {
  a = static_cast<float>(halves(u).a);
  b = static_cast<float>(halves(u).b);
}
inline uint32_t half_fma(uint32_t a, uint32_t b, uint32_t c) {
  float a0, a1, b0, b1, c0, c1;
  unpack_half(a, a0, a1);
  unpack_half(b, b0, b1);
  unpack_half(c, c0, c1);
  return pack_half(std::fma(a0, b0, c0), std::fma(a1, b1, c1));
}
inline uint32_t half_mul(uint32_t a, uint32_t b) {
  float a0, a1, b0, b1;
  unpack_half(a, a0, a1);
  unpack_half(b, b0, b1);
  return pack_half(a0 * b0, a1 * b1);
}
inline uint32_t bf16_bits(float x) {  // nearest, ties to even
  const uint32_t u = float_bits(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return (u >> 16) | 0x40u;
  return (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
}
inline uint32_t pack_bf16(float a, float b) { return bf16_bits(a) | bf16_bits(b) << 16; }
inline uint32_t pack_relu_bf16(float a, float b) { return pack_bf16(relu(a), relu(b)); }
inline void unpack_bf16(uint32_t u, float& a, float& b) {
  a = bits_float(u << 16);
  b = bits_float(u & 0xffff0000u);
}
inline uint32_t bf16_fma(uint32_t a, uint32_t b, uint32_t c) {
  float a0, a1, b0, b1, c0, c1;
  unpack_bf16(a, a0, a1);
  unpack_bf16(b, b0, b1);
  unpack_bf16(c, c0, c1);
  return pack_bf16(std::fma(a0, b0, c0), std::fma(a1, b1, c1));
}
inline uint32_t bf16_mul(uint32_t a, uint32_t b) {
  float a0, a1, b0, b1;
  unpack_bf16(a, a0, a1);
  unpack_bf16(b, b0, b1);
  return pack_bf16(a0 * b0, a1 * b1);
}

template <class Unpack>
inline void mma_16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, Unpack&& unpack) {
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const uint32_t* all = exchange(mine, 6);
  const int l = thread() & 31, g = l >> 2, t = l & 3;
  float rows[2][16], columns[2][16];  // rows g, g + 8 of A; columns 2t, 2t + 1 of B
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 2; ++k) {
      const uint32_t* row = all + (g * 4 + i) * 32;
      unpack(row[2 * k], rows[0][8 * k + 2 * i], rows[0][8 * k + 2 * i + 1]);
      unpack(row[2 * k + 1], rows[1][8 * k + 2 * i], rows[1][8 * k + 2 * i + 1]);
      for (int n = 0; n < 2; ++n)
        unpack(all[((2 * t + n) * 4 + i) * 32 + 4 + k], columns[n][8 * k + 2 * i],
               columns[n][8 * k + 2 * i + 1]);
    }
  for (int r = 0; r < 2; ++r)
    for (int n = 0; n < 2; ++n) {
      float sum = d[2 * r + n];
      for (int k = 0; k < 16; ++k) sum += rows[r][k] * columns[n][k];
      d[2 * r + n] = sum;
    }
}
inline void mma_half(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  mma_16(d, a, b0, b1, unpack_half);
}
inline void mma_bf16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  mma_16(d, a, b0, b1, unpack_bf16);
}
inline void mma_half_8(float* d, const uint32_t* a, uint32_t b) {
  const uint32_t with_zeros[4] = {a[0], a[1], 0, 0};
  mma_half(d, with_zeros, b, 0);
}
inline void mma_bf16_8(float* d, const uint32_t* a, uint32_t b) {
  const uint32_t with_zeros[4] = {a[0], a[1], 0, 0};
  mma_bf16(d, with_zeros, b, 0);
}
inline void load_matrices(uint32_t* a, const void* row) {
  uint32_t mine[4];
  std::memcpy(mine, row, 16);
  const uint32_t* all = exchange(mine, 4);
  const int l = thread() & 31;
  for (int i = 0; i < 4; ++i) a[i] = all[(8 * i + (l >> 2)) * 32 + (l & 3)];
}
inline uint32_t transpose_8x8(uint32_t v) {
  const uint32_t* all = exchange(&v, 1);
  const int l = thread() & 31, g = l >> 2, t = l & 3;
  auto at = [&](int row, int col) {
    return all[(row * 4 + (col >> 1)) * 32] >> (col & 1 ? 16 : 0) & 0xffffu;
  };
  return at(2 * t, g) | at(2 * t + 1, g) << 16;
}

inline float tanh_approx(float x) { return std::tanh(x); }
inline uint32_t tanh_half(uint32_t x) {
  float a, b;
  unpack_half(x, a, b);
  return pack_half(std::tanh(a), std::tanh(b));
}
inline float rsqrt_approx(float x) { return 1.0f / std::sqrt(x); }
inline float rsqrt_exact(float x) { return 1.0f / std::sqrt(x); }
inline float fma_float(float a, float b, float c) { return std::fma(a, b, c); }

inline void add_count(uint32_t* at, uint32_t n) { *at += n; }
inline void add_shared_count(uint32_t* at, uint32_t n) { *at += n; }

}  // namespace cuda
}  // namespace pantiny
