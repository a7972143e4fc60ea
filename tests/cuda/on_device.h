// Host arrays on the device for the length of a test call, NaN-filled guard bands around them.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "csrc/cuda/memory.h"

namespace pantiny {
namespace cuda {

class OnDevice {
 public:
  // With `out`, the memory starts as NaN and is copied back by back().
  OnDevice(const void* host, size_t bytes) : bytes_(bytes) { place(host); }
  explicit OnDevice(size_t bytes) : bytes_(bytes) { place(nullptr); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { release(memory_); }

  void* get() const { return static_cast<char*>(memory_) + kGuard; }
  template <class T>
  T* as() const {
    return static_cast<T*>(get());
  }

  // Copies to the host; false if something wrote around it.
  bool back(void* host) const {
    std::vector<unsigned char> all(bytes_ + 2 * kGuard);
    if (copy_out(all.data(), memory_, all.size(), nullptr) != PTN_OK) return false;
    if (host) std::memcpy(host, all.data() + kGuard, bytes_);
    for (size_t i = 0; i < kGuard; ++i)
      if (all[i] != 0xff || all[bytes_ + kGuard + i] != 0xff) return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 4096;

  void place(const void* host) {
    std::vector<unsigned char> all(bytes_ + 2 * kGuard, 0xff);
    if (host) std::memcpy(all.data() + kGuard, host, bytes_);
    if (allocate(all.size(), &memory_) != PTN_OK) return;
    copy_in(memory_, all.data(), all.size(), nullptr);
  }

  size_t bytes_;
  void* memory_ = nullptr;
};

}  // namespace cuda
}  // namespace pantiny
