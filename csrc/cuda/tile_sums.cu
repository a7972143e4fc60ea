#include "csrc/cuda/planes.h"
#include "csrc/cuda/tile_sums.h"

namespace pantiny {
namespace cuda {
namespace {

// A block per image and pair, and one for the counts.
struct AddTileSums {
  struct Args {
    TileSums tiles;
    double* sums;
    int64_t* count;
  };
  static constexpr const char* kName = "tile_sums_kernel";
  static constexpr int kThreads = 256, kMinBlocks = 1;
  static constexpr int kWarps = kThreads / kWarp;
  static size_t shared_bytes(const Args&) { return kWarps * sizeof(double); }

  template <class Sum, class From>
  static PTN_DEVICE void add(const TileSums& t, const From* from, Sum* to, Sum* warps) {
    Sum total = *to;
    for (int64_t first = 0; first < t.tiles; first += t.together) {
      const int64_t last = first + t.together < t.tiles ? first + t.together : t.tiles;
      Sum sum = 0;
      for (int64_t i = first + thread(); i < last; i += kThreads) sum += static_cast<Sum>(from[i]);
      sum = sum_of_warp(sum);
      sync_block();  // what the rows above left has been read
      if (lane() == 0) warps[warp()] = sum;
      sync_block();
      Sum rows = 0;
      for (int i = 0; i < kWarps; ++i) rows += warps[i];
      total += rows;
    }
    if (thread() == 0) *to = total;
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const int p = block().x, pairs = a.tiles.pairs;
    const int64_t image = block().z;
    if (p < pairs)
      add(a.tiles, a.tiles.sums_of(p), a.sums + image * pairs + p,
          reinterpret_cast<double*>(shared));
    else
      add(a.tiles, a.tiles.counts_of(), a.count + image, reinterpret_cast<int64_t*>(shared));
  }
};

}  // namespace

ptn_status add_tile_sums(const TileSums& tiles, double* sums, int64_t* count, Stream stream) {
  if (tiles.tiles == 0) return PTN_OK;
  return launch<AddTileSums>({tiles, sums, count}, {tiles.pairs + 1, 1, tiles.images}, stream);
}

}  // namespace cuda
}  // namespace pantiny
