// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

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

// x' of the last encoder block is done; its PAN goes into a ring at the same lead.
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

// Rows y and y + 1 of `made` [2][C] into a ring, zero outside the scene, joined.
inline void pair_to_ring(const Strip& s, const float* made, int64_t y, int margin,
                         const Ring& ring) {
  const int64_t pitch = s.scratch().pitch;
  for (int r = 0; r < 2; ++r) {
    if (!s.wanted(y + r, margin)) continue;
    if (!s.in_scene(y + r)) {
      s.clear(ring, y + r);
      continue;
    }
    copy_row(made + r * ring.channels * pitch, pitch, ring.channels, ring.row(y + r), ring.stride(),
             s.width);
    s.join(ring, y + r);
  }
}

// between = mask(relu(conv3x3([x, pan]))), lead n; pan is one column ahead.
inline void first_convolution(const Strip& s, int64_t y, int n, int margin) {
  if (!s.wanted(y, margin) && !s.wanted(y + 1, margin)) return;
  const Scratch& m = s.scratch();
  const Weights& w = *s.a.weights;
  PairInputs in = features_pair(s, y, n);
  for (int i = 0; i < 4; ++i) in.extra[i] = m.pan.row(y - 1 + i) - 1;
  convolve_pair(s, in, w.fuse1, w.fuse1_folded, y, n, true, m.pair);
  pair_to_ring(s, m.pair, y, margin, m.between);
}

// x = mask(conv3x3(between)), lead n.
inline void second_convolution(const Strip& s, int64_t y, int n, int margin) {
  if (!s.wanted(y, margin) && !s.wanted(y + 1, margin)) return;
  const Scratch& m = s.scratch();
  const Weights& w = *s.a.weights;
  convolve_pair(s, ring_pair(m.between, y), w.fuse2, w.fuse2_folded, y, n, false, m.pair);
  for (int r = 0; r < 2; ++r)
    if (s.wanted(y + r, margin) && s.in_scene(y + r))
      copy_row(m.pair + r * s.channels() * m.pitch, m.pitch, s.channels(), s.features(y + r, n),
               s.a.plane, s.width);
}

inline void fuse_enhanced(const SegmentArgs& a) {
  walk(a, 5, 1, [&](const Strip& s, int64_t y) {
    start_block(s, y, 5, a.margin + 4);
    apply_attention(s, y - 1, 4, a.margin + 3);
    finish_block(s, y - 2, 3, a.margin + 2);
    pan_to_ring(s, y - 2, 3, a.margin + 2);
    first_convolution(s, y - 3, 2, a.margin + 1);
    second_convolution(s, y - 4, 1, a.margin);
    start_statistics(s, y - 4);
    gather_statistics(s, y - 5);
  });
}

// [x, pan] of row y, lead n, as the input of a 1x1; the row of PAN is read into norm.
inline Inputs features_and_pan(const Strip& s, int64_t y, int n) {
  read_pan(s, y, n, s.scratch().norm);
  Inputs in = one_row(s.features(y, n), s.channels(), s.a.plane);
  in.extra[0] = s.scratch().norm;
  return in;
}

inline void fuse_conv1x1(const SegmentArgs& a) {
  walk(a, 3, 1, [&](const Strip& s, int64_t y) {
    const Scratch& m = s.scratch();
    start_block(s, y, 3, a.margin + 2);
    apply_attention(s, y - 1, 2, a.margin + 1);
    finish_block(s, y - 2, 1, a.margin);
    for (int64_t row = y - 2; row < y; ++row) {
      if (!s.wanted(row, a.margin) || !s.in_scene(row)) continue;
      const Epilogue e = s.masked(row, 1);
      product<1>(features_and_pan(s, row, 1), a.weights->fuse1, s.channels(), e, m.pair, m.pitch,
                 s.width);
      copy_row(m.pair, m.pitch, s.channels(), s.features(row, 1), a.plane, s.width);
    }
    start_statistics(s, y - 2);
    gather_statistics(s, y - 3);
  });
}

// between = mask(conv1x1([x, pan])), 2 C channels.
inline void start_gate(const Strip& s, int64_t y, int n, int margin) {
  const Ring& ring = s.scratch().between;
  for (int64_t row = y; row < y + 2; ++row) {
    if (!s.wanted(row, margin)) continue;
    if (!s.in_scene(row)) {
      s.clear(ring, row);
      continue;
    }
    const Epilogue e = s.masked(row, n);
    product<1>(features_and_pan(s, row, n), s.a.weights->gate, ring.channels, e, ring.row(row),
               ring.stride(), s.width);
    s.join(ring, row);
  }
}

// x = mask(project(gelu(a) * b)).
inline void finish_gate(const Strip& s, int64_t y, int n, int margin) {
  const Scratch& m = s.scratch();
  const int channels = s.channels();
  gate_pair(s, m.between, y, channels, s.a.weights->gate_dw);
  for (int64_t row = y; row < y + 2; ++row) {
    if (!s.wanted(row, margin) || !s.in_scene(row)) continue;
    const Epilogue e = s.masked(row, n);
    product<1>(one_row(m.gates + (row - y) * channels * m.pitch, channels, m.pitch),
               s.a.weights->gate_out, channels, e, s.features(row, n), s.a.plane, s.width);
  }
}

inline void fuse_gated(const SegmentArgs& a) {
  walk(a, 4, 1, [&](const Strip& s, int64_t y) {
    start_block(s, y, 4, a.margin + 3);
    apply_attention(s, y - 1, 3, a.margin + 2);
    finish_block(s, y - 2, 2, a.margin + 1);
    start_gate(s, y - 2, 2, a.margin + 1);
    finish_gate(s, y - 3, 1, a.margin);
    start_statistics(s, y - 3);
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
