// A tile of the PAN grid in planar scratch: what every kernel works on.
#pragma once

#include <cstdint>

#include "include/pantiny.h"

namespace pantiny {

constexpr int kLane = 16;   // columns are computed in multiples of this, whatever the vector width
constexpr int kGuard = 16;  // readable floats left and right of every row

// static: objects of different instruction sets must not share code
static constexpr int64_t round_up(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

// Buffer row r, column c is scene row y0 + r, column x0 + c. The interior starts at
// (halo, halo). All planes share `plane` and `pitch`, in floats.
struct Tile {
  int64_t y0, x0;
  int rows, cols;                    // buffer size, halo included
  int interior_rows, interior_cols;  // what the tile is responsible for
  int halo;
  int64_t pitch, plane;
  const float* valid;  // [rows][pitch]: 1 where a pixel exists, else 0
};

// Rows [r0, r1) and columns [c0, c1) of the buffer; columns are multiples of kLane.
struct Range {
  int r0, r1, c0, c1;
};

// The interior grown by `margin` on every side.
static inline Range grown(const Tile& t, int margin) {
  const int edge = t.halo - margin;
  return {edge, t.halo + t.interior_rows + margin, edge / kLane * kLane,
          static_cast<int>(round_up(t.halo + t.interior_cols + margin, kLane))};
}

struct BlockWeights {
  // 1x1 weights are [k][o] with LayerNorm's weight folded in; bias holds LayerNorm's.
  const float *v, *v_bias, *v_dw;        // [C][C], [C], [C][9]
  const float *qk, *qk_bias, *qk_dw;     // per head: [C][2c], [2c], [2c][9]; q first
  const float *ffn, *ffn_bias, *ffn_dw;  // per chunk: [C][2g], [2g], [2g][9]; a first
  const float* ffn_out;                  // per chunk: [g][C]
  const float* temperature;              // [heads]
  const float* project;                  // [C][C], [o][k]
};

struct Weights {
  ptn_arch arch;
  const float* head;           // [K * 9][C]
  const BlockWeights* blocks;  // encoder, then body
  const float *fuse1, *fuse2;  // enhanced_conv: [(C+1) * 9][C], [C * 9][C]; conv1x1: [C+1][C]
  const float *gate, *gate_dw, *gate_out;  // gated_conv per chunk: [C+1][2g], [2g][9], [g][C]
  const float *refine, *output;            // [C * 9][C], [C * 9][K]

  int blocks_total() const { return arch.encoder_blocks + arch.body_blocks; }
  int gate_chunk() const { return arch.channels / 2; }  // g
  // One partial sum: gram [heads][c][c], |q|^2 [C], |k|^2 [C].
  int statistics_size() const {
    const int c = arch.channels / arch.heads;
    return arch.heads * c * c + 2 * arch.channels;
  }
};

// Planes of one thread: x, y, t, d hold C planes each.
struct Scratch {
  float *x, *y, *t, *d;
  float *ms_up, *pan, *valid;  // K, 1, 1 planes
};

// One segment on one tile. x is updated in place and is right on the interior grown by
// `margin`. `partials` (null: not wanted) takes the statistics of block `next`, one row
// of statistics_size() doubles per PTN_BLOCK x PTN_BLOCK block; `partials_pitch` is the
// number of blocks from one block row to the next.
struct SegmentArgs {
  Tile tile;
  const Weights* weights;
  Scratch scratch;
  int margin;
  const BlockWeights* block;  // the block whose matrix is known (not for the head)
  const float* matrix;        // [k][o], folded attention of that block
  const BlockWeights* next;
  double* partials;
  int64_t partials_pitch;
  float* fused;  // tail: K planes
};

}  // namespace pantiny
