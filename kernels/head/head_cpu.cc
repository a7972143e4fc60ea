// Included by csrc/cpu_isa.cc, once per instruction set.
#include "csrc/simd/strip.h"
#include "kernels/head/head.h"
#include "kernels/resample/resample.h"

namespace pantiny {
namespace {

// rows = mask(ms_up) of row y, lead n; `stride` floats from band to band.
inline void upsample_strip(const Strip& s, int64_t y, int n, float* rows, int64_t stride) {
  const int bands = s.a.weights->arch.bands;
  const int64_t first = s.x + n;
  const int64_t c0 = std::clamp<int64_t>(-first, 0, s.width);
  const int64_t c1 = std::clamp<int64_t>(s.a.width - first, c0, s.width);
  for (int k = 0; k < bands; ++k) {
    std::fill(rows + k * stride, rows + k * stride + c0, 0.0f);
    std::fill(rows + k * stride + c1, rows + k * stride + s.width, 0.0f);
  }
  upsample_row(*s.a.upsample, y, first + c0, first + c1, s.scratch().mixed, rows + c0, stride);
  if (const float* mask = s.mask(y, n))
    for (int k = 0; k < bands; ++k) mask_row(rows + k * stride, mask, s.width);
}

inline void upsample_pair(const Strip& s, int64_t y, int n, int margin) {
  const Ring& ms = s.scratch().ms;
  for (int64_t row = y; row < y + 2; ++row) {
    if (!s.wanted(row, margin)) continue;
    if (!s.in_scene(row)) {
      s.clear(ms, row);
      continue;
    }
    upsample_strip(s, row, n, ms.row(row), ms.stride());
    s.join(ms, row);
  }
}

void head_segment(const SegmentArgs& a) {
  walk(a, 2, 1, [&](const Strip& s, int64_t y) {
    upsample_pair(s, y, 2, a.margin + 1);
    each_chunk(s.width, [&](int j, int count) {
      for (int64_t row = y - 1; row < y + 1; ++row) {
        if (!s.wanted(row, a.margin) || !s.in_scene(row)) continue;
        product<3>(three_rows(s.scratch().ms, row, j), a.weights->head, s.channels(), s.fresh(),
                   s.features(row, 1) + j, a.plane, count);
        s.mask_features(row, 1, j, count);
        ToStatistics{s}(row, j, count);
      }
    });
    end_statistics_rows(s, y - 1);
    gather_statistics(s, y - 2);
  });
}

}  // namespace
}  // namespace pantiny
