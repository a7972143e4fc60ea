// The polynomial, in the shape that this file is compiled for.
#include "gelu_check.h"

void test_gelu_tables();

void test_gelu() {
#if defined(__FMA__) || defined(__ARM_NEON)
  constexpr double kMost = 5e-7, kRms = 5e-8;
#else
  constexpr double kMost = 1e-6, kRms = 7e-8;
#endif
  check_gelu<1>("gelu, polynomial", kMost, kRms);
  check_gelu<6>("gelu, polynomial, in lockstep", kMost, kRms);
  test_gelu_tables();
}
