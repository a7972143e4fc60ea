// Passes, bands and rows: what ptn_plan_run refuses, and that a refused call changes nothing.
#include <functional>
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const ptn_arch kArch = arch_of(3, 6, 3, 1, 1, PTN_FUSION_ENHANCED_CONV);

void test_bands() {
  const Model model(kArch, random_tensors(kArch, 1));
  const Pair pair = random_pair(3, 150, 70, 4, 1000, 2);
  for (int storage : {PTN_KEEP, PTN_RECOMPUTE}) {
    g_context = storage == PTN_KEEP ? "order, keep" : "order, recompute";
    ptn_scene scene = scene_of(pair, 2);
    scene.storage = storage;
    scene.band_rows = 128;
    const Setup setup;
    const std::vector<double> expected = fuse(model, pair, scene, setup);

    Runner run(model, pair, scene, setup);
    ptn_rows rows{};
    CHECK_EQ(ptn_plan_input_rows(nullptr, 0, 0, 64, &rows), PTN_ERR_ARGUMENT);
    CHECK_EQ(ptn_plan_input_rows(run.plan(), 0, 0, 64, nullptr), PTN_ERR_ARGUMENT);
    const struct {
      int pass;
      int64_t y0, y1;
    } impossible[] = {{-1, 0, 64},  {3, 0, 64}, {0, -64, 64}, {0, 0, 0},    {0, 64, 0},
                      {0, 0, 63},   {0, 1, 64}, {0, 0, 192},  {0, 0, 150},  {0, 128, 151},
                      {0, 192, 64}, {0, 0, -1}, {0, 64, 149}, {0, 128, 192}};
    for (const auto& b : impossible) {
      CHECK_EQ(ptn_plan_input_rows(run.plan(), b.pass, b.y0, b.y1, &rows), PTN_ERR_ARGUMENT);
      const ptn_input in{};
      CHECK_EQ(ptn_plan_run(run.plan(), b.pass, b.y0, b.y1, &in, nullptr), PTN_ERR_ARGUMENT);
    }
    // every legal band, at every moment: only the one whose turn it is runs
    const int64_t ends[] = {64, 128, 150};
    int pass = 0;
    int64_t next = 0;
    while (pass < run.passes()) {
      for (int p = 0; p < run.passes(); ++p)
        for (int64_t y0 : {int64_t{0}, int64_t{64}, int64_t{128}})
          for (int64_t y1 : ends)
            if (y1 > y0 && y1 - y0 <= 128 && (p != pass || y0 != next))
              CHECK_EQ(run.run_band(p, y0, y1), PTN_ERR_ORDER);
      const int64_t end = next == 0 && pass % 2 ? 64 : next < 128 ? 128 : 150;
      // a row held back at either end of either image
      CHECK_EQ(ptn_plan_input_rows(run.plan(), pass, next, end, &rows), PTN_OK);
      CHECK(rows.pan_first >= 0 && rows.pan_first <= next && rows.pan_last >= end &&
            rows.pan_last <= pair.height);
      CHECK(rows.ms_first >= 0 && rows.ms_first < rows.ms_last && rows.ms_last <= pair.ms_height);
      for (int i = 0; i < 4; ++i) {
        run.damage = {i == 0, i == 1, i == 2, i == 3};
        CHECK_EQ(run.run_band(pass, next, end), PTN_ERR_ROWS);
      }
      run.damage = {};
      CHECK_EQ(run.run_band(pass, next, end), PTN_OK);
      next = end == pair.height ? 0 : end;
      pass += next == 0;
    }
    for (int p = 0; p < run.passes(); ++p) CHECK_EQ(run.run_band(p, 0, 64), PTN_ERR_ORDER);
    run.restart();
    check_same(run.run(), expected);
  }
}

