// What the last pass stores: rounding, saturation, fill, bands. The network's first and last
// weights are zero and the grids are the same, so the fused image is the MS, exactly.
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const ptn_arch kArch = arch_of(3, 6, 3, 1, 1, PTN_FUSION_CONV1X1);

Model identity() {
  naive::Tensors tensors = random_tensors(kArch, 1);
  for (const char* name : {"head.weight", "fusion.conv.weight", "output.weight"})
    for (float& v : tensors[name]) v = 0;
  return Model(kArch, tensors);
}

// The values in one row, in each of the three bands.
std::vector<double> store(const std::vector<double>& values, Setup setup,
                          const std::vector<uint8_t>& valid = {}) {
  static const Model model = identity();
  Pair pair = random_pair(3, 1, static_cast<int64_t>(values.size()), 1, 0, 1);
  for (size_t i = 0; i < pair.ms.size(); ++i) pair.ms[i] = values[i % values.size()];
  pair.valid = pair.ms_valid = valid;
  ptn_scene scene = scene_of(pair, 0);
  scene.dn_per_unit = 1;
  setup.ms_dtype = PTN_F32;
  std::vector<double> fused = fuse(model, pair, scene, setup);
  for (size_t i = 0; i < fused.size(); ++i) {  // the bands are alike
    const double first = fused[i % values.size()];
    CHECK(fused[i] == first || (std::isnan(fused[i]) && std::isnan(first)));
  }
  fused.resize(values.size());
  return fused;
}

void expect(const std::vector<double>& values, const Setup& setup,
            const std::vector<double>& expected, const std::vector<uint8_t>& valid = {}) {
  const std::vector<double> got = store(values, setup, valid);
  for (size_t i = 0; i < expected.size(); ++i) {
    ++g_checks;
    if (got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i]))) continue;
    ++g_failures;
    std::printf("%s: %.9g is stored as %.9g; expected %.9g\n", g_context.c_str(), values[i], got[i],
                expected[i]);
  }
}

Setup output(int dtype, double low, double high) {
  Setup setup;
  setup.dtype = dtype;
  setup.low = low;
  setup.high = high;
  return setup;
}

void test_rounding() {
  g_context = "rounding";
  expect({0.5, 1.5, 2.5, 3.5, 2.4999998, 2.5000002, 254.5, 253.5}, output(PTN_U8, 0, 255),
         {0, 2, 2, 4, 2, 3, 254, 254});
  expect({0.5, 1.5, 40000.5, 40001.5, 65534.5, 7.25}, output(PTN_U16, 0, 65535),
         {0, 2, 40000, 40002, 65534, 7});
  expect({-0.5, -1.5, -2.5, -3.5, 0.5, -32767.5, 32766.5}, output(PTN_I16, -32768, 32767),
         {0, -2, -2, -4, 0, -32768, 32766});
  expect({0.1f, -2.5, 1e30f}, output(PTN_F32, -kInfinity, kInfinity), {0.1f, -2.5, 1e30f});
}

void test_saturation() {
  g_context = "saturation";
  const std::vector<double> values = {-1e30f, -40000, -0.75, 300, 2047.5, 70000, 3e38f};
  expect(values, output(PTN_U8, 0, 255), {0, 0, 0, 255, 255, 255, 255});
  expect(values, output(PTN_U8, 10, 200), {10, 10, 10, 200, 200, 200, 200});
  expect(values, output(PTN_U16, 0, 2047), {0, 0, 0, 300, 2047, 2047, 2047});
  expect(values, output(PTN_U16, 0, 65535), {0, 0, 0, 300, 2048, 65535, 65535});
  expect(values, output(PTN_I16, -32768, 32767), {-32768, -32768, -1, 300, 2048, 32767, 32767});
  expect(values, output(PTN_I16, -100, -50), {-100, -100, -50, -50, -50, -50, -50});
  expect(values, output(PTN_F32, -1, 2000), {-1, -1, -0.75, 300, 2000, 2000, 2000});
}

void test_fill() {
  g_context = "fill";
  const std::vector<uint8_t> valid = {1, 0, 1, 0, 1};
  const std::vector<double> values = {7, kNan, 9, kInfinity, 7.4f};
  Setup setup = output(PTN_U8, 0, 255);
  setup.fill = 7;
  expect(values, setup, {7, 7, 9, 7, 7}, valid);
  setup.reserve_fill = true;
  expect(values, setup, {8, 7, 9, 7, 8}, valid);
  setup = output(PTN_I16, -100, 7);  // no room above: the next one below
  setup.fill = 7;
  setup.reserve_fill = true;
  expect(values, setup, {6, 7, 6, 7, 6}, valid);
  setup.fill = -9999;  // beyond the limits: nothing to reserve
  expect(values, setup, {7, -9999, 7, -9999, 7}, valid);
  setup = output(PTN_U16, 0, 65535);
  setup.fill = 65535;
  setup.reserve_fill = true;
  expect({1e6, 0, 65534.7f, 0, 3}, setup, {65534, 65535, 65534, 65535, 3}, valid);

  setup = output(PTN_F32, -kInfinity, kInfinity);
  setup.fill = kNan;
  setup.reserve_fill = true;
  expect(values, setup, {7, kNan, 9, kNan, 7.4f}, valid);
  setup.fill = 7;
  expect(values, setup, {std::nextafter(7.0f, 8.0f), 7, 9, 7, 7.4f}, valid);
  setup = output(PTN_F32, 0, 7);
  setup.fill = 7;
  setup.reserve_fill = true;
  const float below = std::nextafter(7.0f, 0.0f);
  expect(values, setup, {below, 7, below, 7, below}, valid);
}

// Values that are not numbers have a place too.
void test_not_numbers() {
  g_context = "NaN";
  const auto none = static_cast<size_t>(4);
  const std::vector<double> values(none, kNan);
  expect(values, output(PTN_U8, 3, 255), std::vector<double>(none, 3));
  expect(values, output(PTN_U16, 0, 2047), std::vector<double>(none, 0));
  expect(values, output(PTN_I16, -5, 5), std::vector<double>(none, -5));
  expect(values, output(PTN_F32, -5, 5), values);
}

void test_bands() {
  static const Model model = identity();
  Pair pair = random_pair(3, 5, 9, 1, 200, 3);
  ptn_scene scene = scene_of(pair, 0);
  Setup setup = output(PTN_U8, 0, 255);
  for (int layout = 0; layout < kLayouts; ++layout) {
    g_context = "bands, layout " + std::to_string(layout);
    setup.layout = static_cast<Layout>(layout);
    setup.ms_bands = {4, 0, 2};  // of a wider image
    setup.bands = {2, 0, 4};
    check_same(fuse(model, pair, scene, setup), pair.ms);
    setup.bands = {-1, 0, -1};
    const std::vector<double> fused = fuse(model, pair, scene, setup);
    const size_t plane = fused.size() / 3;
    size_t wrong = 0;
    for (size_t i = 0; i < fused.size(); ++i)
      wrong += i / plane == 1 ? fused[i] != pair.ms[i] : !std::isnan(fused[i]);
    CHECK_EQ(wrong, 0);
  }
}

}  // namespace

void test_output() {
  each_isa([](const std::string&) {
    test_rounding();
    test_saturation();
    test_fill();
    test_not_numbers();
    test_bands();
  });
}
