// The 99th percentile as an exact order statistic: counts of the upper 16 bits of a key that
// orders like the values, for floats then those of the lower 16 bits within one bin. Counts are
// integers: nothing depends on the order of the blocks.
#include <cmath>

#include "csrc/cuda/memory.h"
#include "kernels/scale/scale_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

constexpr int kBins = 65536;
constexpr double kQuantile = 0.99, kFactor = 2.0;

struct State {
  uint64_t rank;  // of the value, from 1; within the bin after the first sweep
  uint32_t bin;
  uint64_t count;
};

struct ImageScratch {
  uint32_t upper[kBins], lower[kBins];
  State state;
};

PTN_DEVICE uint32_t key_of(float v, int dtype) {
  if (dtype == PTN_F32) {
    const uint32_t bits = float_bits(v);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
  }
  return static_cast<uint32_t>(static_cast<int>(v) + (dtype == PTN_I16 ? 32768 : 0)) << 16;
}

PTN_DEVICE double value_of(uint32_t key, int dtype) {
  if (dtype == PTN_F32)
    return static_cast<double>(bits_float(key >> 31 ? key & 0x7fffffffu : ~key));
  return static_cast<double>(key >> 16) - (dtype == PTN_I16 ? 32768 : 0);
}

template <bool kLower>
struct Count {
  using Args = Scale;
  static constexpr const char* kName = "scale: counts";
  static constexpr int kThreads = 256, kMinBlocks = 1, kEach = 8;
  static size_t shared_bytes(const Args&) { return 0; }

  // grid: MS columns, MS rows, images * K
  static PTN_DEVICE void run(const Args& a, char*) {
    const Scene& s = a.scene;
    const int image = block().z / s.bands, band = block().z % s.bands;
    ImageScratch& to = static_cast<ImageScratch*>(a.scratch)[image];
    for (int n = 0; n < kEach; ++n) {
      const int j = (block().x * kEach + n) * kThreads + thread();
      if (j >= s.ms_width || !ms_exists(s, image, block().y, j)) continue;
      const float v = ms_at(s, image, band, block().y, j);
      const uint32_t key = key_of(v, s.ms.dtype);
      if (!kLower)
        add_count(&to.upper[key >> 16], 1);
      else if (key >> 16 == to.state.bin)
        add_count(&to.lower[key & 0xffffu], 1);
    }
  }
};

// The bin in which the value of a rank lies.
template <bool kLower>
struct Find {
  using Args = Scale;
  static constexpr const char* kName = "scale: rank";
  static constexpr int kThreads = 512, kMinBlocks = 1, kEach = kBins / kThreads;
  static size_t shared_bytes(const Args&) { return kThreads * sizeof(uint64_t); }

  // grid: images
  static PTN_DEVICE void run(const Args& a, char* shared) {
    ImageScratch& s = static_cast<ImageScratch*>(a.scratch)[block().x];
    auto* const sums = reinterpret_cast<uint64_t*>(shared);
    const uint32_t* counts = kLower ? s.lower : s.upper;
    uint64_t mine = 0;
    for (int i = 0; i < kEach; ++i) mine += counts[thread() * kEach + i];
    sums[thread()] = mine;
    sync_block();
    if (thread() != 0) return;
    if (!kLower) {
      for (int t = 0; t < kThreads; ++t) s.state.count += sums[t];
      const double rank = ceil(kQuantile * static_cast<double>(s.state.count));
      s.state.rank = rank < 1 ? 1 : static_cast<uint64_t>(rank);
    }
    uint64_t left = s.state.rank;
    int t = 0;
    while (t < kThreads - 1 && sums[t] < left) left -= sums[t++];
    int bin = t * kEach;
    while (bin < (t + 1) * kEach - 1 && counts[bin] < left) left -= counts[bin++];
    const bool whole = !kLower && a.scene.ms.dtype == PTN_F32;  // a second sweep follows
    if (!kLower) s.state.bin = static_cast<uint32_t>(bin);
    s.state.rank = left;
    if (whole) return;
    const uint32_t key =
        kLower ? s.state.bin << 16 | static_cast<uint32_t>(bin) : static_cast<uint32_t>(bin) << 16;
    const double value = s.state.count ? value_of(key, a.scene.ms.dtype) : 0;
    a.dn_per_unit[block().x] = value > 0 ? kFactor * value : 1;
  }
};

}  // namespace

size_t scale_scratch_bytes(int images) { return images * sizeof(ImageScratch); }

ptn_status scale_cuda(const Scale& a, Stream stream) {
  const Scene& s = a.scene;
  const Dim3 grid{ceil_div(s.ms_width, Count<false>::kThreads * Count<false>::kEach), s.ms_height,
                  s.images * s.bands};
  PTN_TRY(fill_zero(a.scratch, scale_scratch_bytes(s.images), stream));
  PTN_TRY(launch<Count<false>>(a, grid, stream));
  PTN_TRY(launch<Find<false>>(a, {s.images, 1, 1}, stream));
  if (s.ms.dtype != PTN_F32) return PTN_OK;
  PTN_TRY(launch<Count<true>>(a, grid, stream));
  return launch<Find<true>>(a, {s.images, 1, 1}, stream);
}

}  // namespace cuda
}  // namespace pantiny
