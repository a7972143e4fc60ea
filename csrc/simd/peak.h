// The machine's ceiling for fp32 multiply-adds with this instruction set.
#pragma once

#include "csrc/simd/vec.h"

namespace pantiny {
namespace {

// Twelve independent chains: more than latency times units on any core. Returns the FLOPs done.
double multiply_add(int64_t rounds) {
  constexpr int kChains = 12;
  Vec a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = splat(static_cast<float>(i));
  float m = 0.999f, c = 0.001f;
  asm volatile("" : "+m"(m), "+m"(c));
  const Vec vm = splat(m), vc = splat(c);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) a[i] = a[i] * vm + vc;
    asm volatile("" ::: "memory");
  }
  Vec sum{};
  for (int i = 0; i < kChains; ++i) sum += a[i];
  volatile float sink = sum[0];
  (void)sink;
  return static_cast<double>(rounds) * kChains * kWidth * 2;
}

}  // namespace
}  // namespace pantiny
