// Tables and the order of the rows; shared by every instruction set.
#include "kernels/consistency/consistency.h"

#include <algorithm>
#include <cmath>

namespace pantiny {

int consistency_lag(int radius, double scale_y) {
  const int sample = static_cast<int>(std::ceil(1 / scale_y));
  // its last residual lies two MS samples on, and any residual that still reads it at most the
  // kernel's length
  return std::max(2 * sample + radius, 2 * radius + sample) + 3;
}

void ms_span(const Axis& axis, int64_t begin, int64_t end, int64_t* first, int64_t* last) {
  const int64_t low = cubic_taps(axis, begin).first, high = cubic_taps(axis, end - 1).first + 3;
  *first = std::clamp<int64_t>(low, 0, axis.ms_size - 1);
  *last = std::clamp<int64_t>(high, 0, axis.ms_size - 1) + 1;
}

Consistency take_consistency(Arena& arena, const ptn_scene& s, int bands, int64_t rows) {
  Consistency c{};
  c.steps = s.consistency;
  if (c.steps == 0) return c;
  c.bands = bands;
  c.height = s.height;
  c.width = s.width;
  c.y = {s.scale_y, s.offset_y, s.ms_height};
  c.x = {s.scale_x, s.offset_x, s.ms_width};
  c.radius = gaussian_radius(s.gains, bands, s.scale_y, s.scale_x);
  ms_span(c.y, 0, c.height, &c.ms_first, &c.ms_last);
  ms_span(c.x, 0, c.width, &c.ms_left, &c.ms_right);
  // MS rows that touch so many PAN rows and the kernels of those above
  const int64_t live = static_cast<int64_t>(std::ceil((rows + 2 * c.taps()) * s.scale_y)) + 12;
  c.residual_rows = std::min(live, c.ms_last - c.ms_first);
  const int64_t samples = c.steps * bands * c.residual_rows * c.ms_width();
  c.residual = arena.take<float>(samples);
  c.exists = arena.take<uint8_t>(samples);
  c.weights = arena.take<float>(bands * c.ms_width() * c.padded_taps());
  c.firsts = arena.take<int64_t>(c.ms_width());
  for (int k = 0; k < bands; ++k) {
    c.sigma[0][k] = gaussian_sigma(s.gains[k], s.scale_y);
    c.sigma[1][k] = gaussian_sigma(s.gains[k], s.scale_x);
  }
  if (!c.residual) return c;
  for (int k = 0; k < bands; ++k)
    for (int64_t j = 0; j < c.ms_width(); ++j) {
      float* w = c.weights + (k * c.ms_width() + j) * c.padded_taps();
      c.firsts[j] = gaussian_taps(c.x, c.ms_left + j, c.sigma[1][k], c.radius, w);
      std::fill(w + c.taps(), w + c.padded_taps(), 0.0f);
    }
  restart(&c);
  return c;
}

void restart(Consistency* c) {
  std::fill_n(c->residual_next, kMaxSteps, c->ms_first);
  std::fill_n(c->corrected, kMaxSteps + 1, 0);
}

namespace {
// PAN row of the first tap of a MS row, unclamped; those of every band are the same.
int64_t first_row(const Consistency& c, int64_t i) {
  const double centre = (static_cast<double>(i) + 0.5 - c.y.offset) / c.y.scale - 0.5;
  return static_cast<int64_t>(std::floor(centre)) - c.radius;
}
}  // namespace

int64_t residuals_ready(const Consistency& c, int step) {
  int64_t i = c.residual_next[step];
  for (; i < c.ms_last; ++i) {
    const int64_t last = std::clamp<int64_t>(first_row(c, i) + c.taps() - 1, 0, c.height - 1);
    if (last >= c.corrected[step]) break;
  }
  return i;
}

int64_t corrections_ready(const Consistency& c, int step) {
  const int64_t next = c.residual_next[step];
  int64_t limit = c.corrected[step];
  if (next < c.ms_last) limit = std::min(limit, first_row(c, next));
  int64_t y = c.corrected[step + 1];
  for (; y < limit; ++y) {
    const int64_t last = std::clamp<int64_t>(cubic_taps(c.y, y).first + 3, 0, c.y.ms_size - 1);
    if (last >= next) break;
  }
  return y;
}

int64_t consistency_scratch(const Consistency& c) { return 2 * c.scratch_row() + c.padded_taps(); }

}  // namespace pantiny
