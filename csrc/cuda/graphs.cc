#include "csrc/cuda/graphs.h"

#include <cstring>

namespace pantiny {
namespace cuda {

namespace {
bool same(const std::vector<char>& kept, const void* key, size_t bytes) {
  return kept.size() == bytes && std::memcmp(kept.data(), key, bytes) == 0;
}
}  // namespace

Graphs::~Graphs() {
  for (const Kept& k : kept_) destroy_graph(k.graph);
  if (own_) destroy_stream(own_);
}

Graph Graphs::find(const void* key, size_t bytes) const {
  for (const Kept& k : kept_)
    if (same(k.key, key, bytes)) return k.graph;
  return nullptr;
}

bool Graphs::again(const void* key, size_t bytes) {
  if (same(last_, key, bytes)) return true;
  const char* from = static_cast<const char*>(key);
  last_.assign(from, from + bytes);
  return false;
}

bool Graphs::begin() {
  if (!own_ && create_stream(&own_) != PTN_OK) return false;
  return begin_capture(own_) == PTN_OK;
}

Graph Graphs::end(const void* key, size_t bytes, ptn_status status) {
  Graph made = nullptr;
  if (end_capture(own_, &made) != PTN_OK) return nullptr;
  if (status != PTN_OK) {
    destroy_graph(made);
    return nullptr;
  }
  const char* from = static_cast<const char*>(key);
  const Kept kept{{from, from + bytes}, made};
  if (kept_.size() < kMost) {
    kept_.push_back(kept);
  } else {
    destroy_graph(kept_[next_].graph);
    kept_[next_] = kept;
    next_ = (next_ + 1) % kMost;
  }
  return made;
}

}  // namespace cuda
}  // namespace pantiny
