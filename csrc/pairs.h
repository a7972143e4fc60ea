// Weights two inputs at a time in bfloat16, as the products of bf16.h read them.
#pragma once

#include <cstdint>
#include <cstring>

namespace pantiny {

// static: objects of different instruction sets must not share code

// Both rounded half to even, `low` in the low half.
static inline uint32_t bf16_pair(float low, float high) {
  uint32_t a, b;
  std::memcpy(&a, &low, 4);
  std::memcpy(&b, &high, 4);
  a += 0x7fff + ((a >> 16) & 1);
  b += 0x7fff + ((b >> 16) & 1);
  return (a >> 16) | (b & 0xffff0000u);
}

static inline int64_t pairs_size(int rows, int inputs, int next) {
  return static_cast<int64_t>(rows) * ((inputs + 1) / 2) * next;
}

// w [rows][inputs][next] -> [rows][pairs of inputs][next]; the last input of an odd number is
// paired with zeros.
static inline void pack_pairs(const float* w, int rows, int inputs, int next, uint32_t* out) {
  for (int r = 0; r < rows; ++r)
    for (int k = 0; k < inputs; k += 2) {
      const int take = k + 1 < inputs ? 2 : 1;
      for (int i = 0; i < next; ++i) *out++ = bf16_pair(w[i], take == 2 ? w[next + i] : 0.0f);
      w += take * next;
    }
}

}  // namespace pantiny
