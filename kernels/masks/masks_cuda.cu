// Which pixels exist, from nodata and the caller's masks; counts of them and of NaN among them.
#include "kernels/masks/masks_cuda.h"

namespace pantiny {
namespace cuda {

namespace {

PTN_DEVICE bool is_nodata(const Masks& m, float v) {
  if (!m.has_nodata) return false;
  return m.nodata != m.nodata ? v != v : v == static_cast<float>(m.nodata);
}

PTN_DEVICE bool finite(float v) { return v - v == 0; }

struct MsMask {
  using Args = Masks;
  static constexpr const char* kName = "masks: ms";
  static constexpr int kThreads = 256, kMinBlocks = 1;
  static size_t shared_bytes(const Args&) { return 0; }

  // grid: columns, rows, images
  static PTN_DEVICE void run(const Args& m, char*) {
    const Scene& s = m.scene;
    const int image = block().z, i = block().y, j = block().x * kThreads + thread();
    if (j >= s.ms_width) return;
    bool there = ms_exists(s, image, i, j);
    uint32_t odd = 0;
    for (int k = 0; k < s.bands; ++k) {
      const float v = sample(s.ms, image * s.ms.image_stride + k * s.ms.band_stride +
                                       i * s.ms.row_stride + j * s.ms.col_stride);
      there = there && !is_nodata(m, v);
      odd += !finite(v);
    }
    m.ms_valid[(static_cast<int64_t>(image) * s.ms_height + i) * s.ms_width + j] = there;
    if (there && odd) add_count(m.found + image * 3 + 1, odd);
  }
};

struct PanMask {
  using Args = Masks;
  static constexpr const char* kName = "masks: pan";
  static constexpr int kCols = 256, kRows = 16, kThreads = kCols, kMinBlocks = 1;
  static size_t shared_bytes(const Args&) { return kThreads * sizeof(uint32_t); }

  static PTN_DEVICE void run(const Args& m, char* shared) {
    const Scene& s = m.scene;
    auto* const counts = reinterpret_cast<uint32_t*>(shared);
    const int image = block().z, x = block().x * kCols + thread();
    uint32_t count = 0;
    for (int row = 0; row < kRows; ++row) {
      const int y = block().y * kRows + row;
      if (!inside(s, y, x)) break;
      const float v =
          sample(s.pan, image * s.pan.image_stride + y * s.pan.row_stride + x * s.pan.col_stride);
      const bool there =
          exists(s, image, y, x) && !is_nodata(m, v) &&
          m.ms_valid[(static_cast<int64_t>(image) * s.ms_height + y / m.ratio) * s.ms_width +
                     x / m.ratio];
      m.valid[(static_cast<int64_t>(image) * s.height + y) * s.width + x] = there;
      count += there;
      if (there && !finite(v)) add_count(m.found + image * 3 + 2, 1);
    }
    counts[thread()] = count;
    sync_block();
    if (thread() != 0) return;
    for (int i = 1; i < kThreads; ++i) count += counts[i];
    add_count(m.found + image * 3, count);
  }
};

}  // namespace

ptn_status masks_cuda(const Masks& m, Stream stream) {
  const Scene& s = m.scene;
  PTN_TRY(
      launch<MsMask>(m, {ceil_div(s.ms_width, MsMask::kThreads), s.ms_height, s.images}, stream));
  return launch<PanMask>(
      m, {ceil_div(s.width, PanMask::kCols), ceil_div(s.height, PanMask::kRows), s.images}, stream);
}

}  // namespace cuda
}  // namespace pantiny
