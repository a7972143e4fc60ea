// Products in bfloat16: refused where they cannot run; where they can, as exact as the format
// allows, and the same bits for any tiles, threads and storage.
#include <cmath>

#include "check.h"
#include "fixture.h"

namespace {

constexpr ptn_fusion kFusions[] = {PTN_FUSION_CONV1X1, PTN_FUSION_GATED_CONV,
                                   PTN_FUSION_ENHANCED_CONV};

// Results as floats, so that nothing hides in the rounding to DN.
Setup float_setup() {
  Setup s;
  s.dtype = PTN_F32;
  s.low = -1e30;
  s.high = 1e30;
  return s;
}

void test_refused(const Model& model, ptn_scene scene) {
  scene.precision = PTN_BF16;
  size_t bytes = 0;
  CHECK_EQ(ptn_plan_bytes(model.get(), &scene, &bytes), PTN_ERR_ISA);
}

void test_close(ptn_fusion fusion, int bands, int channels) {
  const Pair pair = random_pair(bands, 37, 150, 4, 2047, 500 + static_cast<uint64_t>(fusion));
  const Model model(arch_of(bands, channels, 2, 1, 1, fusion),
                    random_tensors(arch_of(bands, channels, 2, 1, 1, fusion), 510));
  ptn_scene scene = scene_of(pair, 0);
  Truth truth = truth_of(model, pair, scene);
  const std::vector<double> exact = fuse(model, pair, scene, float_setup());
  check_against(truth, pair, float_setup(), exact);
  // bound: what float32 costs, times the ratio of the formats' precisions (2^-9 to 2^-24), of
  // which the sums, still in float32, leave a part
  truth.bound *= 0x1p15 / 16;
  scene.precision = PTN_BF16;
  const std::vector<double> rough = fuse(model, pair, scene, float_setup());
  check_against(truth, pair, float_setup(), rough);
  size_t differ = 0;
  for (size_t i = 0; i < rough.size(); ++i) differ += rough[i] != exact[i];
  CHECK(differ > rough.size() / 2);
  scene.tile_rows = scene.tile_cols = scene.band_rows = 128;
  scene.threads = 3;
  check_same(rough, fuse(model, pair, scene, float_setup()));
  scene.storage = PTN_RECOMPUTE;
  scene.tile_cols = 64;
  check_same(rough, fuse(model, pair, scene, float_setup()));
}

}  // namespace

void test_bf16() {
  each_isa([](const std::string& isa) {
    g_context = isa + " bf16";
    const ptn_arch arch = arch_of(4, 28, 2, 1, 1, PTN_FUSION_ENHANCED_CONV);
    if (!ptn_bf16_usable()) {
      const Pair pair = random_pair(4, 8, 8, 4, 2047, 1);
      test_refused(Model(arch, random_tensors(arch, 2)), scene_of(pair, 0));
      return;
    }
    for (const ptn_fusion fusion : kFusions) test_close(fusion, 4, 28);
    test_close(PTN_FUSION_ENHANCED_CONV, 3, 40);  // a pair with one channel
    if (!g_quick) test_close(PTN_FUSION_GATED_CONV, 4, 64);
  });
}
