// Devices without a device. Work on a stream that was made is put off for as long as anything
// allows, so that whoever forgets to wait sees it; the default stream works at once.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "csrc/cuda/memory.h"

namespace pantiny {
namespace cuda {

namespace {

using Work = std::function<ptn_status()>;

struct Queue {
  int device;
  std::deque<Work> work;
  int64_t put = 0, done = 0;
  ptn_status status = PTN_OK;
  std::vector<Work>* captured = nullptr;
};

struct Mark {  // an event
  Queue* queue = nullptr;
  int64_t at = 0;
};

std::recursive_mutex everything;
thread_local int device_now = 0;
std::map<const char*, size_t> pinned;
std::vector<Queue*> queues;

int64_t number(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::atoll(text) : otherwise;
}

bool alive(Queue* queue) { return std::find(queues.begin(), queues.end(), queue) != queues.end(); }

// Null for the default stream and for streams that were made elsewhere, which are like it.
Queue* queue_of(Stream stream) {
  auto* queue = static_cast<Queue*>(stream);
  return alive(queue) ? queue : nullptr;
}

void drain(Queue* queue, int64_t to) {
  while (alive(queue) && queue->done < to && !queue->work.empty()) {
    const Work work = std::move(queue->work.front());
    queue->work.pop_front();
    ++queue->done;
    const ptn_status status = work();
    if (queue->status == PTN_OK) queue->status = status;
  }
}

void drain_all() {
  for (size_t i = 0; i < queues.size(); ++i) drain(queues[i], queues[i]->put);
}

bool is_pinned(const void* memory) {
  const char* at = static_cast<const char*>(memory);
  auto next = pinned.upper_bound(at);
  if (next == pinned.begin()) return false;
  --next;
  return at < next->first + next->second;
}

Work copy(void* to, const void* from, size_t bytes) {
  return [=] {
    std::memcpy(to, from, bytes);
    return PTN_OK;
  };
}

ptn_status poisoned(size_t bytes, void** out) {
  constexpr size_t kAligned = 256;  // as cudaMalloc
  *out = std::aligned_alloc(kAligned, (bytes / kAligned + 1) * kAligned);
  if (!*out) return fail("allocate", "out of memory");
  std::memset(*out, 0xff, bytes);  // NaN: what is read must have been written
  return PTN_OK;
}

}  // namespace

ptn_status submit(Stream stream, std::function<ptn_status()> work) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  Queue* const queue = queue_of(stream);
  if (!queue) return work();
  if (queue->device != device_now) return fail("stream", "of another device than the current one");
  if (queue->captured) {
    queue->captured->push_back(std::move(work));
    return PTN_OK;
  }
  queue->work.push_back(std::move(work));
  ++queue->put;
  return PTN_OK;
}

ptn_status device_count(int* count) {
  *count = static_cast<int>(number("PANTINY_EMULATED_DEVICES", 1));
  return PTN_OK;
}

ptn_status describe_device(int device, char name[256], int* capability, int* multiprocessors,
                           int64_t* memory) {
  int count = 0;
  device_count(&count);
  if (device < 0 || device >= count) return fail("device", "no such device");
  std::strcpy(name, "emulator");
  *capability = 0;
  *multiprocessors = 1;
  *memory = number("PANTINY_EMULATED_MEMORY", int64_t{1} << 32);
  return PTN_OK;
}

ptn_status use_device(int device) {
  int count = 0;
  device_count(&count);
  if (device < 0 || device >= count) return fail("device", "no such device");
  device_now = device;
  return PTN_OK;
}

ptn_status current_device(int* device) {
  *device = device_now;
  return PTN_OK;
}

ptn_status free_memory(size_t* bytes) {
  *bytes = static_cast<size_t>(number("PANTINY_EMULATED_MEMORY", int64_t{1} << 32));
  return PTN_OK;
}

size_t shared_memory_limit() { return size_t{227} << 10; }

ptn_status allocate(size_t bytes, void** out) { return poisoned(bytes, out); }

void release(void* memory) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  drain_all();  // as cudaFree
  std::free(memory);
}

