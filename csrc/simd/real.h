// Vectors of doubles, as many bytes as the vectors of floats. Integer samples and the sums of
// their products over a window are exact in them.
#pragma once

#include <cstdint>
#include <cstring>

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

constexpr int kReals = kWidth / 2;  // doubles in a vector

typedef double Real __attribute__((vector_size(kReals * sizeof(double)), aligned(8), may_alias));

inline Real load(const double* p) { return *reinterpret_cast<const Real*>(p); }
inline void store(double* p, Real v) { *reinterpret_cast<Real*>(p) = v; }

inline Real splat(double x) {
#if PTN_WIDTH == 16
  return Real{x, x, x, x, x, x, x, x};
#elif PTN_WIDTH == 8
  return Real{x, x, x, x};
#else
  return Real{x, x};
#endif
}

// a * b + c; see the one of floats.
inline Real mul_add(Real a, Real b, Real c) {
#if PTN_WIDTH == 16 && defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif PTN_WIDTH == 8 && defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif PTN_WIDTH == 4 && defined(__ARM_NEON)
  return vfmaq_f64(c, a, b);
#elif defined(__FMA__)
  for (int i = 0; i < kReals; ++i) c[i] = __builtin_fma(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}

typedef int64_t Choice __attribute__((vector_size(kReals * sizeof(double))));  // -1 or 0 per lane

// GCC 12 breaks on some selections by a comparison that is not made of bits.
inline Real select(Choice which, Real yes, Real no) {
  return reinterpret_cast<Real>((which & reinterpret_cast<Choice>(yes)) |
                                (~which & reinterpret_cast<Choice>(no)));
}
inline Real only(Choice which, Real yes) {
  return reinterpret_cast<Real>(which & reinterpret_cast<Choice>(yes));
}
inline Choice nonzero(Real v) { return v != Real{}; }

// Lanes below `count`.
inline Choice first_lanes(int64_t count) {
  Choice lane;
  for (int l = 0; l < kReals; ++l) lane[l] = l;
  return lane < count;
}

inline Real root(Real v) {
  for (int i = 0; i < kReals; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
}

// Samples as doubles, exactly. The compiler does the same a half or a sample at a time.
#if PTN_WIDTH == 16 && defined(__AVX512F__)
#define PTN_REAL_WIDEN 1
inline Real widened(const uint8_t* p) {
  const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(raw));
}
inline Real widened(const uint16_t* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_pd(_mm256_cvtepu16_epi32(raw));
}
inline Real widened(const int16_t* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_pd(_mm256_cvtepi16_epi32(raw));
}
inline Real widened(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
inline Real widened(const double* p) { return load(p); }
#elif PTN_WIDTH == 8 && defined(__AVX2__)
#define PTN_REAL_WIDEN 1
inline Real widened(const uint8_t* p) {
  int32_t raw;
  std::memcpy(&raw, p, sizeof(raw));
  return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(raw)));
}
inline Real widened(const uint16_t* p) {
  const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_pd(_mm_cvtepu16_epi32(raw));
}
inline Real widened(const int16_t* p) {
  const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_pd(_mm_cvtepi16_epi32(raw));
}
inline Real widened(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
inline Real widened(const double* p) { return load(p); }
#endif

// Lanes By.. of `low` followed by the first of `high`.
#if PTN_WIDTH == 16 && defined(__AVX512F__)
#define PTN_REAL_SHIFT 1
template <int By>
inline Real shifted(Real low, Real high) {
  return reinterpret_cast<Real>(
      _mm512_alignr_epi64(reinterpret_cast<__m512i>(high), reinterpret_cast<__m512i>(low), By));
}
#endif

inline double sum_lanes(Real v) {
  double s = 0;
  for (int i = 0; i < kReals; ++i) s += v[i];
  return s;
}

inline int64_t whole_reals(int64_t count) { return (count + kReals - 1) / kReals * kReals; }

}  // namespace
}  // namespace pantiny