// Damaged arguments of a call that is otherwise in order.
void test_arguments() {
  g_context = "arguments";
  const Model model(kArch, random_tensors(kArch, 1));
  const Pair pair = random_pair(3, 20, 24, 4, 200, 2);
  ptn_scene scene = scene_of(pair, 2);
  scene.dn_per_unit = 200;
  size_t bytes = 0;
  CHECK_EQ(ptn_plan_bytes(model.get(), &scene, &bytes), PTN_OK);
  const Memory memory(bytes, 0xFF);
  ptn_plan* plan = nullptr;
  CHECK_EQ(ptn_plan_create(model.get(), &scene, memory.get(), bytes, &plan), PTN_OK);
  std::vector<uint8_t> ms(pair.ms.begin(), pair.ms.end()), pan(pair.pan.begin(), pair.pan.end());
  std::vector<float> fused(pair.ms.size() * 16);
  ptn_input good{};
  good.ms = ms.data();
  good.ms_rows = 5;
  good.ms_band_stride = 30;
  good.ms_row_stride = 6;
  good.ms_col_stride = 1;
  good.pan = pan.data();
  good.pan_rows = 20;
  good.pan_row_stride = 24;
  good.pan_col_stride = 1;
  int line = 0;
  auto input = [&](ptn_status status, const std::function<void(ptn_input*)>& change) {
    ptn_input in = good;
    change(&in);
    g_context = "input, change " + std::to_string(++line);
    CHECK_EQ(ptn_plan_run(plan, 0, 0, 20, &in, nullptr), status);
  };
  CHECK_EQ(ptn_plan_run(nullptr, 0, 0, 20, &good, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_run(plan, 0, 0, 20, nullptr, nullptr), PTN_ERR_ARGUMENT);
  input(PTN_ERR_ARGUMENT, [](ptn_input* in) { in->ms = nullptr; });
  input(PTN_ERR_ARGUMENT, [](ptn_input* in) { in->pan = nullptr; });
  for (int dtype : {-1, 4, 1000}) {
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) { in->ms_dtype = dtype; });
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) { in->pan_dtype = dtype; });
  }
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (int64_t first : {int64_t{-1}, kHuge, -kHuge}) {
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) { in->ms_first = first; });
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) { in->pan_first = first; });
  }
  for (int64_t rows : {int64_t{100}, kHuge}) {
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) { in->ms_rows = rows; });
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) { in->pan_rows = rows; });
    input(PTN_ERR_ARGUMENT, [=](ptn_input* in) {
      in->ms_rows = rows;
      in->ms_first = 1;
    });
  }
  for (int64_t rows : {int64_t{0}, int64_t{-1}, -kHuge}) {
    input(PTN_ERR_ROWS, [=](ptn_input* in) { in->ms_rows = rows; });
    input(PTN_ERR_ROWS, [=](ptn_input* in) { in->pan_rows = rows; });
  }
  input(PTN_OK, [](ptn_input*) {});
  CHECK_EQ(ptn_plan_run(plan, 1, 0, 20, &good, nullptr), PTN_OK);

  CHECK_EQ(ptn_plan_run(plan, 2, 0, 20, &good, nullptr), PTN_ERR_ARGUMENT);
  auto output = [&](int dtype, double low, double high, double fill, void* data) {
    ptn_output out{};
    out.fused = data;
    out.dtype = dtype;
    out.band_stride = 480;
    out.row_stride = 24;
    out.col_stride = 1;
    out.low = low;
    out.high = high;
    out.fill = fill;
    return ptn_plan_run(plan, 2, 0, 20, &good, &out);
  };
  const struct {
    int dtype;
    double low, high, fill;
  } bad[] = {{-1, 0, 255, 0},
             {4, 0, 255, 0},
             {PTN_U8, 0, 256, 0},
             {PTN_U8, -1, 255, 0},
             {PTN_U8, 5, 4, 0},
             {PTN_U8, 0, 255, 256},
             {PTN_U8, 0, 255, -1},
             {PTN_U8, 0, 255, kNan},
             {PTN_U8, kNan, 255, 0},
             {PTN_U8, 0, kNan, 0},
             {PTN_U16, 0, 65536, 0},
             {PTN_U16, 0, kInfinity, 0},
             {PTN_U16, 0, 65535, -9999},
             {PTN_I16, -32769, 0, 0},
             {PTN_I16, -32768, 32768, 0},
             {PTN_I16, -32768, 32767, 65535},
             {PTN_F32, kNan, 1, 0},
             {PTN_F32, 0, kNan, 0},
             {PTN_F32, 1, 0, 0}};
  for (const auto& o : bad) {
    g_context = "output " + std::to_string(o.dtype) + " " + std::to_string(o.low) + " " +
                std::to_string(o.high) + " " + std::to_string(o.fill);
    CHECK_EQ(output(o.dtype, o.low, o.high, o.fill, fused.data()), PTN_ERR_ARGUMENT);
  }
  g_context = "output";
  CHECK_EQ(output(PTN_F32, 0, 1, 0, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(output(PTN_F32, -kInfinity, kInfinity, kNan, fused.data()), PTN_OK);
}

}  // namespace

void test_order() {
  test_bands();
  test_arguments();
}
