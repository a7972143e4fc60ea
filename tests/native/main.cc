// pantiny_native_tests [--quick] [name...]: runs the tests whose names are given, or all of
// them. --quick: a reduced set, for emulated machines.
#include <chrono>
#include <cstring>

#include "check.h"
#include "fixture.h"

int g_checks, g_failures;
bool g_quick;
double g_worst_ratio;
std::string g_context;

int main(int argc, char** argv) {
  const struct {
    const char* name;
    void (*run)();
  } tests[] = {
      {"interface", test_interface}, {"order", test_order},     {"output", test_output},
      {"masks", test_masks},         {"network", test_network}, {"determinism", test_determinism},
      {"bf16", test_bf16},           {"gelu", test_gelu},       {"indices", test_indices},
      {"shrink", test_shrink},
  };
  std::vector<std::string> wanted;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--quick"))
      g_quick = true;
    else
      wanted.push_back(argv[i]);
  }
  std::printf("instruction sets: %s\n", ptn_isa_usable());
  int ran = 0;
  for (const auto& test : tests) {
    bool chosen = wanted.empty();
    for (const std::string& name : wanted) chosen = chosen || name == test.name;
    if (!chosen) continue;
    ++ran;
    const int checks = g_checks, failures = g_failures;
    const auto start = std::chrono::steady_clock::now();
    test.run();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::printf("%-12s %7d checks %4d failures %6.1f s\n", test.name, g_checks - checks,
                g_failures - failures, elapsed.count());
    std::fflush(stdout);
  }
  if (!ran) {
    std::printf("no such test\n");
    return 2;
  }
  std::printf("largest error over its bound: %.3f\n", g_worst_ratio);
  return g_failures ? 1 : 0;
}
