#include <cmath>
#include <type_traits>

#include "kernels/windows/windows_cuda.h"

namespace pantiny {
namespace cuda {
namespace {

constexpr int kCols = 64;         // windows across a tile
constexpr int kSide = kCols + 1;  // from a row of windows to the next: no two rows share banks
constexpr size_t kMostShared = 96 << 10;  // what a block has on every device

// Columns of samples under a tile, a row of 8 bytes each in other banks than the next 15.
PTN_HOST_DEVICE int pitch_of(int window) { return (kCols + window - 2 + 15) / 16 * 16 + 1; }

struct WindowArgs {
  Planes p;
  int window, index;
  int across;  // tiles
  TileSums tiles;
};

// Sum over each of kRun windows side by side, or below each other, of term(0), term(1), ...: what
// all have in common once, then what the first ones have before it and the last ones behind it. No
// sum is ever taken apart.
template <int kRun, class Sum, class Term>
PTN_DEVICE void slide(int window, Sum* out, Term&& term) {
  Sum run{};
  PTN_UNROLL
  for (int i = kRun - 2; i >= 0; --i) {
    run += term(i);
    out[i] = run;
  }
  out[kRun - 1] = Sum{};
  run = Sum{};
  for (int i = kRun - 1; i < window; ++i) run += term(i);
  out[0] += run;
  PTN_UNROLL
  for (int i = 1; i < kRun; ++i) {
    run += term(window + i - 1);
    out[i] += run;
  }
}

template <class Sum>
struct Twice {  // a sum and one of squares
  Sum sum, square;
  PTN_DEVICE Twice& operator+=(const Twice& o) {
    sum += o.sum;
    square += o.square;
    return *this;
  }
};

// A tile of kRun x 64 windows. Threads own columns of samples, then runs of kRun windows along a
// row, of two quantities at a time.
template <class Load, class Sum, int kRun>
struct WindowTile {
  using Args = WindowArgs;
  using Arithmetic = Exact<Sum>;
  using Value = typename Arithmetic::Value;
  static constexpr bool kAnchored = Arithmetic::kAnchored;
  // Of what is made of exact sums, float; what is doubtful in its last bits stays double.
  using Real = std::conditional_t<kAnchored, double, float>;

  static constexpr const char* kName = "windows_kernel";
  static constexpr int kThreads = 128, kMinBlocks = kRun == 4 ? 4 : 3;
  static constexpr int kRuns = kCols / kRun * kRun;  // of a quantity
  static_assert(kRuns * 2 == kThreads && kRun * (kCols / kRun) == kRuns, "two quantities at once");
  static_assert(PTN_WINDOW_ROWS % kRun == 0, "rows of tiles end where rows of blocks do");

  static size_t shared_bytes(const Args& a) {
    const auto planes = static_cast<size_t>(a.p.planes), pairs = static_cast<size_t>(a.p.pairs);
    const auto pitch = static_cast<size_t>(pitch_of(a.window));
    return 2 * kRun * pitch * sizeof(Sum) + planes * kRun * kSide * (sizeof(Sum) + sizeof(Real)) +
           pairs * kRuns * sizeof(Real) + 2 * kRuns * sizeof(uint32_t) +
           kThreads / kWarp * sizeof(float);
  }

  struct Tile {
    PTN_DEVICE Tile(const Args& args, char* shared)
        : a(args),
          y0(static_cast<int64_t>(block().x / a.across) * kRun),
          x0(static_cast<int64_t>(block().x % a.across) * kCols),
          rows(least_of(kRun + a.window - 1, a.p.rows - y0)),
          cols(least_of(kCols + a.window - 1, a.p.width - x0)),
          row(thread() % kRuns % kRun),
          first(thread() % kRuns / kRun * kRun),
          stage(reinterpret_cast<Sum*>(shared)),
          sums(stage + 2 * kRun * pitch_of(a.window)),
          spreads(reinterpret_cast<Real*>(sums + a.p.planes * kRun * kSide)),
          totals(spreads + a.p.planes * kRun * kSide),
          keep(reinterpret_cast<uint32_t*>(totals + a.p.pairs * kRuns)),
          kept(keep + kRuns),
          least(reinterpret_cast<float*>(kept + kRuns)) {}

