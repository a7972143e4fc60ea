#include "kernels/shrink/shrink_cuda.h"

namespace pantiny {
namespace cuda {
namespace {

constexpr int kCols = 32;  // samples across a tile of one row

struct ShrinkArgs {
  ShrinkCuda s;
  int across;  // tiles
  double* out;
  const uint8_t* among;
  uint8_t* reached;
};

// A tile of one row of a plane: columns of samples are summed under their weights, then 32 runs of
// those sums. kReach: of what is not valid, in place of samples.
template <bool kReach>
struct ShrinkTile {
  using Args = ShrinkArgs;
  static constexpr const char* kName = "shrink_kernel";
  static constexpr int kThreads = 160, kMinBlocks = 4;  // 142 columns at ratio 4, 18 taps
  static_assert(kThreads >= kCols, "a thread per sample");

  static PTN_HOST_DEVICE int columns(const Args& a) { return (kCols - 1) * a.s.step + a.s.taps; }
  static size_t shared_bytes(const Args& a) {
    return sizeof(double) * static_cast<size_t>(columns(a));
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const ShrinkCuda& s = a.s;
    auto* sums = reinterpret_cast<double*>(shared);
    const int64_t row = block().x / a.across;
    const int64_t x0 = static_cast<int64_t>(block().x % a.across) * kCols;
    const int number = block().y;
    const double* weights = s.weights + static_cast<int64_t>(number) * 2 * s.taps;
    const ptn_plane plane = plane_of(s.planes, number);
    for (int c = thread(); c < columns(a); c += kThreads) {
      const int64_t x = clamp_to(s.first_col + x0 * s.step + c, s.planes.width);
      double sum = 0;
      for (int t = 0; t < s.taps; ++t) {
        const int64_t y = clamp_to(s.first_row + row * s.step + t, s.planes.rows);
        const bool valid = valid_at(s.planes, y, x);
        if (kReach)
          sum += valid ? 0.0 : weights[t];
        else if (valid)
          sum += weights[t] * sample_at<AnySample, double>(plane, y, x);
      }
      sums[c] = sum;
    }
    sync_block();
    const int64_t x = x0 + thread();
    if (thread() >= kCols || x >= s.cols) return;
    double sum = 0;
    for (int t = 0; t < s.taps; ++t) sum += weights[s.taps + t] * sums[thread() * s.step + t];
    const int64_t image = static_cast<int64_t>(block().z) * s.planes.planes + number;
    const int64_t at = (image * s.out_rows + row) * s.cols + x;
    if (!kReach)
      a.out[at] = sum;
    else
      a.reached[at] = sum == 0 && (!a.among || a.among[at]) ? 1 : 0;
  }
};

template <bool kReach>
ptn_status start(ShrinkArgs a, Stream stream) {
  const int64_t across = (a.s.cols + kCols - 1) / kCols, tiles = across * a.s.out_rows;
  if (tiles > INT32_MAX) return PTN_ERR_ARGUMENT;
  a.across = static_cast<int>(across);
  const Dim3 grid{static_cast<int>(tiles), a.s.planes.planes, a.s.planes.images};
  return launch<ShrinkTile<kReach>>(a, grid, stream);
}

}  // namespace

ptn_status shrink_cuda(const ShrinkCuda& s, double* out, Stream stream) {
  return start<false>({s, 0, out, nullptr, nullptr}, stream);
}

ptn_status reach_cuda(const ShrinkCuda& s, const uint8_t* among, uint8_t* reached, Stream stream) {
  ShrinkArgs a{s, 0, nullptr, among, reached};
  a.s.planes.planes = 1;
  return start<true>(a, stream);
}

}  // namespace cuda
}  // namespace pantiny
