// Included by csrc/cpu_isa.cc, once per instruction set.
#include <cstring>

#include "csrc/simd/rows.h"
#include "kernels/fusion/fusion.h"

namespace pantiny {
namespace {

// Copy rows of y over x.
inline void move_planes(const float* y, float* x, int planes, const Tile& t, const Range& r) {
  for (int c = 0; c < planes; ++c)
    for (int row = r.r0; row < r.r1; ++row) {
      const int64_t at = c * t.plane + row * t.pitch + r.c0;
      std::memcpy(x + at, y + at, static_cast<size_t>(r.c1 - r.c0) * sizeof(float));
    }
}

// 1x1 product of [x, pan].
inline void conv1x1_with_pan(const SegmentArgs& s, const float* w, int outputs, float* y,
                             const Range& r) {
  const Tile& t = s.tile;
  const int channels = s.weights->arch.channels;
  const float* rows[kMaxInputs];
  Epilogue e;
  for (int row = r.r0; row < r.r1; ++row) {
    const int64_t at = row * t.pitch;
    for (int k = 0; k < channels; ++k) rows[k] = s.scratch.x + k * t.plane + at;
    rows[channels] = s.scratch.pan + at;
    e.mask = t.valid + at;
    product_row(rows, channels + 1, w, outputs, e, y + at, t.plane, r.c0, r.c1);
  }
}

inline void fuse_pan(const SegmentArgs& s, int margin) {
  const Tile& t = s.tile;
  const Weights& w = *s.weights;
  const Scratch& m = s.scratch;
  const int channels = w.arch.channels, g = w.gate_chunk();
  const Range out = grown(t, margin), mid = grown(t, margin + 1);
  if (w.arch.fusion == PTN_FUSION_ENHANCED_CONV) {
    Epilogue relu;
    relu.relu = true;
    conv3x3(m.x, channels, m.pan, w.fuse1, channels, relu, m.t, t, mid, t.valid);
    conv3x3(m.t, channels, nullptr, w.fuse2, channels, Epilogue{}, m.x, t, out, t.valid);
  } else if (w.arch.fusion == PTN_FUSION_CONV1X1) {
    conv1x1_with_pan(s, w.fuse1, channels, m.y, out);
    move_planes(m.y, m.x, channels, t, out);
  } else {
    Epilogue add;
    for (int c = 0; c < channels / g; ++c) {
      conv1x1_with_pan(s, w.gate + static_cast<int64_t>(c) * (channels + 1) * 2 * g, 2 * g, m.t,
                       mid);
      gate_chunk(m.t, g, w.gate_dw + c * 2 * g * 9, m.d, t, out);
      add.accumulate = c > 0;
      conv1x1(m.d, g, w.gate_out + static_cast<int64_t>(c) * g * channels, channels, add, m.y, t,
              out, t.valid);
    }
    move_planes(m.y, m.x, channels, t, out);
  }
}

void fusion_segment(const SegmentArgs& s) {
  apply_block(s, s.margin + fuse_pan_halo(s.weights->arch.fusion));
  fuse_pan(s, s.margin);
  gather_statistics(s);
}

}  // namespace
}  // namespace pantiny
