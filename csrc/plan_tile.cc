#include "csrc/plan_tile.h"

#include <algorithm>
#include <cstring>

#include "csrc/cpu_table.h"

namespace pantiny {

namespace {

// Halo that segment `i` adds to what follows it.
int segment_halo(const Weights& w, int i) {
  if (i == 0) return kHeadHalo;
  const int fuse = i == w.arch.encoder_blocks ? fuse_pan_halo(w.arch.fusion) : 0;
  return kApplyHalo + fuse;
}

// Margin on which segment `i` of pass `pass` must be right.
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

int64_t buffer_rows(const Weights& w, const ptn_scene& s) {
  return std::min(s.tile_rows, round_up(s.height, PTN_BLOCK)) + 2 * widest_halo(w, s.storage);
}

int64_t buffer_cols(const Weights& w, const ptn_scene& s) {
  return std::min(s.tile_cols, round_up(s.width, PTN_BLOCK)) + 2 * widest_halo(w, s.storage);
}

float dn(const void* data, int dtype, int64_t at) {
  switch (dtype) {
    case PTN_U8:
      return static_cast<const uint8_t*>(data)[at];
    case PTN_U16:
      return static_cast<const uint16_t*>(data)[at];
    case PTN_I16:
      return static_cast<const int16_t*>(data)[at];
    default:
      return static_cast<const float*>(data)[at];
  }
}

void fill_valid(const TileTask& task, const Tile& t, float* valid) {
  const ptn_scene& s = task.plan->scene;
  const ptn_input& in = *task.input;
  for (int r = 0; r < t.rows; ++r) {
    float* out = valid + r * t.pitch;
    std::fill(out, out + t.pitch, 0.0f);
    const int64_t y = t.y0 + r;
    if (y < 0 || y >= s.height) continue;
    const int64_t c0 = std::max<int64_t>(0, -t.x0), c1 = std::min<int64_t>(t.cols, s.width - t.x0);
    const uint8_t* mask =
        in.valid ? in.valid + (y - in.pan_first) * in.valid_row_stride + t.x0 : nullptr;
    for (int64_t c = c0; c < c1; ++c) out[c] = !mask || mask[c] ? 1.0f : 0.0f;
  }
}

void fill_pan(const TileTask& task, const Tile& t, float* pan) {
  const ptn_input& in = *task.input;
  const float units_per_dn = static_cast<float>(1 / task.plan->scene.dn_per_unit);
  for (int r = 0; r < t.rows; ++r) {
    const int64_t row = (t.y0 + r - in.pan_first) * in.pan_row_stride;
    for (int c = 0; c < t.cols; ++c) {
      const int64_t i = r * t.pitch + c;
      pan[i] = t.valid[i] != 0.0f
                   ? dn(in.pan, in.pan_dtype, row + (t.x0 + c) * in.pan_col_stride) * units_per_dn
                   : 0.0f;
    }
  }
}

void fill_ms_up(const TileTask& task, const Tile& t, const TileMemory& m) {
  const ptn_scene& s = task.plan->scene;
  const ptn_input& in = *task.input;
  UpsampleArgs a{};
  a.tile = t;
  a.y = {s.scale_y, s.offset_y, s.ms_height};
  a.x = {s.scale_x, s.offset_x, s.ms_width};
  a.ms = {in.ms,
          in.ms_dtype,
          in.ms_first,
          in.ms_rows,
          in.ms_band_stride,
          in.ms_row_stride,
          in.ms_col_stride,
          in.ms_bands,
          in.ms_valid,
          in.ms_valid_row_stride};
  a.bands = task.plan->model->weights.arch.bands;
  a.units_per_dn = static_cast<float>(1 / s.dn_per_unit);
  a.row_taps = m.row_taps;
  a.col_taps = m.col_taps;
  a.ms_up = m.scratch.ms_up;
  cpu_table().upsample(a);
}

// Features of the whole scene, as they were before this band: rows above come from carry.
void load_features(const TileTask& task, const Tile& t, int64_t band_y0, float* x) {
  const ptn_plan& p = *task.plan;
  const ptn_scene& s = p.scene;
  const Weights& w = p.model->weights;
  const int held = carry_rows(w);
  const int64_t c0 = std::max<int64_t>(0, -t.x0), c1 = std::min<int64_t>(t.cols, s.width - t.x0);
  for (int64_t c = 0; c < w.arch.channels; ++c)
    for (int r = 0; r < t.rows; ++r) {
      float* out = x + c * t.plane + r * t.pitch;
      const int64_t y = t.y0 + r;
      std::fill(out, out + t.pitch, 0.0f);
      if (y < 0 || y >= s.height) continue;
      const float* from = y >= band_y0 ? p.features + (c * s.height + y) * s.width
                                       : p.carry + (c * held + held - (band_y0 - y)) * s.width;
      std::memcpy(out + c0, from + t.x0 + c0, static_cast<size_t>(c1 - c0) * sizeof(float));
    }
}

// Copy the tile's interior to planes of `width` columns.
void save(const Tile& t, const float* planes, int count, float* out, int64_t out_plane,
          int64_t width) {
  for (int64_t c = 0; c < count; ++c)
    for (int r = 0; r < t.interior_rows; ++r)
      std::memcpy(out + c * out_plane + r * width,
                  planes + c * t.plane + (t.halo + r) * t.pitch + t.halo,
                  static_cast<size_t>(t.interior_cols) * sizeof(float));
}

}  // namespace

int carry_rows(const Weights& w) {
  return kApplyHalo + fuse_pan_halo(w.arch.fusion) + std::max(kStatisticsHalo, kTailHalo);
}

int pass_halo(const Weights& w, int storage, int pass) {
  if (storage == PTN_RECOMPUTE || pass == 0) return margin_after(w, -1, pass);
  return margin_after(w, pass - 1, pass);
}

TileMemory take_tile(Arena& arena, const Weights& w, const ptn_scene& s) {
  const int64_t rows = buffer_rows(w, s), cols = buffer_cols(w, s);
  const int64_t plane = rows * (round_up(cols, kLane) + kGuard);
  auto planes = [&](int64_t n) {
    float* p = arena.take<float>(n * plane + 2 * kGuard);
    return p ? p + kGuard : p;
  };
  const int channels = w.arch.channels;
  TileMemory m{};
  m.scratch.x = planes(channels);
  m.scratch.y = planes(channels);
  m.scratch.t = planes(channels);
  m.scratch.d = planes(channels);
  m.scratch.ms_up = planes(w.arch.bands);
  m.scratch.pan = planes(1);
  m.scratch.valid = planes(1);
  m.row_taps = arena.take<CubicTaps>(rows);
  m.col_taps = arena.take<CubicTaps>(cols);
  return m;
}

void run_tile(const TileTask& task, int pass, int64_t band_y0, double* partials,
              int64_t partials_pitch) {
  ptn_plan& p = *task.plan;
  const ptn_scene& s = p.scene;
  const Weights& w = p.model->weights;
  Arena arena(task.memory);
  const TileMemory m = take_tile(arena, w, s);
  const bool last = pass == w.blocks_total();
  const bool keep = s.storage == PTN_KEEP;
  const int first = keep ? pass : 0;

  Tile t{};
  t.halo = pass_halo(w, s.storage, pass);
  t.interior_rows = static_cast<int>(task.y1 - task.y0);
  t.interior_cols = static_cast<int>(task.x1 - task.x0);
  t.y0 = task.y0 - t.halo;
  t.x0 = task.x0 - t.halo;
  t.rows = t.interior_rows + 2 * t.halo;
  t.cols = t.interior_cols + 2 * t.halo;
  t.pitch = round_up(buffer_cols(w, s), kLane) + kGuard;
  t.plane = t.rows * t.pitch;
  t.valid = m.scratch.valid;
  fill_valid(task, t, m.scratch.valid);

  const int fusion_at = w.arch.encoder_blocks;
  if (first == 0 || last) fill_ms_up(task, t, m);
  if (first <= fusion_at && fusion_at <= pass) fill_pan(task, t, m.scratch.pan);
  if (first > 0) load_features(task, t, band_y0, m.scratch.x);

  SegmentArgs a{};
  a.tile = t;
  a.weights = &w;
  a.scratch = m.scratch;
  a.fused = m.scratch.d;
  a.partials_pitch = partials_pitch;
  for (int i = first; i <= pass; ++i) {
    a.margin = i < w.blocks_total() ? margin_after(w, i, pass) : 0;
    a.block = i > 0 ? &w.blocks[i - 1] : nullptr;
    a.matrix = i > 0 ? p.matrices + (i - 1) * w.arch.channels * w.arch.channels : nullptr;
    a.next = i < w.blocks_total() ? &w.blocks[i] : nullptr;
    a.partials = i == pass ? partials : nullptr;
    segment_fn(w, i)(a);
  }
  if (last) {
    save(t, a.fused, w.arch.bands, p.network + (task.y0 - p.network_first) * s.width + task.x0,
         p.network_height * s.width, s.width);
  } else if (keep && pass == 0) {
    save(t, m.scratch.x, w.arch.channels, p.features + task.y0 * s.width + task.x0,
         s.height * s.width, s.width);
  } else if (keep) {
    save(t, m.scratch.x, w.arch.channels, p.band + (task.y0 - band_y0) * s.width + task.x0,
         std::min(s.band_rows, s.height) * s.width, s.width);
  }
}

}  // namespace pantiny
