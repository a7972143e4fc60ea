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

// a * b + c, rounded once where there is an instruction for it. Objects are compiled without
// contraction: a compiler would contract the same expression here and not there, and pixels
// would depend on where they lie.
inline Vec mul_add(Vec a, Vec b, Vec c) {
#if PTN_WIDTH == 16 && defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif PTN_WIDTH == 8 && defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif PTN_WIDTH == 4 && defined(__ARM_NEON)
  return vfmaq_f32(c, a, b);
#elif defined(__FMA__)
  for (int i = 0; i < kWidth; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
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
  return mul_add(r * splat(0.5f), mul_add(-(v * r), r, splat(1.0f)), r);
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

}  // namespace
}  // namespace pantiny