    const Args& a;
    int64_t y0, x0;          // of the first window, and its first sample
    int rows, cols;          // samples that exist
    int row, first;          // of this thread's run; of the next lane the next row: other banks
    Sum* stage;              // [2][kRun][pitch]
    Sum* sums;               // [planes][kRun][kSide]
    Real* spreads;           // [planes][kRun][kSide]: n^2 variance
    Real* totals;            // [pairs][kRuns]
    uint32_t *keep, *kept;   // [kRuns]: which windows of a run count, and how many
    float* least;            // [warps]
    int64_t ay = 0, ax = 0;  // of the sample that sums are taken about, or -1
  };

  static PTN_DEVICE int least_of(int64_t a, int64_t b) { return static_cast<int>(a < b ? a : b); }

  // What is not valid is read as well: it enters sums of windows that do not count and no other.
  static PTN_DEVICE Value value(const Tile& t, const ptn_plane& plane, Value anchor, int y, int x) {
    if (y >= t.rows || x >= t.cols) return 0;
    return sample_at<Load, Value>(plane, t.y0 + y, t.x0 + x) - anchor;
  }

  // What sums of a plane are taken about.
  static PTN_DEVICE Value anchor_of(const Tile& t, int plane) {
    if (!kAnchored || t.ay < 0) return 0;
    return sample_at<Load, Value>(plane_of(t.a.p, plane), t.ay, t.ax);
  }

  // A variance below this share of the mean square about the anchor is rounding, and so is a mean
  // below this share of the anchor: a sum passes through 2 (window + 2) roundings at most.
  static PTN_DEVICE double flat_share(int window) { return 8.0 * (window + 8) * 0x1p-53; }

  // Means of the windows of a plane.
  struct Means {
    PTN_DEVICE Means(const Tile& t, int plane, Real nth)
        : sums(t.sums + plane * kRun * kSide),
          one_nth(nth),
          anchor(static_cast<Real>(anchor_of(t, plane))),
          black(static_cast<Real>(flat_share(t.a.window)) * (anchor < 0 ? -anchor : anchor)) {}
    PTN_DEVICE Real at(int i) const {
      const Real mean = static_cast<Real>(sums[i]) * one_nth + anchor;
      return kAnchored && mean <= black && mean >= -black ? Real{0} : mean;
    }
    const Sum* sums;
    Real one_nth, anchor, black;
  };

  // The first valid sample, and which windows count.
  static PTN_DEVICE void look(Tile& t) {
    const Planes& p = t.a.p;
    const int window = t.a.window, pitch = pitch_of(window);
    auto* invalid = reinterpret_cast<uint32_t*>(t.stage);
    constexpr float kNone = 0x1p30f;
    float found = kNone;
    if (p.valid)
      for (int x = thread(); x < kCols + window - 1; x += kThreads) {
        uint32_t sums[kRun];
        slide<kRun>(window, sums, [&](int y) -> uint32_t {
          if (y >= t.rows || x >= t.cols) return 0;
          if (!valid_at(p, t.y0 + y, t.x0 + x)) return 1;
          const auto at = static_cast<float>(y * t.cols + x);
          found = at < found ? at : found;
          return 0;
        });
        PTN_UNROLL
        for (int i = 0; i < kRun; ++i) invalid[i * pitch + x] = sums[i];
      }
    found = least_of_block<kThreads>(p.valid ? found : 0.0f, t.least);
    const int at = static_cast<int>(found);
    t.ay = found < kNone ? t.y0 + at / t.cols : -1;
    t.ax = found < kNone ? t.x0 + at % t.cols : -1;
    if (thread() < kRuns) {
      uint32_t bits = 0, count = 0, sums[kRun] = {};
      if (p.valid)
        slide<kRun>(window, sums, [&](int x) { return invalid[t.row * pitch + t.first + x]; });
      PTN_UNROLL
      for (int i = 0; i < kRun; ++i) {
        const bool in = t.row + window <= t.rows && t.first + i + window <= t.cols;
        bits |= (in && sums[i] == 0 ? 1u : 0u) << i;
        count += in && sums[i] == 0 ? 1 : 0;
      }
      t.keep[thread()] = bits;
      t.kept[thread()] = count;
    }
    sync_block();
  }

