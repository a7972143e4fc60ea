// MS interpolated at the pixels of a tile, in two steps: a column of the MS is mixed once for all
// pixels of a row that need it, then every pixel mixes four columns. The order of the sums is that
// of interpolate() (csrc/cuda/scene.h).
#pragma once

#include "csrc/cuda/scene.h"

namespace pantiny {
namespace cuda {

// Of a region of Rows x Columns pixels, those in the image.
template <int Rows, int Columns, int Threads>
class MsTile {
 public:
  static constexpr int kBands = 4;
  // the PAN grid is as fine as the MS grid or finer
  static constexpr int kPitch = Columns + 4;
  static constexpr size_t kBytes = sizeof(float) * Rows * kBands * kPitch;

  PTN_DEVICE MsTile(const Scene& s, int image, int y0, int x0, char* shared)
      : mixed_(reinterpret_cast<float*>(shared)), image_(image), y0_(y0) {
    top_ = y0 < 0 ? -y0 : 0;
    bottom_ = s.height - y0 < Rows ? s.height - y0 : Rows;
    const int left = x0 < 0 ? 0 : x0, right = (s.width - x0 < Columns ? s.width : x0 + Columns) - 1;
    first_ = static_cast<int>(s.columns[left].first);
    count_ = static_cast<int>(s.columns[right].first) + 4 - first_;
  }

  // The first step, by all threads of the block; NaN where one of four samples does not exist.
  PTN_DEVICE void mix(const Scene& s) const {
    const int columns = count_, total = (bottom_ - top_) * kBands * columns;
    const uint8_t* exists = s.ms_valid.data;
    if (exists) exists += image_ * s.ms_valid.image_stride;
    with_samples(s.ms, [&](const auto* ms) {
      ms += image_ * s.ms.image_stride;
      PTN_NO_UNROLL
      for (int i = thread(); i < total; i += Threads) {
        const int line = i / columns, row = top_ + line / kBands, band = line % kBands;
        const int column = i - line * columns, j = clamped(first_ + column, s.ms_width);
        const CubicTaps& taps = s.rows[y0_ + row];
        const int first = static_cast<int>(taps.first), above = clamped(first, s.ms_height);
        const auto* at = ms + s.ms_bands[band] * s.ms.band_stride + above * s.ms.row_stride +
                         j * s.ms.col_stride;
        float sum = 0;
        PTN_UNROLL
        for (int k = 0; k < 4; ++k) {
          sum = fma_float(taps.cubic[k], static_cast<float>(*at), sum);
          if (first + k >= 0 && first + k + 1 < s.ms_height) at += s.ms.row_stride;
        }
        if (exists) {
          const uint8_t* there = exists + above * s.ms_valid.row_stride + j;
          PTN_UNROLL
          for (int k = 0; k < 4; ++k) {
            if (!*there) sum = NAN;
            if (first + k >= 0 && first + k + 1 < s.ms_height) there += s.ms_valid.row_stride;
          }
        }
        mixed_[line_of(row, band) + column] = sum;
      }
    });
  }

  // DN of a band at a pixel of the image, NaN where one of its 16 samples does not exist.
  PTN_DEVICE float cubic(const CubicTaps& taps, int row, int band) const {
    const float* at = mixed_ + line_of(row, band) + static_cast<int>(taps.first) - first_;
    float sum = 0;
    PTN_UNROLL
    for (int k = 0; k < 4; ++k) sum = fma_float(taps.cubic[k], at[k], sum);
    return sum;
  }

 private:
  static PTN_DEVICE int clamped(int i, int size) { return i < 0 ? 0 : i < size ? i : size - 1; }
  static PTN_DEVICE int line_of(int row, int band) { return (row * kBands + band) * kPitch; }

  float* mixed_;  // [rows][bands][pitch]
  int image_, y0_;
  int top_, bottom_;   // rows of the image
  int first_, count_;  // MS columns of the region, unclamped
};

}  // namespace cuda
}  // namespace pantiny
