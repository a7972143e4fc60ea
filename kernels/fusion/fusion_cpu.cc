// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>
#include <cstring>

#include "csrc/simd/dn.h"
#include "csrc/simd/strip.h"
#include "kernels/fusion/fusion.h"

namespace pantiny {
namespace {

// PAN of row y, network values, from the strip's column n on; 0 where no pixel exists.
inline void read_pan(const Strip& s, int64_t y, int n, float* out) {
  const PanSource& pan = s.a.pan;
  const int64_t first = s.x + n;
  const int64_t c0 = std::clamp<int64_t>(-first, 0, s.width);
  const int64_t c1 = std::clamp<int64_t>(s.a.width - first, c0, s.width);
  std::fill(out, out + c0, 0.0f);
  std::fill(out + c1, out + s.width, 0.0f);
  read_dn(pan.data, pan.dtype, (y - pan.first) * pan.row_stride + (first + c0) * pan.col_stride,
          pan.col_stride, pan.units_per_dn, out + c0, c1 - c0);
  if (const float* mask = s.mask(y, n)) mask_row(out, mask, s.width);
}

// PAN goes into a ring, at the lead of the stage that finishes the last encoder block.
inline void pan_to_ring(const Strip& s, int64_t y, int n, int margin) {
  const Ring& pan = s.scratch().pan;
  for (int64_t row = y; row < y + 2; ++row) {
    if (!s.wanted(row, margin)) continue;
    if (!s.in_scene(row)) {
      s.clear(pan, row);
      continue;
    }
    read_pan(s, row, n, pan.row(row));
    s.join(pan, row);
  }
}

// The features around rows y and y + 1, for a stage of lead n. Columns that a 3x3 reads to the
// left belong to the strip before and still hold what this stage needs.
inline PairInputs features_pair(const Strip& s, int64_t y, int n) {
  PairInputs in{{}, s.channels(), s.a.plane};
  for (int i = 0; i < 4; ++i) in.row[i] = s.features(y - 1 + i, n);
  return in;
}

// to(row, j) = mask(conv3x3(in)), channels `stride` apart, on rows y and y + 1, lead n, then
// then(row, j, count). Rows that are not wanted may not be there.
template <class To, class Then>
inline void convolve_rows(const Strip& s, const PairInputs& in, const FoldedPanels& w, int64_t y,
                          int n, bool relu, int margin, To&& to, int64_t stride, Then&& then) {
  bool needed[2];
  for (int r = 0; r < 2; ++r) needed[r] = s.wanted(y + r, margin) && s.in_scene(y + r);
  if (!needed[0] && !needed[1]) return;
  each_chunk(s.width, [&](int j, int count) {
    // where one of them is not, both are made beside it
    const bool both = needed[0] && needed[1];
    const int64_t next = both ? stride : kChunkPitch;
    float* const made = s.scratch().pair;
    float* const rows[2] = {both ? to(y, j) : made,
                            both ? to(y + 1, j) : made + s.channels() * kChunkPitch};
    convolve_pair(s, in, w, y, n, relu, j, count, rows, next);
    for (int r = 0; r < 2; ++r) {
      if (!needed[r]) continue;
      for (int c = 0; !both && c < s.channels(); ++c)
        std::memcpy(to(y + r, j) + c * stride, rows[r] + c * next,
                    static_cast<size_t>(count) * sizeof(float));
      then(y + r, j, count);
    }
  });
}

inline void convolve_to_ring(const Strip& s, const PairInputs& in, const FoldedPanels& w, int64_t y,
                             int n, bool relu, int margin, const Ring& ring) {
  auto to = [&](int64_t row, int j) { return ring.row(row) + j; };
  convolve_rows(s, in, w, y, n, relu, margin, to, ring.stride(), Nothing{});
  end_rows(s, y, margin, ring);
}

// between = mask(relu(conv3x3([x, pan]))), lead n; pan is one column ahead.
inline void first_convolution(const Strip& s, int64_t y, int n, int margin) {
  if (!s.wanted(y, margin) && !s.wanted(y + 1, margin)) return;  // its rows may not be there
  const Scratch& m = s.scratch();
  const Weights& w = *s.a.weights;
  PairInputs in = features_pair(s, y, n);
  for (int i = 0; i < 4; ++i) in.extra[i] = m.pan.row(y - 1 + i) - 1;
  convolve_to_ring(s, in, w.fuse1, y, n, true, margin, m.between);
}

// x = mask(conv3x3(between)), lead n, then(row, j, count).
template <class Then>
inline void second_convolution(const Strip& s, int64_t y, int n, int margin, Then&& then) {
  const Weights& w = *s.a.weights;
  auto to = [&](int64_t row, int j) { return s.features(row, n) + j; };
  convolve_rows(s, ring_pair(s.scratch().between, y), w.fuse2, y, n, false, margin, to, s.a.plane,
                then);
}

inline void fuse_enhanced(const SegmentArgs& a) {
  walk(a, 5, 1, [&](const Strip& s, int64_t y) {
    start_block(s, y, 5, a.margin + 4);
    apply_attention(s, y - 1, 4, a.margin + 3);
    finish_block(s, y - 2, 3, a.margin + 2);
    pan_to_ring(s, y - 2, 3, a.margin + 2);
    first_convolution(s, y - 3, 2, a.margin + 1);
    second_convolution(s, y - 4, 1, a.margin, ToStatistics{s});
    end_statistics_rows(s, y - 4);
    gather_statistics(s, y - 5);
  });
}

// [x, pan] of row y from column j on, lead n, as the input of a 1x1; PAN is in its ring.
inline Inputs features_and_pan(const Strip& s, int64_t y, int n, int j) {
  Inputs in = one_row(s.features(y, n) + j, s.channels(), s.a.plane);
  in.extra[0] = s.scratch().pan.row(y) + j;
  return in;
}

inline void fuse_conv1x1(const SegmentArgs& a) {
  walk(a, 3, 1, [&](const Strip& s, int64_t y) {
    const Scratch& m = s.scratch();
    start_block(s, y, 3, a.margin + 2);
    apply_attention(s, y - 1, 2, a.margin + 1);
    pan_to_ring(s, y - 2, 1, a.margin);
    finish_block(s, y - 2, 1, a.margin, [&](int64_t row, int j, int count) {
      product<1>(features_and_pan(s, row, 1, j), a.weights->fuse, s.channels(), s.fresh(), m.pair,
                 kChunkPitch, count);
      for (int c = 0; c < s.channels(); ++c)
        std::memcpy(s.features(row, 1) + c * a.plane + j, m.pair + c * kChunkPitch,
                    static_cast<size_t>(count) * sizeof(float));
      s.mask_features(row, 1, j, count);
      ToStatistics{s}(row, j, count);
    });
    end_statistics_rows(s, y - 2);
    gather_statistics(s, y - 3);
  });
}

// between = mask(conv1x1([x, pan])), 2 C channels, on a chunk of row y.
struct ToGate {
  const Strip& s;
  int n;
  void operator()(int64_t y, int j, int count) const {
    const Ring& ring = s.scratch().between;
    float* const out = ring.row(y) + j;
    product<1>(features_and_pan(s, y, n, j), s.a.weights->gate, ring.channels, s.fresh(), out,
               ring.stride(), count);
    s.mask_rows(out, ring.stride(), ring.channels, y, n, j, count);
  }
};

inline void fuse_gated(const SegmentArgs& a) {
  walk(a, 4, 1, [&](const Strip& s, int64_t y) {
    const Ring& ring = s.scratch().between;
    start_block(s, y, 4, a.margin + 3);
    apply_attention(s, y - 1, 3, a.margin + 2);
    pan_to_ring(s, y - 2, 2, a.margin + 1);
    finish_block(s, y - 2, 2, a.margin + 1, ToGate{s, 2});
    end_rows(s, y - 2, a.margin + 1, ring);
    // x = mask(project(gelu(a) * b))
    project_gates(s, ring, y - 3, 1, a.margin, s.channels(), a.weights->gate_dw,
                  a.weights->gate_out, s.fresh(), ToStatistics{s});
    end_statistics_rows(s, y - 3);
    gather_statistics(s, y - 4);
  });
}

void fusion_segment(const SegmentArgs& s) {
  switch (s.weights->arch.fusion) {
    case PTN_FUSION_ENHANCED_CONV:
      return fuse_enhanced(s);
    case PTN_FUSION_CONV1X1:
      return fuse_conv1x1(s);
    default:
      return fuse_gated(s);
  }
}

}  // namespace
}  // namespace pantiny
