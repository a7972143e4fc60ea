#include <memory>
#include <vector>

#include "csrc/cuda/memory.h"
#include "csrc/cuda/tables.h"

namespace pantiny {
namespace cuda {

namespace {

void fill_axis(const Axis& axis, int64_t size, CubicTaps* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = cubic_taps(axis, i);
}

void fill_gaussian(const Axis& axis, const double* gains, int bands, int radius, float* weights,
                   int64_t* firsts) {
  const int taps = gaussian_tap_count(radius);
  for (int k = 0; k < bands; ++k)
    for (int64_t i = 0; i < axis.ms_size; ++i)
      firsts[i] = gaussian_taps(axis, i, gaussian_sigma(gains[k], axis.scale), radius,
                                weights + (k * axis.ms_size + i) * taps);
}

}  // namespace

Axis rows_of(const ptn_cuda_scene& s) { return {s.scale_y, s.offset_y, s.ms_height}; }
Axis columns_of(const ptn_cuda_scene& s) { return {s.scale_x, s.offset_x, s.ms_width}; }

int radius_of(const ptn_cuda_scene& s, int bands) {
  return gaussian_radius(s.gains, bands, s.scale_y, s.scale_x);
}

Tables take_tables(Arena& arena, const ptn_cuda_scene& s, int bands) {
  Tables t{};
  t.rows = arena.take<CubicTaps>(s.height);
  t.columns = arena.take<CubicTaps>(s.width);
  if (!s.consistency) return t;
  const int taps = gaussian_tap_count(radius_of(s, bands));
  t.row_weights = arena.take<float>(bands * s.ms_height * taps);
  t.column_weights = arena.take<float>(bands * s.ms_width * taps);
  t.row_firsts = arena.take<int64_t>(s.ms_height);
  t.column_firsts = arena.take<int64_t>(s.ms_width);
  return t;
}

ptn_status place_tables(const ptn_cuda_scene& s, int bands, const Tables& device) {
  Arena sized;
  take_tables(sized, s, bands);
  std::vector<CubicTaps> room(sized.used() / sizeof(CubicTaps) + 64);
  void* start = room.data();
  size_t space = room.size() * sizeof(CubicTaps);
  start = std::align(kAlign, sized.used(), start, space);
  Arena arena(start);
  const Tables t = take_tables(arena, s, bands);
  fill_axis(rows_of(s), s.height, t.rows);
  fill_axis(columns_of(s), s.width, t.columns);
  if (s.consistency) {
    const int radius = radius_of(s, bands);
    fill_gaussian(rows_of(s), s.gains, bands, radius, t.row_weights, t.row_firsts);
    fill_gaussian(columns_of(s), s.gains, bands, radius, t.column_weights, t.column_firsts);
  }
  const ptn_status status = copy_in(device.rows, t.rows, arena.used(), nullptr);
  return status == PTN_OK ? wait_for(nullptr) : status;
}

GaussianTables gaussian_of(const ptn_cuda_scene& s, int bands, const Tables& t) {
  if (!s.consistency) return {};
  return {gaussian_tap_count(radius_of(s, bands)),
          t.row_weights,
          t.column_weights,
          t.row_firsts,
          t.column_firsts,
          s.scale_x};
}

}  // namespace cuda
}  // namespace pantiny
