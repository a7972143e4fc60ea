// Products with both operands rounded to bfloat16 and sums in float32, two channels a step: a lane
// holds channel 2 i in its low and 2 i + 1 in its high half. Inputs are packed as they are read,
// weights once (pairs.h); otherwise as product.h.
#pragma once

#include "csrc/simd/vec.h"

#if defined(PTN_EMULATE_BF16)
#define PTN_BF16 1
#define PTN_BF16_TARGET
#elif defined(__AVX512F__) && PTN_WIDTH == 16
#define PTN_BF16 1
#define PTN_BF16_TARGET __attribute__((target("avx512bf16")))
#endif

#ifdef PTN_BF16
namespace pantiny {
namespace {

typedef uint32_t VecU __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));

constexpr int kMaxChannels = 64;
constexpr int kMaxPairs = 2 * kMaxChannels / 2;  // the gates of the widest network

inline VecU splat_bits(uint32_t x) {
#if PTN_WIDTH == 16
  return VecU{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#else
  return VecU{} + x;
#endif
}

// Both rounded half to even, `low` in the low half of each lane.
PTN_BF16_TARGET inline VecU pack_pair(Vec low, Vec high) {
#ifdef PTN_EMULATE_BF16
  const VecU a = reinterpret_cast<VecU>(low), b = reinterpret_cast<VecU>(high);
  return ((a + 0x7fff + ((a >> 16) & 1)) >> 16) | ((b + 0x7fff + ((b >> 16) & 1)) & 0xffff0000u);
#else
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  return reinterpret_cast<VecU>(_mm512_permutexvar_epi16(order, rounded));
#endif
}

// sum + the products of both halves, the high one first.
PTN_BF16_TARGET inline Vec dot_pair(Vec sum, VecU x, VecU w) {
#ifdef PTN_EMULATE_BF16
  const Vec x1 = reinterpret_cast<Vec>(x & 0xffff0000u), x0 = reinterpret_cast<Vec>(x << 16);
  const Vec w1 = reinterpret_cast<Vec>(w & 0xffff0000u), w0 = reinterpret_cast<Vec>(w << 16);
  return mul_add(x0, w0, mul_add(x1, w1, sum));
#else
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
#endif
}

template <int Taps, int R, int N>
PTN_BF16_TARGET inline void dot_block(const uint32_t* x, int pairs, int pitch, const uint32_t* w,
                                      int outputs, const Start& start, const float* bias, float* y,
                                      int64_t stride, int j) {
  Vec a[R][N];
  open_block(start, bias, y + j, stride, a);
  for (int k = 0; k < pairs; ++k, x += pitch)
#pragma GCC unroll 3
    for (int dx = 0; dx < Taps; ++dx, w += outputs) {
      VecU b[N];
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) b[v] = *reinterpret_cast<const VecU*>(x + dx + v * kWidth);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) {
        const VecU s = splat_bits(w[i]);
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) a[i][v] = dot_pair(a[i][v], b[v], s);
      }
    }
  store_block(a, y + j, stride);
}

template <int Count>
PTN_BF16_TARGET inline void pack_row(const float* low, const float* high, uint32_t* out) {
#pragma GCC unroll 4
  for (int v = 0; v < Count * kWidth; v += kWidth)
    *reinterpret_cast<VecU*>(out + v) = pack_pair(load(low + v), high ? load(high + v) : Vec{});
}

// Columns [j - Taps / 2, j + N vectors + Taps / 2) of every input as pairs. Returns their number.
template <int Taps, int N>
PTN_BF16_TARGET inline int pack_inputs(const Inputs& in, int j, uint32_t* out) {
  constexpr int kCount = N + (Taps > 1 ? 1 : 0), kPitch = kCount * kWidth;
  for (int r = 0; r < in.rows; ++r) {
    const float* p = in.row[r] + j - Taps / 2;
    for (int k = 0; k < in.channels; k += 2, p += 2 * in.stride, out += kPitch)
      pack_row<kCount>(p, k + 1 < in.channels ? p + in.stride : nullptr, out);
    if (!in.extra[0]) continue;
    pack_row<kCount>(in.extra[r] + j - Taps / 2, nullptr, out);
    out += kPitch;
  }
  return in.rows * ((in.channels + 1) / 2 + (in.extra[0] ? 1 : 0));
}

template <int Taps, int N>
PTN_BF16_TARGET inline void dot_columns(const Inputs& in, const uint32_t* w, int outputs,
                                        const Start& start, float* y, int64_t stride, int j) {
  constexpr int kPitch = (N + (Taps > 1 ? 1 : 0)) * kWidth;
  // 1x1: of the gates at most; 3x3: of three rows, with one channel beside them
  alignas(64) uint32_t x[(Taps > 1 ? 3 * (kMaxChannels / 2 + 1) : kMaxPairs) * kPitch];
  const int pairs = pack_inputs<Taps, N>(in, j, x);
  const int blocks = (outputs + kOutputs - 1) / kOutputs;
  for (int b = 0, o = 0; b < blocks; ++b) {
    const int take = (outputs - o + blocks - b - 1) / (blocks - b);
    const float* bias = start.bias ? start.bias + o : nullptr;
    float* yo = y + o * stride;
#define PTN_CASE(R)                                                                      \
  case R:                                                                                \
    dot_block<Taps, R, N>(x, pairs, kPitch, w + o, outputs, start, bias, yo, stride, j); \
    break;
    switch (take) {
      PTN_CASE(1)
      PTN_CASE(2)
      PTN_CASE(3)
      PTN_CASE(4)
#if PTN_OUTPUTS > 4
      PTN_CASE(5)
      PTN_CASE(6)
      PTN_CASE(7)
#endif
    }
#undef PTN_CASE
    o += take;
  }
}

template <int Taps>
PTN_BF16_TARGET void product_bf16(const Inputs& in, const uint32_t* w, int outputs,
                                  const Start& start, float* y, int64_t stride, int width) {
  int left = width / kWidth, j = 0;
  while (left > 0) {
    const int n = left >= 2 * kVectors ? kVectors : left > kVectors ? (left + 1) / 2 : left;
#define PTN_CASE(N)                                            \
  case N:                                                      \
    dot_columns<Taps, N>(in, w, outputs, start, y, stride, j); \
    break;
    switch (n) {
      PTN_CASE(1)
      PTN_CASE(2)
#if PTN_VECTORS > 2
      PTN_CASE(3)
#endif
#if PTN_VECTORS > 3
      PTN_CASE(4)
#endif
    }
#undef PTN_CASE
    left -= n;
    j += n * kWidth;
  }
}

}  // namespace
}  // namespace pantiny
#endif  // PTN_BF16
