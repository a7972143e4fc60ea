// Runs of a plan on small images as graphs: one launch in place of some twenty.
#pragma once

#include <cstddef>
#include <vector>

#include "csrc/cuda/memory.h"

namespace pantiny {
namespace cuda {

class Graphs {
 public:
  Graphs() = default;
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;
  ~Graphs();

  // queue(stream) puts work on a stream, always the same for the bytes of a key. The second time
  // in turn that a key comes its work becomes a graph, which later runs use.
  template <class Queue>
  ptn_status run(const void* key, size_t bytes, Stream stream, Queue&& queue) {
    if (is_capturing(stream)) return queue(stream);  // the caller makes a graph of their own
    if (const Graph found = find(key, bytes)) return run_graph(found, stream);
    if (!again(key, bytes)) return queue(stream);
    if (!begin()) return queue(stream);
    const ptn_status status = queue(own_);
    const Graph made = end(key, bytes, status);
    return made ? run_graph(made, stream) : queue(stream);
  }

  int count() const { return static_cast<int>(kept_.size()); }

 private:
  static constexpr size_t kMost = 4;
  struct Kept {
    std::vector<char> key;
    Graph graph;
  };

  Graph find(const void* key, size_t bytes) const;
  bool again(const void* key, size_t bytes);  // whether it was the last one that came
  bool begin();
  Graph end(const void* key, size_t bytes, ptn_status status);

  std::vector<Kept> kept_;
  std::vector<char> last_;
  Stream own_ = nullptr;  // captured on
  size_t next_ = 0;       // to be replaced
};

}  // namespace cuda
}  // namespace pantiny
