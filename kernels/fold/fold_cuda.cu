// Sums over tiles and the matrix they fold to, in double. No atomics: a row of tiles is added up
// in their order, then the rows in theirs. A scene in bands of whole rows of tiles has the same
// bits.
#include <cmath>

#include "kernels/fold/fold_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

PTN_DEVICE int statistics_of(const Fold& f) {
  const int c = f.channels / f.heads;
  return f.heads * c * c + 2 * f.channels;
}

struct SumTiles {
  using Args = TileRows;
  static constexpr const char* kName = "fold: sums of tiles";
  static constexpr int kThreads = 128, kMinBlocks = 1;
  static size_t shared_bytes(const Args&) { return 0; }

  // grid: rows of tiles, parts of the statistics, images
  static PTN_DEVICE void run(const Args& a, char*) {
    const int i = block().y * kThreads + thread();
    if (i >= a.size) return;
    const int64_t row = block().z * a.down + a.first + block().x;
    const float* from = a.partials + row * a.across * a.size + i;
    double sum = 0;
    for (int64_t t = 0; t < a.across; ++t) sum += static_cast<double>(from[t * a.size]);
    a.sums[(block().z * a.rows + block().x) * a.size + i] = sum;
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
    const double* from = f.sums + block().x * f.rows * size;
    for (int i = thread(); i < size; i += kThreads) {
      double sum = 0;
      constexpr int kAhead = 8;  // loads under way
      int64_t t = 0;
      for (; t + kAhead <= f.rows; t += kAhead) {
        double next[kAhead];
        PTN_UNROLL
        for (int n = 0; n < kAhead; ++n) next[n] = from[(t + n) * size + i];
        PTN_UNROLL
        for (int n = 0; n < kAhead; ++n) sum += next[n];
      }
      for (; t < f.rows; ++t) sum += from[t * size + i];
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

ptn_status sum_tiles_cuda(const TileRows& t, Stream stream) {
  return launch<SumTiles>(
      t, {static_cast<int>(t.count), ceil_div(t.size, SumTiles::kThreads), t.images}, stream);
}

ptn_status fold_cuda(const Fold& f, Stream stream) {
  return launch<FoldMatrix>(f, {f.images, 1, 1}, stream);
}

}  // namespace cuda
}  // namespace pantiny
