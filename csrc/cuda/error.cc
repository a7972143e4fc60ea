#include <cstdio>

#include "csrc/cuda/memory.h"

namespace pantiny {
namespace cuda {

namespace {
thread_local char last_error[256];
}

ptn_status fail(const char* what, const char* why) {
  std::snprintf(last_error, sizeof last_error, "%s: %s", what, why);
  return PTN_ERR_CUDA;
}

const char* error_text() { return last_error; }

}  // namespace cuda
}  // namespace pantiny
