#include "csrc/plan_tile.h"

#include <algorithm>
#include <cstring>

#include "csrc/cpu_table.h"
#include "csrc/pairs.h"

namespace pantiny {

namespace {

// Halo that segment `i` adds to what follows it.
int segment_halo(const Weights& w, int i) {
  if (i == 0) return kHeadHalo;
  const int fuse = i == w.arch.encoder_blocks ? fuse_pan_halo(w.arch.fusion) : 0;
  return kApplyHalo + fuse;
}

// Margin on which the features of segment `i` must be right in pass `pass`.
int margin_after(const Weights& w, int i, int pass) {
  int margin = pass < w.blocks_total() ? kStatisticsHalo : kTailHalo;
  for (int j = i + 1; j <= pass; ++j) margin += segment_halo(w, j);
  return margin;
}

SegmentFn* segment_fn(const Weights& w, int i) {
  const CpuTable& t = cpu_table();
  if (i == 0) return t.head;
  if (i == w.blocks_total()) return t.tail;
  return i == w.arch.encoder_blocks ? t.fusion : t.boundary;
}

int widest_halo(const Weights& w, int storage) {
  int halo = 0;
  for (int pass = 0; pass <= w.blocks_total(); ++pass)
    halo = std::max(halo, pass_halo(w, storage, pass));
  return halo;
}

int64_t tile_rows(const ptn_scene& s) {
  return std::min(s.tile_rows, round_up(s.height, PTN_BLOCK));
}

int64_t tile_columns(const ptn_scene& s) {
  return s.storage == PTN_KEEP ? s.width : std::min(s.tile_cols, round_up(s.width, PTN_BLOCK));
}

// Columns a strip of a tile may lie beyond the tile.
constexpr int64_t kTileGuard = 96;

struct TileMemory {
  Scratch scratch;
  float** rows;
  float* features;  // PTN_RECOMPUTE
};

Ring take_ring(Arena& arena, int channels, int64_t pitch, int64_t rows) {
  Ring r{};
  r.channels = channels;
  r.pitch = pitch;
  r.data = arena.take<float>(channels * 4 * pitch);
  r.carry = arena.take<float>(rows * channels * 2);
  return r;
}

TileMemory take_tile(Arena& arena, const Weights& w, const ptn_scene& s) {
  const int c = w.arch.channels, k = w.arch.bands, size = w.statistics_size();
  const int halo = widest_halo(w, s.storage);
  const int64_t rows = tile_rows(s) + 2 * halo + 8;
  const int64_t strip = std::min<int64_t>(kStrip, round_up(tile_columns(s), PTN_BLOCK));
  const int64_t pitch = round_up(kLead + strip + kStripPad + kMaxWidth, 32) + 16;
  TileMemory m{};
  Scratch& t = m.scratch;
  t.pitch = pitch;
  t.v = take_ring(arena, c, pitch, rows);
  t.ffn = take_ring(arena, 4 * c, pitch, rows);
  t.qk = take_ring(arena, 2 * c, pitch, rows);
  const bool gated = w.arch.fusion == PTN_FUSION_GATED_CONV;
  t.between = take_ring(arena, gated ? 2 * c : c, pitch, rows);
  t.pan = take_ring(arena, 1, pitch, rows);
  t.ms = take_ring(arena, k, pitch, rows);
  t.fused = arena.take<float>(k * pitch);
  t.mixed = arena.take<float>(pitch + 8);
  t.mask = arena.take<float>(kMaskRows * pitch);
  t.norm = arena.take<float>(c * kChunkPitch);
  t.pair = arena.take<float>(2 * c * kChunkPitch);
  t.gates = arena.take<float>(4 * c * kChunkPitch);
  t.other = arena.take<float>(2 * kChunkPitch);
  t.qk_pair = arena.take<float>(4 * c / w.arch.heads * kChunkPitch);
  t.folded = arena.take<float>(4 * (c + 1) * kChunkPitch);
  t.sums = arena.take<float>(size * kMaxWidth);
  t.totals = arena.take<double>(size * kMaxWidth);
  m.rows = arena.take<float*>(rows);
  if (s.storage == PTN_RECOMPUTE)
    m.features = arena.take<float>(c * rows * tile_pitch(s) + 2 * kGuard);
  return m;
}

// rows[y - first]: where the features of row y are, for a tile with a halo of `halo` rows.
void find_rows(const TileTask& task, const TileMemory& m, int64_t first, int64_t count) {
  const ptn_plan& p = *task.plan;
  const ptn_scene& s = p.scene;
  const int64_t channels = p.model->weights.arch.channels;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t y = first + i;
    if (y < 0 || y >= s.height) {
      m.rows[i] = p.zero_row + kGuard;
      if (s.storage == PTN_RECOMPUTE) m.rows[i] += kTileGuard - task.x0;
    } else if (s.storage == PTN_RECOMPUTE) {
      m.rows[i] = m.features + i * channels * p.pitch + kGuard + kTileGuard - task.x0;
    } else if (y >= task.y0 && y < task.y1) {
      m.rows[i] = p.features + y * channels * p.pitch + kGuard;
    } else {
      m.rows[i] = border_row(p, task.index, y < task.y0 ? y - task.y0 : y - task.y1) + kGuard;
    }
  }
}

}  // namespace

