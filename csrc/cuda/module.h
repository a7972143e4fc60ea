// What the files of the binding share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "csrc/include/pantiny_cuda.h"

namespace pantiny_module {

namespace py = pybind11;

// What the C interface refuses: `Error` in Python, a RuntimeError.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void check(ptn_status status) {
  if (status == PTN_OK) return;
  throw Error(status == PTN_ERR_CUDA ? ptn_cuda_error() : ptn_status_text(status));
}

inline void* pointer(uintptr_t address) { return reinterpret_cast<void*>(address); }
inline uintptr_t address_of(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

// A block of device memory, 256-byte aligned.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) {
    constexpr size_t kAligned = 256;
    check(ptn_cuda_allocate(bytes + kAligned, &block_));
    memory_ = pointer((address_of(block_) + kAligned - 1) / kAligned * kAligned);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { ptn_cuda_release(block_); }

  void* get() const { return memory_; }
  uintptr_t address() const { return address_of(memory_); }
  size_t bytes() const { return bytes_; }

 private:
  void* block_ = nullptr;
  void* memory_ = nullptr;
  size_t bytes_;
};

// (address, dtype, strides of image, band, row, column)
using Samples = std::tuple<uintptr_t, int, std::array<int64_t, 4>>;
using Mask = std::tuple<uintptr_t, std::array<int64_t, 2>>;  // address 0: none

inline ptn_cuda_samples samples_of(const Samples& s) {
  const auto& [address, dtype, stride] = s;
  return {pointer(address), dtype, stride[0], stride[1], stride[2], stride[3]};
}

inline ptn_cuda_mask mask_of(const Mask& m) {
  const auto& [address, stride] = m;
  return {static_cast<const uint8_t*>(pointer(address)), stride[0], stride[1]};
}

void bind_devices(py::module_& m);
void bind_dlpack(py::module_& m);
void bind_indices(py::module_& m);
void bind_network(py::module_& m);

}  // namespace pantiny_module
