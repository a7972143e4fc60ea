// A plane on a coarser grid against loops in long double; threads, statuses, what is written.
#include <algorithm>
#include <cstring>
#include <vector>

#include "check.h"
#include "fixture.h"

namespace {

using Exact = long double;

struct Case {
  int64_t rows, width;  // of the output
  int step, taps, first;
  bool masked;
};

void test_case(const Case& c) {
  Rng rng(static_cast<uint64_t>(c.rows * 131 + c.width * 7 + c.step));
  const int64_t rows = c.rows * c.step, width = c.width * c.step, stride = width + 3;
  std::vector<float> plane(static_cast<size_t>(rows * stride));
  std::vector<uint8_t> valid(plane.size(), 1);
  for (float& v : plane) v = static_cast<float>(rng.uniform(-50, 900));
  if (c.masked)
    for (size_t i = 0; i < plane.size(); i += 5) valid[i] = 0, plane[i] = NAN;
  std::vector<double> w(static_cast<size_t>(c.taps)), v(w.size());
  for (double& x : w) x = rng.uniform(0, 0.2);
  for (double& x : v) x = rng.uniform(0, 0.2);

  ptn_shrink s{};
  s.plane = {plane.data(), PTN_F32, stride, 1};
  s.rows = rows, s.width = width;
  if (c.masked) s.valid = valid.data(), s.valid_row_stride = stride;
  s.first_row = s.first_col = c.first;
  s.step = c.step, s.taps = c.taps;
  s.row_weights = w.data(), s.col_weights = v.data();
  s.out_rows = c.rows, s.cols = c.width;

  std::vector<double> before;
  for (int threads : {1, 3}) {
    s.threads = threads;
    size_t bytes = 0;
    CHECK_EQ(ptn_shrink_bytes(&s, &bytes), PTN_OK);
    const size_t size = static_cast<size_t>(c.rows * c.width) * sizeof(double);
    const Memory memory(bytes, 0xff), out(size, 0xff);
    s.out = static_cast<double*>(out.get());
    CHECK_EQ(ptn_shrink_run(&s, memory.get(), bytes - 1), PTN_ERR_WORKSPACE);
    CHECK_EQ(ptn_shrink_run(&s, memory.get(), bytes), PTN_OK);
    CHECK(memory.intact() && out.intact());
    const std::vector<double> found(s.out, s.out + c.rows * c.width);
    CHECK(before.empty() || !std::memcmp(found.data(), before.data(), size));
    before = found;
  }
  for (int64_t i = 0; i < c.rows; ++i)
    for (int64_t j = 0; j < c.width; ++j) {
      Exact sum = 0, size = 0;
      for (int t = 0; t < c.taps; ++t)
        for (int u = 0; u < c.taps; ++u) {
          const int64_t y = std::clamp<int64_t>(c.first + i * c.step + t, 0, rows - 1);
          const int64_t x = std::clamp<int64_t>(c.first + j * c.step + u, 0, width - 1);
          const auto at = static_cast<size_t>(y * stride + x);
          const Exact term = valid[at] ? static_cast<Exact>(w[static_cast<size_t>(t)]) *
                                             v[static_cast<size_t>(u)] * plane[at]
                                       : 0;
          sum += term, size += std::fabs(term);
        }
      const double error =
          static_cast<double>(std::fabs(before[static_cast<size_t>(i * c.width + j)] - sum));
      CHECK(error <= static_cast<double>(size) * (2 * c.taps + 16) * 0x1p-53);
    }
}

void test_arguments() {
  const float sample = 1;
  const double weight = 1;
  double out = 0;
  size_t bytes = 0;
  ptn_shrink good{};
  good.plane = {&sample, PTN_F32, 1, 1};
  good.rows = good.width = good.out_rows = good.cols = 1;
  good.step = good.taps = good.threads = 1;
  good.row_weights = good.col_weights = &weight;
  good.out = &out;
  CHECK_EQ(ptn_shrink_bytes(&good, &bytes), PTN_OK);
  CHECK_EQ(ptn_shrink_bytes(nullptr, &bytes), PTN_ERR_ARGUMENT);
  auto refused = [&](auto&& change) {
    ptn_shrink bad = good;
    change(bad);
    CHECK_EQ(ptn_shrink_bytes(&bad, &bytes), PTN_ERR_ARGUMENT);
  };
  refused([](ptn_shrink& s) { s.plane.data = nullptr; });
  refused([](ptn_shrink& s) { s.plane.dtype = 9; });
  refused([](ptn_shrink& s) { s.rows = 0; });
  refused([](ptn_shrink& s) { s.step = 65; });
  refused([](ptn_shrink& s) { s.taps = 0; });
  refused([](ptn_shrink& s) { s.threads = 0; });
  refused([](ptn_shrink& s) { s.first_row = INT64_MIN; });
  refused([](ptn_shrink& s) { s.col_weights = nullptr; });
}

}  // namespace

void test_shrink() {
  const Case cases[] = {
      {1, 1, 4, 18, -7, false}, {5, 7, 4, 18, -7, true},   {3, 33, 1, 5, -2, false},
      {9, 16, 2, 10, -4, true}, {4, 21, 8, 40, -16, true}, {6, 9, 3, 4096 / 512, 2, false},
  };
  int number = 0;
  for (const Case& c : cases) {
    each_isa([&](const std::string& isa) {
      g_context = "shrink, case " + std::to_string(number) + ", " + isa;
      test_case(c);
    });
    ++number;
  }
  g_context = "shrink, arguments";
  test_arguments();
}