  // Sums and variances of the windows of a plane.
  static PTN_DEVICE void plane(const Tile& t, int number) {
    const int window = t.a.window, pitch = pitch_of(window);
    const ptn_plane plane = plane_of(t.a.p, number);
    const Value anchor = anchor_of(t, number);
    for (int x = thread(); x < kCols + window - 1; x += kThreads) {
      Twice<Sum> out[kRun];
      slide<kRun>(window, out, [&](int y) -> Twice<Sum> {
        const Value v = value(t, plane, anchor, y, x);
        return {static_cast<Sum>(v), Arithmetic::product(v, v)};
      });
      PTN_UNROLL
      for (int i = 0; i < kRun; ++i) {
        t.stage[i * pitch + x] = out[i].sum;
        t.stage[(kRun + i) * pitch + x] = out[i].square;
      }
    }
    sync_block();
    const int squares = thread() / kRuns;
    const Sum* from = t.stage + (squares * kRun + t.row) * pitch + t.first;
    Sum out[kRun];
    slide<kRun>(window, out, [&](int x) { return from[x]; });
    Sum* sums = t.sums + (number * kRun + t.row) * kSide + t.first;
    if (!squares) {
      PTN_UNROLL
      for (int i = 0; i < kRun; ++i) sums[i] = out[i];
    }
    sync_block();
    if (!squares) return;
    Real* spreads = t.spreads + (number * kRun + t.row) * kSide + t.first;
    const int n = window * window;
    PTN_UNROLL
    for (int i = 0; i < kRun; ++i) {
      const Sum spread = Arithmetic::spread(n, out[i], sums[i], sums[i]);
      const double share = flat_share(window) * n;
      const bool flat =
          kAnchored && static_cast<double>(spread) <= share * static_cast<double>(out[i]);
      spreads[i] = flat ? Real{0} : static_cast<Real>(spread);  // NaN stays
    }
    // read behind the barrier of the pairs
  }

  // Two pairs at a time, or the last one.
  static PTN_DEVICE void pairs(const Tile& t, int first) {
    const int window = t.a.window, pitch = pitch_of(window), columns = kCols + window - 1;
    const int count = first + 1 < t.a.p.pairs ? 2 : 1;
    for (int at = thread(); at < count * columns; at += kThreads) {
      const int which = at >= columns ? 1 : 0, x = at - which * columns;
      const int i = t.a.p.pair[first + which][0], j = t.a.p.pair[first + which][1];
      const ptn_plane plane = plane_of(t.a.p, i), others = plane_of(t.a.p, j);
      const Value anchor = anchor_of(t, i), other = anchor_of(t, j);
      Sum out[kRun];
      slide<kRun>(window, out, [&](int y) -> Sum {
        return Arithmetic::product(value(t, plane, anchor, y, x), value(t, others, other, y, x));
      });
      PTN_UNROLL
      for (int k = 0; k < kRun; ++k) t.stage[(which * kRun + k) * pitch + x] = out[k];
    }
    sync_block();
    const int which = thread() / kRuns;
    if (which < count) {
      const Sum* from = t.stage + (which * kRun + t.row) * pitch + t.first;
      Sum out[kRun];
      slide<kRun>(window, out, [&](int x) { return from[x]; });
      t.totals[(first + which) * kRuns + thread() % kRuns] = evaluate(t, first + which, out);
    }
    sync_block();
  }

  static PTN_DEVICE Real evaluate(const Tile& t, int pair, const Sum* products) {
    const int i = t.a.p.pair[pair][0], j = t.a.p.pair[pair][1], n = t.a.window * t.a.window;
    const uint32_t keep = t.keep[thread() % kRuns];
    const Real one_nth = Real{1} / static_cast<Real>(n);
    const Means means(t, i, one_nth), others(t, j, one_nth);
    const Real *spreads = t.spreads + i * kRun * kSide,
               *others_spreads = t.spreads + j * kRun * kSide;
    Real total = 0;
    PTN_UNROLL
    for (int k = 0; k < kRun; ++k) {
      const int at = t.row * kSide + t.first + k;
      const auto c =
          static_cast<Real>(Arithmetic::spread(n, products[k], means.sums[at], others.sums[at]));
      const Real vi = spreads[at], vj = others_spreads[at];
      Real q;
      if (t.a.index == PTN_UQI) {
        const Real mi = means.at(at), mj = others.at(at);
        const Real v = vi + vj, m = mi * mi + mj * mj;
        const Real structure = v != 0 ? c + c : Real{1}, bias = m != 0 ? 2 * mi * mj : Real{1};
        q = structure * bias / ((v != 0 ? v : Real{1}) * (m != 0 ? m : Real{1}));
      } else {  // 1 where one side is constant, 0 where both are
        const Real v = std::sqrt(vi) * std::sqrt(vj);
        q = v != 0 ? 1 - c / v : vi + vj != 0 ? Real{1} : Real{0};
      }
      if (keep >> k & 1u) total += q;
    }
    return total;
  }

