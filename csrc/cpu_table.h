// What one instruction set provides. Each object exports one getter of this table.
#pragma once

#include "kernels/blocks/blocks.h"
#include "kernels/boundary/boundary.h"
#include "kernels/consistency/consistency.h"
#include "kernels/fusion/fusion.h"
#include "kernels/head/head.h"
#include "kernels/resample/resample.h"
#include "kernels/shrink/shrink.h"
#include "kernels/tail/tail.h"
#include "kernels/windows/windows.h"

namespace pantiny {

struct CpuTable {
  const char* name;
  bool bf16;           // compiled in; the processor may still lack it
  bool bf16_emulated;  // runs anywhere
  SegmentFn* head;
  SegmentFn* boundary;
  SegmentFn* fusion;
  SegmentFn* tail;
  ConsistencyRowFn* residual_row;
  ConsistencyRowFn* correct_row;
  RoundFn* round_row;
  WindowFn* window[4];  // by ptn_index
  MomentFn* moments;
  ShrinkFn* shrink_row;
  double (*multiply_add)(int64_t rounds);  // FLOPs done; for measuring the machine
};

const CpuTable& cpu_table();        // the one in use
const char* cpu_usable();           // names, best first
bool cpu_bf16();                    // products in bfloat16 run with the one in use
bool cpu_choose(const char* name);  // false: unknown or unusable here

}  // namespace pantiny
