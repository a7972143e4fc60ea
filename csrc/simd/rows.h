// Row primitives between the products: LayerNorm, depthwise 3x3, gate.
#pragma once

#include "csrc/simd/vec.h"

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
      squares[v] += d * d;
    }
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) squares[v] = rsqrt(squares[v] * share + splat(1e-5f));
  p = x;
  for (int c = 0; c < channels; ++c, p += x_stride, y += y_stride)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store(y + v * kWidth, (load(p + v * kWidth) - sum[v]) * squares[v]);
}

// y = (x - mean) / sqrt(variance + 1e-5) over channels; weight and bias live in the
// product that follows. Four vectors at a time: the sums over channels wait for each other.
inline void layer_norm(const float* x, int64_t x_stride, int channels, float* y, int64_t y_stride,
                       int width) {
  const Vec share = splat(1.0f / static_cast<float>(channels));
  int j = 0;
  for (; j + 4 * kWidth <= width; j += 4 * kWidth)
    layer_norm_block<4>(x + j, x_stride, channels, share, y + j, y_stride);
  for (; j < width; j += kWidth)
    layer_norm_block<1>(x + j, x_stride, channels, share, y + j, y_stride);
}

// Depthwise 3x3 of one channel on two neighbouring rows; r: the four rows around them at
// output column 0. Two rows a visit halve the loads.
inline void depthwise_pair(const float* const (&r)[4], const float* w, float* y0, float* y1,
                           int width) {
  Vec k[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) k[i] = splat(w[i]);
  for (int j = 0; j < width; j += kWidth) {
    Vec a{}, b{};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      Vec left = load(r[i] + j - 1), middle = load(r[i] + j), right = load(r[i] + j + 1);
      hold(left);
      hold(middle);
      hold(right);
      if (i < 3) a = a + k[3 * i] * left + k[3 * i + 1] * middle + k[3 * i + 2] * right;
      if (i > 0) b = b + k[3 * i - 3] * left + k[3 * i - 2] * middle + k[3 * i - 1] * right;
    }
    store(y0 + j, a);
    store(y1 + j, b);
  }
}

// a = gelu(a) * b
inline void gate_row(float* a, const float* b, int width) {
  for (int j = 0; j < width; j += kWidth) store(a + j, gelu(load(a + j)) * load(b + j));
}

inline void mask_row(float* x, const float* mask, int width) {
  for (int j = 0; j < width; j += kWidth) store(x + j, select_nonzero(load(mask + j), load(x + j)));
}

}  // namespace
}  // namespace pantiny
