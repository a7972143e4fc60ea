// Checks and random numbers. A failed check prints where and goes on; main counts.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

extern int g_checks, g_failures;
extern bool g_quick;           // a reduced set, for emulated machines
extern double g_worst_ratio;   // largest error over its bound seen
extern std::string g_context;  // what is being tested, for messages

#define CHECK(condition)                                                                         \
  do {                                                                                           \
    ++g_checks;                                                                                  \
    if (!(condition)) {                                                                          \
      ++g_failures;                                                                              \
      std::printf("%s:%d: %s: failed: %s\n", __FILE__, __LINE__, g_context.c_str(), #condition); \
    }                                                                                            \
  } while (0)

#define CHECK_EQ(actual, expected)                                                              \
  do {                                                                                          \
    ++g_checks;                                                                                 \
    const long long a_ = static_cast<long long>(actual), e_ = static_cast<long long>(expected); \
    if (a_ != e_) {                                                                             \
      ++g_failures;                                                                             \
      std::printf("%s:%d: %s: %s is %lld; expected %s = %lld\n", __FILE__, __LINE__,            \
                  g_context.c_str(), #actual, a_, #expected, e_);                               \
    }                                                                                           \
  } while (0)

// splitmix64: the same numbers on every machine.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double uniform(double low = 0, double high = 1) {
    return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53;
  }
  // Deviation 1, from twelve uniform numbers: no library function that could differ.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  uint64_t state_;
};

void test_network();
void test_masks();
void test_output();
void test_interface();
void test_order();
void test_determinism();
void test_bf16();
void test_gelu();
void test_indices();
void test_shrink();
