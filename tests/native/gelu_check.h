// The GELU of one shape of csrc/simd against the error function, in double. Include after the
// shape is set.
#pragma once

#include "check.h"
#include "csrc/simd/gelu.h"

// Absolute error on [-9, 9] and in the root mean square over [-3, 3], as gelu.h promises, and the
// ends: 0 stays 0, large values pass or vanish. static: each file that includes this has its own.
template <int N>
static void check_gelu(const char* name, double most, double most_rms) {
  using namespace pantiny;
  g_context = name;
  double worst = 0, squares = 0;
  int64_t count = 0;
  for (int64_t i = -90000; i < 90000; i += N * kWidth) {
    Vec x[N], y[N];
    for (int v = 0; v < N; ++v)
      for (int l = 0; l < kWidth; ++l)
        x[v][l] = static_cast<float>(1e-4 * static_cast<double>(i + v * kWidth + l));
    for (int v = 0; v < N; ++v) y[v] = x[v];
    twice_gelu(y);
    for (int v = 0; v < N; ++v)
      for (int l = 0; l < kWidth; ++l) {
        const double at = static_cast<double>(x[v][l]);
        const double truth = at / 2 * std::erfc(-at / std::sqrt(2.0));
        const double error = std::fabs(static_cast<double>(y[v][l]) / 2 - truth);
        worst = std::fmax(worst, error);
        if (std::fabs(at) > 3) continue;
        squares += error * error;
        ++count;
      }
  }
  CHECK(worst < most);
  CHECK(std::sqrt(squares / static_cast<double>(count)) < most_rms);
  Vec ends[1] = {Vec{}};
  ends[0][1] = 1e4f;
  ends[0][2] = -1e4f;
  twice_gelu(ends);
  CHECK(ends[0][0] == 0.0f);
  CHECK(ends[0][1] == 2e4f);
  CHECK(std::fabs(ends[0][2]) < 1e-2f);
}
