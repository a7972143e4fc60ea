// One tile of one pass: which segments run, on what margins, from where.
#pragma once

#include "csrc/arena.h"
#include "csrc/plan.h"

namespace pantiny {

// Rows and columns beyond a tile that a pass reads.
int pass_halo(const Weights& weights, int storage, int pass);

// Rows of old features a band needs above itself once they are overwritten.
int carry_rows(const Weights& weights);

struct TileTask {
  ptn_plan* plan;
  const ptn_input* input;
  int64_t y0, x0, y1, x1;
  void* memory;
};

struct TileMemory {
  Scratch scratch;
  CubicTaps *row_taps, *col_taps;
};

// Scratch of one thread for the largest tile of the scene.
TileMemory take_tile(Arena& arena, const Weights& weights, const ptn_scene& scene);

// `band_y0`: first row of the band being run. The last pass writes plan->network.
void run_tile(const TileTask& task, int pass, int64_t band_y0, double* partials,
              int64_t partials_pitch);

}  // namespace pantiny
