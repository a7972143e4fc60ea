// The same bits whatever the tiles, bands, threads and storage, in memory that held anything.
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void vary(const char* name, const ptn_arch& arch, const Pair& pair, int steps) {
  const Model model(arch, random_tensors(arch, 5));
  Setup setup;
  setup.dtype = PTN_F32;
  setup.low = -kInfinity;
  setup.high = kInfinity;
  const ptn_scene plain = scene_of(pair, steps);
  each_isa([&](const std::string& isa) {
    g_context = std::string(name) + " " + isa;
    const std::vector<double> expected = fuse(model, pair, plain, setup);
    size_t distinct = 0;
    for (double v : expected) distinct += v != expected[0];
    CHECK(distinct > expected.size() / 2 || expected.size() < 3);

    const struct {
      int storage;
      int64_t tile_rows, tile_cols, band_rows;
      int threads;
      bool uneven;
    } variants[] = {
        {PTN_KEEP, 64, 64, 64, 1, false},           {PTN_KEEP, 64, 64, 64, 3, false},
        {PTN_KEEP, 64, 128, 128, 2, true},          {PTN_KEEP, 128, 64, 192, 3, true},
        {PTN_KEEP, 192, 192, 192, 1, false},        {PTN_KEEP, 128, 192, 1024, 2, false},
        {PTN_RECOMPUTE, 64, 64, 64, 1, false},      {PTN_RECOMPUTE, 64, 192, 128, 3, true},
        {PTN_RECOMPUTE, 128, 128, 128, 2, true},    {PTN_RECOMPUTE, 192, 64, 192, 1, true},
        {PTN_RECOMPUTE, 1024, 1024, 1024, 3, false}};
    int n = 0;
    for (const auto& v : variants) {
      g_context = std::string(name) + " " + isa + ", variant " + std::to_string(n);
      ptn_scene scene = plain;
      scene.storage = v.storage;
      scene.tile_rows = v.tile_rows;
      scene.tile_cols = v.tile_cols;
      scene.band_rows = v.band_rows;
      scene.threads = v.threads;
      Setup other = setup;
      other.uneven_bands = v.uneven;
      other.layout = static_cast<Layout>(n++ % kLayouts);
      check_same(fuse(model, pair, scene, other), expected);
    }
  });
}

// A plan's memory may hold anything, also what another run left there.
void test_memory() {
  const ptn_arch arch = arch_of(3, 6, 3, 1, 1, PTN_FUSION_ENHANCED_CONV);
  Pair pair = random_pair(3, 70, 81, 4, 1000, 6);
  Pair other = random_pair(3, 70, 81, 4, 30000, 7);
  for (Pair* p : {&pair, &other}) {
    p->valid = random_mask(p->height, p->width, 8);
    p->ms_valid = random_mask(p->ms_height, p->ms_width, 9);
  }
  for (int storage : {PTN_KEEP, PTN_RECOMPUTE}) {
    g_context = "memory, storage " + std::to_string(storage);
    ptn_scene scene = scene_of(pair, 2);
    scene.storage = storage;
    std::vector<double> expected;
    for (int fill : {0xFF, 0x00, 0x7F, 0x3F}) {
      Setup setup;
      setup.memory_fill = fill;
      const Model model(arch, random_tensors(arch, 5), fill);
      Runner run(model, pair, scene, setup);
      const std::vector<double> fused = run.run();
      if (expected.empty()) expected = fused;
      check_same(fused, expected);
      run.restart();
      check_same(run.run(), expected);
      run.restart();  // a run that stops half-way leaves no trace
      CHECK_EQ(run.run_band(0, 0, 64), PTN_OK);
      run.restart();
      check_same(run.run(), expected);
    }
    // one block of memory, another scene in between
    const Model model(arch, random_tensors(arch, 5));
    Pair changing = pair;
    Runner run(model, changing, scene, Setup{});
    check_same(run.run(), expected);
    changing = other;
    run.restart();
    run.run();
    changing = pair;
    run.restart();
    check_same(run.run(), expected);
  }
}

}  // namespace

void test_determinism() {
  const ptn_arch small = arch_of(3, 6, 3, 1, 2, PTN_FUSION_ENHANCED_CONV);
  if (g_quick) {
    vary("65x66", small, random_pair(3, 65, 66, 4, 1000, 1), 1);
    return;
  }
  const Pair plain = random_pair(3, 210, 200, 4, 1000, 1);
  vary("plain", small, plain, 2);
  Pair masked = plain;
  masked.valid = random_mask(plain.height, plain.width, 2);
  masked.ms_valid = random_mask(plain.ms_height, plain.ms_width, 3);
  vary("masked", small, masked, 2);
  vary("gated", arch_of(3, 6, 2, 2, 1, PTN_FUSION_GATED_CONV), random_pair(3, 140, 70, 4, 1000, 3),
       0);
  vary("conv1x1", arch_of(3, 6, 2, 1, 1, PTN_FUSION_CONV1X1), random_pair(3, 129, 200, 3, 1000, 4),
       3);
  vary("28 channels", arch_of(4, 28, 2, 1, 1, PTN_FUSION_ENHANCED_CONV),
       random_pair(4, 130, 150, 4, 1000, 5), 2);
  test_memory();
}
