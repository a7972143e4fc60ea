#include <cstring>

#include "csrc/cuda/memory.h"

namespace pantiny {
namespace cuda {

namespace {
cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(Event event) { return static_cast<cudaEvent_t>(event); }
}  // namespace

ptn_status device_count(int* count) { return check(cudaGetDeviceCount(count), "CUDA"); }

ptn_status describe_device(int device, char name[256], int* capability, int* multiprocessors,
                           int64_t* memory) {
  cudaDeviceProp p;
  PTN_TRY(check(cudaGetDeviceProperties(&p, device), "device"));
  std::strncpy(name, p.name, 255);
  name[255] = 0;
  *capability = p.major * 10 + p.minor;
  *multiprocessors = p.multiProcessorCount;
  *memory = static_cast<int64_t>(p.totalGlobalMem);
  return PTN_OK;
}

ptn_status use_device(int device) { return check(cudaSetDevice(device), "device"); }
ptn_status current_device(int* device) { return check(cudaGetDevice(device), "device"); }

ptn_status free_memory(size_t* bytes) {
  size_t total = 0;
  return check(cudaMemGetInfo(bytes, &total), "cudaMemGetInfo");
}

size_t shared_memory_limit() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
          cudaSuccess)
    return size_t{48} << 10;
  return static_cast<size_t>(bytes);
}

ptn_status allocate(size_t bytes, void** out) {
  const ptn_status status = check(cudaMalloc(out, bytes ? bytes : 1), "cudaMalloc");
  if (status != PTN_OK) cudaGetLastError();  // the next launch is not to report it
  return status;
}

void release(void* memory) { cudaFree(memory); }

ptn_status allocate_pinned(size_t bytes, void** out) {
  const ptn_status status =
      check(cudaHostAlloc(out, bytes ? bytes : 1, cudaHostAllocPortable), "cudaHostAlloc");
  if (status != PTN_OK) cudaGetLastError();
  return status;
}

void release_pinned(void* memory) { cudaFreeHost(memory); }

ptn_status copy_in(void* device, const void* host, size_t bytes, Stream stream) {
  return check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, of(stream)),
               "copy to device");
}

ptn_status copy_out(void* host, const void* device, size_t bytes, Stream stream) {
  const ptn_status status = copy_out_later(host, device, bytes, stream);
  return status == PTN_OK ? wait_for(stream) : status;
}

ptn_status copy_out_later(void* host, const void* device, size_t bytes, Stream stream) {
  return check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, of(stream)),
               "copy from device");
}

ptn_status copy_on_device(void* to, const void* from, size_t bytes, Stream stream) {
  return check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, of(stream)),
               "copy on device");
}

ptn_status fill_zero(void* device, size_t bytes, Stream stream) {
  return check(cudaMemsetAsync(device, 0, bytes, of(stream)), "memset");
}

ptn_status create_stream(Stream* out) {
  cudaStream_t stream = nullptr;
  PTN_TRY(check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream"));
  *out = stream;
  return PTN_OK;
}

void destroy_stream(Stream stream) { cudaStreamDestroy(of(stream)); }

ptn_status wait_for(Stream stream) { return check(cudaStreamSynchronize(of(stream)), "kernels"); }

ptn_status create_event(Event* out) {
  cudaEvent_t event = nullptr;
  PTN_TRY(check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event"));
  *out = event;
  return PTN_OK;
}

void destroy_event(Event event) { cudaEventDestroy(event_of(event)); }

ptn_status record(Event event, Stream stream) {
  return check(cudaEventRecord(event_of(event), of(stream)), "event");
}

ptn_status wait_in(Stream stream, Event event) {
  return check(cudaStreamWaitEvent(of(stream), event_of(event), 0), "event");
}

ptn_status wait_for_event(Event event) {
  return check(cudaEventSynchronize(event_of(event)), "kernels");
}

ptn_status begin_capture(Stream stream) {
  return check(cudaStreamBeginCapture(of(stream), cudaStreamCaptureModeThreadLocal), "capture");
}

ptn_status end_capture(Stream stream, Graph* out) {
  *out = nullptr;
  cudaGraph_t graph = nullptr;
  PTN_TRY(check(cudaStreamEndCapture(of(stream), &graph), "capture"));
  cudaGraphExec_t ready = nullptr;
  const ptn_status status = check(cudaGraphInstantiate(&ready, graph, 0), "graph");
  cudaGraphDestroy(graph);
  if (status == PTN_OK) *out = ready;
  return status;
}

ptn_status run_graph(Graph graph, Stream stream) {
  return check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), of(stream)), "graph");
}

void destroy_graph(Graph graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

bool is_capturing(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t error = cudaStreamIsCapturing(of(stream), &status);
  if (error == cudaSuccess) return status != cudaStreamCaptureStatusNone;
  // the default stream says so while another one is being captured
  cudaGetLastError();
  return true;
}

}  // namespace cuda
}  // namespace pantiny
