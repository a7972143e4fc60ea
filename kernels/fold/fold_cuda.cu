// Sums over tiles and the matrix they fold to, in double. No atomics: a slice of tiles is added
// up by one block in their order, slices by one block of the image in theirs.
#include <cmath>

#include "kernels/fold/fold_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

PTN_DEVICE int statistics_of(const Fold& f) {
  const int c = f.channels / f.heads;
  return f.heads * c * c + 2 * f.channels;
}

PTN_HOST_DEVICE int64_t slices_of(const Fold& f) { return (f.tiles + kSlice - 1) / kSlice; }

struct SumSlice {
  using Args = Fold;
  static constexpr const char* kName = "fold: sums of tiles";
  static constexpr int kThreads = 128, kMinBlocks = 1;
  static size_t shared_bytes(const Args&) { return 0; }

  // grid: slices, parts of the statistics, images
  static PTN_DEVICE void run(const Args& f, char*) {
    const int size = statistics_of(f), i = block().y * kThreads + thread();
    if (i >= size) return;
    const int64_t first = static_cast<int64_t>(block().x) * kSlice;
    const int64_t count = f.tiles - first < kSlice ? f.tiles - first : kSlice;
    const float* from = f.partials + (static_cast<int64_t>(block().z) * f.tiles + first) * size + i;
    double sum = 0;
    for (int64_t t = 0; t < count; ++t) sum += static_cast<double>(from[t * size]);
    f.slices[(block().z * slices_of(f) + block().x) * size + i] = sum;
  }
};

struct FoldMatrix {
  using Args = Fold;
  static constexpr const char* kName = "fold";
  static constexpr int kThreads = 512, kMinBlocks = 1;
  static constexpr double kNormFloor = 1e-12;  // that of torch's normalize
  static size_t shared_bytes(const Args& f) {
    const int c = f.channels / f.heads;
    return (f.heads * c * c + 2 * f.channels) * sizeof(double);
  }

  // grid: images
  static PTN_DEVICE void run(const Args& f, char* shared) {
    auto* const sums = reinterpret_cast<double*>(shared);
    const int C = f.channels, c = C / f.heads, size = statistics_of(f), gram = f.heads * c * c;
    const int64_t slices = slices_of(f);
    const double* from = f.slices + block().x * slices * size;
    for (int i = thread(); i < size; i += kThreads) {
      double sum = 0;
      for (int64_t t = 0; t < slices; ++t) sum += from[t * size + i];
      if (i >= gram) {
        sum = sqrt(sum);
        if (!(sum > kNormFloor)) sum = sum == sum ? kNormFloor : sum;
      }
      sums[i] = sum;
    }
    sync_block();
    if (thread() < C) {  // one row of one head: logits, softmax
      const int head = thread() / c;
      double* const row = sums + thread() * c;
      const double q = sums[gram + thread()];
      const double* k = sums + gram + C + head * c;
      double largest = -INFINITY, total = 0;
      for (int j = 0; j < c; ++j) {
        row[j] = static_cast<double>(f.temperature[head]) * (row[j] / q / k[j]);
        largest = row[j] > largest ? row[j] : largest;
      }
      for (int j = 0; j < c; ++j) total += row[j] = exp(row[j] - largest);
      for (int j = 0; j < c; ++j) row[j] /= total;
    }
    sync_block();
    for (int i = thread(); i < C * C; i += kThreads) {
      const int o = i / C, head = i % C / c, k = i % C - head * c;
      const float* project = f.project + o * C + head * c;
      double sum = 0;
      for (int q = 0; q < c; ++q)
        sum += static_cast<double>(project[q]) * sums[(head * c + q) * c + k];
      f.matrices[static_cast<int64_t>(block().x) * C * C + i] = static_cast<float>(sum);
    }
  }
};

}  // namespace

ptn_status fold_cuda(const Fold& f, Stream stream) {
  const int size = f.heads * (f.channels / f.heads) * (f.channels / f.heads) + 2 * f.channels;
  const ptn_status status = launch<SumSlice>(
      f, {static_cast<int>(slices_of(f)), ceil_div(size, SumSlice::kThreads), f.images}, stream);
  return status == PTN_OK ? launch<FoldMatrix>(f, {f.images, 1, 1}, stream) : status;
}

}  // namespace cuda
}  // namespace pantiny
