// One tile of one pass: which segments run, on what margins, from where.
#pragma once

#include "csrc/arena.h"
#include "csrc/plan.h"

namespace pantiny {

// Rows and columns beyond a tile that a pass reads.
int pass_halo(const Weights& weights, int storage, int pass);

// The widest halo of the passes that read stored features.
int stored_halo(const Weights& weights);

// Floats from one channel of a feature row to the next, of the scene and of a tile: guards on
// both sides, and an odd number of cache lines, so that the channels of a row do not fall into
// the same few sets.
int64_t feature_pitch(int64_t columns);
int64_t tile_pitch(const ptn_scene& scene);

struct TileTask {
  ptn_plan* plan;
  const ptn_input* input;
  int pass;
  int64_t y0, x0, y1, x1;
  int64_t index;  // of the tile among those that run together
  void* memory;
};

// Memory of one thread for the largest tile of the scene.
size_t tile_bytes(const Weights& weights, const ptn_scene& scene);

// `partials`: of the tile's first block, null in the last pass, which writes plan->network.
void run_tile(const TileTask& task, double* partials, int64_t partials_pitch);

MsSource ms_source(const ptn_input& input);

}  // namespace pantiny
