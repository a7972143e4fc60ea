// The walk over one tile: strips from left to right, row pairs from top to bottom.
#pragma once

#include <algorithm>
#include <cstring>

#include "csrc/simd/product.h"
#include "csrc/simd/rows.h"

namespace pantiny {
namespace {

// One strip. A stage with lead n computes columns [x + n, x + n + width) of the scene.
struct Strip {
  const SegmentArgs& a;
  int64_t x;
  int width;  // a multiple of kWidth
  int skip;   // columns of a first strip that only warm its stages up
  int lead;   // of the first stage
  bool full[kMaskRows];

  const Scratch& scratch() const { return a.scratch; }
  int channels() const { return a.weights->arch.channels; }
  bool in_scene(int64_t y) const { return y >= 0 && y < a.height; }
  // Rows a stage must get right: the tile's and n more on both sides.
  bool wanted(int64_t y, int n) const { return y >= a.y0 - n && y < a.y1 + n; }
  float* features(int64_t y, int n) const { return a.rows[y - a.rows_first] + x + n; }

  // Mask of row y for a stage with lead n; null where every pixel exists.
  const float* mask(int64_t y, int n) const {
    return full[y & (kMaskRows - 1)] ? nullptr : mask_row_of(y) + n;
  }
  // Zero what does not exist of columns [j, j + count) of `channels` rows, lead n.
  void mask_rows(float* p, int64_t stride, int channels, int64_t y, int n, int j, int count) const {
    const float* exists = mask(y, n);
    if (exists && !all_nonzero(exists + j, count))
      for (int c = 0; c < channels; ++c) mask_row(p + c * stride, exists + j, count);
  }
  void mask_features(int64_t y, int n, int j, int count) const {
    mask_rows(features(y, n) + j, a.plane, channels(), y, n, j, count);
  }
  // Products onto nothing, and onto what is there.
  Start fresh() const { return {nullptr, false, a.bf16}; }
  Start add() const { return {nullptr, true, a.bf16}; }
  float* mask_row_of(int64_t y) const {
    return scratch().mask + (y & (kMaskRows - 1)) * scratch().pitch;
  }

  void enter(int64_t y) {
    if (!in_scene(y)) return;
    const int count = width + lead;
    bool all = x >= 0 && x + count <= a.width;
    const uint8_t* exists =
        a.valid.data ? a.valid.data + (y - a.valid.first) * a.valid.row_stride : nullptr;
    if (all && exists) all = !std::memchr(exists + x, 0, static_cast<size_t>(count));
    full[y & (kMaskRows - 1)] = all;
    if (all) return;
    float* out = mask_row_of(y);
    for (int i = 0; i < count; ++i) {
      const int64_t column = x + i;
      const bool inside = column >= 0 && column < a.width;
      out[i] = inside && (!exists || exists[column]) ? 1.0f : 0.0f;
    }
  }

  // Row y of a ring is complete: join it to the strip on the left, leave its end for the
  // strip on the right.
  void join(const Ring& ring, int64_t y) const {
    float* p = ring.row(y);
    float* carry = ring.carry + (y - top()) * ring.channels * 2;
    const int64_t stride = ring.stride();
    for (int c = 0; c < ring.channels; ++c, p += stride, carry += 2) {
      if (skip)
        std::memset(p - 2, 0, 2 * sizeof(float));
      else
        std::memcpy(p - 2, carry, 2 * sizeof(float));
      std::memcpy(carry, p + width - 2, 2 * sizeof(float));
    }
  }

  void clear(const Ring& ring, int64_t y) const {
    float* p = ring.row(y) - 2;
    for (int c = 0; c < ring.channels; ++c, p += ring.stride())
      std::memset(p, 0, static_cast<size_t>(width + 2) * sizeof(float));
  }

