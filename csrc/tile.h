// What a segment works on: a tile of the PAN grid, walked strip by strip, row pair by row
// pair. Columns of the strips follow each other without overlap: every 3x3 makes its stage
// lag one row and one column behind the stage before it, and the two columns it needs of the
// strip to the left are carried over.
#pragma once

#include <cstdint>

#include "include/pantiny.h"

namespace pantiny {

constexpr int kGuard = 32;  // floats left and right of a feature row that strips may touch
constexpr int64_t kStrip = PTN_COLUMNS;  // columns of a strip, and of a block of the sums
constexpr int kChunk = 96;        // columns a stage takes at a time: what it makes stays near
constexpr int kChunkPitch = 144;  // floats of a chunk's row: an odd number of cache lines
constexpr int kLead = 16;         // floats in front of a ring row, the last two of them carried
constexpr int kStripPad = 64;     // columns a first strip may be wider
constexpr int kMaskRows = 8;      // more than the row lag of the longest segment
constexpr int kMaxWidth = 16;     // floats in the widest vector
constexpr int kFlushRows = 4;     // rows summed in float before they go to double

// static: objects of different instruction sets must not share code
static constexpr int64_t round_up(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

// Weights of a product, and the same in pairs (pairs.h).
struct Panel {
  const float* w;
  const uint32_t* pairs;
};

// A 3x3 for two rows at a time, each [inputs][3][outputs]: g0, (g0 + g1 + g2) / 2,
// (g0 - g1 + g2) / 2, g2 of its rows.
struct FoldedPanels {
  Panel row[4];
};

struct BlockWeights {
  // 1x1 weights are [k][o] with LayerNorm's weight folded in; bias holds LayerNorm's.
  Panel v, qk, ffn;                // [C][C]; [C][2C], per head q, then k; [C][4C], a, then b
  Panel ffn_out;                   // [2C][C]
  const float *v_bias, *v_dw;      // [C], [C][9]
  const float *qk_bias, *qk_dw;    // [2C], [2C][9]
  const float *ffn_bias, *ffn_dw;  // [4C], [4C][9]; the 3x3 of b is halved
  const float* temperature;        // [heads]
  const float* project;            // [C][C], [o][k]
};

struct Weights {
  ptn_arch arch;
  Panel head;                  // [3][K][3][C]: rows, inputs, columns, outputs
  const BlockWeights* blocks;  // encoder, then body
  FoldedPanels fuse1, fuse2;   // enhanced_conv: C+1 -> C, C -> C
  Panel fuse;                  // conv1x1: [C+1][C]
  Panel gate, gate_out;        // gated_conv: [C+1][2C], [C][C]
  const float* gate_dw;        // gated_conv: [2C][9], as ffn_dw
  FoldedPanels refine;         // C -> C
  Panel output;                // [3][C][3][K]

  int blocks_total() const { return arch.encoder_blocks + arch.body_blocks; }
  // One partial sum: gram [heads][c][c], |q|^2 [C], |k|^2 [C].
  int statistics_size() const {
    const int c = arch.channels / arch.heads;
    return arch.heads * c * c + 2 * arch.channels;
  }
};

// The last four rows of one stage's output, with two columns of the strip to the left.
struct Ring {
  float* data;   // [channels][4][pitch]
  float* carry;  // [rows of the tile][channels][2]
  int channels;
  int64_t pitch;

  float* row(int64_t y) const { return data + (y & 3) * pitch + kLead; }
  int64_t stride() const { return 4 * pitch; }
};

// Memory of one thread. Rows of a strip have `pitch` floats, rows of a chunk kChunkPitch.
struct Scratch {
  int64_t pitch;
  Ring v, ffn, qk, between, pan, ms;  // between: of the two convolutions of fusion and tail
  float *fused, *mixed;               // strip: [K], MS samples
  float* mask;                        // strip: [kMaskRows]
  float* norm;                        // chunk: [C]
  float* pair;                        // chunk: [2][C]
  float* gates;                       // chunk: [2][2C]
  float* other;                       // chunk: [2]
  float* qk_pair;                     // chunk: [2][2C / heads]
  float* folded;                      // chunk: [4][C + 1]: combinations of rows
  float* sums;                        // [statistics][vector]
  double* totals;                     // the same
};

// PAN rows [first, ...) in DN, strides in elements.
struct PanSource {
  const void* data;
  int dtype;
  int64_t first, row_stride, col_stride;
  float units_per_dn;
};

// Which pixels exist, rows [first, ...); null: all.
struct ValidSource {
  const uint8_t* data;
  int64_t first, row_stride;
};

struct Upsample;

// One segment on one tile. Its features are right on rows [y0 - margin, y1 + margin) and
// columns [x0 - margin, x1 + margin) as far as they lie in the scene.
struct SegmentArgs {
  const Weights* weights;
  int64_t height, width;  // of the scene
  int64_t y0, y1, x0, x1;
  int margin;
  int strip;  // columns, a multiple of PTN_BLOCK
  bool bf16;  // operands of the products rounded to bfloat16
  // rows[y - rows_first]: channel 0 of scene column 0; channels `plane` apart, kGuard floats
  // around the tile's columns may be touched. Updated in place. Rows outside the scene are
  // zero and not written.
  float* const* rows;
  int64_t rows_first, plane;
  PanSource pan;
  ValidSource valid;
  const Upsample* upsample;
  const BlockWeights* block;  // the block whose matrix is known (not for the head)
  Panel matrix;               // [k][o], folded attention of that block
  // Statistics of block `next` on [y0, y1) x [x0, x1): one row of statistics_size() doubles
  // per block of PTN_BLOCK rows and kStrip columns, partials_pitch blocks to a block row. Null: not
  // wanted.
  const BlockWeights* next;
  double* partials;
  int64_t partials_pitch;
  // tail: K planes of network output; row y is row y % fused_rows
  float* fused;
  int64_t fused_rows, fused_plane, fused_pitch;
  Scratch scratch;
};

}  // namespace pantiny
