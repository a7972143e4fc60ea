#include "kernels/blocks/blocks_cuda.h"

namespace pantiny {
namespace cuda {
namespace {

constexpr int kMostQuantities = 2 * PTN_MAX_PLANES + PTN_MAX_PAIRS;

struct BlockArgs {
  Planes p;
  int window;
  int across;  // blocks
  double* moments;
  int64_t* valid;
};

// A block of the image. Its samples come in portions, every thread brings one of every plane; then
// warps own quantities: sums of planes, of squares, of products.
template <class Load, class Sum>
struct BlockMoments {
  using Args = BlockArgs;
  using Arithmetic = Exact<Sum>;
  using Value = typename Arithmetic::Value;
  static constexpr const char* kName = "blocks_kernel";
  static constexpr int kThreads = 256, kMinBlocks = 3;
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kEach = (kMostQuantities + kWarps - 1) / kWarps;  // quantities of a warp

  static size_t shared_bytes(const Args& a) {
    return sizeof(Sum) * static_cast<size_t>(2 * a.p.planes + a.p.pairs) +
           sizeof(Value) * kThreads * static_cast<size_t>(a.p.planes) + sizeof(float) * kWarps;
  }

  // Row or column `x` of an image mirrored at its edges over and over.
  static PTN_DEVICE int64_t mirrored(int64_t x, int64_t size) {
    if (x < size) return x;
    x %= 2 * size;
    return x < size ? x : 2 * size - 1 - x;
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Planes& p = a.p;
    const int window = a.window, n = window * window, quantities = 2 * p.planes + p.pairs;
    auto* totals = reinterpret_cast<Sum*>(shared);
    auto* stage = reinterpret_cast<Value*>(totals + quantities);  // [planes][kThreads]
    auto* least = reinterpret_cast<float*>(stage + p.planes * kThreads);
    const int64_t y0 = static_cast<int64_t>(block().x / a.across) * window;
    const int64_t x0 = static_cast<int64_t>(block().x % a.across) * window;

    // sums are taken about the first valid sample
    constexpr float kNone = 0x1p30f;
    float found = p.valid ? kNone : 0.0f;
    if (p.valid)
      for (int i = thread(); i < n && found == kNone; i += kThreads)
        if (y0 + i / window < p.rows && x0 + i % window < p.width &&
            valid_at(p, y0 + i / window, x0 + i % window))
          found = static_cast<float>(i);
    found = least_of_block<kThreads>(found, least);
    const bool any = found < kNone;
    const int at = any ? static_cast<int>(found) : 0;
    auto anchor_of = [&](int plane) -> Value {
      if (!Arithmetic::kAnchored || !any) return 0;
      return sample_at<Load, Value>(plane_of(p, plane), y0 + at / window, x0 + at % window);
    };

    Sum sums[kEach] = {};
    float valid = 0;
    for (int first = 0; first < n; first += kThreads) {
      const int i = first + thread();
      const int64_t y = mirrored(y0 + i / window, p.rows);
      const int64_t x = mirrored(x0 + i % window, p.width);
      const bool in = i < n && valid_at(p, y, x);
      valid += in ? 1.0f : 0.0f;
      if (first) sync_block();  // the last portion has been read
      for (int k = 0; k < p.planes; ++k)
        stage[k * kThreads + thread()] =
            in ? sample_at<Load, Value>(plane_of(p, k), y, x) - anchor_of(k) : Value{0};
      sync_block();
      PTN_UNROLL
      for (int k = 0; k < kEach; ++k) {
        const int q = warp() + k * kWarps;
        if (q < quantities) sums[k] += portion(p, stage, q);
      }
    }
    PTN_UNROLL
    for (int k = 0; k < kEach; ++k) {
      const int q = warp() + k * kWarps;
      const Sum sum = sum_of_warp(sums[k]);
      if (q < quantities && lane() == 0) totals[q] = sum;
    }
    valid = sum_of_warp(valid);  // whole numbers
    if (lane() == 0) least[warp()] = valid;
    sync_block();

    const int64_t number = static_cast<int64_t>(block().z) * grid().x + block().x;
    double* out = a.moments + number * quantities;
    const double count = n, square = count * count;
    for (int q = thread(); q < quantities; q += kThreads) {
      if (q < p.planes) {
        out[q] = static_cast<double>(anchor_of(q)) + static_cast<double>(totals[q]) / count;
        continue;
      }
      const bool own = q < 2 * p.planes;
      const int i = own ? q - p.planes : p.pair[q - 2 * p.planes][0];
      const int j = own ? i : p.pair[q - 2 * p.planes][1];
      out[q] = static_cast<double>(Arithmetic::spread(n, totals[q], totals[i], totals[j])) / square;
    }
    if (thread() > 0) return;
    float all = 0;
    for (int i = 0; i < kWarps; ++i) all += least[i];
    a.valid[number] = static_cast<int64_t>(all);
  }

  // Lane's part of quantity `q` of what is staged.
  static PTN_DEVICE Sum portion(const Planes& p, const Value* stage, int q) {
    Sum sum = 0;
    if (q < p.planes) {
      const Value* v = stage + q * kThreads + lane();
      PTN_UNROLL
      for (int i = 0; i < kThreads; i += kWarp) sum += static_cast<Sum>(v[i]);
      return sum;
    }
    const bool own = q < 2 * p.planes;
    const int i = own ? q - p.planes : p.pair[q - 2 * p.planes][0];
    const int j = own ? i : p.pair[q - 2 * p.planes][1];
    const Value *v = stage + i * kThreads + lane(), *w = stage + j * kThreads + lane();
    PTN_UNROLL
    for (int k = 0; k < kThreads; k += kWarp) sum += Arithmetic::product(v[k], w[k]);
    return sum;
  }
};

}  // namespace

ptn_status blocks_cuda(const BlocksCuda& b, Stream stream) {
  const Planes& p = b.planes;
  const int64_t across = (p.width + b.window - 1) / b.window;
  const int64_t count = across * ((p.rows + b.window - 1) / b.window);
  if (count > INT32_MAX) return PTN_ERR_ARGUMENT;
  const BlockArgs a{p, b.window, static_cast<int>(across), b.moments, b.valid};
  const Dim3 grid{static_cast<int>(count), 1, p.images};
  switch (kind_of(p)) {
    case Kind::kU16:
      return launch<BlockMoments<Alike<uint16_t>, int64_t>>(a, grid, stream);
    case Kind::kIntegers:
      return launch<BlockMoments<AnyInteger, int64_t>>(a, grid, stream);
    case Kind::kF32:
      return launch<BlockMoments<Alike<float>, double>>(a, grid, stream);
    default:
      return launch<BlockMoments<AnySample, double>>(a, grid, stream);
  }
}

}  // namespace cuda
}  // namespace pantiny
