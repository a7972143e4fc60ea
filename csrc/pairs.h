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

static inline int64_t pairs_size(int taps, int inputs, int outputs) {
  return static_cast<int64_t>(taps) * ((inputs + 1) / 2) * taps * outputs;
}

// w [taps][inputs][taps][outputs] -> [taps][pairs of inputs][taps][outputs]; the last input of an
// odd number is paired with zeros.
static inline void pack_pairs(const float* w, int taps, int inputs, int outputs, uint32_t* out) {
  const int next = taps * outputs;
  for (int r = 0; r < taps; ++r)
    for (int k = 0; k < inputs; k += 2) {
      const int take = k + 1 < inputs ? 2 : 1;
      for (int i = 0; i < next; ++i) *out++ = bf16_pair(w[i], take == 2 ? w[next + i] : 0.0f);
      w += take * next;
    }
}

}  // namespace pantiny