ptn_status allocate_pinned(size_t bytes, void** out) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  PTN_TRY(poisoned(bytes, out));
  pinned[static_cast<const char*>(*out)] = bytes ? bytes : 1;
  return PTN_OK;
}

void release_pinned(void* memory) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  drain_all();
  pinned.erase(static_cast<const char*>(memory));
  std::free(memory);
}

ptn_status copy_in(void* device, const void* host, size_t bytes, Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  if (!queue_of(stream) || is_pinned(host)) return submit(stream, copy(device, host, bytes));
  const char* from = static_cast<const char*>(host);
  auto staged = std::make_shared<std::vector<char>>(from, from + bytes);
  return submit(stream, [=] {
    std::memcpy(device, staged->data(), bytes);
    return PTN_OK;
  });
}

ptn_status copy_out(void* host, const void* device, size_t bytes, Stream stream) {
  const ptn_status status = submit(stream, copy(host, device, bytes));
  return status == PTN_OK ? wait_for(stream) : status;
}

ptn_status copy_out_later(void* host, const void* device, size_t bytes, Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  if (!is_pinned(host)) return copy_out(host, device, bytes, stream);
  return submit(stream, copy(host, device, bytes));
}

ptn_status copy_on_device(void* to, const void* from, size_t bytes, Stream stream) {
  return submit(stream, copy(to, from, bytes));
}

ptn_status fill_zero(void* device, size_t bytes, Stream stream) {
  return submit(stream, [=] {
    std::memset(device, 0, bytes);
    return PTN_OK;
  });
}

ptn_status create_stream(Stream* out) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  auto* queue = new Queue;
  queue->device = device_now;
  queues.push_back(queue);
  *out = queue;
  return PTN_OK;
}

void destroy_stream(Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  Queue* const queue = queue_of(stream);
  if (!queue) return;
  drain(queue, queue->put);
  queues.erase(std::remove(queues.begin(), queues.end(), queue), queues.end());
  delete queue;
}

ptn_status wait_for(Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  Queue* const queue = queue_of(stream);
  if (!queue) return PTN_OK;
  drain(queue, queue->put);
  return std::exchange(queue->status, PTN_OK);
}

ptn_status create_event(Event* out) {
  *out = new Mark;
  return PTN_OK;
}

void destroy_event(Event event) { delete static_cast<Mark*>(event); }

ptn_status record(Event event, Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  Queue* const queue = queue_of(stream);
  *static_cast<Mark*>(event) = {queue, queue ? queue->put : 0};
  return PTN_OK;
}

ptn_status wait_in(Stream stream, Event event) {
  const Mark mark = *static_cast<Mark*>(event);
  return submit(stream, [=] {
    if (mark.queue) drain(mark.queue, mark.at);
    return PTN_OK;
  });
}

ptn_status wait_for_event(Event event) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  const Mark mark = *static_cast<Mark*>(event);
  if (!mark.queue) return PTN_OK;
  drain(mark.queue, mark.at);
  return alive(mark.queue) ? mark.queue->status : PTN_OK;
}

ptn_status begin_capture(Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  if (!queue_of(stream)) return fail("capture", "not of the default stream");
  queue_of(stream)->captured = new std::vector<Work>;
  return PTN_OK;
}

ptn_status end_capture(Stream stream, Graph* out) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  *out = std::exchange(queue_of(stream)->captured, nullptr);
  return *out ? PTN_OK : fail("capture", "not begun");
}

ptn_status run_graph(Graph graph, Stream stream) {
  const auto works = *static_cast<std::vector<Work>*>(graph);
  return submit(stream, [works] {
    for (const Work& work : works) PTN_TRY(work());
    return PTN_OK;
  });
}

void destroy_graph(Graph graph) { delete static_cast<std::vector<Work>*>(graph); }

bool is_capturing(Stream stream) {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  return queue_of(stream) && queue_of(stream)->captured;
}

}  // namespace cuda
}  // namespace pantiny
