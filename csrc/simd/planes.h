// Samples of planes as doubles, less an anchor, 0 where not valid.
#pragma once

#include <cstdint>

#include "csrc/include/pantiny.h"
#include "csrc/simd/real.h"

namespace pantiny {
namespace {

template <class Run>
inline void with_plane(const ptn_plane& plane, Run&& run) {
  switch (plane.dtype) {
    case PTN_U8:
      return run(static_cast<const uint8_t*>(plane.data));
    case PTN_U16:
      return run(static_cast<const uint16_t*>(plane.data));
    case PTN_I16:
      return run(static_cast<const int16_t*>(plane.data));
    case PTN_F64:
      return run(static_cast<const double*>(plane.data));
    default:
      return run(static_cast<const float*>(plane.data));
  }
}

inline const uint8_t* valid_at(const ptn_windows& w, int64_t y, int64_t x) {
  return w.valid ? w.valid + y * w.valid_row_stride + x : nullptr;
}

constexpr int kAhead =
    8;  // rows: a piece of a row is too short for the processor to foresee the next

// Samples that a line of `count` may be read with: whole vectors, where the image goes on. What is
// in the others is of windows that do not count.
inline int64_t readable(int64_t count, int64_t x, int64_t width) {
  constexpr int64_t kWhole = 2 * kReals;
  const int64_t whole = (count + kWhole - 1) / kWhole * kWhole;
  return whole <= width - x ? whole : count;
}

template <class Sample>
inline void prefetch_line(const Sample* p, int64_t row_stride, int64_t count) {
  const auto at =
      reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(kAhead * row_stride) * sizeof(Sample);
  for (uintptr_t i = 0; i < static_cast<uintptr_t>(count) * sizeof(Sample); i += 64)
    prefetch(reinterpret_cast<const float*>(at + i));
}

// out[i] = p[i * step] - anchor
template <class Sample>
inline void read_samples(const Sample* p, int64_t step, int64_t count, double anchor, double* out) {
  int64_t i = 0;
  if (step != 1) {
    for (; i < count; ++i) out[i] = static_cast<double>(p[i * step]) - anchor;
    return;
  }
#ifdef PTN_REAL_WIDEN
  for (const Real less = splat(anchor); i + kReals <= count; i += kReals)
    store(out + i, widened(p + i) - less);
#endif
  for (; i < count; ++i) out[i] = static_cast<double>(p[i]) - anchor;
}

// out[i] = 0 where the sample (y, x + i) is not valid
inline void blank_line(const ptn_windows& w, int64_t y, int64_t x, int64_t count, double* out) {
  if (const uint8_t* valid = valid_at(w, y, x))
    for (int64_t i = 0; i < count; ++i) out[i] = valid[i] ? out[i] : 0.0;
}

// out[i] = sample (y, x + i) - anchor
inline void read_line(const ptn_plane& plane, const ptn_windows& w, int64_t y, int64_t x,
                      int64_t count, double anchor, double* out) {
  with_plane(plane, [&](const auto* p) {
    p += y * plane.row_stride + x * plane.col_stride;
    if (plane.col_stride == 1) prefetch_line(p, plane.row_stride, count);
    read_samples(p, plane.col_stride, count, anchor, out);
  });
  blank_line(w, y, x, count, out);
}

inline void read_valid(const ptn_windows& w, int64_t y, int64_t x, int64_t count, double* out) {
  const uint8_t* valid = valid_at(w, y, x);
  for (int64_t i = 0; i < count; ++i) out[i] = valid[i] ? 1.0 : 0.0;
}

// The first valid sample of a rectangle: what is subtracted before anything is squared. Sums of
// a constant image are 0 then, and integers stay integers.
inline double first_valid(const ptn_plane& plane, const ptn_windows& w, int64_t y, int64_t rows,
                          int64_t x, int64_t cols) {
  double found = 0;
  with_plane(plane, [&](const auto* p) {
    for (int64_t i = 0; i < rows; ++i) {
      const uint8_t* valid = valid_at(w, y + i, x);
      for (int64_t j = 0; j < cols; ++j)
        if (!valid || valid[j]) {
          found = static_cast<double>(p[(y + i) * plane.row_stride + (x + j) * plane.col_stride]);
          return;
        }
    }
  });
  return found;
}

// A variance below this share of the mean square about the anchor is rounding, and so is a mean
// below this share of the anchor: a sum over a window that slides is off by (rows + columns of a
// vector + 2) roundings at most. A block has its anchor inside: constant, it sums zeros.
inline double flat_share(int window) { return 4.0 * (window + 8) * 0x1p-53; }

}  // namespace
}  // namespace pantiny
