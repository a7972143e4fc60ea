// The machine's measured ceilings.
#include <chrono>
#include <cstring>

#include "csrc/cpu_table.h"
#include "csrc/include/pantiny.h"
#include "csrc/parallel.h"

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr double kSeconds = 0.1;

}  // namespace

extern "C" {

ptn_status ptn_peak_gflops(int32_t threads, double* gflops) {
  if (threads < 1 || threads > 4096 || !gflops) return PTN_ERR_ARGUMENT;
  const auto run = pantiny::cpu_table().multiply_add;
  int64_t rounds = 1 << 12;
  for (;; rounds *= 2) {  // long enough that starting threads does not count
    const double start = now();
    pantiny::parallel_for(threads, threads, [&](int64_t, int) { run(rounds); });
    const double elapsed = now() - start;
    if (elapsed < kSeconds) continue;
    *gflops = threads * (run(1) * static_cast<double>(rounds)) / elapsed * 1e-9;
    return PTN_OK;
  }
}

ptn_status ptn_copy_gbytes(int32_t threads, void* memory, size_t bytes, double* gbytes) {
  if (threads < 1 || threads > 4096 || !memory || bytes < 4096 || !gbytes) return PTN_ERR_ARGUMENT;
  const size_t half = bytes / 2, share = half / static_cast<size_t>(threads);
  auto* from = static_cast<char*>(memory);
  for (int rounds = 1;; rounds *= 2) {
    const double start = now();
    for (int r = 0; r < rounds; ++r)
      pantiny::parallel_for(threads, threads, [&](int64_t i, int) {
        const size_t at = static_cast<size_t>(i) * share;
        std::memcpy(from + half + at, from + at, share);
      });
    const double elapsed = now() - start;
    if (elapsed < kSeconds) continue;
    const double copied = static_cast<double>(share) * threads * rounds;
    *gbytes = 2 * copied / elapsed * 1e-9;
    return PTN_OK;
  }
}

}  // extern "C"
