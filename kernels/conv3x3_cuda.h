// 3x3 convolution in float, one thread per pixel, output channels in registers.
#pragma once

#include "csrc/cuda/launch.h"
#include "kernels/layers_cuda.h"

namespace pantiny {
namespace cuda {

// What is read: MS on the PAN grid; features; features and PAN behind them.
enum class ConvInput { kMsUp, kFeatures, kFeaturesAndPan };
enum class ConvFinish { kPlain, kRelu, kAddMsUp };

template <int kIn, int kOut, ConvInput kInput, ConvFinish kFinish>
struct FloatConv {
  static constexpr const char* kName = "conv3x3";
  static constexpr int kCols = 32, kRows = 8, kThreads = kCols * kRows, kMinBlocks = 2;
  static constexpr int kPitch = kCols + 2, kPixels = kPitch * (kRows + 2);
  static constexpr int kAtOnce = kIn < 8 ? kIn : 8;  // input channels in shared memory
  static constexpr int kWeights = kAtOnce * 9 * kOut;
  static_assert(kOut % 4 == 0 && kPixels % 4 == 0, "16-byte rows");

  struct Args {
    Scene scene;
    const float* weights;  // [kIn][9][kOut]
    const float* x;        // [images][features][H][W]
    float* out;            // [images][kOut][H][W], 0 where no pixel exists
  };

  static size_t shared_bytes(const Args&) { return (kAtOnce * kPixels + kWeights) * sizeof(float); }
  static Dim3 tiles(const Scene& s) {
    return {ceil_div(s.width, kCols), ceil_div(s.height, kRows), s.images};
  }

  static PTN_DEVICE float read(const Args& a, int image, int channel, int y, int x) {
    const Scene& s = a.scene;
    if (!exists(s, image, y, x)) return 0.0f;
    if constexpr (kInput == ConvInput::kMsUp) return ms_up_at(s, image, channel, y, x);
    constexpr int kFeatures = kInput == ConvInput::kFeaturesAndPan ? kIn - 1 : kIn;
    if (channel == kFeatures) return pan_at(s, image, y, x);
    return a.x[((static_cast<int64_t>(image) * kFeatures + channel) * s.height + y) * s.width + x];
  }

  static PTN_DEVICE void run(const Args& a, char* shared) {
    float* const tile = reinterpret_cast<float*>(shared);  // [kAtOnce][kRows + 2][kPitch]
    float* const weights = tile + kAtOnce * kPixels;
    const Scene& s = a.scene;
    const int image = block().z, x0 = block().x * kCols, y0 = block().y * kRows;
    const int row = thread() / kCols, col = thread() % kCols;
    float out[kOut];
    PTN_UNROLL
    for (int i = 0; i < kOut; ++i) out[i] = 0;
    PTN_NO_UNROLL
    for (int first = 0; first < kIn; first += kAtOnce) {
      const int count = kIn - first < kAtOnce ? kIn - first : kAtOnce;
      if (first) sync_block();
      copy_floats<kThreads>(weights, a.weights + first * 9 * kOut, count * 9 * kOut);
      for (int i = thread(); i < count * kPixels; i += kThreads) {
        const int p = i % kPixels;
        tile[i] = read(a, image, first + i / kPixels, y0 - 1 + p / kPitch, x0 - 1 + p % kPitch);
      }
      sync_block();
      PTN_NO_UNROLL
      for (int k = 0; k < count; ++k) {
        const float* at = tile + k * kPixels + row * kPitch + col;
        PTN_UNROLL
        for (int t = 0; t < 9; ++t)
          add_scaled(out, at[t / 3 * kPitch + t % 3], weights + (k * 9 + t) * kOut);
      }
    }
    const int y = y0 + row, x = x0 + col;
    if (!inside(s, y, x)) return;
    const bool there = exists(s, image, y, x);
    const int64_t plane = static_cast<int64_t>(s.height) * s.width;
    float* const to = a.out + image * kOut * plane + static_cast<int64_t>(y) * s.width + x;
    PTN_UNROLL
    for (int i = 0; i < kOut; ++i) {
      float v = out[i];
      if constexpr (kFinish == ConvFinish::kRelu) v = v > 0 ? v : 0.0f;
      if constexpr (kFinish == ConvFinish::kAddMsUp)
        v = there ? v + ms_up_at(s, image, i, y, x) : 0.0f;
      to[i * plane] = there ? v : 0.0f;
    }
  }
};

template <class Kernel>
ptn_status float_conv(const Scene& scene, const float* weights, const void* x, void* out,
                      Stream stream) {
  return launch<Kernel>({scene, weights, static_cast<const float*>(x), static_cast<float*>(out)},
                        Kernel::tiles(scene), stream);
}

}  // namespace cuda
}  // namespace pantiny
