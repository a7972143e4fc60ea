// Row primitives the segments are made of: products over channels, depthwise 3x3,
// LayerNorm. Planar layout, vectorised along x. Every pixel sees the same operations in
// the same order wherever it lies in a tile, so tiling cannot change a bit.
#pragma once

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

constexpr int kMaxInputs = (64 + 1) * 9;

// What a product does around its sum.
struct Epilogue {
  const float* bias = nullptr;  // [outputs]
  bool accumulate = false;      // add to what is there
  bool relu = false;
  const float* mask = nullptr;  // row of 0 and 1 to multiply with
};

template <int R, int N>
inline void product_block(const float* const* x, int inputs, const float* w, int stride,
                          const Epilogue& e, const float* bias, float* y, int64_t plane, int j) {
  Vec a[R][N];
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < N; ++v)
      a[i][v] =
          e.accumulate ? load(y + i * plane + j + v * kWidth) : (bias ? splat(bias[i]) : Vec{});
  for (int k = 0; k < inputs; ++k) {
    Vec b[N];
    for (int v = 0; v < N; ++v) b[v] = load(x[k] + j + v * kWidth);
    const float* wk = w + static_cast<int64_t>(k) * stride;
    for (int i = 0; i < R; ++i) {
      const Vec s = splat(wk[i]);
      for (int v = 0; v < N; ++v) a[i][v] += s * b[v];
    }
  }
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < N; ++v) {
      const int at = j + v * kWidth;
      Vec r = a[i][v];
      if (e.relu) r = r > Vec{} ? r : Vec{};
      if (e.mask) r = select_nonzero(load(e.mask + at), r);
      store(y + i * plane + at, r);
    }
}

template <int R>
inline void product_outputs(const float* const* x, int inputs, const float* w, int stride,
                            const Epilogue& e, const float* bias, float* y, int64_t plane, int c0,
                            int c1) {
  int j = c0;
  for (; j + kVectors * kWidth <= c1; j += kVectors * kWidth)
    product_block<R, kVectors>(x, inputs, w, stride, e, bias, y, plane, j);
  for (; j < c1; j += kWidth) product_block<R, 1>(x, inputs, w, stride, e, bias, y, plane, j);
}

// y[o] = epilogue(sum_k w[k][o] * x[k]) on columns [c0, c1) of one row.
// x: row of every input; w [inputs][outputs]; y: row of output 0, outputs `plane` apart.
inline void product_row(const float* const* x, int inputs, const float* w, int outputs,
                        const Epilogue& e, float* y, int64_t plane, int c0, int c1) {
  for (int o = 0; o < outputs; o += kOutputs) {
    const int left = outputs - o;
    const float* bias = e.bias ? e.bias + o : nullptr;
    float* yo = y + o * plane;
#define PTN_CASE(R)                                                            \
  case R:                                                                      \
    product_outputs<R>(x, inputs, w + o, outputs, e, bias, yo, plane, c0, c1); \
    break;
    switch (left < kOutputs ? left : kOutputs) {
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
  }
}

// 1x1 product of `inputs` planes on a range.
inline void conv1x1(const float* x, int inputs, const float* w, int outputs, Epilogue e, float* y,
                    const Tile& t, const Range& r, const float* mask) {
  const float* rows[kMaxInputs];
  for (int row = r.r0; row < r.r1; ++row) {
    const int64_t at = row * t.pitch;
    for (int k = 0; k < inputs; ++k) rows[k] = x + k * t.plane + at;
    e.mask = mask ? mask + at : nullptr;
    product_row(rows, inputs, w, outputs, e, y + at, t.plane, r.c0, r.c1);
  }
}

// 3x3 product; w [inputs * 9][outputs], taps in row-major order. `extra` (may be null) is
// one more input plane, after the others.
inline void conv3x3(const float* x, int inputs, const float* extra, const float* w, int outputs,
                    Epilogue e, float* y, const Tile& t, const Range& r, const float* mask) {
  const float* rows[kMaxInputs];
  const int total = inputs + (extra ? 1 : 0);
  for (int row = r.r0; row < r.r1; ++row) {
    int n = 0;
    for (int k = 0; k < total; ++k) {
      const float* plane = k < inputs ? x + k * t.plane : extra;
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) rows[n++] = plane + (row + dy) * t.pitch + dx;
    }
    const int64_t at = row * t.pitch;
    e.mask = mask ? mask + at : nullptr;
    product_row(rows, n, w, outputs, e, y + at, t.plane, r.c0, r.c1);
  }
}

// One vector of a depthwise 3x3; p points at the centre sample.
inline Vec depthwise(const float* p, int64_t pitch, const float* w) {
  const float *a = p - pitch, *c = p + pitch;
  const Vec left = w[0] * load(a - 1) + w[3] * load(p - 1) + w[6] * load(c - 1);
  const Vec middle = w[1] * load(a) + w[4] * load(p) + w[7] * load(c);
  const Vec right = w[2] * load(a + 1) + w[5] * load(p + 1) + w[8] * load(c + 1);
  return left + middle + right;
}

// y = (x - mean) / sqrt(variance + 1e-5) over channels; weight and bias live in the
// product that follows.
inline void layer_norm(const float* x, int channels, float* y, const Tile& t, const Range& r) {
  const float share = 1.0f / static_cast<float>(channels);
  for (int row = r.r0; row < r.r1; ++row)
    for (int j = r.c0; j < r.c1; j += kWidth) {
      const int64_t at = row * t.pitch + j;
      Vec sum{}, squares{};
      for (int c = 0; c < channels; ++c) sum += load(x + c * t.plane + at);
      const Vec mean = sum * share;
      for (int c = 0; c < channels; ++c) {
        const Vec d = load(x + c * t.plane + at) - mean;
        squares += d * d;
      }
      const Vec scale = rsqrt(squares * share + 1e-5f);
      for (int c = 0; c < channels; ++c)
        store(y + c * t.plane + at, (load(x + c * t.plane + at) - mean) * scale);
    }
}

}  // namespace
}  // namespace pantiny
