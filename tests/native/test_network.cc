// The whole core against a plain computation in double: sizes around every block, lane and
// tile edge, networks, dtypes, memory layouts, ratios and grids.
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Type {
  int dtype;
  const char* name;
  double shift, factor, peak, low, high;  // of the input's whole numbers; of the output
};

// uint16: an 11-bit image, so that the limit of the output matters
constexpr Type kTypes[] = {{PTN_F32, "f32", -0.5, 0.125, 800, -kInfinity, kInfinity},
                           {PTN_U16, "u16", 0, 1, 2047, 0, 2047},
                           {PTN_I16, "i16", -700, 1, 1500, -32768, 32767},
                           {PTN_U8, "u8", 0, 1, 255, 0, 255}};

struct Case {
  ptn_arch arch;
  int64_t height, width;
  int ratio, steps;
  Type type, out;
  Layout layout;
};

Pair pair_of(const Case& c, uint64_t seed) {
  Pair pair = random_pair(c.arch.bands, c.height, c.width, c.ratio, c.type.peak, seed);
  for (std::vector<double>* image : {&pair.ms, &pair.pan})
    for (double& v : *image) v = (v + c.type.shift) * c.type.factor;
  return pair;
}

Setup setup_of(const Case& c) {
  Setup setup;
  setup.ms_dtype = setup.pan_dtype = c.type.dtype;
  setup.dtype = c.out.dtype;
  setup.low = c.out.low;
  setup.high = c.out.high;
  setup.layout = c.layout;
  return setup;
}

std::string name_of(const Case& c, const std::string& isa) {
  return isa + " C=" + std::to_string(c.arch.channels) + " heads=" + std::to_string(c.arch.heads) +
         " fusion=" + std::to_string(c.arch.fusion) + " " + std::to_string(c.height) + "x" +
         std::to_string(c.width) + " ratio=" + std::to_string(c.ratio) +
         " steps=" + std::to_string(c.steps) + " " + c.type.name + "->" + c.out.name +
         " layout=" + std::to_string(c.layout);
}

void run_case(const Case& c, uint64_t seed, double offset_y = 0, double offset_x = 0) {
  const Pair pair = pair_of(c, seed);
  const Model model(c.arch, random_tensors(c.arch, seed + 1));
  ptn_scene scene = scene_of(pair, c.steps);
  scene.offset_y = offset_y;
  scene.offset_x = offset_x;
  scene.dn_per_unit = c.type.peak * c.type.factor;
  g_context = name_of(c, "truth");
  const Truth truth = truth_of(model, pair, scene);
  each_isa([&](const std::string& isa) {
    g_context = name_of(c, isa);
    const Setup setup = setup_of(c);
    check_against(truth, pair, setup, fuse(model, pair, scene, setup));
  });
}

const ptn_arch kArchs[] = {arch_of(4, 28, 2, 1, 1, PTN_FUSION_ENHANCED_CONV),
                           arch_of(3, 6, 3, 1, 2, PTN_FUSION_GATED_CONV),
                           arch_of(4, 40, 4, 1, 1, PTN_FUSION_CONV1X1),
                           arch_of(1, 6, 2, 2, 1, PTN_FUSION_ENHANCED_CONV),
                           arch_of(8, 10, 5, 1, 1, PTN_FUSION_GATED_CONV)};

void test_sizes() {
  const int64_t sizes[][2] = {{1, 1},   {1, 64},  {64, 1},  {5, 7},   {15, 15},
                              {16, 16}, {17, 17}, {63, 15}, {64, 16}, {65, 17},
                              {17, 63}, {3, 64},  {16, 65}, {70, 130}};
  uint64_t seed = 0;
  for (const auto& size : sizes) {
    if (g_quick && size[0] * size[1] > 300) continue;
    for (const ptn_arch& arch : kArchs) {
      const uint64_t n = seed++;
      const Type type = kTypes[n % 4], out = n % 3 ? kTypes[0] : kTypes[n / 3 % 4];
      const int ratio = 2 + static_cast<int>(n % 4);
      run_case({arch, size[0], size[1], ratio, static_cast<int>(n % 3), type, out,
                static_cast<Layout>(n % kLayouts)},
               n);
    }
  }
}

// The networks that are shipped, with all their blocks.
void test_whole() {
  run_case({arch_of(4, 28, 2, 3, 3, PTN_FUSION_ENHANCED_CONV), 9, 18, 4, 2, kTypes[1], kTypes[0],
            kPlanar},
           100);
  if (g_quick) return;
  run_case({arch_of(4, 40, 4, 4, 4, PTN_FUSION_GATED_CONV), 21, 35, 4, 2, kTypes[1], kTypes[0],
            kInterleaved},
           101);
  run_case({arch_of(4, 64, 2, 1, 1, PTN_FUSION_ENHANCED_CONV), 10, 19, 2, 1, kTypes[0], kTypes[0],
            kPlanar},
           102);
}

