// Masked pixels are not read and count as outside the image; missing MS samples are filled
// from those that exist.
#include <limits>

#include "check.h"
#include "fixture.h"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const ptn_arch kSmall = arch_of(3, 6, 3, 1, 1, PTN_FUSION_ENHANCED_CONV);

Setup float_setup() {
  Setup setup;
  setup.dtype = PTN_F32;
  setup.low = -kInfinity;
  setup.high = kInfinity;
  setup.fill = std::numeric_limits<double>::quiet_NaN();
  return setup;
}

using Mask = std::vector<uint8_t>;

Mask rectangle(int64_t height, int64_t width, int64_t y0, int64_t y1, int64_t x0, int64_t x1) {
  Mask m(static_cast<size_t>(height * width), 0);
  for (int64_t y = y0; y < y1; ++y)
    for (int64_t x = x0; x < x1; ++x) m[static_cast<size_t>(y * width + x)] = 1;
  return m;
}

void compare(const char* name, const ptn_arch& arch, const Pair& pair, int steps, Setup setup) {
  const Model model(arch, random_tensors(arch, 7));
  const ptn_scene scene = scene_of(pair, steps);
  g_context = name;
  const Truth truth = truth_of(model, pair, scene);
  each_isa([&](const std::string& isa) {
    g_context = std::string(name) + " " + isa;
    for (int type : {PTN_F32, PTN_U16}) {  // NaN, then 65535 under the masks
      setup.ms_dtype = setup.pan_dtype = type;
      check_against(truth, pair, setup, fuse(model, pair, scene, setup));
    }
  });
}

void test_kinds(int64_t height, int64_t width, int ratio, uint64_t seed) {
  const ptn_arch archs[] = {kSmall, arch_of(3, 6, 2, 1, 1, PTN_FUSION_GATED_CONV),
                            arch_of(3, 12, 3, 1, 1, PTN_FUSION_CONV1X1)};
  const Pair whole = random_pair(3, height, width, ratio, 1000, seed);
  const int64_t h = whole.ms_height, w = whole.ms_width;
  const auto pixels = static_cast<size_t>(height * width);
  const auto samples = static_cast<size_t>(h * w);
  const struct {
    const char* name;
    Mask valid, ms_valid;
  } kinds[] = {
      {"all valid", Mask(pixels, 1), Mask(samples, 1)},
      {"nothing valid", Mask(pixels, 0), Mask(samples, 0)},
      {"no PAN valid", Mask(pixels, 0), {}},
      {"no MS valid", {}, Mask(samples, 0)},
      {"half", rectangle(height, width, 0, height, 0, width / 2), rectangle(h, w, 0, h, 0, w / 2)},
      // its edge runs through the middle of MS samples where width / 2 is 4 n + 2
      {"only PAN half", rectangle(height, width, 0, height, 0, width / 2), {}},
      {"only MS half", {}, rectangle(h, w, 0, h / 2, 0, w)},
      {"one pixel",
       rectangle(height, width, height / 2, height / 2 + 1, width / 3, width / 3 + 1),
       {}},
      {"blobs of PAN", random_mask(height, width, seed + 1), {}},
      {"blobs of MS", {}, random_mask(h, w, seed + 2)},
      {"blobs", random_mask(height, width, seed + 3), random_mask(h, w, seed + 4)},
  };
  int n = 0;
  for (const auto& kind : kinds) {
    Pair pair = whole;
    pair.valid = kind.valid;
    pair.ms_valid = kind.ms_valid;
    Setup setup = float_setup();
    setup.layout = static_cast<Layout>(n % kLayouts);
    compare(kind.name, archs[n % 3], pair, n % 3, setup);
    compare(kind.name, archs[0], pair, 2, setup);
    ++n;
  }
}

// The network on a masked rectangle is the network on the crop, bit for bit: same block.
void test_crop() {
  const Pair whole = random_pair(3, 40, 48, 4, 1000, 20);
  const int64_t height = 40, width = 48, rows = 24, cols = 20;
  Pair masked = whole, crop = random_pair(3, rows, cols, 4, 1000, 21);
  masked.valid = rectangle(height, width, 0, rows, 0, cols);
  masked.ms_valid = rectangle(masked.ms_height, masked.ms_width, 0, rows / 4, 0, cols / 4);
  for (int64_t k = 0; k < 3; ++k)
    for (int64_t y = 0; y < rows / 4; ++y)
      for (int64_t x = 0; x < cols / 4; ++x)
        crop.ms[static_cast<size_t>((k * crop.ms_height + y) * crop.ms_width + x)] =
            masked.ms[static_cast<size_t>((k * masked.ms_height + y) * masked.ms_width + x)];
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t x = 0; x < cols; ++x)
      crop.pan[static_cast<size_t>(y * cols + x)] = masked.pan[static_cast<size_t>(y * width + x)];
  // MS is not interpolated across the crop's edge in one and replicated in the other
  for (Pair* p : {&masked, &crop}) std::fill(p->ms.begin(), p->ms.end(), 250.0);
  const Model model(kSmall, random_tensors(kSmall, 22));
  each_isa([&](const std::string& isa) {
    g_context = "crop " + isa;
    const std::vector<double> a = fuse(model, masked, scene_of(masked, 0), float_setup());
    const std::vector<double> b = fuse(model, crop, scene_of(crop, 0), float_setup());
    double worst = 0;
    for (int64_t k = 0; k < 3; ++k)
      for (int64_t y = 0; y < rows; ++y)
        for (int64_t x = 0; x < cols; ++x)
          worst = std::max(worst, std::fabs(a[static_cast<size_t>((k * height + y) * width + x)] -
                                            b[static_cast<size_t>((k * rows + y) * cols + x)]));
    CHECK(worst < 1000 * 1e-5);  // cubic and bilinear weights of a constant round differently
  });
}

}  // namespace

void test_masks() {
  test_kinds(9, 19, 4, 30);
  test_kinds(1, 1, 4, 31);
  if (!g_quick) test_kinds(36, 68, 4, 32);
  if (!g_quick) test_kinds(30, 33, 3, 33);
  test_crop();
}
