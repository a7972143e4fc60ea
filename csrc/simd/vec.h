// Vector type and register blocking of one instruction set. Included only by objects that
// are compiled once per instruction set; everything here has internal linkage.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "csrc/tile.h"

// A build may set its own shape, to run the code of one set on another.
#ifdef PTN_WIDTH
#elif defined(__AVX512F__)
#define PTN_WIDTH 16
#define PTN_OUTPUTS 7
#define PTN_VECTORS 3
#elif defined(__AVX2__)
#define PTN_WIDTH 8
#define PTN_OUTPUTS 4
#define PTN_VECTORS 3
#elif defined(__ARM_NEON)
#define PTN_WIDTH 4
#define PTN_OUTPUTS 7
#define PTN_VECTORS 3
#else
#define PTN_WIDTH 4
#define PTN_OUTPUTS 4
#define PTN_VECTORS 2
#endif

namespace pantiny {
namespace {

constexpr int kWidth = PTN_WIDTH;      // floats in a vector
constexpr int kOutputs = PTN_OUTPUTS;  // output channels kept in registers by a product
constexpr int kVectors = PTN_VECTORS;  // vectors of pixels kept in registers by a product
static_assert(PTN_BLOCK % kWidth == 0, "a block is a whole number of vectors");

typedef float Vec __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));
typedef double VecD __attribute__((vector_size(kWidth * sizeof(double)), aligned(8)));

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }

// GCC 12 takes a function that only prefetches for one without effect, and drops its calls.
inline void prefetch(const float* p) {
  __builtin_prefetch(p);
  asm volatile("");
}

// One broadcast from memory. `Vec{} + x` would cost an addition and a shuffle: 0 + x is not x
// for a negative zero.
inline Vec splat(float x) {
#if PTN_WIDTH == 16
  return Vec{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif PTN_WIDTH == 8
  return Vec{x, x, x, x, x, x, x, x};
#else
  return Vec{x, x, x, x};
#endif
}

// The value as a register: without it compilers read a sample twice rather than hold it.
inline void hold(Vec& v) {
#if defined(__SSE2__) && (PTN_WIDTH == 4 || (PTN_WIDTH == 8 && defined(__AVX__)) || \
                          (PTN_WIDTH == 16 && defined(__AVX512F__)))
  asm("" : "+x"(v));
#elif defined(__ARM_NEON) && PTN_WIDTH == 4
  asm("" : "+w"(v));
#else
  (void)v;
#endif
}

// Compilers make two instructions of a comparison and a choice.
inline Vec smaller(Vec a, Vec b) {
#if PTN_WIDTH == 16 && defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif PTN_WIDTH == 8 && defined(__AVX__)
  return _mm256_min_ps(a, b);
#elif PTN_WIDTH == 4 && defined(__SSE2__)
  return _mm_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}

inline Vec larger(Vec a, Vec b) {
#if PTN_WIDTH == 16 && defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif PTN_WIDTH == 8 && defined(__AVX__)
  return _mm256_max_ps(a, b);
#elif PTN_WIDTH == 4 && defined(__SSE2__)
  return _mm_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}

inline Vec select_nonzero(Vec mask, Vec v) { return mask != Vec{} ? v : Vec{}; }

// Of positive normal numbers.
inline Vec rsqrt(Vec v) {
#if PTN_WIDTH == 16 && defined(__AVX512F__)
  // At most 2^-14 off, so after a Newton step 1.5 * 2^-28 and three roundings: a root and a
  // division, two roundings, take four times as long.
  const Vec r = _mm512_rsqrt14_ps(v);
  return r + r * splat(0.5f) * (splat(1.0f) - v * r * r);
#else
  Vec r;
  for (int i = 0; i < kWidth; ++i) r[i] = 1.0f / std::sqrt(v[i]);
  return r;
#endif
}

// Lanes shifted right by one and by two, the gaps filled from the end of the vector before: one
// instruction on AVX-512 and NEON. Elsewhere a second load is cheaper.
#if PTN_WIDTH == 16 && defined(__AVX512F__)
#define PTN_SHIFT 1
template <int By>
inline Vec shifted(Vec before, Vec v) {
  return reinterpret_cast<Vec>(_mm512_alignr_epi32(reinterpret_cast<__m512i>(v),
                                                   reinterpret_cast<__m512i>(before), kWidth - By));
}
#elif PTN_WIDTH == 4 && defined(__ARM_NEON)
#define PTN_SHIFT 1
template <int By>
inline Vec shifted(Vec before, Vec v) {
  return vextq_f32(before, v, kWidth - By);
}
#elif defined(PTN_TEST_SHIFT)
#define PTN_SHIFT 1
template <int By>
inline Vec shifted(Vec before, Vec v) {
  Vec r;
  for (int i = 0; i < kWidth; ++i) r[i] = i < By ? before[kWidth - By + i] : v[i - By];
  return r;
}
#endif

// Twice the exact GELU, 2 x * Phi(x), of N vectors in lockstep: one alone would wait for itself.
// With c = clamp(x, +-5.6), s = 2 c^2 / 5.6^2 - 1, it is x + x * c * P(s), P of degree 15. Half
// of it, in float32 on [-8, 8]: absolute error at most 6e-7, 6e-8 in the root mean square over
// [-3, 3], which is what rounding alone gives.
template <int N>
inline void twice_gelu(Vec (&x)[N]) {
  constexpr float kP[16] = {0.2525191903114319f,    -0.12610259652137756f,   0.09396154433488846f,
                            -0.07668983191251755f,  0.06394457817077637f,    -0.052641015499830246f,
                            0.04184478521347046f,   -0.031402941793203354f,  0.022114096209406853f,
                            -0.015406429767608643f, 0.010392962954938412f,   -0.005209580063819885f,
                            0.0018468701746314764f, -0.0016747494228184223f, 0.001603604992851615f,
                            -0.0005290672415867448f};
  Vec c[N], s[N], p[N];
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) {
    c[v] = smaller(larger(x[v], splat(-5.6f)), splat(5.6f));
    s[v] = c[v] * c[v] * splat(2.0f / 31.36f) - splat(1.0f);
    p[v] = splat(kP[15]);
  }
#pragma GCC unroll 15
  for (int i = 14; i >= 0; --i) {
    Vec k = splat(kP[i]);
    hold(k);
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) p[v] = p[v] * s[v] + k;
  }
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) x[v] = x[v] + x[v] * (p[v] * c[v]);
}

}  // namespace
}  // namespace pantiny
