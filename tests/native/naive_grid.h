// Upsampling and consistency as kernels/resample and kernels/consistency describe them, one
// pixel at a time. T = double is the truth, T = float shows what rounding does to it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "pantiny.h"

namespace naive {

// [c][h][w]
template <class T>
struct Image {
  int64_t c = 0, h = 0, w = 0;
  std::vector<T> v;

  Image(int64_t channels, int64_t height, int64_t width)
      : c(channels), h(height), w(width), v(static_cast<size_t>(c * h * w)) {}
  T& at(int64_t k, int64_t y, int64_t x) { return v[static_cast<size_t>((k * h + y) * w + x)]; }
  const T& at(int64_t k, int64_t y, int64_t x) const {
    return v[static_cast<size_t>((k * h + y) * w + x)];
  }
  T* row(int64_t k, int64_t y) { return v.data() + (k * h + y) * w; }
  const T* row(int64_t k, int64_t y) const { return v.data() + (k * h + y) * w; }
};

// [h][w], 1 where a sample exists
using Mask = std::vector<uint8_t>;

constexpr double kMinCoverage = 0.5 - 1e-4, kMinWeight = 1e-6;

inline int64_t clamped(int64_t i, int64_t n) { return std::min(std::max<int64_t>(i, 0), n - 1); }

inline double keys(double t) {
  t = std::fabs(t);
  if (t < 1) return 1.5 * t * t * t - 2.5 * t * t + 1;
  if (t < 2) return -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2;
  return 0;
}

inline double position(double scale, double offset, int64_t i) {
  return (static_cast<double>(i) + 0.5) * scale + offset - 0.5;
}

// MS (or a residual) on the PAN grid. Without `exists`: cubic convolution with replicated
// edges. With it: the cubic where all 16 samples exist, else the mean of those of the
// nearest 4 that do, weighted bilinearly, else 0.
template <class T>
Image<T> upsample(const Image<T>& ms, const ptn_scene& s, const Mask* exists) {
  Image<T> up(ms.c, s.height, s.width);
  for (int64_t y = 0; y < s.height; ++y)
    for (int64_t x = 0; x < s.width; ++x) {
      const double py = position(s.scale_y, s.offset_y, y);
      const double px = position(s.scale_x, s.offset_x, x);
      const auto iy = static_cast<int64_t>(std::floor(py));
      const auto ix = static_cast<int64_t>(std::floor(px));
      auto missing = [&](int64_t i, int64_t j) {
        return exists &&
               !(*exists)[static_cast<size_t>(clamped(i, ms.h) * ms.w + clamped(j, ms.w))];
      };
      bool all = true;
      for (int64_t i = iy - 1; i <= iy + 2; ++i)
        for (int64_t j = ix - 1; j <= ix + 2; ++j) all = all && !missing(i, j);
      for (int64_t k = 0; k < ms.c; ++k) {
        T sum = 0, weight = 0;
        if (all) {
          for (int64_t i = iy - 1; i <= iy + 2; ++i)
            for (int64_t j = ix - 1; j <= ix + 2; ++j)
              sum += static_cast<T>(keys(py - static_cast<double>(i)) *
                                    keys(px - static_cast<double>(j))) *
                     ms.at(k, clamped(i, ms.h), clamped(j, ms.w));
          weight = 1;
        } else {
          for (int64_t i = iy; i <= iy + 1; ++i)
            for (int64_t j = ix; j <= ix + 1; ++j) {
              if (missing(i, j)) continue;
              const T w = static_cast<T>((1 - std::fabs(py - static_cast<double>(i))) *
                                         (1 - std::fabs(px - static_cast<double>(j))));
              sum += w * ms.at(k, clamped(i, ms.h), clamped(j, ms.w));
              weight += w;
            }
        }
        up.at(k, y, x) = weight > static_cast<T>(kMinWeight) ? sum / weight : T{0};
      }
    }
  return up;
}

struct Gaussian {
  std::vector<int64_t> index;  // clamped
  std::vector<double> weight;
};

// The sensor's blur at MS sample i, along an axis of n PAN samples.
inline Gaussian gaussian(double scale, double offset, int64_t i, double gain, int radius,
                         int64_t n) {
  const double sigma = std::sqrt(-2 * std::log(gain)) / (scale * std::acos(-1.0));
  const double centre = (static_cast<double>(i) + 0.5 - offset) / scale - 0.5;
  Gaussian g;
  double sum = 0;
  for (auto p = static_cast<int64_t>(std::ceil(centre - radius - 1e-6));
       static_cast<double>(p) <= centre + radius + 1e-6; ++p) {
    const double d = (static_cast<double>(p) - centre) / sigma;
    g.index.push_back(clamped(p, n));
    g.weight.push_back(std::exp(-0.5 * d * d));
    sum += g.weight.back();
  }
  for (double& w : g.weight) w /= sum;
  return g;
}

inline int gaussian_radius(const ptn_scene& s, int64_t bands) {
  double widest = 0;
  for (int64_t k = 0; k < bands; ++k)
    for (double scale : {s.scale_y, s.scale_x})
      widest = std::max(widest, std::sqrt(-2 * std::log(s.gains[k])) / (scale * std::acos(-1.0)));
  return std::max(1, static_cast<int>(std::ceil(4 * widest)));
}

// steps times fused += up(ms - degrade(fused)). `doubt`: how near a coverage came to the
// threshold, where rounding would decide.
template <class T>
void consistency(Image<T>& fused, const Image<T>& ms, const ptn_scene& s, const Mask* valid,
                 const Mask* ms_valid, double* doubt) {
  const int radius = gaussian_radius(s, ms.c);
  const bool masked = valid || ms_valid;
  for (int step = 0; step < s.consistency; ++step)
    for (int64_t k = 0; k < ms.c; ++k) {
      Image<T> residual(1, ms.h, ms.w);
      Mask exists(static_cast<size_t>(ms.h * ms.w), 1);
      for (int64_t i = 0; i < ms.h; ++i) {
        const Gaussian gy = gaussian(s.scale_y, s.offset_y, i, s.gains[k], radius, s.height);
        for (int64_t j = 0; j < ms.w; ++j) {
          const Gaussian gx = gaussian(s.scale_x, s.offset_x, j, s.gains[k], radius, s.width);
          T sum = 0, share = 0;
          for (size_t a = 0; a < gy.index.size(); ++a)
            for (size_t b = 0; b < gx.index.size(); ++b) {
              const T w = static_cast<T>(gy.weight[a] * gx.weight[b]);
              if (valid && !(*valid)[static_cast<size_t>(gy.index[a] * s.width + gx.index[b])])
                continue;
              sum += w * fused.at(k, gy.index[a], gx.index[b]);
              share += w;
            }
          const auto at = static_cast<size_t>(i * ms.w + j);
          if (valid)
            *doubt = std::min(*doubt, std::fabs(static_cast<double>(share) - kMinCoverage));
          exists[at] = (!ms_valid || (*ms_valid)[at]) && share >= static_cast<T>(kMinCoverage);
          if (exists[at]) residual.at(0, i, j) = ms.at(k, i, j) - sum / share;
        }
      }
      const Image<T> update = upsample(residual, s, masked ? &exists : nullptr);
      for (int64_t y = 0; y < s.height; ++y) {
        const double py = position(s.scale_y, s.offset_y, y);
        if (std::floor(py) < -2 || std::floor(py) > static_cast<double>(ms.h)) continue;
        for (int64_t x = 0; x < s.width; ++x) {
          const double px = position(s.scale_x, s.offset_x, x);
          // no sample within reach: nothing to correct with
          if (std::floor(px) < -2 || std::floor(px) > static_cast<double>(ms.w)) continue;
          if (!valid || (*valid)[static_cast<size_t>(y * s.width + x)])
            fused.at(k, y, x) += update.at(0, y, x);
        }
      }
    }
}

}  // namespace naive
