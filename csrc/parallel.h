// The one place that knows about threads.
#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace pantiny {

// Calls body(index, thread) for index in [0, count); thread in [0, threads).
// Which thread gets which index must not matter to the result.
template <class Body>
void parallel_for(int64_t count, int threads, Body&& body) {
#ifdef _OPENMP
  if (threads > 1 && count > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t i = 0; i < count; ++i) body(i, omp_get_thread_num());
    return;
  }
#endif
  (void)threads;
  for (int64_t i = 0; i < count; ++i) body(i, 0);
}

}  // namespace pantiny
