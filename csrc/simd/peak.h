// The machine's ceiling for fp32 multiply-adds with this instruction set.
#pragma once

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

// Twelve independent chains: more than latency times units on any core. Returns the FLOPs done.
double multiply_add(int64_t rounds) {
  constexpr int kChains = 12;
  float m = 0.999f, c = 0.001f;
  asm volatile("" : "+m"(m), "+m"(c));
  const Vec vm = splat(m), vc = splat(c);
  // named, not an array: an array would live in memory
  Vec a0 = splat(m), a1 = a0 + vc, a2 = a1 + vc, a3 = a2 + vc, a4 = a3 + vc, a5 = a4 + vc,
      a6 = a5 + vc, a7 = a6 + vc, a8 = a7 + vc, a9 = a8 + vc, a10 = a9 + vc, a11 = a10 + vc;
  for (int64_t r = 0; r < rounds; ++r) {
    a0 = mul_add(a0, vm, vc);
    a1 = mul_add(a1, vm, vc);
    a2 = mul_add(a2, vm, vc);
    a3 = mul_add(a3, vm, vc);
    a4 = mul_add(a4, vm, vc);
    a5 = mul_add(a5, vm, vc);
    a6 = mul_add(a6, vm, vc);
    a7 = mul_add(a7, vm, vc);
    a8 = mul_add(a8, vm, vc);
    a9 = mul_add(a9, vm, vc);
    a10 = mul_add(a10, vm, vc);
    a11 = mul_add(a11, vm, vc);
  }
  const Vec sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11;
  volatile float sink = sum[0];
  (void)sink;
  return static_cast<double>(rounds) * kChains * kWidth * 2;
}

}  // namespace
}  // namespace pantiny
