// Tap tables: a few per row and column, in double, shared by every instruction set.
#include <algorithm>
#include <cmath>

#include "kernels/resample/resample.h"

namespace pantiny {

namespace {
constexpr double kPi = 3.14159265358979323846;

double keys(double t) {
  t = std::fabs(t);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  if (t < 2) return ((-0.5 * t + 2.5) * t - 4) * t + 2;
  return 0;
}
}  // namespace

CubicTaps cubic_taps(const Axis& axis, int64_t index) {
  const double position = (static_cast<double>(index) + 0.5) * axis.scale + axis.offset - 0.5;
  const double base = std::floor(position), t = position - base;
  CubicTaps taps;
  taps.first = static_cast<int64_t>(base) - 1;
  for (int i = 0; i < 4; ++i) taps.cubic[i] = static_cast<float>(keys(t + 1 - i));
  taps.linear[0] = static_cast<float>(1 - t);
  taps.linear[1] = static_cast<float>(t);
  return taps;
}

double gaussian_sigma(double gain, double scale) {
  return std::sqrt(-2 * std::log(gain)) / (scale * kPi);
}

int gaussian_radius(const double* gains, int bands, double scale_y, double scale_x) {
  int radius = 1;
  for (int k = 0; k < bands; ++k)
    for (double scale : {scale_y, scale_x})
      radius = std::max(radius, static_cast<int>(std::ceil(4 * gaussian_sigma(gains[k], scale))));
  return radius;
}

int64_t gaussian_taps(const Axis& axis, int64_t index, double sigma, int radius, float* weight) {
  const double centre = (static_cast<double>(index) + 0.5 - axis.offset) / axis.scale - 0.5;
  const double base = std::floor(centre);
  double sum = 0;
  for (int pass = 0; pass < 2; ++pass)
    for (int i = 0; i < gaussian_tap_count(radius); ++i) {
      const double d = centre - base + radius - i;
      const double w =
          std::fabs(d) > radius + 1e-6 ? 0 : std::exp(-0.5 * (d / sigma) * (d / sigma));
      if (pass == 0)
        sum += w;
      else
        weight[i] = static_cast<float>(w / sum);
    }
  return static_cast<int64_t>(base) - radius;
}

}  // namespace pantiny
