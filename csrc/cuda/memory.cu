#include "csrc/cuda/memory.cc"
