// What the float segments are made of. Features are planar [image][channel][H][W].
#pragma once

#include "csrc/cuda/scene.h"

namespace pantiny {
namespace cuda {

// A width that kernels are compiled for.
template <int kChannels_, int kHeads_>
struct Width {
  static constexpr int kChannels = kChannels_, kHeads = kHeads_, kHead = kChannels_ / kHeads_;
  static constexpr int kStatistics = kHeads * kHead * kHead + 2 * kChannels;
  static_assert(kChannels % 4 == 0 && kHead % 2 == 0 && kHeads % 2 == 0, "tiling");
};
using Width28 = Width<28, 2>;
using Width40 = Width<40, 4>;

// Exact GELU, absolute error 1e-6: with c = clamp(x, +-5.6), s = 2 c^2 / 5.6^2 - 1 it is
// (x + x c P(s)) / 2, P of degree 15 (the polynomial of csrc/simd/gelu.h).
PTN_DEVICE float gelu(float x) {
  const float c = x < -5.6f ? -5.6f : x > 5.6f ? 5.6f : x;
  const float s = fma_float(c * c, 2.0f / 31.36f, -1.0f);
  float p = -0.0005290672415867448f;
  p = fma_float(p, s, 0.001603604992851615f);
  p = fma_float(p, s, -0.0016747494228184223f);
  p = fma_float(p, s, 0.0018468701746314764f);
  p = fma_float(p, s, -0.005209580063819885f);
  p = fma_float(p, s, 0.010392962954938412f);
  p = fma_float(p, s, -0.015406429767608643f);
  p = fma_float(p, s, 0.022114096209406853f);
  p = fma_float(p, s, -0.031402941793203354f);
  p = fma_float(p, s, 0.04184478521347046f);
  p = fma_float(p, s, -0.052641015499830246f);
  p = fma_float(p, s, 0.06394457817077637f);
  p = fma_float(p, s, -0.07668983191251755f);
  p = fma_float(p, s, 0.09396154433488846f);
  p = fma_float(p, s, -0.12610259652137756f);
  p = fma_float(p, s, 0.2525191903114319f);
  return 0.5f * fma_float(x, p * c, x);
}

// LayerNorm over the channels of one pixel without weight and bias; eps 1e-5.
template <int C>
PTN_DEVICE void normalise(const float (&x)[C], float (&y)[C]) {
  float mean = 0, variance = 0;
  PTN_UNROLL
  for (int i = 0; i < C; ++i) mean += x[i];
  mean *= 1.0f / C;
  PTN_UNROLL
  for (int i = 0; i < C; ++i) {
    y[i] = x[i] - mean;
    variance = fma_float(y[i], y[i], variance);
  }
  const float scale = rsqrt_approx(fma_float(variance, 1.0f / C, 1e-5f));
  PTN_UNROLL
  for (int i = 0; i < C; ++i) y[i] *= scale;
}

struct alignas(16) Float4 {
  float a, b, c, d;
};

// out[i] += scale * row[i]; row is 16-byte aligned and the same for all threads of a warp.
template <int C>
PTN_DEVICE void add_scaled(float (&out)[C], float scale, const float* row) {
  PTN_UNROLL
  for (int i = 0; i < C; i += 4) {
    const Float4 w = *reinterpret_cast<const Float4*>(row + i);
    out[i] = fma_float(scale, w.a, out[i]);
    out[i + 1] = fma_float(scale, w.b, out[i + 1]);
    out[i + 2] = fma_float(scale, w.c, out[i + 2]);
    out[i + 3] = fma_float(scale, w.d, out[i + 3]);
  }
}

// bias + sum of x[i] * row[i]; the bias lies behind the weights.
template <int C>
PTN_DEVICE float dot_with_bias(const float (&x)[C], const float* row) {
  float sum = row[C];
  PTN_UNROLL
  for (int i = 0; i < C; i += 4) {
    const Float4 w = *reinterpret_cast<const Float4*>(row + i);
    sum = fma_float(x[i], w.a, sum);
    sum = fma_float(x[i + 1], w.b, sum);
    sum = fma_float(x[i + 2], w.c, sum);
    sum = fma_float(x[i + 3], w.d, sum);
  }
  return sum;
}

// 3x3 of one plane of a tile around `at`.
template <int kPitch>
PTN_DEVICE float depthwise(const float* at, const float* w) {
  float sum = 0;
  PTN_UNROLL
  for (int dy = 0; dy < 3; ++dy) PTN_UNROLL
  for (int dx = 0; dx < 3; ++dx)
    sum = fma_float(w[dy * 3 + dx], at[(dy - 1) * kPitch + dx - 1], sum);
  return sum;
}

// All threads of the block copy `count` floats, a multiple of four, both sides aligned.
template <int kThreads>
PTN_DEVICE void copy_floats(float* to, const float* from, int count) {
  for (int i = thread(); i < count / 4; i += kThreads)
    reinterpret_cast<Float4*>(to)[i] = reinterpret_cast<const Float4*>(from)[i];
}

PTN_HOST_DEVICE constexpr int round_up_4(int n) { return (n + 3) / 4 * 4; }

}  // namespace cuda
}  // namespace pantiny
