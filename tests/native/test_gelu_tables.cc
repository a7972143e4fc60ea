// The tables of AVX-512, looked up without it.
#define PTN_WIDTH 16
#define PTN_OUTPUTS 7
#define PTN_VECTORS 3
#define PTN_TEST_SHIFT
#include "gelu_check.h"

void test_gelu_tables() {
  check_gelu<1>("gelu, tables", 5e-7, 5e-8);
  check_gelu<6>("gelu, tables, in lockstep", 5e-7, 5e-8);
}
