// What the parts of the binding of the CUDA interface share.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>

#include "csrc/include/pantiny_cuda.h"

namespace pantiny {
namespace cuda {

inline void check(ptn_status status) {
  if (status == PTN_OK) return;
  throw std::runtime_error(status == PTN_ERR_CUDA ? ptn_cuda_error() : ptn_status_text(status));
}

inline void* pointer(uintptr_t address) { return reinterpret_cast<void*>(address); }

void bind_indices(pybind11::module_& m);
void bind_dlpack(pybind11::module_& m);

}  // namespace cuda
}  // namespace pantiny