MsSource ms_source(const ptn_input& in) {
  return {in.ms,
          in.ms_dtype,
          in.ms_first,
          in.ms_rows,
          in.ms_band_stride,
          in.ms_row_stride,
          in.ms_col_stride,
          in.ms_bands,
          in.ms_valid,
          in.ms_valid_row_stride};
}

int64_t feature_pitch(int64_t columns) { return round_up(columns + kGuard, 32) + 16; }

int64_t tile_pitch(const ptn_scene& s) { return feature_pitch(tile_columns(s) + 2 * kTileGuard); }

int stored_halo(const Weights& w) {
  int halo = 0;
  for (int pass = 0; pass <= w.blocks_total(); ++pass)
    halo = std::max(halo, pass_halo(w, PTN_KEEP, pass));
  return halo;
}

int pass_halo(const Weights& w, int storage, int pass) {
  if (storage == PTN_RECOMPUTE || pass == 0) return margin_after(w, -1, pass);
  return margin_after(w, pass - 1, pass);
}

size_t tile_bytes(const Weights& w, const ptn_scene& s) {
  Arena arena;
  take_tile(arena, w, s);
  return arena.used();
}

void run_tile(const TileTask& task, double* partials, int64_t partials_pitch) {
  ptn_plan& p = *task.plan;
  const ptn_scene& s = p.scene;
  const ptn_input& in = *task.input;
  const Weights& w = p.model->weights;
  Arena arena(task.memory);
  const TileMemory m = take_tile(arena, w, s);
  const int pass = task.pass, halo = pass_halo(w, s.storage, pass);
  const bool keep = s.storage == PTN_KEEP;

  const float units_per_dn = static_cast<float>(1 / s.dn_per_unit);
  const Upsample upsample{{s.scale_y, s.offset_y, s.ms_height},
                          {s.scale_x, s.offset_x, s.ms_width},
                          ms_source(in),
                          w.arch.bands,
                          units_per_dn,
                          p.columns};
  SegmentArgs a{};
  a.weights = &w;
  a.height = s.height;
  a.width = s.width;
  a.y0 = task.y0;
  a.y1 = task.y1;
  a.x0 = task.x0;
  a.x1 = task.x1;
  a.strip = static_cast<int>(std::min<int64_t>(kStrip, round_up(tile_columns(s), PTN_BLOCK)));
  a.bf16 = s.precision == PTN_BF16;
  a.rows = m.rows;
  a.rows_first = task.y0 - halo - 1;
  a.plane = p.pitch;
  a.pan = {in.pan, in.pan_dtype, in.pan_first, in.pan_row_stride, in.pan_col_stride, units_per_dn};
  a.valid = {in.valid, in.pan_first, in.valid_row_stride};
  a.upsample = &upsample;
  a.partials_pitch = partials_pitch;
  a.fused = p.network;
  a.fused_rows = p.network_height;
  a.fused_plane = p.network_height * s.width;
  a.fused_pitch = s.width;
  a.scratch = m.scratch;
  find_rows(task, m, a.rows_first, task.y1 - task.y0 + 2 * halo + 2);
  for (int i = keep ? pass : 0; i <= pass; ++i) {
    a.margin = margin_after(w, i, pass);
    a.block = i > 0 ? &w.blocks[i - 1] : nullptr;
    const int c = w.arch.channels;
    if (i > 0) a.matrix = {p.matrices + (i - 1) * c * c, p.pairs + (i - 1) * pairs_size(1, c, c)};
    a.next = i < w.blocks_total() ? &w.blocks[i] : nullptr;
    a.partials = i == pass ? partials : nullptr;
    segment_fn(w, i)(a);
  }
}

}  // namespace pantiny
