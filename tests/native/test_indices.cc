// Quality indices against loops in long double; threads, masks, statuses, what is written.
#include <algorithm>
#include <cstring>

#include "naive_indices.h"

namespace {

struct Sums {
  double sum[4];
  int64_t count;
};

// In memory that is watched; `sums` are added to.
Sums run(const ptn_windows& w, int fill, const Sums& start = {}) {
  size_t bytes = 0;
  CHECK_EQ(ptn_windows_bytes(&w, &bytes), PTN_OK);
  const Memory memory(bytes, fill), sums(sizeof start.sum, 0), count(sizeof start.count, 0);
  std::memcpy(sums.get(), start.sum, sizeof start.sum);
  std::memcpy(count.get(), &start.count, sizeof start.count);
  auto* to = static_cast<double*>(sums.get());
  auto* counted = static_cast<int64_t*>(count.get());
  CHECK_EQ(ptn_windows_run(&w, memory.get(), bytes, to, counted), PTN_OK);
  CHECK(memory.intact() && sums.intact() && count.intact());
  Sums found;
  std::memcpy(found.sum, to, sizeof found.sum);
  found.count = *counted;
  return found;
}

bool same(const Sums& a, const Sums& b) {
  return !std::memcmp(a.sum, b.sum, sizeof a.sum) && a.count == b.count;
}

void check_near(double found, Exact expected, double bound) {
  const double ratio = static_cast<double>(std::fabs(found - expected)) / bound;
  CHECK(ratio <= 1);
  g_worst_ratio = std::fmax(g_worst_ratio, ratio);
}

void test_windows(const Image& image, int index) {
  const int side = image.windows(index, 1).window;
  const Weighted weights(side, index >= PTN_SSIM);
  double low = 1e300, high = -1e300, largest = 0;
  for (int p = 0; p < 3; ++p)
    for (size_t i = 0; i < image.valid.size(); ++i)
      if (image.valid[i]) {
        const double v = image.values[static_cast<size_t>(p)][i];
        low = std::fmin(low, v), high = std::fmax(high, v);
        largest = std::fmax(largest, std::fabs(v));
      }
  Exact sum[4] = {};
  double bound[4] = {}, size[4] = {};
  int64_t count = 0;
  std::vector<double> samples[3];
  for (int64_t y = 0; y + side <= image.shape.rows; ++y)
    for (int64_t x = 0; x + side <= image.shape.width; ++x) {
      bool good = true;
      for (auto& s : samples) s.clear();
      for (int i = 0; i < side * side; ++i) {
        good = good && image.good(y + i / side, x + i % side);
        for (int p = 0; p < 3; ++p) samples[p].push_back(image.at(p, y + i / side, x + i % side));
      }
      if (!good) continue;
      ++count;
      for (int k = 0; k < 4; ++k) {
        const Two t = moments(weights.weight, samples[kPairs[2 * k]], samples[kPairs[2 * k + 1]]);
        const Exact value = index_of(index, t);
        sum[k] += value;
        bound[k] += bound_of(index, t, high - low, largest, 48 * (side + 12) * kU);
        size[k] += std::fabs(static_cast<double>(value));
      }
    }
  Sums first{};
  for (int threads : {1, 2, 3}) {
    const Sums found = run(image.windows(index, threads), threads == 2 ? 0 : 0xFF);
    if (threads == 1) first = found;
    CHECK(same(found, first));
  }
  CHECK_EQ(first.count, count);
  for (int k = 0; k < 4; ++k)
    check_near(first.sum[k], sum[k],
               bound[k] + 2 * static_cast<double>(count) * kU * size[k] + 1e-300);
}

// Blocks, mirrored at the right edge.
void test_moments(const Image& image) {
  const int side = image.shape.window;
  const int64_t down = image.shape.rows / side, across = (image.shape.width + side - 1) / side;
  const auto blocks = static_cast<size_t>(down * across);
  const Weighted weights(side, false);
  std::vector<double> first;
  for (int threads : {1, 3}) {
    const ptn_windows w = image.windows(PTN_UQI, threads);
    size_t bytes = 0;
    CHECK_EQ(ptn_moments_bytes(&w, &bytes), PTN_OK);
    const Memory memory(bytes, 0xFF), out(blocks * 10 * sizeof(double), 0x7F),
        valid(blocks * sizeof(int64_t), 0x7F);
    auto* found = static_cast<double*>(out.get());
    auto* counted = static_cast<int64_t*>(valid.get());
    CHECK_EQ(ptn_moments_run(&w, memory.get(), bytes, found, counted), PTN_OK);
    CHECK(memory.intact() && out.intact() && valid.intact());
    if (threads == 1) first.assign(found, found + blocks * 10);
    CHECK(!blocks || !std::memcmp(found, first.data(), blocks * 10 * sizeof(double)));
    if (threads != 1) continue;
    for (size_t b = 0; b < blocks; ++b) {
      std::vector<double> samples[3];
      int64_t good = 0;
      for (int i = 0; i < side * side; ++i) {
        const int64_t y = static_cast<int64_t>(b) / across * side + i / side;
        int64_t x = static_cast<int64_t>(b) % across * side + i % side;
        while (x >= 2 * image.shape.width) x -= 2 * image.shape.width;
        if (x >= image.shape.width) x = 2 * image.shape.width - 1 - x;
        good += image.good(y, x);
        for (int p = 0; p < 3; ++p) samples[p].push_back(image.at(p, y, x));
      }
      CHECK_EQ(counted[b], good);
      if (good < side * side) continue;
      const double* m = found + b * 10;
      const double step = 8.0 * (side * side + 16) * kU;
      for (int k = 0; k < 7; ++k) {
        const int i = k < 3 ? k : kPairs[2 * k - 6], j = k < 3 ? k : kPairs[2 * k - 5];
        const Two t = moments(weights.weight, samples[i], samples[j]);
        auto range = [&](int p) {
          const auto [l, h] = std::minmax_element(samples[p].begin(), samples[p].end());
          return *h - *l;
        };
        const double mean = static_cast<double>(t.ma);
        if (k < 3) check_near(m[k], t.ma, step * range(k) + 4 * kU * std::fabs(mean) + 1e-300);
        check_near(m[3 + k], t.cov, step * range(i) * range(j) + 1e-300);
      }
    }
  }
}

// A long image in pieces: the same bits.
void test_pieces(const Image& image, int index) {
  ptn_windows w = image.windows(index, 2);
  const Sums whole = run(w, 0);
  const int64_t rows = w.rows;
  Sums sums{};
  for (int64_t y = 0; y < rows - w.window + 1; y += PTN_WINDOW_ROWS) {
    ptn_plane plane[3];
    for (int p = 0; p < 3; ++p) {
      plane[p] = image.plane[p];
      const int64_t skip = y * plane[p].row_stride * static_cast<int64_t>(size_of(plane[p].dtype));
      plane[p].data = static_cast<const unsigned char*>(plane[p].data) + skip;
    }
    w.plane = plane;
    w.rows = std::min<int64_t>(rows - y, PTN_WINDOW_ROWS + w.window - 1);
    if (w.valid) w.valid = image.valid.data() + y * w.valid_row_stride;
    sums = run(w, 0xFF, sums);
  }
  CHECK(same(sums, whole));
}

void test_arguments() {
  g_context = "arguments";
  const Image image({20, 24, 8, PTN_U16});
  size_t bytes = 0, more = 0;
  double sums[4] = {1, 2, 3, 4}, out[6 * 10];
  int64_t count = 7, valid[6];
  auto refused = [&](auto&& change, bool of_moments = true) {
    ptn_windows w = image.windows(PTN_UQI, 1);
    change(w);
    CHECK_EQ(ptn_windows_bytes(&w, &bytes), PTN_ERR_ARGUMENT);
    if (of_moments) CHECK_EQ(ptn_moments_bytes(&w, &bytes), PTN_ERR_ARGUMENT);
  };
  ptn_plane plane[3] = {image.plane[0], image.plane[1], image.plane[2]};
  const int32_t far[] = {0, 3}, below[] = {-1, 0};
  refused([](ptn_windows& w) { w.rows = -1; });
  refused([](ptn_windows& w) { w.width = int64_t{1} << 31; });
  refused([](ptn_windows& w) { w.planes = 0; });
  refused([](ptn_windows& w) { w.planes = PTN_MAX_PLANES + 1; });
  refused([](ptn_windows& w) { w.pairs = -1; });
  refused([](ptn_windows& w) { w.pairs = PTN_MAX_PAIRS + 1; });
  refused([](ptn_windows& w) { w.pairs = 0; }, false);
  refused([](ptn_windows& w) { w.plane = nullptr; });
  refused([](ptn_windows& w) { w.pair = nullptr; });
  refused([&](ptn_windows& w) { w.pair = far, w.pairs = 1; });
  refused([&](ptn_windows& w) { w.pair = below, w.pairs = 1; });
  refused([](ptn_windows& w) { w.window = 0; });
  refused([](ptn_windows& w) { w.window = PTN_MAX_WINDOW + 1; });
  refused([](ptn_windows& w) { w.index = -1; });
  refused([](ptn_windows& w) { w.index = PTN_GAUSSIAN_UQI + 1; });
  refused([](ptn_windows& w) { w.index = PTN_SSIM; });  // its window is 8
  refused([](ptn_windows& w) { w.index = PTN_SSIM, w.window = 11, w.c1 = -1; });
  refused([](ptn_windows& w) { w.index = PTN_SSIM, w.window = 11, w.c2 = kNan; });
  refused([](ptn_windows& w) { w.threads = 0; });
  refused([](ptn_windows& w) { w.threads = 4097; });
  for (int damage : {0, 1, 2}) {
    plane[1] = image.plane[1];
    if (damage == 0) plane[1].data = nullptr;
    if (damage == 1) plane[1].dtype = PTN_F64 + 1;
    if (damage == 2) plane[1].dtype = -1;
    refused([&](ptn_windows& w) { w.plane = plane; });
  }
  const ptn_windows w = image.windows(PTN_UQI, 2);
  CHECK_EQ(ptn_windows_bytes(nullptr, &bytes), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_windows_bytes(&w, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_moments_bytes(nullptr, &bytes), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_moments_bytes(&w, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_windows_bytes(&w, &bytes), PTN_OK);
  CHECK_EQ(ptn_moments_bytes(&w, &more), PTN_OK);
  const Memory memory(std::max(bytes, more) + 64, 0);
  void* const at = memory.get();
  void* const askew = static_cast<char*>(at) + 8;
  CHECK_EQ(ptn_windows_run(nullptr, at, bytes, sums, &count), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_windows_run(&w, nullptr, bytes, sums, &count), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_windows_run(&w, at, bytes, nullptr, &count), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_windows_run(&w, at, bytes, sums, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_windows_run(&w, at, bytes - 1, sums, &count), PTN_ERR_WORKSPACE);
  CHECK_EQ(ptn_windows_run(&w, askew, bytes, sums, &count), PTN_ERR_WORKSPACE);
  std::fill(out, out + 60, 5.0);
  std::fill(valid, valid + 6, 5);
  CHECK_EQ(ptn_moments_run(nullptr, at, more, out, valid), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_moments_run(&w, nullptr, more, out, valid), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_moments_run(&w, at, more, nullptr, valid), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_moments_run(&w, at, more, out, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_moments_run(&w, at, more - 1, out, valid), PTN_ERR_WORKSPACE);
  CHECK_EQ(ptn_moments_run(&w, askew, more, out, valid), PTN_ERR_WORKSPACE);
  CHECK(sums[0] == 1 && sums[3] == 4 && count == 7);  // refused: nothing is written
  for (double v : out) CHECK(v == 5.0);
  for (int64_t v : valid) CHECK_EQ(v, 5);
  CHECK_EQ(ptn_windows_run(&w, at, bytes, sums, &count), PTN_OK);
  CHECK_EQ(count, 7 + 13 * 17);
}

}  // namespace

void test_indices() {
  test_arguments();
  const Case cases[] = {
      {11, 17, 3, PTN_U16},
      {13, 19, 7, PTN_F32, kTexture, true},
      {16, 16, 8, PTN_F64, kBlack},
      {24, 27, 7, PTN_U8, kBlack, true, true, 120},
      {12, 21, 1, PTN_I16, kRange},
      {9, 10, 4, PTN_U16, kRange, false, true},
      {4, 30, 5, PTN_U8},
      {0, 5, 3, PTN_F32},
      {30, 33, 13, PTN_F64, kFlat, true, false, 0.3, 0.1},
      {20, 25, 5, PTN_F32, kTexture, false, true, 50000, 0.6},
      {33, 70, 32, PTN_U16, kTexture, false, false, 50000, 3},
      {40, 43, 16, PTN_F32, kFlat},
      {14, 138, 7, PTN_F32, kTexture, true},
      {137, 12, 8, PTN_U16},
      {145, 150, 11, PTN_I16, kFlat},
      {150, 140, 16, PTN_F64, kTexture, true, true},
  };
  int number = 0;
  for (const Case& c : cases) {
    const Image image(c);
    // emulated: not the large ones
    if (!g_quick || c.rows * c.width < 2500)
      each_isa([&](const std::string& isa) {
        for (int index : {PTN_UQI, PTN_DECORRELATION, PTN_SSIM, PTN_GAUSSIAN_UQI}) {
          g_context = "indices, case " + std::to_string(number) + ", index " +
                      std::to_string(index) + ", " + isa;
          test_windows(image, index);
        }
        if (c.width) test_moments(image);
      });
    ++number;
  }
  const Image tall({2 * PTN_WINDOW_ROWS + 60, 21, 7, PTN_F32, kTexture, true, true});
  each_isa([&](const std::string& isa) {
    g_context = "pieces, " + isa;
    for (int index : {PTN_UQI, PTN_DECORRELATION, PTN_SSIM, PTN_GAUSSIAN_UQI})
      test_pieces(tall, index);
  });
}
