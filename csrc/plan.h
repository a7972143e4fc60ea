// One scene: seven segments (blocks + 1) separated by six global reductions (blocks).
//
// Pass p runs segment p on every tile of a band, from the stored features (PTN_KEEP) or
// from the input through segments 0..p (PTN_RECOMPUTE). Passes before the last end in
// the statistics of block p; they are summed per PTN_BLOCK x PTN_BLOCK block, blocks left
// to right into rows, rows top to bottom, in double: the order depends on nothing else.
#pragma once

#include "csrc/arena.h"
#include "csrc/model.h"
#include "kernels/consistency/consistency.h"

struct ptn_plan {
  const ptn_model* model;
  ptn_scene scene;
  int32_t pass;          // being run
  int64_t next_row;      // where its next band starts
  int64_t network_rows;  // last pass: rows of the network's output that are done

  int reach, radius;       // of one consistency step
  int64_t network_first;   // first row held by `network`
  int64_t network_height;  // rows it can hold

  double* statistics;  // of the pass being run
  double* partials;    // [block rows of a band][block columns][statistics]
  float* matrices;     // [blocks][C][C]
  float* features;     // PTN_KEEP: [C][height][width]
  float* band;         // PTN_KEEP: [C][band_rows][width]
  float* carry;        // PTN_KEEP: [C][carry_rows][width]: rows above the band, before it ran
  float* network;      // [K][network_height][width], network values
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

}  // namespace pantiny
