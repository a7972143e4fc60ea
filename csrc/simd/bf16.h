// Products with both operands rounded to bfloat16 and sums in float32, two channels a step. What
// they read is packed as they go: a lane holds channel 2 i in its low and 2 i + 1 in its high
// half. The layout of inputs and weights is that of product.h.
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
constexpr int kMaxPairs = (kMaxChannels / 2 + 1) * 9;  // and one for the channel beside them

inline VecU splat_bits(uint32_t x) { return VecU{} + x; }

// Round half to even, in the high half of each lane.
inline VecU rounded_bits(VecU u) { return u + 0x7fff + ((u >> 16) & 1); }

inline VecU pack_pair(Vec low, Vec high) {
  const VecU a = rounded_bits(reinterpret_cast<VecU>(low));
  const VecU b = rounded_bits(reinterpret_cast<VecU>(high));
  return (a >> 16) | (b & 0xffff0000u);
}

inline uint32_t pack_pair(float low, float high) {
  uint32_t a, b;
  __builtin_memcpy(&a, &low, 4);
  __builtin_memcpy(&b, &high, 4);
  a += 0x7fff + ((a >> 16) & 1);
  b += 0x7fff + ((b >> 16) & 1);
  return (a >> 16) | (b & 0xffff0000u);
}

// sum + the products of both halves, the high one first.
PTN_BF16_TARGET inline Vec dot_pair(Vec sum, VecU x, VecU w) {
#ifdef PTN_EMULATE_BF16
  const Vec x1 = reinterpret_cast<Vec>(x & 0xffff0000u), x0 = reinterpret_cast<Vec>(x << 16);
  const Vec w1 = reinterpret_cast<Vec>(w & 0xffff0000u), w0 = reinterpret_cast<Vec>(w << 16);
  return (sum + x1 * w1) + x0 * w0;
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
  for (int k = 0; k < Taps * pairs; ++k, x += pitch)
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

// w [rows][channels][Taps][outputs] -> pairs [rows][pairs][Taps][outputs]
template <int Taps>
inline void pack_weights(const Inputs& in, const float* w, int outputs, uint32_t* out) {
  const int64_t next = static_cast<int64_t>(Taps) * outputs;
  for (int r = 0; r < Taps; ++r) {
    for (int k = 0; k < in.channels; k += 2) {
      const bool both = k + 1 < in.channels;
      for (int64_t i = 0; i < next; ++i) *out++ = pack_pair(w[i], both ? w[next + i] : 0.0f);
      w += both ? 2 * next : next;
    }
    if (!in.extra[0]) continue;
    for (int64_t i = 0; i < next; ++i) *out++ = pack_pair(w[i], 0.0f);
    w += next;
  }
}

// Columns [j - Taps / 2, j + count) of every input as pairs, `pitch` lanes a row.
template <int Taps>
inline void pack_inputs(const Inputs& in, int j, int pitch, uint32_t* out) {
  for (int r = 0; r < Taps; ++r) {
    for (int k = 0; k < in.channels; k += 2, out += pitch) {
      const float* low = in.row[r] + k * in.stride + j - Taps / 2;
      const bool both = k + 1 < in.channels;
      for (int i = 0; i < pitch; i += kWidth)
        *reinterpret_cast<VecU*>(out + i) =
            pack_pair(load(low + i), both ? load(low + in.stride + i) : Vec{});
    }
    if (!in.extra[0]) continue;
    const float* low = in.extra[r] + j - Taps / 2;
    for (int i = 0; i < pitch; i += kWidth)
      *reinterpret_cast<VecU*>(out + i) = pack_pair(load(low + i), Vec{});
    out += pitch;
  }
}

template <int Taps, int N>
PTN_BF16_TARGET inline void dot_columns(const Inputs& in, const uint32_t* w, int outputs,
                                        const Start& start, float* y, int64_t stride, int j) {
  constexpr int kPitch = (N + (Taps > 1 ? 1 : 0)) * kWidth;
  alignas(64) uint32_t x[(Taps > 1 ? kMaxPairs / 3 : kMaxChannels + 1) * kPitch];
  pack_inputs<Taps>(in, j, kPitch, x);
  const int pairs = (in.channels + 1) / 2 + (in.extra[0] ? 1 : 0);
  const int blocks = (outputs + kOutputs - 1) / kOutputs;
  for (int b = 0, o = 0; b < blocks; ++b) {
    const int take = (outputs - o + blocks - b - 1) / (blocks - b);
    const float* bias = start.bias ? start.bias + o : nullptr;
    float* yo = y + o * stride;
#define PTN_CASE(R)                                                                  \
  case R:                                                                            \
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
PTN_BF16_TARGET void product_bf16(const Inputs& in, const float* w, int outputs, const Start& start,
                                  float* y, int64_t stride, int width) {
  // 1x1: at most 4 * 64 outputs of 32 pairs; 3x3: at most 64 outputs of all pairs and taps
  uint32_t packed[Taps > 1 ? kMaxPairs * kMaxChannels : (kMaxChannels + 1) * 2 * kMaxChannels];
  pack_weights<Taps>(in, w, outputs, packed);
  int left = width / kWidth, j = 0;
  while (left > 0) {
    const int n = left >= 2 * kVectors ? kVectors : left > kVectors ? (left + 1) / 2 : left;
#define PTN_CASE(N)                                             \
  case N:                                                       \
    dot_columns<Taps, N>(in, packed, outputs, start, y, stride, j); \
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
