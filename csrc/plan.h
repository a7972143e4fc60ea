// One scene: seven segments (blocks + 1) separated by six global reductions (blocks).
//
// Pass p runs segment p on every tile of a band, from the stored features (PTN_KEEP) or
// from the input through segments 0..p (PTN_RECOMPUTE). Passes before the last end in
// the statistics of block p; they are summed per block of PTN_BLOCK rows and kStrip columns, left
// to right into rows, rows top to bottom, in double: the order depends on nothing else.
//
// Kept features are updated in place. A tile reads a few rows of its neighbours, which other
// threads overwrite: before the tiles of a band run, these rows are copied to its borders,
// where the tile may also write. The rows above a band come from `carry`.
#pragma once

#include "csrc/arena.h"
#include "csrc/model.h"
#include "kernels/consistency/consistency.h"

struct ptn_plan {
  const ptn_model* model;
  ptn_scene scene;
  int32_t pass;      // being run
  int64_t next_row;  // where its next band starts

  double* statistics;  // of the pass being run
  double* partials;    // [block rows of a band][block columns][statistics]
  float* matrices;     // [blocks][C][C]
  uint32_t* pairs;     // of the matrices
  pantiny::CubicTaps* columns;

  int64_t pitch;    // of one channel of a feature row, kept or of a tile
  int halo;         // rows of a border
  float* features;  // PTN_KEEP: [height][C][pitch]
  float* borders;   // PTN_KEEP: [tiles that run together][above, below][halo][C][pitch]
  float* carry;     // PTN_KEEP: [halo][C][pitch], rows above the band before it ran
  float* zero_row;  // [C][pitch]

  int64_t network_rows;    // last pass: rows of the network's output that are done
  int64_t network_height;  // rows of `network`
  float* network;          // [K][network_height][width], network values, row y at y % height
  pantiny::Consistency consistency;

  char* thread_memory;
  size_t thread_bytes;
};

namespace pantiny {

bool scene_supported(const ptn_model& model, const ptn_scene& scene);
size_t plan_bytes(const ptn_model& model, const ptn_scene& scene);
ptn_plan* plan_place(const ptn_model& model, const ptn_scene& scene, void* memory);
ptn_rows plan_rows(const ptn_plan& plan, int pass, int64_t y0, int64_t y1);
void plan_run(ptn_plan& plan, int pass, int64_t y0, int64_t y1, const ptn_input& input,
              const ptn_output* output);

// Private copy of a row of a tile's neighbour: -1 is the row above the tile, 0 the one below.
inline float* border_row(const ptn_plan& p, int64_t tile, int64_t row) {
  const int64_t at = (tile * 2 + (row < 0 ? 0 : 1)) * p.halo + (row < 0 ? p.halo + row : row);
  return p.borders + at * p.model->weights.arch.channels * p.pitch;
}

}  // namespace pantiny
