// Devices, their memory, copies, streams, events and graphs: thin covers of the CUDA runtime
// (memory.cu); on the emulator all memory is the host's (emulated_memory.cc).
#pragma once

#include "csrc/cuda/launch.h"

namespace pantiny {
namespace cuda {

using Event = void*;
using Graph = void*;

ptn_status device_count(int* count);
ptn_status describe_device(int device, char name[256], int* capability, int* multiprocessors,
                           int64_t* memory);
// Of this thread.
ptn_status use_device(int device);
ptn_status current_device(int* device);
ptn_status free_memory(size_t* bytes);  // of the current device
// Bytes of shared memory that a block may ask for on the current device.
size_t shared_memory_limit();

ptn_status allocate(size_t bytes, void** out);
void release(void* memory);
ptn_status allocate_pinned(size_t bytes, void** out);  // host memory that copies need not wait for
void release_pinned(void* memory);

// From memory that is not pinned: done when the call returns.
ptn_status copy_in(void* device, const void* host, size_t bytes, Stream stream);
ptn_status copy_out(void* host, const void* device, size_t bytes, Stream stream);  // waits
ptn_status copy_out_later(void* pinned, const void* device, size_t bytes, Stream stream);
ptn_status copy_on_device(void* to, const void* from, size_t bytes, Stream stream);
ptn_status fill_zero(void* device, size_t bytes, Stream stream);

// Streams that wait for no other, the default one included.
ptn_status create_stream(Stream* out);
void destroy_stream(Stream stream);
ptn_status wait_for(Stream stream);
ptn_status create_event(Event* out);
void destroy_event(Event event);
ptn_status record(Event event, Stream stream);
ptn_status wait_in(Stream stream, Event event);  // what follows in the stream waits
ptn_status wait_for_event(Event event);

// What is put on a stream between begin and end becomes a graph; nothing of it is run.
ptn_status begin_capture(Stream stream);
ptn_status end_capture(Stream stream, Graph* out);  // null after a failure
ptn_status run_graph(Graph graph, Stream stream);
void destroy_graph(Graph graph);
bool is_capturing(Stream stream);

const char* error_text();

}  // namespace cuda
}  // namespace pantiny
