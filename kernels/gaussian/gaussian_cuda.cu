#include <cmath>

#include "kernels/gaussian/gaussian.h"
#include "kernels/gaussian/gaussian_cuda.h"

namespace pantiny {
namespace cuda {
namespace {

constexpr int kTile = 32;                     // windows along each side of a tile
constexpr int kRows = kTile + kGaussian - 1;  // of samples under it
constexpr int kRun = 4;            // windows of a thread, side by side or below each other
constexpr int kMoments = 4;        // x, y, x^2 + y^2, x y
constexpr int kPitch = kRows + 1;  // odd: rows in other banks
constexpr int kBlurred = kTile + 1;
static_assert(PTN_WINDOW_ROWS % kTile == 0, "rows of tiles end where rows of blocks do");

template <class Real>
struct GaussianArgs {
  Planes p;
  int index;
  int across;  // tiles
  Real taps[kGaussian], c1, c2;
  TileSums tiles;
};

// A tile of a pair: both planes are brought once, filtered along their rows, then down.
template <class Real>
struct GaussianTile {
  using Args = GaussianArgs<Real>;
  static constexpr const char* kName = "gaussian_kernel";
  static constexpr int kThreads = 256, kMinBlocks = 2;
  static constexpr int kWarps = kThreads / kWarp;
  static_assert(kThreads == kTile * kTile / kRun, "a run down for every thread");

  static size_t shared_bytes(const Args&) {
    return sizeof(Real) * (2 * kRows * kPitch + kMoments * kRows * kBlurred) +
           sizeof(uint64_t) * kRows + sizeof(double) * kWarps;
  }

  struct Tile {
    PTN_DEVICE Tile(const Args& args, char* shared)
        : a(args),
          y0(static_cast<int64_t>(block().x / a.across) * kTile),
          x0(static_cast<int64_t>(block().x % a.across) * kTile),
          rows(static_cast<int>(a.p.rows - y0 < kRows ? a.p.rows - y0 : kRows)),
          cols(static_cast<int>(a.p.width - x0 < kRows ? a.p.width - x0 : kRows)),
          warps(reinterpret_cast<double*>(shared)),
          invalid(reinterpret_cast<uint64_t*>(warps + kWarps)),
          stage(reinterpret_cast<Real*>(invalid + kRows)),
          blurred(stage + 2 * kRows * kPitch) {}

    const Args& a;
    int64_t y0, x0;     // of the first window, and its first sample
    int rows, cols;     // samples that exist
    double* warps;      // [kWarps]
    uint64_t* invalid;  // [kRows]: a bit per sample
    Real* stage;        // [2][kRows][kPitch]
    Real* blurred;      // [kMoments][kRows][kBlurred]
  };

  static PTN_DEVICE double sum_of_block(const Tile& t, double v) {
    v = sum_of_warp(v);
    sync_block();  // what was there has been read
    if (lane() == 0) t.warps[warp()] = v;
    sync_block();
    double sum = 0;
    for (int i = 0; i < kWarps; ++i) sum += t.warps[i];
    return sum;
  }

  // Samples less the mean of the valid ones, which is a whole number if they are; 0 where not
  // valid. Returns the mean.
  static PTN_DEVICE Real bring(const Tile& t, const ptn_plane& plane, Real* to) {
    float sum = 0, count = 0;
    for (int i = thread(); i < kRows * kRows; i += kThreads) {
      const int y = i / kRows, x = i % kRows;
      const bool in = y < t.rows && x < t.cols && !(t.invalid[y] >> x & 1u);
      const Real v = in ? sample_at<AnySample, Real>(plane, t.y0 + y, t.x0 + x) : Real{0};
      to[y * kPitch + x] = v;
      sum += static_cast<float>(v);
      count += in ? 1.0f : 0.0f;
    }
    // of each thread in float: any number near the mean will do
    const double total = sum_of_block(t, sum), valid = sum_of_block(t, count);
    const double mean = valid > 0 ? total / valid : 0.0;
    const auto anchor = static_cast<Real>(plane.dtype <= PTN_I16 ? std::floor(mean) : mean);
    for (int i = thread(); i < kRows * kRows; i += kThreads) {
      const int y = i / kRows, x = i % kRows;
      const bool in = y < t.rows && x < t.cols && !(t.invalid[y] >> x & 1u);
      Real& v = to[y * kPitch + x];
      v = in ? v - anchor : Real{0};
    }
    return anchor;
  }

  static PTN_DEVICE void look(const Tile& t) {
    for (int y = thread(); y < kRows; y += kThreads) {
      uint64_t bits = 0;
      if (t.a.p.valid && y < t.rows)
        for (int x = 0; x < t.cols; ++x)
          bits |= static_cast<uint64_t>(!valid_at(t.a.p, t.y0 + y, t.x0 + x)) << x;
      t.invalid[y] = bits;
    }
    sync_block();
  }

  // Rows of samples in, kRun windows along a row at a time.
  static PTN_DEVICE void along(const Tile& t) {
    for (int i = thread(); i < kRows * (kTile / kRun); i += kThreads) {
      const int y = i % kRows, first = i / kRows * kRun;  // next lane, next row: other banks
      const Real *xs = t.stage + y * kPitch + first, *ys = xs + kRows * kPitch;
      Real m[kMoments][kRun] = {};
      PTN_UNROLL
      for (int k = 0; k < kRun + kGaussian - 1; ++k) {
        const Real x = xs[k], v = ys[k];
        const Real term[kMoments] = {x, v, x * x + v * v, x * v};
        PTN_UNROLL
        for (int j = 0; j < kRun; ++j) {
          if (k < j || k - j >= kGaussian) continue;
          PTN_UNROLL
          for (int q = 0; q < kMoments; ++q) m[q][j] += t.a.taps[k - j] * term[q];
        }
      }
      PTN_UNROLL
      for (int q = 0; q < kMoments; ++q) {
        PTN_UNROLL
        for (int j = 0; j < kRun; ++j) t.blurred[(q * kRows + y) * kBlurred + first + j] = m[q][j];
      }
    }
    sync_block();
  }

