// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

#include "csrc/simd/strip.h"
#include "kernels/boundary/boundary.h"

namespace pantiny {
namespace {

// First stage: v = mask(conv1x1(norm(x))) of rows y and y + 1, lead n.
inline void start_block(const Strip& s, int64_t y, int n, int margin) {
  const BlockWeights& b = *s.a.block;
  const Ring& v = s.scratch().v;
  for (int64_t row = y; row < y + 2; ++row)
    if (s.wanted(row, margin) && s.in_scene(row))
      each_chunk(s.width,
                 [&](int j, int count) { norm_to_ring(s, row, n, j, count, b.v, b.v_bias, v); });
  end_rows(s, y, margin, v);
}

// Second stage: z = mask(x + matrix * dw3x3(v)) in place, ffn = mask(conv1x1(norm(z))).
inline void apply_attention(const Strip& s, int64_t y, int n, int margin) {
  const Scratch& m = s.scratch();
  const BlockWeights& b = *s.a.block;
  const int channels = s.channels();
  each_chunk(s.width, [&](int j, int count) {
    for (int c = 0; c < channels; ++c) {
      float* const p = m.pair + c * kChunkPitch;
      depthwise_pair(four_rows(m.v, y, c, j), b.v_dw + c * 9, p, p + channels * kChunkPitch, count);
    }
    for (int64_t row = y; row < y + 2; ++row) {
      if (!s.wanted(row, margin) || !s.in_scene(row)) continue;
      product<1>(one_row(m.pair + (row - y) * channels * kChunkPitch, channels, kChunkPitch),
                 s.a.matrix, channels, s.add(), s.features(row, n) + j, s.a.plane, count);
      s.mask_features(row, n, j, count);
      norm_to_ring(s, row, n, j, count, b.ffn, b.ffn_bias, m.ffn);
    }
  });
  end_rows(s, y, margin, m.ffn);
}

// gates[i] = 2 gelu(dw3x3(ring[i])) * dw3x3(ring[gates + i]) on a chunk of rows y and y + 1, then
// features = mask(start + project(gates)), then(row, j, count).
template <class Then>
inline void project_gates(const Strip& s, const Ring& ring, int64_t y, int n, int margin, int gates,
                          const float* dw, const Panel& project, const Start& start, Then&& then) {
  const Scratch& m = s.scratch();
  each_chunk(s.width, [&](int j, int count) {
    for (int i = 0; i < gates; ++i) {
      prefetch_features(s, y, n, i, gates, j, count);
      float *const g0 = m.gates + i * kChunkPitch, *const g1 = g0 + gates * kChunkPitch;
      float *const b0 = m.other, *const b1 = b0 + kChunkPitch;
      depthwise_pair(four_rows(ring, y, i, j), dw + i * 9, g0, g1, count);
      depthwise_pair(four_rows(ring, y, gates + i, j), dw + (gates + i) * 9, b0, b1, count);
      gate_pair(g0, g1, b0, b1, count);
    }
    for (int64_t row = y; row < y + 2; ++row) {
      if (!s.wanted(row, margin) || !s.in_scene(row)) continue;
      product<1>(one_row(m.gates + (row - y) * gates * kChunkPitch, gates, kChunkPitch), project,
                 s.channels(), start, s.features(row, n) + j, s.a.plane, count);
      s.mask_features(row, n, j, count);
      then(row, j, count);
    }
  });
}

struct Nothing {
  void operator()(int64_t, int, int) const {}
};

// Third stage: x = mask(z + project(gelu(a) * b)) in place.
template <class Then = Nothing>
inline void finish_block(const Strip& s, int64_t y, int n, int margin, Then&& then = {}) {
  const BlockWeights& b = *s.a.block;
  project_gates(s, s.scratch().ffn, y, n, margin, 2 * s.channels(), b.ffn_dw, b.ffn_out, s.add(),
                then);
}

// q and k of the next block before their 3x3, on a chunk of row y, lead 1.
struct ToStatistics {
  const Strip& s;
  void operator()(int64_t y, int j, int count) const {
    if (s.a.partials && s.wanted(y, 1))
      norm_to_ring(s, y, 1, j, count, s.a.next->qk, s.a.next->qk_bias, s.scratch().qk);
  }
};

// All chunks of rows y and y + 1 have gone through ToStatistics.
inline void end_statistics_rows(const Strip& s, int64_t y) {
  if (s.a.partials) end_rows(s, y, 1, s.scratch().qk);
}

#if PTN_WIDTH == 4 && !defined(__ARM_NEON)
constexpr int kGramRows = 3, kGramCols = 2;
#elif PTN_OUTPUTS > 4
constexpr int kGramRows = 7, kGramCols = 3;
#else
constexpr int kGramRows = 4, kGramCols = 3;
#endif

// sums[x][y] += a[x] * b[y] over `rows` rows, lane by lane.
template <int I, int J>
inline void gram_tile(const float* a, const float* b, int64_t pitch, int64_t next_row, int rows,
                      int width, float* sums, int64_t sums_row) {
  Vec sum[I][J];
#pragma GCC unroll 8
  for (int x = 0; x < I; ++x)
#pragma GCC unroll 8
    for (int y = 0; y < J; ++y) sum[x][y] = load(sums + x * sums_row + y * kWidth);
  for (int r = 0; r < rows; ++r, a += next_row, b += next_row)
    for (int j = 0; j < width; j += kWidth) {
      Vec vb[J];
#pragma GCC unroll 8
      for (int y = 0; y < J; ++y) vb[y] = load(b + y * pitch + j);
#pragma GCC unroll 8
      for (int x = 0; x < I; ++x) {
        const Vec va = load(a + x * pitch + j);
#pragma GCC unroll 8
        for (int y = 0; y < J; ++y) sum[x][y] = mul_add(va, vb[y], sum[x][y]);
      }
    }
#pragma GCC unroll 8
  for (int x = 0; x < I; ++x)
#pragma GCC unroll 8
    for (int y = 0; y < J; ++y) store(sums + x * sums_row + y * kWidth, sum[x][y]);
}

template <int I>
inline void gram_rows(const float* q, const float* k, int c, int64_t pitch, int64_t next_row,
                      int rows, int width, float* sums) {
  int j = 0;
  for (; j + kGramCols <= c; j += kGramCols)
    gram_tile<I, kGramCols>(q, k + j * pitch, pitch, next_row, rows, width, sums + j * kWidth,
                            c * kWidth);
  for (; j + 2 <= c; j += 2)
    gram_tile<I, 2>(q, k + j * pitch, pitch, next_row, rows, width, sums + j * kWidth, c * kWidth);
  for (; j < c; ++j)
    gram_tile<I, 1>(q, k + j * pitch, pitch, next_row, rows, width, sums + j * kWidth, c * kWidth);
}

// q, k: c channels, `pitch` apart, rows `next_row` apart; sums [c][c][kWidth].
inline void gram(const float* q, const float* k, int c, int64_t pitch, int64_t next_row, int rows,
                 int width, float* sums) {
  const int blocks = (c + kGramRows - 1) / kGramRows;
  for (int b = 0, i = 0; b < blocks; ++b) {
    const int take = (c - i + blocks - b - 1) / (blocks - b);
    const float* qi = q + i * pitch;
    float* si = sums + i * c * kWidth;
#define PTN_CASE(I)                                           \
  case I:                                                     \
    gram_rows<I>(qi, k, c, pitch, next_row, rows, width, si); \
    break;
    switch (take) {
      PTN_CASE(1)
      PTN_CASE(2)
      PTN_CASE(3)
      PTN_CASE(4)
#if PTN_OUTPUTS > 4
      PTN_CASE(5)
      PTN_CASE(6)
      PTN_CASE(7)
#endif
    }
#undef PTN_CASE
    i += take;
  }
}

template <int I>
inline void square_rows(const float* x, int64_t pitch, int64_t next_row, int rows, int width,
                        float* sums) {
  Vec sum[I];
#pragma GCC unroll 8
  for (int i = 0; i < I; ++i) sum[i] = load(sums + i * kWidth);
  for (int r = 0; r < rows; ++r, x += next_row)
    for (int j = 0; j < width; j += kWidth)
#pragma GCC unroll 8
      for (int i = 0; i < I; ++i) {
        const Vec v = load(x + i * pitch + j);
        sum[i] = mul_add(v, v, sum[i]);
      }
#pragma GCC unroll 8
  for (int i = 0; i < I; ++i) store(sums + i * kWidth, sum[i]);
}

// sums[c][kWidth] += x^2
inline void squares(const float* x, int channels, int64_t pitch, int64_t next_row, int rows,
                    int width, float* sums) {
  int c = 0;
  for (; c + 7 <= channels; c += 7)
    square_rows<7>(x + c * pitch, pitch, next_row, rows, width, sums + c * kWidth);
  for (; c < channels; ++c)
    square_rows<1>(x + c * pitch, pitch, next_row, rows, width, sums + c * kWidth);
}

// Lanes of `sums` join the totals in double and start anew.
inline void flush_sums(float* sums, double* totals, int count) {
  for (int i = 0; i < count; ++i, sums += kWidth, totals += kWidth) {
    for (int l = 0; l < kWidth; ++l) totals[l] += static_cast<double>(sums[l]);
    store(sums, Vec{});
  }
}

// Last stage: q, k of rows y and y + 1 into the sums of the strip, which is one block wide. A few
// rows are summed in float lanes (4 * 192 / kWidth terms each), the rest in double.
inline void gather_statistics(const Strip& s, int64_t y) {
  const SegmentArgs& a = s.a;
  if (!a.partials || y < a.y0 || y >= a.y1) return;
  const Scratch& m = s.scratch();
  const int channels = s.channels(), heads = a.weights->arch.heads, c = channels / heads;
  const int size = a.weights->statistics_size();
  const int64_t left = std::min<int64_t>(s.width, a.x1 - s.x);
  const int width = static_cast<int>(round_up(left - s.skip, kWidth));
  if (width <= 0) return;
  const int rows = static_cast<int>(std::min<int64_t>(2, a.y1 - y));
  const int next_row = 2 * c * kChunkPitch;
  if (y % PTN_BLOCK == 0) {
    std::fill_n(m.sums, size * kWidth, 0.0f);
    std::fill_n(m.totals, size * kWidth, 0.0);
  }
  for (int h = 0; h < heads; ++h)
    each_chunk(width, [&](int j, int count) {
      const int from = s.skip + j;
      for (int i = 0; i < 2 * c; ++i) {
        float* const p = m.qk_pair + i * kChunkPitch;
        const int channel = h * 2 * c + i;
        depthwise_pair(four_rows(m.qk, y, channel, from), a.next->qk_dw + channel * 9, p,
                       p + next_row, count);
      }
      for (int r = 0; r < rows; ++r)
        s.mask_rows(m.qk_pair + r * next_row, kChunkPitch, 2 * c, y + r, 0, from, count);
      const float *q = m.qk_pair, *k = q + c * kChunkPitch;
      float* norms = m.sums + (heads * c * c + h * c) * kWidth;
      gram(q, k, c, kChunkPitch, next_row, rows, count, m.sums + h * c * c * kWidth);
      squares(q, c, kChunkPitch, next_row, rows, count, norms);
      squares(k, c, kChunkPitch, next_row, rows, count, norms + channels * kWidth);
    });
  const bool end = y + rows == a.y1;
  if (end || (y + rows) % kFlushRows == 0) flush_sums(m.sums, m.totals, size);
  if (!end && (y + rows) % PTN_BLOCK != 0) return;
  const int64_t block =
      (y / PTN_BLOCK - a.y0 / PTN_BLOCK) * a.partials_pitch + (s.x + s.skip - a.x0) / kStrip;
  for (int i = 0; i < size; ++i) {
    double sum = 0;
    for (int l = 0; l < kWidth; ++l) sum += m.totals[i * kWidth + l];
    a.partials[block * size + i] = sum;
  }
}

void boundary_segment(const SegmentArgs& a) {
  walk(a, 3, 1, [&](const Strip& s, int64_t y) {
    start_block(s, y, 3, a.margin + 2);
    apply_attention(s, y - 1, 2, a.margin + 1);
    finish_block(s, y - 2, 1, a.margin, ToStatistics{s});
    end_statistics_rows(s, y - 2);
    gather_statistics(s, y - 3);
  });
}

}  // namespace
}  // namespace pantiny
