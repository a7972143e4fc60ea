// LayerNorm, depthwise 3x3 and GELU of the 16-bit kernels.
#pragma once

#include "kernels/half_cuda.h"

namespace pantiny {
namespace cuda {

// LayerNorm of a lane's two pixels c [tiles][4], gain and bias left to the 1x1 that follows, as a
// fragment. Slot C becomes 1, all of a pixel that does not exist 0: so is what the 1x1 makes of
// it, bias included.
template <class E, class W>
PTN_DEVICE void norm_fragment(uint32_t (&a)[2 * W::kTiles], const float* c, int t, bool there0,
                              bool there1) {
  constexpr float kMean = 1.0f / W::kChannels;
  PTN_UNROLL
  for (int p = 0; p < 2; ++p) {
    float sum = 0;  // slots from C on are zero
    PTN_UNROLL
    for (int j = 0; j < W::kTiles; ++j) sum += c[4 * j + 2 * p] + c[4 * j + 2 * p + 1];
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    const float mean = sum * kMean;
    float d[2 * W::kTiles], squares = 0;
    PTN_UNROLL
    for (int j = 0; j < W::kTiles; ++j) {
      const bool channel = W::channel(j, t) < W::kChannels;
      PTN_UNROLL
      for (int e = 0; e < 2; ++e) {
        d[2 * j + e] = channel ? c[4 * j + 2 * p + e] - mean : 0.0f;
        squares = fma_float(d[2 * j + e], d[2 * j + e], squares);
      }
    }
    squares += shuffle_xor(squares, 1);
    squares += shuffle_xor(squares, 2);
    const bool there = p ? there1 : there0;
    const float scale = there ? rsqrt_approx(squares * kMean + 1e-5f) : 0.0f;
    PTN_UNROLL
    for (int j = 0; j < W::kTiles; ++j) {
      float first = d[2 * j] * scale;
      if (j == W::kExtraTile && t == W::kExtraLane) first = there ? 1.0f : 0.0f;
      a[2 * j + p] = E::pack(first, d[2 * j + 1] * scale);
    }
  }
}

// 2 gelu(a) b of pairs; the 2 is made good by the packed weights of what follows.
//
// In half: gelu as x/2 (1 + tanh(x (c + d x^2))), within 2.7e-4 of the exact one where nothing is
// rounded; what x^2 overflows to leaves tanh at +-1.
PTN_DEVICE uint32_t gate(Half, uint32_t a, uint32_t b) {
  const uint32_t c = pack_half(0.80015f, 0.80015f), d = pack_half(0.034704f, 0.034704f);
  const uint32_t t = tanh_half(half_mul(half_fma(half_mul(a, a), d, c), a));
  const uint32_t product = half_mul(a, b);
  return half_fma(product, t, product);
}
// x/2 (1 + tanh(x (c + d x^2 + e x^4))): within 2.6e-5, its tanh within 2^-11. The polynomial
// falls beyond x^2 = 52, where tanh is 1.
PTN_DEVICE float twice_gelu(float x) {
  const float square = x * x, x2 = square < 50.0f ? square : 50.0f;
  const float u = fma_float(x2, fma_float(x2, -0.000351928372f, 0.0370081799f), 0.7975051f) * x;
  return fma_float(x, tanh_approx(u), x);
}
PTN_DEVICE uint32_t gate(Bf16, uint32_t a, uint32_t b) {
  float a0, a1, b0, b1;
  unpack_bf16(a, a0, a1);
  unpack_bf16(b, b0, b1);
  return pack_bf16(twice_gelu(a0) * b0, twice_gelu(a1) * b1);
}

// An expanded chunk h [rows][width] of 32 channels, 64 bytes a pixel: lane t's 16 bytes are what
// it owns, 4 words.
constexpr int kChunkPixelBytes = 64;

template <class T>
PTN_DEVICE char* chunk_pixel(char* h, int row, int px, int t) {
  char* of_row = h + swizzled(px) * kChunkPixelBytes + t * 16;
  return of_row + row * (T::kWidth * kChunkPixelBytes);
}
// A row of a chunk: norms y times a 1x1, K of Steps.
template <class E, class T, int Steps>
PTN_DEVICE void expand_row(char* h, int row, int px, int t, const uint32_t* y, const uint32_t* b) {
  uint32_t a[8] = {};
  if constexpr (E::kSums) {
    PTN_UNROLL
    for (int j = 0; j < 4; ++j) PTN_UNROLL
    for (int s = 0; s < Steps; ++s)
      mma_half_sums(a + 2 * j, y + 4 * s, b[2 * (s * 4 + j)], b[2 * (s * 4 + j) + 1]);
  } else {
    float c[16] = {};
    multiply<E, Steps, 4>(c, y, b);
    pack_fragment(a, c, 4, E::pack);
  }
  store_words(chunk_pixel<T>(h, row, px, t), pixel_words(a, 0));
  store_words(chunk_pixel<T>(h, row, px + 1, t), pixel_words(a, 1));
}

// Depthwise 3x3 of a chunk over rows [first, first + rows), rows <= T::kRows: out(k, o) gets row
// first + k, o [2 pixels][4 words]. Three rows of sums are alive. The outermost columns of the
// region come out wrong: nothing inside needs them.
template <class E, class T, class Out>
PTN_DEVICE void depthwise(char* h, const uint32_t* weights, int px, int t, int first, int rows,
                          Out&& out) {
  uint32_t w[36];  // [9 taps][4 words]
  PTN_UNROLL
  for (int i = 0; i < 9; ++i) {
    const Words v = load_words(weights + i * 16 + t * 4);
    w[4 * i] = v.x;
    w[4 * i + 1] = v.y;
    w[4 * i + 2] = v.z;
    w[4 * i + 3] = v.w;
  }
  uint32_t sum[3][8];
  PTN_UNROLL
  for (int i = 0; i < T::kRows + 2; ++i) {
    if (!Place<T>::is_core(i - 2, rows)) continue;
    uint32_t in[4][4];  // columns px - 1 .. px + 2
    PTN_UNROLL
    for (int c = 0; c < 4; ++c) {
      int column = px - 1 + c;
      column = column < 0 ? 0 : column > T::kWidth - 1 ? T::kWidth - 1 : column;
      const Words v = load_words(chunk_pixel<T>(h, first - 1 + i, column, t));
      in[c][0] = v.x;
      in[c][1] = v.y;
      in[c][2] = v.z;
      in[c][3] = v.w;
    }
    PTN_UNROLL
    for (int dy = 0; dy < 3; ++dy) {
      const int o = i - dy;
      if (o < 0 || o >= T::kRows) continue;
      PTN_UNROLL
      for (int p = 0; p < 2; ++p) PTN_UNROLL
      for (int j = 0; j < 4; ++j) {
        const uint32_t* tap = w + dy * 12 + j;
        uint32_t s =
            dy == 0 ? E::mul(in[p][j], tap[0]) : E::fma(in[p][j], tap[0], sum[o % 3][p * 4 + j]);
        s = E::fma(in[p + 1][j], tap[4], s);
        sum[o % 3][p * 4 + j] = E::fma(in[p + 2][j], tap[8], s);
      }
    }
    if (i >= 2) out(i - 2, sum[(i - 2) % 3]);
  }
}

}  // namespace cuda
}  // namespace pantiny