  // Runs of a tile in the same order always, in double.
  static PTN_DEVICE void write(const Tile& t) {
    for (int p = warp(); p < t.a.p.pairs; p += kThreads / kWarp) {
      double sum = 0;
      for (int i = lane(); i < kRuns; i += kWarp)
        sum += static_cast<double>(t.totals[p * kRuns + i]);
      sum = sum_of_warp(sum);
      if (lane() == 0) t.a.tiles.sums_of(p)[block().x] = sum;
    }
    if (warp() > 0) return;
    float count = 0;
    for (int i = lane(); i < kRuns; i += kWarp) count += static_cast<float>(t.kept[i]);
    count = sum_of_warp(count);
    if (lane() == 0) t.a.tiles.counts_of()[block().x] = static_cast<uint32_t>(count);
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    Tile t(a, shared);
    look(t);
    for (int i = 0; i < a.p.planes; ++i) plane(t, i);
    for (int i = 0; i < a.p.pairs; i += 2) pairs(t, i);
    write(t);
  }
};

template <class Load, class Sum>
int run_of(const WindowArgs& a) {
  if (a.window >= 8 && WindowTile<Load, Sum, 8>::shared_bytes(a) <= kMostShared) return 8;
  if (a.window >= 4 && WindowTile<Load, Sum, 4>::shared_bytes(a) <= kMostShared) return 4;
  return 1;
}

bool whole_numbers(const Planes& p) {
  return kind_of(p) == Kind::kU16 || kind_of(p) == Kind::kIntegers;
}

// How many windows of a tile lie below each other: of the problem alone, never of the device.
int run_of(const WindowArgs& a) {
  return whole_numbers(a.p) ? run_of<AnyInteger, int64_t>(a) : run_of<AnySample, double>(a);
}

WindowArgs args_of(const WindowsCuda& w) { return {w.planes, w.window, w.index, 0, {}}; }

struct Grid {
  int64_t down, across;
};

Grid grid_of(const WindowArgs& a) {
  const int64_t rows = a.p.rows - a.window + 1, cols = a.p.width - a.window + 1;
  if (rows <= 0 || cols <= 0) return {0, 0};
  return {tiles_along(rows, run_of(a)), tiles_along(cols, kCols)};
}

template <class Load, class Sum>
ptn_status start(const WindowArgs& a, Stream stream) {
  const Dim3 grid{static_cast<int>(a.tiles.tiles), 1, a.p.images};
  switch (run_of(a)) {
    case 8:
      return launch<WindowTile<Load, Sum, 8>>(a, grid, stream);
    case 4:
      return launch<WindowTile<Load, Sum, 4>>(a, grid, stream);
    default:
      return launch<WindowTile<Load, Sum, 1>>(a, grid, stream);
  }
}

ptn_status start(const WindowArgs& a, Stream stream) {
  switch (kind_of(a.p)) {
    case Kind::kU16:
      return start<Alike<uint16_t>, int64_t>(a, stream);
    case Kind::kIntegers:
      return start<AnyInteger, int64_t>(a, stream);
    case Kind::kF32:
      return start<Alike<float>, double>(a, stream);
    default:
      return start<AnySample, double>(a, stream);
  }
}

}  // namespace

size_t windows_cuda_bytes(const WindowsCuda& w) {
  const Grid grid = grid_of(args_of(w));
  return tile_sums_bytes(grid.down * grid.across, w.planes.images, w.planes.pairs);
}

ptn_status windows_cuda(const WindowsCuda& w, Stream stream) {
  WindowArgs a = args_of(w);
  const Grid grid = grid_of(a);
  if (grid.down * grid.across > INT32_MAX) return PTN_ERR_ARGUMENT;
  if (grid.down == 0) return PTN_OK;
  a.across = static_cast<int>(grid.across);
  a.tiles =
      tile_sums(grid.down, grid.across, run_of(a), w.planes.images, w.planes.pairs, w.scratch);
  const ptn_status status = start(a, stream);
  if (status != PTN_OK) return status;
  return add_tile_sums(a.tiles, w.sums, w.count, stream);
}

}  // namespace cuda
}  // namespace pantiny
