// Device memory, copies and streams; on the emulator all of it is the host's.
#pragma once

#include "csrc/cuda/launch.h"

namespace pantiny {
namespace cuda {

ptn_status allocate(size_t bytes, void** out);
void release(void* memory);
// Of host memory that is not pinned: done when the call returns.
ptn_status copy_in(void* device, const void* host, size_t bytes, Stream stream);
ptn_status copy_out(void* host, const void* device, size_t bytes, Stream stream);
ptn_status fill_zero(void* device, size_t bytes, Stream stream);
ptn_status wait_for(Stream stream);

// Bytes of shared memory that a block may ask for on the current device.
size_t shared_memory_limit();

const char* error_text();

}  // namespace cuda
}  // namespace pantiny
