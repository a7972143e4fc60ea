// Samples of any dtype as floats.
#pragma once

#include <cstdint>

#include "csrc/include/pantiny.h"

namespace pantiny {
namespace {

// Calls run with a pointer of the right type.
template <class Run>
inline void with_dtype(const void* data, int dtype, Run&& run) {
  switch (dtype) {
    case PTN_U8:
      return run(static_cast<const uint8_t*>(data));
    case PTN_U16:
      return run(static_cast<const uint16_t*>(data));
    case PTN_I16:
      return run(static_cast<const int16_t*>(data));
    default:
      return run(static_cast<const float*>(data));
  }
}

// out[i] = data[at + i * step] * scale
inline void read_dn(const void* data, int dtype, int64_t at, int64_t step, float scale, float* out,
                    int64_t count) {
  with_dtype(data, dtype, [=](const auto* p) {
    p += at;
    if (step == 1)
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(p[i]) * scale;
    else
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(p[i * step]) * scale;
  });
}

}  // namespace
}  // namespace pantiny
