// Bump allocator over the caller's memory; with a null base it only counts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pantiny {

constexpr size_t kAlign = 64;

class Arena {
 public:
  explicit Arena(void* base = nullptr) : base_(static_cast<char*>(base)) {}

  template <class T>
  T* take(size_t count) {
    used_ = (used_ + kAlign - 1) / kAlign * kAlign;
    T* p = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += count * sizeof(T);
    return p;
  }

  size_t used() const { return (used_ + kAlign - 1) / kAlign * kAlign; }

 private:
  char* base_;
  size_t used_ = 0;
};

}  // namespace pantiny
