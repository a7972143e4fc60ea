// The planes that a quality index compares, as kernels see them. Pointers are the device's.
#pragma once

#include "csrc/cuda/device.h"
#include "csrc/include/pantiny_cuda_indices.h"

namespace pantiny {
namespace cuda {

struct Planes {
  int64_t rows, width;
  int images, planes, pairs;            // images are the grid's z
  ptn_plane plane[PTN_MAX_PLANES];      // of the first image
  int64_t image_bytes[PTN_MAX_PLANES];  // from an image's plane to the next image's
  uint8_t pair[PTN_MAX_PAIRS][2];
  const uint8_t* valid;  // may be null
  int64_t valid_image_stride, valid_row_stride;
};

inline int64_t bytes_of(int dtype) {
  return dtype == PTN_U8 ? 1 : dtype == PTN_F32 ? 4 : dtype == PTN_F64 ? 8 : 2;
}

// Null: one image.
inline void set_images(const ptn_cuda_images* images, Planes* p) {
  p->images = images ? images->images : 1;
  for (int i = 0; images && i < p->planes; ++i)
    p->image_bytes[i] = images->plane_stride[i] * bytes_of(p->plane[i].dtype);
  p->valid_image_stride = images ? images->valid_stride : 0;
}

inline Planes planes_of(const ptn_windows& w, const ptn_cuda_images* images) {
  Planes p{};
  p.rows = w.rows;
  p.width = w.width;
  p.planes = w.planes;
  p.pairs = w.pairs;
  for (int i = 0; i < w.planes; ++i) p.plane[i] = w.plane[i];
  for (int i = 0; i < 2 * w.pairs; ++i) p.pair[i / 2][i % 2] = static_cast<uint8_t>(w.pair[i]);
  p.valid = w.valid;
  p.valid_row_stride = w.valid_row_stride;
  set_images(images, &p);
  return p;
}

// Of the image of this block.
PTN_DEVICE bool valid_at(const Planes& p, int64_t y, int64_t x) {
  return !p.valid || p.valid[block().z * p.valid_image_stride + y * p.valid_row_stride + x] != 0;
}

PTN_DEVICE ptn_plane plane_of(const Planes& p, int number) {
  ptn_plane found = p.plane[number];
  found.data = static_cast<const char*>(found.data) + block().z * p.image_bytes[number];
  return found;
}

// How samples are read: all of one dtype, or of a dtype asked for at every sample.
template <class Sample>
struct Alike {
  template <class To>
  static PTN_DEVICE To load(const ptn_plane& plane, int64_t at) {
    return static_cast<To>(static_cast<const Sample*>(plane.data)[at]);
  }
};

struct AnyInteger {
  template <class To>
  static PTN_DEVICE To load(const ptn_plane& plane, int64_t at) {
    if (plane.dtype == PTN_U8) return Alike<uint8_t>::load<To>(plane, at);
    if (plane.dtype == PTN_U16) return Alike<uint16_t>::load<To>(plane, at);
    return Alike<int16_t>::load<To>(plane, at);
  }
};

struct AnySample {
  template <class To>
  static PTN_DEVICE To load(const ptn_plane& plane, int64_t at) {
    if (plane.dtype == PTN_F32) return Alike<float>::load<To>(plane, at);
    if (plane.dtype == PTN_F64) return Alike<double>::load<To>(plane, at);
    return AnyInteger::load<To>(plane, at);
  }
};

template <class Load, class To>
PTN_DEVICE To sample_at(const ptn_plane& plane, int64_t y, int64_t x) {
  return Load::template load<To>(plane, y * plane.row_stride + x * plane.col_stride);
}

enum class Kind { kU16, kIntegers, kF32, kAny };

inline Kind kind_of(const Planes& p) {
  bool u16 = true, integers = true, f32 = true;
  for (int i = 0; i < p.planes; ++i) {
    u16 = u16 && p.plane[i].dtype == PTN_U16;
    f32 = f32 && p.plane[i].dtype == PTN_F32;
    integers = integers && p.plane[i].dtype <= PTN_I16;
  }
  return u16 ? Kind::kU16 : integers ? Kind::kIntegers : f32 ? Kind::kF32 : Kind::kAny;
}

// Arithmetic on sums. Integers are summed exactly, and so are n sum(x y) - sum(x) sum(y), which
// lies within 2^62 for 256 x 256 samples of 16 bits: modulo 2^64 nothing is lost on the way.
template <class Sum>
struct Exact;

template <>
struct Exact<int64_t> {
  using Value = int32_t;  // of a sample
  static constexpr bool kAnchored = false;
  static PTN_DEVICE int64_t product(int32_t a, int32_t b) { return static_cast<int64_t>(a) * b; }
  static PTN_DEVICE int64_t spread(int n, int64_t square, int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(n) * static_cast<uint64_t>(square) -
                                static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
};

// Others are summed in double, less an anchor.
template <>
struct Exact<double> {
  using Value = double;
  static constexpr bool kAnchored = true;
  static PTN_DEVICE double product(double a, double b) { return a * b; }
  static PTN_DEVICE double spread(int n, double square, double a, double b) {
    return n * square - a * b;
  }
};

// The least of a block's numbers; `scratch` holds one per warp. A barrier.
template <int kThreads>
PTN_DEVICE float least_of_block(float v, float* scratch) {
  PTN_UNROLL
  for (int mask = 1; mask < kWarp; mask *= 2) {
    const float other = shuffle_xor(v, mask);
    v = other < v ? other : v;
  }
  if (lane() == 0) scratch[warp()] = v;
  sync_block();
  for (int i = 0; i < kThreads / kWarp; ++i) v = scratch[i] < v ? scratch[i] : v;
  return v;
}

template <class Sum>
PTN_DEVICE Sum sum_of_warp(Sum v) {
  PTN_UNROLL
  for (int mask = 1; mask < kWarp; mask *= 2) v += shuffle_xor(v, mask);
  return v;
}

}  // namespace cuda
}  // namespace pantiny
