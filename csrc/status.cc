#include "csrc/include/pantiny.h"

extern "C" const char* ptn_status_text(ptn_status status) {
  switch (status) {
    case PTN_OK:
      return "ok";
    case PTN_ERR_ARGUMENT:
      return "a null pointer or a number out of range";
    case PTN_ERR_SHAPE:
      return "a tensor is missing or has the wrong shape";
    case PTN_ERR_WORKSPACE:
      return "the memory block is too small or not aligned to 64 bytes";
    case PTN_ERR_ORDER:
      return "passes or bands out of order";
    case PTN_ERR_ROWS:
      return "the input does not hold the rows asked for";
    case PTN_ERR_UNSUPPORTED:
      return "an architecture this core cannot run";
    case PTN_ERR_ISA:
      return "the instruction set asked for cannot run here";
    case PTN_ERR_CUDA:
      return "a CUDA call failed";
  }
  return "unknown status";
}
