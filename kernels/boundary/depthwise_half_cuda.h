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
  constexpr int kFirstPad = W::kExtraLane;  // of the lanes that own slots from C on
  PTN_UNROLL
  for (int p = 0; p < 2; ++p) {
    float sum = 0;  // slots from C on are zero
    PTN_UNROLL
    for (int j = 0; j < W::kTiles; ++j) sum += c[4 * j + 2 * p] + c[4 * j + 2 * p + 1];
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    const float mean = sum * kMean;
    const float mean_of_pads = t < kFirstPad ? mean : 0.0f;  // they stay zero
    float d[2 * W::kTiles], squares = 0;
    PTN_UNROLL
    for (int j = 0; j < W::kTiles; ++j) {
      const bool always = W::channel(j, 3) < W::kChannels;
      PTN_UNROLL
      for (int e = 0; e < 2; ++e) {
        d[2 * j + e] = c[4 * j + 2 * p + e] - (always ? mean : mean_of_pads);
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
// it owns, 4 words. What depthwise() reads reaches kChunkMargin around it.
constexpr int kChunkPixelBytes = 64, kChunkMargin = 2 * kChunkPixelBytes;

template <class T>
PTN_DEVICE char* chunk_pixel(char* h, int row, int px, int t) {
  char* of_row = h + swizzled(px) * kChunkPixelBytes + t * 16;
  return of_row + row * (T::kWidth * kChunkPixelBytes);
}
// The same of half a chunk, in the first 2 words.
template <int Words>
PTN_DEVICE void load_chunk(uint32_t* a, const void* from) {
  if constexpr (Words == 4) {
    const auto v = load_words(from);
    a[0] = v.x;
    a[1] = v.y;
    a[2] = v.z;
    a[3] = v.w;
  } else {
    const auto v = *static_cast<const TwoWords*>(from);
    a[0] = v.x;
    a[1] = v.y;
  }
}

// A row of a chunk: norms y times a 1x1, K of Steps.
template <class E, class T, int Steps, int Words>
PTN_DEVICE void expand_row(char* h, int row, int px, int t, const uint32_t* y, const uint32_t* b) {
  float c[4 * Words] = {};
  multiply<E, Steps, Words>(c, y, b);
  uint32_t a[2 * Words];
  pack_fragment(a, c, Words, E::pack);
  PTN_UNROLL
  for (int p = 0; p < 2; ++p) {
    char* to = chunk_pixel<T>(h, row, px + p, t);
    if constexpr (Words == 4)
      store_words(to, pixel_words(a, p));
    else
      *reinterpret_cast<TwoWords*>(to) = TwoWords{a[p], a[2 + p]};
  }
}

// Depthwise 3x3 of a chunk over rows [first, first + rows), rows <= T::kRows: out(k, o) gets row
// first + k, o [2 pixels][words]. Three rows of sums are alive. The outermost columns of the
// region come out wrong: nothing inside needs them.
template <class E, class T, int Words, class Out>
PTN_DEVICE void depthwise(char* h, const uint32_t* weights, int px, int t, int first, int rows,
                          Out&& out) {
  uint32_t w[9][Words];
  PTN_UNROLL
  for (int i = 0; i < 9; ++i) load_chunk<Words>(w[i], weights + (i * 4 + t) * Words);
  uint32_t sum[3][2 * Words];
  // swizzled: pixel px - 1 lies two places before px, pixel px + 2 two after px + 1
  const char* of_column[2] = {chunk_pixel<T>(h, first - 1, px, t),
                              chunk_pixel<T>(h, first - 1, px + 1, t)};
  PTN_UNROLL
  for (int i = 0; i < T::kRows + 2; ++i) {
    if (!Place<T>::is_core(i - 2, rows)) continue;
    PTN_UNROLL
    for (int c = 0; c < 4; ++c) {  // columns px - 1 .. px + 2, one alive at a time
      const int margin = c == 0 ? -kChunkMargin : c == 3 ? kChunkMargin : 0;
      uint32_t in[Words];
      load_chunk<Words>(in, of_column[c >> 1] + i * (T::kWidth * kChunkPixelBytes) + margin);
      PTN_UNROLL
      for (int dy = 0; dy < 3; ++dy) {
        const int o = i - dy;
        if (o < 0 || o >= T::kRows) continue;
        PTN_UNROLL
        for (int p = 0; p < 2; ++p) PTN_UNROLL
        for (int j = 0; j < Words; ++j) {
          const int dx = c - p;
          if (dx < 0 || dx > 2) continue;
          uint32_t& s = sum[o % 3][p * Words + j];
          const uint32_t tap = w[dy * 3 + dx][j];
          s = dy == 0 && dx == 0 ? E::mul(in[j], tap) : E::fma(in[j], tap, s);
        }
      }
    }
    if (i >= 2) out(i - 2, sum[(i - 2) % 3]);
  }
}

}  // namespace cuda
}  // namespace pantiny
