// Images of the host as kernels see them, on the device for the length of a test call.
#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

#include "csrc/cuda/scene.h"
#include "tests/cuda/on_device.h"

namespace pantiny {
namespace cuda {

constexpr int kWroteOutside = -1;

struct Image {  // mirrored in segment_ops.py
  int32_t images, bands, height, width, ms_height, ms_width;
  int32_t ms_dtype, pan_dtype;                  // ptn_dtype
  double scale_y, scale_x, offset_y, offset_x;  // of the PAN grid, in MS pixels
  const void *ms, *pan;     // [images][bands][h][w] DN, [images][H][W] DN; may be null
  const uint8_t* valid;     // [images][H][W], may be null
  const uint8_t* ms_valid;  // [images][h][w], may be null
  const float* units;       // [images]

  Axis rows() const { return {scale_y, offset_y, ms_height}; }
  Axis columns() const { return {scale_x, offset_x, ms_width}; }
};

inline size_t size_of(int dtype) {
  return dtype == PTN_U8 ? 1 : dtype == PTN_U16 || dtype == PTN_I16 ? 2 : 4;
}

inline std::vector<CubicTaps> taps_of(const Axis& axis, int size) {
  std::vector<CubicTaps> taps(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) taps[static_cast<size_t>(i)] = cubic_taps(axis, i);
  return taps;
}

// A scene on the device.
struct Placed {
  explicit Placed(const Image& m)
      : image(m),
        pixels(static_cast<size_t>(m.images) * m.height * m.width),
        ms_pixels(static_cast<size_t>(m.images) * m.ms_height * m.ms_width),
        ms(m.ms, m.ms ? ms_pixels * m.bands * size_of(m.ms_dtype) : 0),
        pan(m.pan, m.pan ? pixels * size_of(m.pan_dtype) : 0),
        valid(m.valid, m.valid ? pixels : 0),
        ms_valid(m.ms_valid, m.ms_valid ? ms_pixels : 0),
        units(m.units, static_cast<size_t>(m.images) * sizeof(float)),
        rows(taps_of(m.rows(), m.height).data(), m.height * sizeof(CubicTaps)),
        columns(taps_of(m.columns(), m.width).data(), m.width * sizeof(CubicTaps)) {}

  Scene scene() const {
    const Image& m = image;
    const int64_t plane = static_cast<int64_t>(m.height) * m.width;
    const int64_t ms_plane = static_cast<int64_t>(m.ms_height) * m.ms_width;
    Scene s{};
    s.images = m.images;
    s.bands = m.bands;
    s.height = m.height;
    s.width = m.width;
    s.ms_height = m.ms_height;
    s.ms_width = m.ms_width;
    s.ms = {ms.get(), m.ms_dtype, m.bands * ms_plane, ms_plane, m.ms_width, 1};
    s.pan = {pan.get(), m.pan_dtype, plane, plane, m.width, 1};
    for (int i = 0; i < m.bands; ++i) s.ms_bands[i] = i;
    if (m.valid) s.valid = {valid.as<uint8_t>(), plane, m.width};
    if (m.ms_valid) s.ms_valid = {ms_valid.as<uint8_t>(), ms_plane, m.ms_width};
    s.rows = rows.as<CubicTaps>();
    s.columns = columns.as<CubicTaps>();
    s.units_per_dn = units.as<float>();
    return whole(s);
  }

  const Image& image;
  size_t pixels, ms_pixels;
  OnDevice ms, pan, valid, ms_valid, units, rows, columns;
};

// Waits, checks what lies around each array and copies it to its place on the host, if any.
inline int finish(ptn_status status,
                  std::initializer_list<std::pair<const OnDevice*, void*>> outputs) {
  if (status == PTN_OK) status = wait_for(nullptr);
  if (status != PTN_OK) return status;
  for (const auto& [memory, host] : outputs)
    if (!memory->back(host)) return kWroteOutside;
  return PTN_OK;
}

// The emulator's other order of threads.
inline void run_ahead(int on) {
#ifdef __CUDACC__
  (void)on;
#else
  set_run_ahead(on != 0);
#endif
}

}  // namespace cuda
}  // namespace pantiny
