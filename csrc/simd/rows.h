// Row primitives between the products: LayerNorm, depthwise 3x3, gate.
#pragma once

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

// y = (x - mean) / sqrt(variance + 1e-5) over channels; weight and bias live in the
// product that follows.
inline void layer_norm(const float* x, int64_t x_stride, int channels, float* y, int64_t y_stride,
                       int width) {
  const Vec share = splat(1.0f / static_cast<float>(channels));
  for (int j = 0; j < width; j += kWidth) {
    Vec sum{}, squares{};
    for (int c = 0; c < channels; ++c) sum += load(x + c * x_stride + j);
    const Vec mean = sum * share;
    for (int c = 0; c < channels; ++c) {
      const Vec d = load(x + c * x_stride + j) - mean;
      squares += d * d;
    }
    const Vec scale = rsqrt(squares * share + splat(1e-5f));
    for (int c = 0; c < channels; ++c)
      store(y + c * y_stride + j, (load(x + c * x_stride + j) - mean) * scale);
  }
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
      const Vec left = load(r[i] + j - 1), middle = load(r[i] + j), right = load(r[i] + j + 1);
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
  for (int j = 0; j < width; j += kWidth)
    store(x + j, select_nonzero(load(mask + j), load(x + j)));
}

}  // namespace
}  // namespace pantiny
