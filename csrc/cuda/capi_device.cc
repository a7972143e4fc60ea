// The C interface to devices, their memory and streams.
#include "csrc/cuda/memory.h"
#include "csrc/include/pantiny_cuda.h"

using namespace pantiny::cuda;

extern "C" {

const char* ptn_cuda_error(void) { return error_text(); }

int32_t ptn_cuda_devices(void) {
  int count = 0;
  if (device_count(&count) != PTN_OK) return 0;
  if (count == 0) fail("CUDA", "no device");
  return count;
}

ptn_status ptn_cuda_device(int32_t device, char name[256], int32_t* capability,
                           int32_t* multiprocessors, int64_t* memory) {
  return describe_device(device, name, capability, multiprocessors, memory);
}

ptn_status ptn_cuda_use(int32_t device, int32_t* before) {
  if (before) PTN_TRY(current_device(before));
  return use_device(device);
}

ptn_status ptn_cuda_free_memory(size_t* bytes) {
  return bytes ? free_memory(bytes) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_allocate(size_t bytes, void** memory) {
  return memory ? allocate(bytes, memory) : PTN_ERR_ARGUMENT;
}

void ptn_cuda_release(void* memory) {
  if (memory) release(memory);
}

ptn_status ptn_cuda_allocate_pinned(size_t bytes, void** memory) {
  return memory ? allocate_pinned(bytes, memory) : PTN_ERR_ARGUMENT;
}

void ptn_cuda_release_pinned(void* memory) {
  if (memory) release_pinned(memory);
}

ptn_status ptn_cuda_copy_in(void* to, const void* from, size_t bytes, void* stream) {
  return to && from ? copy_in(to, from, bytes, stream) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_copy_out(void* to, const void* from, size_t bytes, void* stream) {
  return to && from ? copy_out(to, from, bytes, stream) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_copy_out_later(void* to, const void* from, size_t bytes, void* stream) {
  return to && from ? copy_out_later(to, from, bytes, stream) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_wait(void* stream) { return wait_for(stream); }

ptn_status ptn_cuda_stream_create(void** stream) {
  return stream ? create_stream(stream) : PTN_ERR_ARGUMENT;
}

void ptn_cuda_stream_destroy(void* stream) {
  if (stream) destroy_stream(stream);
}

ptn_status ptn_cuda_event_create(void** event) {
  return event ? create_event(event) : PTN_ERR_ARGUMENT;
}

void ptn_cuda_event_destroy(void* event) {
  if (event) destroy_event(event);
}

ptn_status ptn_cuda_event_record(void* event, void* stream) {
  return event ? record(event, stream) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_event_wait_in(void* event, void* stream) {
  return event ? wait_in(stream, event) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_event_wait(void* event) {
  return event ? wait_for_event(event) : PTN_ERR_ARGUMENT;
}

}  // extern "C"
