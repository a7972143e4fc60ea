// Products over channels: the inner loop of every 1x1 and 3x3 convolution. Rows are planar,
// vectorised along x; a block of outputs x vectors stays in registers over the whole sum.
// Every pixel sees the same operations in the same order wherever it lies in a strip.
#pragma once

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

// Where a product reads: `rows` row pointers at output column 0, `channels` channels from each,
// `stride` floats apart; then, if extra[0] is set, one more channel. Weights are
// [row][channel][dx][output].
struct Inputs {
  const float* row[3];
  int channels;
  int64_t stride;
  int rows;
  const float* extra[3] = {nullptr, nullptr, nullptr};
};

// Where a product starts and how exact it is.
struct Start {
  const float* bias = nullptr;  // [outputs]
  bool accumulate = false;      // add to what is there
  bool bf16 = false;            // operands rounded to bfloat16
};

// A pointer that walks: compilers would rather keep one for every row, more than there are
// registers.
template <class T>
inline void step(T*& p, int64_t by) {
  p += by;
  asm("" : "+r"(p));
}

template <int R, int N>
inline void open_block(const Start& start, const float* bias, const float* y, int64_t stride,
                       Vec (&a)[R][N]) {
  if (start.accumulate) {
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i, step(y, stride))
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) a[i][v] = load(y + v * kWidth);
    return;
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) {
    const Vec first = bias ? splat(bias[i]) : Vec{};
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) a[i][v] = first;
  }
}

template <int R, int N>
inline void store_block(const Vec (&a)[R][N], float* y, int64_t stride) {
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i, step(y, stride))
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) store(y + v * kWidth, a[i][v]);
}

}  // namespace
}  // namespace pantiny

#include "csrc/simd/bf16.h"

namespace pantiny {
namespace {

template <int Taps, int R, int N>
inline void accumulate(const float* p, int64_t stride, int channels, const float*& w, int outputs,
                       Vec (&a)[R][N]) {
  for (int k = 0; k < channels; ++k, p += stride)
#pragma GCC unroll 3
    for (int dx = 0; dx < Taps; ++dx, w += outputs) {
      Vec b[N];
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) b[v] = load(p + dx - Taps / 2 + v * kWidth);
#pragma GCC unroll 8
      for (int i = 0; i < R; ++i) {
        const Vec s = splat(w[i]);
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) a[i][v] = mul_add(s, b[v], a[i][v]);
      }
    }
}

template <int Taps, int R, int N>
inline void product_block(const Inputs& in, const float* w, int outputs, const Start& start,
                          const float* bias, float* y, int64_t stride, int j) {
  Vec a[R][N];
  open_block(start, bias, y + j, stride, a);
  for (int r = 0; r < in.rows; ++r) {
    accumulate<Taps>(in.row[r] + j, in.stride, in.channels, w, outputs, a);
    if (in.extra[0]) accumulate<Taps>(in.extra[r] + j, 0, 1, w, outputs, a);
  }
  store_block(a, y + j, stride);
}

// All outputs of N vectors: what they read stays in the first-level cache, the weights stream.
template <int Taps, int N>
inline void product_columns(const Inputs& in, const float* w, int outputs, const Start& start,
                            float* y, int64_t stride, int j) {
  // blocks of equal size: 40 outputs are 7 7 7 7 6 6, not 7 7 7 7 7 5
  const int blocks = (outputs + kOutputs - 1) / kOutputs;
  for (int b = 0, o = 0; b < blocks; ++b) {
    const int take = (outputs - o + blocks - b - 1) / (blocks - b);
    const float* bias = start.bias ? start.bias + o : nullptr;
    float* yo = y + o * stride;
#define PTN_CASE(R)                                                            \
  case R:                                                                      \
    product_block<Taps, R, N>(in, w + o, outputs, start, bias, yo, stride, j); \
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

// y[o] = start + sum of weights times inputs on `width` columns of one row; y: output 0,
// outputs `stride` apart; w: `outputs` floats from one input to the next.
template <int Taps>
void product(const Inputs& in, const Panel& weights, int outputs, const Start& start, float* y,
             int64_t stride, int width) {
#ifdef PTN_BF16
  if (start.bf16) return product_bf16<Taps>(in, weights.pairs, outputs, start, y, stride, width);
#endif
  const float* const w = weights.w;
  int left = width / kWidth, j = 0;
  while (left > 0) {
    // what is left over is shared out: 4 vectors in blocks of 3 are 2 + 2, not 3 + 1
    const int n = left >= 2 * kVectors ? kVectors : left > kVectors ? (left + 1) / 2 : left;
#define PTN_CASE(N)                                                \
  case N:                                                          \
    product_columns<Taps, N>(in, w, outputs, start, y, stride, j); \
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
