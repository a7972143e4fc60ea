// The float steps around the segments for ctypes: host arrays in, host arrays out.
#include <algorithm>
#include <vector>

#include "kernels/consistency/consistency_cuda.h"
#include "kernels/fold/fold_cuda.h"
#include "kernels/masks/masks_cuda.h"
#include "kernels/scale/scale_cuda.h"
#include "tests/cuda/placed.h"

using namespace pantiny;
using namespace pantiny::cuda;

namespace {

struct Result {  // mirrored in step_ops.py
  void* data;    // what it holds stays where nothing is written
  int64_t bytes;
  int32_t dtype, reserve_fill;
  int64_t image_stride, band_stride, row_stride, col_stride;
  int32_t bands[PTN_MAX_BANDS];
  double low, high, fill;
  const double* dn_per_unit;  // [images]
};

// AxisWeights of every band and MS sample along an axis, and where they start.
struct AxisWeights {
  AxisWeights(const Axis& axis, const double* gains, int bands, int radius) {
    const int taps = gaussian_tap_count(radius);
    weights.resize(static_cast<size_t>(bands * axis.ms_size * taps));
    firsts.resize(static_cast<size_t>(axis.ms_size));
    for (int k = 0; k < bands; ++k)
      for (int64_t i = 0; i < axis.ms_size; ++i)
        firsts[static_cast<size_t>(i)] =
            gaussian_taps(axis, i, gaussian_sigma(gains[k], axis.scale), radius,
                          weights.data() + (k * axis.ms_size + i) * taps);
  }
  std::vector<float> weights;
  std::vector<int64_t> firsts;
};

template <class T>
size_t bytes_of(const std::vector<T>& v) {
  return v.size() * sizeof(T);
}

}  // namespace

extern "C" {

void step_run_ahead(int on) { run_ahead(on); }

const char* step_error() { return error_text(); }

// partials [images][rows][across][statistics].
int step_fold(int images, int channels, int heads, int64_t rows, int64_t across,
              const float* partials, const float* project, const float* temperature,
              float* matrices) {
  const int c = channels / heads, size = heads * c * c + 2 * channels;
  const size_t n = static_cast<size_t>(images), square = static_cast<size_t>(channels) * channels;
  const OnDevice from(partials, n * rows * across * size * sizeof(float)),
      sums(n * rows * size * sizeof(double)), p(project, square * sizeof(float)),
      t(temperature, heads * sizeof(float)), to(n * square * sizeof(float));
  const TileRows tiles{images, size, rows, across, 0, rows, from.as<float>(), sums.as<double>(),
                       rows};
  const ptn_status status = sum_tiles_cuda(tiles, nullptr);
  if (status != PTN_OK) return status;
  const Fold fold{images,        channels,      heads,         rows, sums.as<double>(),
                  p.as<float>(), t.as<float>(), to.as<float>()};
  return finish(fold_cuda(fold, nullptr), {{&sums, nullptr}, {&to, matrices}});
}

// fused [images][bands][H][W] network values: corrected in place `steps` times, stored as DN.
int step_consistency(const Image* image, const double* gains, int steps, float* fused,
                     const Result* result) {
  const Placed placed(*image);
  const Scene s = placed.scene();
  const int radius = gaussian_radius(gains, s.bands, image->scale_y, image->scale_x);
  const AxisWeights rows(image->rows(), gains, s.bands, radius),
      columns(image->columns(), gains, s.bands, radius);
  const OnDevice wy(rows.weights.data(), bytes_of(rows.weights)),
      wx(columns.weights.data(), bytes_of(columns.weights)),
      fy(rows.firsts.data(), bytes_of(rows.firsts)),
      fx(columns.firsts.data(), bytes_of(columns.firsts));
  const GaussianTables tables{gaussian_tap_count(radius), wy.as<float>(),   wx.as<float>(),
                              fy.as<int64_t>(),           fx.as<int64_t>(), image->scale_x};
  const size_t coarse = placed.ms_pixels * s.bands;
  const OnDevice network(fused, placed.pixels * s.bands * sizeof(float)),
      residual(coarse * sizeof(float)), there(coarse),
      dn(result->dn_per_unit, s.images * sizeof(double)),
      out(result->data, static_cast<size_t>(result->bytes));
  Output o{out.get(),
           result->dtype,
           result->image_stride,
           result->band_stride,
           result->row_stride,
           result->col_stride,
           {},
           result->low,
           result->high,
           result->fill,
           result->reserve_fill,
           dn.as<double>(),
           0,
           s.height};
  std::copy_n(result->bands, PTN_MAX_BANDS, o.bands);
  ptn_status status = PTN_OK;
  for (int step = 0; step < steps && status == PTN_OK; ++step) {
    status = residual_cuda(s, tables, network.as<float>(), residual.as<float>(),
                           there.as<uint8_t>(), nullptr);
    if (status != PTN_OK) break;
    status = correct_cuda(s, residual.as<float>(), there.as<uint8_t>(), network.as<float>(),
                          step == steps - 1 ? &o : nullptr, nullptr);
  }
  if (steps == 0) status = correct_cuda(s, nullptr, nullptr, network.as<float>(), &o, nullptr);
  return finish(status,
                {{&network, fused}, {&residual, nullptr}, {&there, nullptr}, {&out, result->data}});
}

int step_scale(const Image* image, double* dn_per_unit) {
  const Placed placed(*image);
  const OnDevice scratch(scale_scratch_bytes(image->images)), to(image->images * sizeof(double));
  const Scale scale{placed.scene(), scratch.get(), to.as<double>()};
  return finish(scale_cuda(scale, nullptr), {{&scratch, nullptr}, {&to, dn_per_unit}});
}

int step_masks(const Image* image, int ratio, int has_nodata, double nodata, uint8_t* ms_valid,
               uint8_t* valid, uint32_t* found) {
  const Placed placed(*image);
  const std::vector<uint32_t> zeros(static_cast<size_t>(image->images) * 3);
  const OnDevice ms(placed.ms_pixels), pan(placed.pixels), counts(zeros.data(), bytes_of(zeros));
  const Masks masks{
      placed.scene(),       ratio, has_nodata, nodata, ms.as<uint8_t>(), pan.as<uint8_t>(),
      counts.as<uint32_t>()};
  return finish(masks_cuda(masks, nullptr), {{&ms, ms_valid}, {&pan, valid}, {&counts, found}});
}

}  // extern "C"
