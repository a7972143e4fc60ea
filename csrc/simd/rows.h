// Row primitives between the products: LayerNorm, depthwise 3x3, gate.
#pragma once

#include "csrc/simd/gelu.h"

namespace pantiny {
namespace {

template <int N>
inline void layer_norm_block(const float* x, int64_t x_stride, int channels, Vec share, float* y,
                             int64_t y_stride) {
  Vec sum[N] = {}, squares[N] = {};
  const float* p = x;
  for (int c = 0; c < channels; ++c, p += x_stride)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sum[v] += load(p + v * kWidth);
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) sum[v] *= share;
  p = x;
  for (int c = 0; c < channels; ++c, p += x_stride)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec d = load(p + v * kWidth) - sum[v];
      squares[v] = mul_add(d, d, squares[v]);
    }
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) squares[v] = rsqrt(mul_add(squares[v], share, splat(1e-5f)));
  p = x;
  for (int c = 0; c < channels; ++c, p += x_stride, y += y_stride)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store(y + v * kWidth, (load(p + v * kWidth) - sum[v]) * squares[v]);
}

#if PTN_OUTPUTS > 4
// The same of one vector, all of it in 32 registers: a third of the loads.
template <int C>
inline void layer_norm_held(const float* x, int64_t x_stride, Vec share, float* y,
                            int64_t y_stride) {
  static_assert(C % 4 == 0, "four sums side by side");
  Vec v[C], sum[4] = {}, squares[4] = {};
#pragma GCC unroll 32
  for (int c = 0; c < C; ++c, x += x_stride) {
    v[c] = load(x);
    sum[c % 4] += v[c];
  }
  const Vec mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * share;
#pragma GCC unroll 32
  for (int c = 0; c < C; ++c) {
    v[c] -= mean;
    squares[c % 4] = mul_add(v[c], v[c], squares[c % 4]);
  }
  const Vec total = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  const Vec scale = rsqrt(mul_add(total, share, splat(1e-5f)));
#pragma GCC unroll 32
  for (int c = 0; c < C; ++c, y += y_stride) store(y, v[c] * scale);
}
#endif

// y = (x - mean) / sqrt(variance + 1e-5) over channels; weight and bias live in the
// product that follows. Three vectors at a time: the sums over channels wait for each other.
inline void layer_norm(const float* x, int64_t x_stride, int channels, float* y, int64_t y_stride,
                       int width) {
  const Vec share = splat(1.0f / static_cast<float>(channels));
  int j = 0;
#if PTN_OUTPUTS > 4
  if (channels == 28) {
    for (; j < width; j += kWidth) layer_norm_held<28>(x + j, x_stride, share, y + j, y_stride);
    return;
  }
#endif
  for (; j + 3 * kWidth <= width; j += 3 * kWidth)
    layer_norm_block<3>(x + j, x_stride, channels, share, y + j, y_stride);
  for (; j < width; j += kWidth)
    layer_norm_block<1>(x + j, x_stride, channels, share, y + j, y_stride);
}

// Where a 3x3 on two neighbouring rows reads one channel, at output column 0.
struct FourRows {
  const float* row[4];
};

inline Vec add_three(Vec sum, const Vec* k, Vec left, Vec middle, Vec right) {
  return mul_add(k[2], right, mul_add(k[1], middle, mul_add(k[0], left, sum)));
}

// Depthwise 3x3 of one channel on both rows: two rows at a time halve the loads.
__attribute__((always_inline)) inline void depthwise_pair(const FourRows& x, const float* w,
                                                          float* y0, float* y1, int width) {
  Vec k[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) k[i] = splat(w[i]);
#ifdef PTN_SHIFT
  Vec before[4];  // the vectors that end in the column on the right
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) before[i] = load(x.row[i] + 1 - kWidth);
#endif
  for (int j = 0; j < width; j += kWidth) {
    Vec a{}, b{};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      Vec right = load(x.row[i] + j + 1);
#ifdef PTN_SHIFT
      const Vec left = shifted<2>(before[i], right), middle = shifted<1>(before[i], right);
      before[i] = right;
#else
      Vec left = load(x.row[i] + j - 1), middle = load(x.row[i] + j);
      hold(left);
      hold(middle);
      hold(right);
#endif
      if (i < 3) a = add_three(a, k + 3 * i, left, middle, right);
      if (i > 0) b = add_three(b, k + 3 * i - 3, left, middle, right);
    }
    store(y0 + j, a);
    store(y1 + j, b);
  }
}

template <int N>
inline void gate_block(float* a0, float* a1, const float* b0, const float* b1) {
  Vec g[2 * N];
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    g[v] = load(a0 + v * kWidth);
    g[N + v] = load(a1 + v * kWidth);
  }
  twice_gelu(g);
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    store(a0 + v * kWidth, g[v] * load(b0 + v * kWidth));
    store(a1 + v * kWidth, g[N + v] * load(b1 + v * kWidth));
  }
}

// a = 2 gelu(a) * b on both rows
__attribute__((always_inline)) inline void gate_pair(float* a0, float* a1, const float* b0,
                                                     const float* b1, int width) {
  int j = 0;
  for (; j + 3 * kWidth <= width; j += 3 * kWidth) gate_block<3>(a0 + j, a1 + j, b0 + j, b1 + j);
  for (; j < width; j += kWidth) gate_block<1>(a0 + j, a1 + j, b0 + j, b1 + j);
}

inline void relu_row(float* x, int width) {
  for (int j = 0; j < width; j += kWidth) store(x + j, larger(load(x + j), Vec{}));
}

// Of 0s and 1s.
inline bool all_nonzero(const float* x, int width) {
  Vec least = splat(1.0f);
  for (int j = 0; j < width; j += kWidth) least = smaller(least, load(x + j));
  for (int i = 0; i < kWidth; ++i)
    if (least[i] == 0.0f) return false;
  return true;
}

inline void mask_row(float* x, const float* mask, int width) {
  for (int j = 0; j < width; j += kWidth) store(x + j, select_nonzero(load(mask + j), load(x + j)));
}

}  // namespace
}  // namespace pantiny
