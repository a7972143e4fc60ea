// Exact GELU, x * Phi(x), in float32: absolute error at most 5e-7 on [-9, 9], 5e-8 in the root mean
// square over [-3, 3]; 1e-6 and 7e-8 where multiply-adds round twice (tests/native/gelu_check.h).
#pragma once

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

// Of N vectors in lockstep: one alone would wait for itself. Twice the GELU spares a product: the
// halves are in the weights of what it is multiplied with.
#if PTN_WIDTH == 16 && (defined(__AVX512F__) || defined(PTN_TEST_SHIFT))

// The lane of a table that the low four bits of each lane of `at` name: one instruction.
inline Vec look_up(const float (&table)[16], Vec at) {
#ifdef __AVX512F__
  return _mm512_permutexvar_ps(reinterpret_cast<__m512i>(at), load(table));
#else
  Vec r;
  for (int i = 0; i < kWidth; ++i) {
    uint32_t bits;
    const float f = at[i];
    __builtin_memcpy(&bits, &f, 4);
    r[i] = table[bits & 15];
  }
  return r;
#endif
}

// x + E(|x|), E(t) = 2 t (Phi(t) - 1/2) = t erf(t / sqrt 2) in 16 pieces around 3/8 k, each of
// degree 5 through Chebyshev nodes: 3e-8 off. The first is t^2 times a cubic, so that 0 stays 0;
// the last is t itself, right to 3e-7 from 5.4 on.
template <int N>
inline void twice_gelu(Vec (&x)[N]) {
  alignas(64) static const float kPieces[6][16] = {
      {0.0f, 0.109627341f, 0.410058965f, 0.831837318f, 1.29957838f, 1.76101364f, 2.19498988f,
       2.60225465f, 2.99190061f, 3.37250872f, 3.74933687f, 4.12484707f, 4.49996942f, 4.8749947f,
       5.2499992f, 5.625f},
      {0.0f, 0.571230846f, 0.998451436f, 1.21613342f, 1.25493839f, 1.19715581f, 1.11837949f,
       1.05813706f, 1.02389129f, 1.0083144f, 1.00246763f, 1.00062739f, 1.00013706f, 1.00002578f,
       1.00000418f, 1.0f},
      {0.79788437f, 0.691410102f, 0.432888394f, 0.15560624f, -0.0323726313f, -0.104253251f,
       -0.0972051198f, -0.0622316276f, -0.0310240205f, -0.0125940401f, -0.00425297236f,
       -0.0012091875f, -0.00029161787f, -5.9954893e-05f, -1.05452014e-05f, 0.0f},
      {3.25037105e-05f, -0.179387044f, -0.258786129f, -0.217255817f, -0.113329959f, -0.0208259502f,
       0.0252919784f, 0.0321836425f, 0.0221597465f, 0.0111509035f, 0.00443501979f, 0.00144135513f,
       0.00038957413f, 8.85050836e-05f, 1.70191125e-05f, 0.0f},
      {-0.133848734f, -0.0934561192f, -0.0097622128f, 0.0568083359f, 0.0716653884f, 0.0472175618f,
       0.0155487372f, -0.00325802385f, -0.00804306591f, -0.00602919293f, -0.00305194003f,
       -0.00118415039f, -0.000369187691f, -9.46921886e-05f, -2.02567949e-05f, 0.0f},
      {0.00742949307f, 0.0379817168f, 0.0453634066f, 0.0225260533f, -0.00530730632f, -0.0177174868f,
       -0.0143104124f, -0.00577398939f, -3.82924576e-05f, 0.00167583643f, 0.0013436829f,
       0.000669167315f, 0.000248367312f, 7.29817428e-05f, 1.74727458e-05f, 0.0f},
  };
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded
  Vec piece[N], r[N], p[N];
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) {
    const Vec t = larger(x[v], -x[v]);
    piece[v] = mul_add(smaller(t, splat(5.625f)), splat(8.0f / 3.0f), splat(kMagic));
    r[v] = mul_add(piece[v] - splat(kMagic), splat(-0.375f), t);
    p[v] = look_up(kPieces[5], piece[v]);
  }
#pragma GCC unroll 8
  for (int i = 4; i >= 0; --i)
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) p[v] = mul_add(p[v], r[v], look_up(kPieces[i], piece[v]));
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) x[v] = x[v] + p[v];
}

#else

// With c = clamp(x, +-5.6), s = 2 c^2 / 5.6^2 - 1, it is x + x * c * P(s), P of degree 15.
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
    s[v] = mul_add(c[v] * c[v], splat(2.0f / 31.36f), splat(-1.0f));
    p[v] = splat(kP[15]);
  }
#pragma GCC unroll 15
  for (int i = 14; i >= 0; --i) {
    Vec k = splat(kP[i]);
    hold(k);
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) p[v] = mul_add(p[v], s[v], k);
  }
#pragma GCC unroll 8
  for (int v = 0; v < N; ++v) x[v] = mul_add(x[v], p[v] * c[v], x[v]);
}

#endif

}  // namespace
}  // namespace pantiny