// Every dtype in and out on one small network.
void test_types() {
  uint64_t seed = 200;
  for (const Type& type : kTypes)
    for (const Type& out : kTypes) {
      run_case({kArchs[1], 6, 19, 4, 1, type, out, static_cast<Layout>(seed % kLayouts)}, seed);
      ++seed;
    }
}

// Grids that do not share their corners, and one with its own scale either way.
void test_grids() {
  const Case c = {kArchs[1], 33, 71, 4, 2, kTypes[0], kTypes[0], kPlanar};
  run_case(c, 300, 0.3, -0.2);
  run_case(c, 301, -1.4, 1.7);
  if (g_quick) return;
  Pair pair = pair_of(c, 302);
  const Model model(c.arch, random_tensors(c.arch, 303));
  ptn_scene scene = scene_of(pair, 2);
  scene.scale_y = 0.21;
  scene.scale_x = 0.37;
  g_context = "uneven scale";
  const Truth truth = truth_of(model, pair, scene);
  const Setup setup = setup_of(c);
  each_isa([&](const std::string&) {
    check_against(truth, pair, setup, fuse(model, pair, scene, setup));
  });
}

// Pixels far outside the MS grid repeat its edge and are not corrected.
void test_beyond() {
  if (g_quick) return;
  const Case c = {kArchs[1], 200, 140, 4, 2, kTypes[0], kTypes[0], kPlanar};
  for (const double offset : {-26.0, -2.3, 25.0}) {
    Pair pair = pair_of(c, 310);
    pair.ms_height = 20;
    pair.ms.resize(static_cast<size_t>(pair.bands * pair.ms_height * pair.ms_width));
    const Model model(c.arch, random_tensors(c.arch, 311));
    ptn_scene scene = scene_of(pair, 2);
    scene.scale_y = 0.25;
    scene.offset_y = offset;
    g_context = "beyond the MS grid, offset " + std::to_string(offset);
    const Truth truth = truth_of(model, pair, scene);
    Setup setup = setup_of(c);
    check_against(truth, pair, setup, fuse(model, pair, scene, setup));
    scene.tile_rows = scene.tile_cols = 192;
    scene.band_rows = 256;
    check_against(truth, pair, setup, fuse(model, pair, scene, setup));
  }
}

// Nothing overflows to NaN below 1e30, and beyond that nothing crashes.
void test_huge() {
  Case c = {kArchs[1], 9, 35, 4, 2, kTypes[0], kTypes[0], kPlanar};
  Pair pair = pair_of(c, 320);
  const Model model(c.arch, random_tensors(c.arch, 321));
  for (double v : {65535.0, 1e6, 3e38}) {
    for (double& x : pair.ms) x = static_cast<float>(v);
    for (double& x : pair.pan) x = static_cast<float>(v);
    pair.pan[7] = 0;
    pair.ms[2] = -static_cast<double>(static_cast<float>(v));
    ptn_scene scene = scene_of(pair, 2);
    scene.dn_per_unit = 1;
    each_isa([&](const std::string& isa) {
      for (const Type& out : kTypes) {
        c.out = out;
        g_context = isa + " huge " + std::to_string(v) + " " + out.name;
        const std::vector<double> fused = fuse(model, pair, scene, setup_of(c));
        size_t bad = 0;
        for (double x : fused)
          bad += v < 1e7 || out.dtype != PTN_F32
                     ? !(std::isfinite(x) && x >= out.low && x <= out.high)
                     : 0;
        CHECK_EQ(bad, 0);
      }
    });
    if (v > 1e7) continue;
    c.out = kTypes[0];
    g_context = "huge " + std::to_string(v);
    check_against(truth_of(model, pair, scene), pair, setup_of(c),
                  fuse(model, pair, scene, setup_of(c)));
  }
  // what is not finite stays where the network carries it, and becomes some legal value
  pair.ms[0] = kInfinity;
  pair.pan[0] = std::numeric_limits<double>::quiet_NaN();
  for (const Type& out : kTypes) {
    c.out = out;
    g_context = std::string("not finite ") + out.name;
    for (double x : fuse(model, pair, scene_of(pair, 2), setup_of(c)))
      CHECK(out.dtype == PTN_F32 || (x >= out.low && x <= out.high));
  }
}

}  // namespace

void test_network() {
  test_sizes();
  test_whole();
  test_types();
  test_grids();
  test_beyond();
  test_huge();
}