  int64_t top() const { return a.y0 - a.margin - lead - 2; }
};

inline Inputs one_row(const float* p, int channels, int64_t stride) {
  return {{p, p, p}, channels, stride, 1};
}

// The three rows around row y of a ring from column j on, for a stage one column behind it.
inline Inputs three_rows(const Ring& ring, int64_t y, int j) {
  j -= 1;
  return {
      {ring.row(y - 1) + j, ring.row(y) + j, ring.row(y + 1) + j}, ring.channels, ring.stride(), 3};
}

// Channel c around rows y and y + 1 of a ring, for a stage one column behind it, from column j on.
inline FourRows four_rows(const Ring& ring, int64_t y, int c, int j) {
  const int64_t at = c * ring.stride() - 1 + j;
  return {{ring.row(y - 1) + at, ring.row(y) + at, ring.row(y + 1) + at, ring.row(y + 2) + at}};
}

// run(j, count) for columns [j, j + count) of a strip, from left to right.
template <class Run>
inline void each_chunk(int width, Run&& run) {
  for (int j = 0, count; j < width; j += count) {
    const int left = width - j;
    count = left > kChunk && left < 2 * kChunk ? static_cast<int>(round_up(left / 2, kWidth))
                                               : std::min(kChunk, left);
    run(j, count);
  }
}

// ring = mask(weights * LayerNorm(features) + bias) on a chunk of row y, lead n.
inline void norm_to_ring(const Strip& s, int64_t y, int n, int j, int count, const Panel& w,
                         const float* bias, const Ring& ring) {
  float* const norm = s.scratch().norm;
  float* const out = ring.row(y) + j;
  layer_norm(s.features(y, n) + j, s.a.plane, s.channels(), norm, kChunkPitch, count);
  product<1>(one_row(norm, s.channels(), kChunkPitch), w, ring.channels, {bias, false, s.a.bf16},
             out, ring.stride(), count);
  s.mask_rows(out, ring.stride(), ring.channels, y, n, j, count);
}

// Rows y and y + 1 of a ring are complete in the scene; they are zero outside it.
inline void end_rows(const Strip& s, int64_t y, int margin, const Ring& ring) {
  for (int64_t row = y; row < y + 2; ++row) {
    if (!s.wanted(row, margin)) continue;
    if (s.in_scene(row))
      s.join(ring, row);
    else
      s.clear(ring, row);
  }
}

// Where a 3x3 on two neighbouring rows reads: the four rows around them at output column 0.
struct PairInputs {
  const float* row[4];
  int channels;
  int64_t stride;
  const float* extra[4] = {nullptr, nullptr, nullptr, nullptr};
};

inline PairInputs ring_pair(const Ring& ring, int64_t y) {
  PairInputs in{{}, ring.channels, ring.stride()};
  for (int i = 0; i < 4; ++i) in.row[i] = ring.row(y - 1 + i) - 1;
  return in;
}

// rows[0], rows[1]: C channels, `stride` apart, of a 3x3 product on a chunk of rows y and y + 1,
// masked, lead n. With rows d0..d3 and g0..g2 of the kernel, F(2, 3) along y takes four 1x3
// products instead of six:
//   m1 = (g0 + g1 + g2) / 2 (d1 + d2), m2 = (g0 - g1 + g2) / 2 (d2 - d1),
//   row y: m1 + m2 + g0 (d0 - d2), row y + 1: m1 - m2 + g2 (d3 - d1).
// What one row alone reads does not touch the other.
inline void convolve_pair(const Strip& s, const PairInputs& in, const FoldedPanels& w, int64_t y,
                          int n, bool relu, int j, int count, float* const (&rows)[2],
                          int64_t stride) {
  const int outputs = s.channels();
  const int inputs = in.channels + (in.extra[0] ? 1 : 0);
  float* t[4];
  // column -1 at the start of a cache line
  for (int i = 0; i < 4; ++i) t[i] = s.scratch().folded + i * inputs * kChunkPitch + kLead + 1;
  for (int k = 0; k < inputs; ++k) {
    const bool own = k < in.channels;
    const float* d[4];
    for (int i = 0; i < 4; ++i) d[i] = (own ? in.row[i] + k * in.stride : in.extra[i]) + j;
    for (int i = -1; i < count + 1; i += kWidth) {
      const Vec d0 = load(d[0] + i), d1 = load(d[1] + i), d2 = load(d[2] + i), d3 = load(d[3] + i);
      const int64_t at = k * kChunkPitch + i;
      store(t[0] + at, d0 - d2);
      store(t[1] + at, d1 + d2);
      store(t[2] + at, d2 - d1);
      store(t[3] + at, d3 - d1);
    }
  }
  auto one = [&](int i, const Start& start, float* to) {
    product<3>(one_row(t[i], inputs, kChunkPitch), w.row[i], outputs, start, to, stride, count);
  };
  one(1, s.fresh(), rows[0]);
  one(2, s.fresh(), rows[1]);
  for (int o = 0; o < outputs; ++o)
    for (int i = 0; i < count; i += kWidth) {
      float *a = rows[0] + o * stride + i, *b = rows[1] + o * stride + i;
      const Vec m1 = load(a), m2 = load(b);
      store(a, m1 + m2);
      store(b, m1 - m2);
    }
  one(0, s.add(), rows[0]);
  one(3, s.add(), rows[1]);
  for (int r = 0; r < 2; ++r) {
    if (relu)
      for (int o = 0; o < outputs; ++o) relu_row(rows[r] + o * stride, count);
    s.mask_rows(rows[r], stride, outputs, y + r, n, j, count);
  }
}

// Ask for share i of `of` shares of a chunk of the features that the first stage will read next,
// while a stage of lead n is at rows y and y + 1. The hardware does not follow a jump from channel
// to channel, and all at once would wait for each other.
inline void prefetch_features(const Strip& s, int64_t y, int n, int i, int of, int j, int count) {
  const int channels = s.channels();
  for (int c = i * 2 * channels / of; c < (i + 1) * 2 * channels / of; ++c) {
    const int64_t row = y + s.lead - n + 2 + (c >= channels ? 1 : 0);
    if (!s.in_scene(row) || !s.wanted(row, s.a.margin + 2)) continue;
    const float* p = s.features(row, s.lead) + (c >= channels ? c - channels : c) * s.a.plane + j;
    for (int x = 0; x < count; x += 16) prefetch(p + x);
  }
}

// Calls run(strip, y) for every strip and every second row y of its first stage, whose lead is
// given with that of the stage which finishes the features. A stage with lead n then works on
// rows y - lead + n and the next; for the last stage, of lead 0, the first of them is even.
template <class Run>
inline void walk(const SegmentArgs& a, int lead, int lead_features, Run&& run) {
  const int warm = static_cast<int>(round_up(lead, kWidth));
  // the leftmost columns of a strip without a left neighbour are wrong as far as stages reach
  const int64_t reach = a.margin + 2 * lead - lead_features;
  int64_t x = std::max<int64_t>(a.x0 - round_up(reach, kWidth), -warm);
  const int64_t end_features = std::min(a.x1 + a.margin, a.width) - lead_features;
  const int64_t end = std::max(std::min(a.x1, a.width), end_features);
  int64_t next = a.x0 + a.strip;
  const int64_t first = a.y0 - a.margin - (lead - lead_features);
  const int64_t last = a.y1 + a.margin + (lead - lead_features);
  for (bool begin = true; begin || x < end; begin = false) {
    const int64_t right = std::min(next, end);
    Strip s{a,
            x,
            static_cast<int>(round_up(right - x, kWidth)),
            begin ? static_cast<int>(a.x0 - x) : 0,
            lead,
            {}};
    int64_t y = first - ((first - lead) & 1);
    const int64_t stop = std::max(last, a.y1 + lead);
    for (; y < stop; y += 2) {
      // rows beyond what the stages need may not be there
      for (int64_t row = std::max(y, first); row < std::min(y + 2, last); ++row) s.enter(row);
      run(s, y);
    }
    x = next;
    next += a.strip;
  }
}

}  // namespace
}  // namespace pantiny