  // Sum over the kRun windows of this thread, and how many of them count.
  static PTN_DEVICE Real down(const Tile& t, Real mean_x, Real mean_y, int& count) {
    const int x = thread() % kTile, first = thread() / kTile * kRun;
    Real m[kMoments][kRun] = {};
    PTN_UNROLL
    for (int k = 0; k < kRun + kGaussian - 1; ++k) {
      Real term[kMoments];
      PTN_UNROLL
      for (int q = 0; q < kMoments; ++q)
        term[q] = t.blurred[(q * kRows + first + k) * kBlurred + x];
      PTN_UNROLL
      for (int j = 0; j < kRun; ++j) {
        if (k < j || k - j >= kGaussian) continue;
        PTN_UNROLL
        for (int q = 0; q < kMoments; ++q) m[q][j] += t.a.taps[k - j] * term[q];
      }
    }
    Real sum = 0;
    count = 0;
    PTN_UNROLL
    for (int j = 0; j < kRun; ++j) {
      const int y = first + j;
      if (y + kGaussian > t.rows || x + kGaussian > t.cols) continue;
      uint64_t holes = 0;
      for (int k = 0; k < kGaussian; ++k) holes |= t.invalid[y + k] >> x;
      if (holes & ((1u << kGaussian) - 1)) continue;
      Real spread = m[2][j] - (m[0][j] * m[0][j] + m[1][j] * m[1][j]);
      spread = spread <= 0 ? Real{0} : spread;  // NaN stays
      sum += index(t.a, m[0][j] + mean_x, m[1][j] + mean_y, spread, m[3][j] - m[0][j] * m[1][j]);
      ++count;
    }
    return sum;
  }

  static PTN_DEVICE Real index(const Args& a, Real x, Real y, Real spread, Real covariance) {
    const Real power = x * x + y * y, bias = 2 * x * y;
    if (a.index == PTN_SSIM)
      return (bias + a.c1) / (power + a.c1) * ((2 * covariance + a.c2) / (spread + a.c2));
    // c1 is added to the variances and c2 to the denominator: what keeps it from being 0
    return bias * (2 * covariance) / (power * (spread + a.c1) + a.c2);
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    const Tile t(a, shared);
    const int pair = block().y;
    look(t);
    const Real mean_x = bring(t, plane_of(a.p, a.p.pair[pair][0]), t.stage);
    const Real mean_y = bring(t, plane_of(a.p, a.p.pair[pair][1]), t.stage + kRows * kPitch);
    sync_block();
    along(t);
    int count = 0;
    const double sum = sum_of_block(t, static_cast<double>(down(t, mean_x, mean_y, count)));
    const double counted = sum_of_block(t, count);
    if (thread() > 0) return;
    a.tiles.sums_of(pair)[block().x] = sum;
    if (pair == 0) a.tiles.counts_of()[block().x] = static_cast<uint32_t>(counted);
  }
};

struct Grid {
  int64_t down, across;
};

Grid grid_of(const Planes& p) {
  const int64_t rows = p.rows - kGaussian + 1, cols = p.width - kGaussian + 1;
  if (rows <= 0 || cols <= 0) return {0, 0};
  return {tiles_along(rows, kTile), tiles_along(cols, kTile)};
}

template <class Real>
ptn_status start(const GaussianCuda& g, const Grid& grid, const TileSums& tiles, Stream stream) {
  GaussianArgs<Real> a{};
  a.p = g.planes;
  a.index = g.index;
  a.across = static_cast<int>(grid.across);
  a.c1 = static_cast<Real>(g.c1);
  a.c2 = static_cast<Real>(g.c2);
  a.tiles = tiles;
  double taps[kGaussian], total = 0;
  for (int i = 0; i < kGaussian; ++i) {
    const double at = (i - kGaussian / 2) / kGaussianSigma;
    total += taps[i] = std::exp(-0.5 * at * at);
  }
  for (int i = 0; i < kGaussian; ++i) a.taps[i] = static_cast<Real>(taps[i] / total);
  const Dim3 blocks{static_cast<int>(tiles.tiles), g.planes.pairs, g.planes.images};
  return launch<GaussianTile<Real>>(a, blocks, stream);
}

// c2 keeps SSIM from resting on the last bits of small variances.
bool float_will_do(const GaussianCuda& g) {
  for (int i = 0; i < g.planes.planes; ++i)
    if (g.planes.plane[i].dtype == PTN_F64) return false;
  return g.index == PTN_SSIM;
}

}  // namespace

size_t gaussian_cuda_bytes(const GaussianCuda& g) {
  const Grid grid = grid_of(g.planes);
  return tile_sums_bytes(grid.down * grid.across, g.planes.images, g.planes.pairs);
}

ptn_status gaussian_cuda(const GaussianCuda& g, Stream stream) {
  const Grid grid = grid_of(g.planes);
  if (grid.down * grid.across > INT32_MAX) return PTN_ERR_ARGUMENT;
  if (grid.down == 0) return PTN_OK;
  const TileSums tiles =
      tile_sums(grid.down, grid.across, kTile, g.planes.images, g.planes.pairs, g.scratch);
  const ptn_status status = float_will_do(g) ? start<float>(g, grid, tiles, stream)
                                             : start<double>(g, grid, tiles, stream);
  if (status != PTN_OK) return status;
  return add_tile_sums(tiles, g.sums, g.count, stream);
}

}  // namespace cuda
}  // namespace pantiny
