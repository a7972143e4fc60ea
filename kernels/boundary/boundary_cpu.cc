// Included by csrc/cpu_isa.cc, once per instruction set.
#include <algorithm>

#include "csrc/simd/rows.h"
#include "kernels/boundary/boundary.h"

namespace pantiny {
namespace {

// y[i] = gelu(a[i]) * b[i], a and b depthwise 3x3 of planes i and gates + i of t.
inline void gate_chunk(const float* t_planes, int gates, const float* dw, float* y, const Tile& t,
                       const Range& r) {
  for (int i = 0; i < gates; ++i) {
    const float *a = t_planes + i * t.plane, *b = t_planes + (gates + i) * t.plane;
    for (int row = r.r0; row < r.r1; ++row)
      for (int j = r.c0; j < r.c1; j += kWidth) {
        const int64_t at = row * t.pitch + j;
        const Vec va = depthwise(a + at, t.pitch, dw + i * 9);
        const Vec vb = depthwise(b + at, t.pitch, dw + (gates + i) * 9);
        store(y + i * t.plane + at, gelu(va) * vb);
      }
  }
}

inline void depthwise_planes(const float* x, int planes, const float* dw, float* y, const Tile& t,
                             const Range& r) {
  for (int i = 0; i < planes; ++i)
    for (int row = r.r0; row < r.r1; ++row)
      for (int j = r.c0; j < r.c1; j += kWidth) {
        const int64_t at = i * t.plane + row * t.pitch + j;
        store(y + at, depthwise(x + at, t.pitch, dw + i * 9));
      }
}

// x = valid * (x + M v), then x = valid * (x + project(gelu(a) * b)), right on `margin`;
// x must be right on margin + kApplyHalo.
inline void apply_block(const SegmentArgs& s, int margin) {
  const Tile& t = s.tile;
  const int channels = s.weights->arch.channels, g = s.weights->gate_chunk();
  const BlockWeights& b = *s.block;
  const Scratch& m = s.scratch;
  const Range wide = grown(t, margin + 2), mid = grown(t, margin + 1), out = grown(t, margin);
  Epilogue biased, add;
  add.accumulate = true;

  layer_norm(m.x, channels, m.y, t, wide);
  biased.bias = b.v_bias;
  conv1x1(m.y, channels, b.v, channels, biased, m.t, t, wide, t.valid);
  depthwise_planes(m.t, channels, b.v_dw, m.d, t, mid);
  conv1x1(m.d, channels, s.matrix, channels, add, m.x, t, mid, t.valid);

  layer_norm(m.x, channels, m.y, t, mid);
  const int chunks = 2 * channels / g;
  for (int c = 0; c < chunks; ++c) {
    biased.bias = b.ffn_bias + c * 2 * g;
    conv1x1(m.y, channels, b.ffn + static_cast<int64_t>(c) * channels * 2 * g, 2 * g, biased, m.t,
            t, mid, t.valid);
    gate_chunk(m.t, g, b.ffn_dw + c * 2 * g * 9, m.d, t, out);
    conv1x1(m.d, g, b.ffn_out + static_cast<int64_t>(c) * g * channels, channels, add, m.x, t, out,
            t.valid);
  }
}

// Sum over one block of a[i] * b[j] for i in [i0, i0+I), j in [j0, j0+J). Eight rows are
// summed in float lanes (at most 8 * 64 / kWidth terms per lane), the rest in double.
template <int I, int J>
inline void gram_tile(const float* a, const float* b, int64_t plane, int64_t pitch, int rows,
                      double (*out)[J]) {
  VecD total[I][J] = {};
  for (int row0 = 0; row0 < rows; row0 += 8) {
    Vec sum[I][J] = {};
    for (int row = row0; row < std::min(row0 + 8, rows); ++row)
      for (int j = 0; j < PTN_BLOCK; j += kWidth) {
        Vec vb[J];
        for (int y = 0; y < J; ++y) vb[y] = load(b + y * plane + row * pitch + j);
        for (int x = 0; x < I; ++x) {
          const Vec va = load(a + x * plane + row * pitch + j);
          for (int y = 0; y < J; ++y) sum[x][y] += va * vb[y];
        }
      }
    for (int x = 0; x < I; ++x)
      for (int y = 0; y < J; ++y) total[x][y] += __builtin_convertvector(sum[x][y], VecD);
  }
  for (int x = 0; x < I; ++x)
    for (int y = 0; y < J; ++y) {
      double s = 0;
      for (int l = 0; l < kWidth; ++l) s += total[x][y][l];
      out[x][y] = s;
    }
}

// Any sizes, in tiles of 2 x 2 and the odd row and column one by one.
inline void gram_block(const float* q, const float* k, int c, int64_t plane, int64_t pitch,
                       int rows, double* gram) {
  for (int i = 0; i < c; i += 2)
    for (int j = 0; j < c; j += 2) {
      const float *a = q + i * plane, *b = k + j * plane;
      if (i + 2 <= c && j + 2 <= c) {
        double s[2][2];
        gram_tile<2, 2>(a, b, plane, pitch, rows, s);
        for (int x = 0; x < 2; ++x)
          for (int y = 0; y < 2; ++y) gram[(i + x) * c + j + y] = s[x][y];
        continue;
      }
      for (int x = i; x < std::min(i + 2, c); ++x)
        for (int y = j; y < std::min(j + 2, c); ++y) {
          double s[1][1];
          gram_tile<1, 1>(q + x * plane, k + y * plane, plane, pitch, rows, s);
          gram[x * c + y] = s[0][0];
        }
    }
}

// Statistics of block `next` on the interior; x must be right on kStatisticsHalo.
inline void gather_statistics(const SegmentArgs& s) {
  if (!s.partials) return;
  const Tile& t = s.tile;
  const int channels = s.weights->arch.channels, heads = s.weights->arch.heads;
  const int c = channels / heads, size = s.weights->statistics_size();
  const Scratch& m = s.scratch;
  const Range wide = grown(t, 1);
  Range in = grown(t, 0);
  const int cols = static_cast<int>(round_up(t.interior_cols, PTN_BLOCK));
  in.c1 = std::max(in.c1, static_cast<int>(round_up(t.halo + cols, kLane)));
  layer_norm(m.x, channels, m.y, t, wide);
  for (int h = 0; h < heads; ++h) {
    Epilogue biased;
    biased.bias = s.next->qk_bias + h * 2 * c;
    conv1x1(m.y, channels, s.next->qk + static_cast<int64_t>(h) * channels * 2 * c, 2 * c, biased,
            m.t, t, wide, t.valid);
    depthwise_planes(m.t, 2 * c, s.next->qk_dw + h * 2 * c * 9, m.d, t, in);
    // Columns of the last block that lie beyond the scene were never computed: valid is 0 there.
    for (int i = 0; i < 2 * c; ++i)
      for (int row = in.r0; row < in.r1; ++row)
        for (int j = in.c0; j < in.c1; j += kWidth) {
          float* p = m.d + i * t.plane + row * t.pitch + j;
          store(p, select_nonzero(load(t.valid + row * t.pitch + j), load(p)));
        }
    for (int by = 0; by * PTN_BLOCK < t.interior_rows; ++by)
      for (int bx = 0; bx * PTN_BLOCK < cols; ++bx) {
        const int rows = std::min(PTN_BLOCK, t.interior_rows - by * PTN_BLOCK);
        double* out = s.partials + (by * s.partials_pitch + bx) * size;
        const float* q = m.d + (t.halo + by * PTN_BLOCK) * t.pitch + t.halo + bx * PTN_BLOCK;
        const float* k = q + c * t.plane;
        gram_block(q, k, c, t.plane, t.pitch, rows, out + h * c * c);
        double* norms = out + heads * c * c + h * c;
        for (int i = 0; i < c; ++i) {
          double one[1][1];
          gram_tile<1, 1>(q + i * t.plane, q + i * t.plane, t.plane, t.pitch, rows, one);
          norms[i] = one[0][0];
          gram_tile<1, 1>(k + i * t.plane, k + i * t.plane, t.plane, t.pitch, rows, one);
          norms[channels + i] = one[0][0];
        }
      }
  }
}

void boundary_segment(const SegmentArgs& s) {
  apply_block(s, s.margin);
  gather_statistics(s);
}

}  // namespace
}  // namespace pantiny
