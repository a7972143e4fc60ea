// Fusion in float: two 3x3, PAN read as DN by the first.
#include "kernels/conv3x3_cuda.h"
#include "kernels/fusion/fusion_cuda.h"

namespace pantiny {
namespace cuda {

template <class W>
ptn_status float_fuse(const float* first, const float* second, const Scene& scene, const void* x,
                      void* between, void* to, Stream stream) {
  constexpr int C = W::kChannels;
  using First = FloatConv<C + 1, C, ConvInput::kFeaturesAndPan, ConvFinish::kRelu>;
  using Second = FloatConv<C, C, ConvInput::kFeatures, ConvFinish::kPlain>;
  const ptn_status status = float_conv<First>(scene, first, x, between, stream);
  return status == PTN_OK ? float_conv<Second>(scene, second, between, to, stream) : status;
}

template ptn_status float_fuse<Width28>(const float*, const float*, const Scene&, const void*,
                                        void*, void*, Stream);
template ptn_status float_fuse<Width40>(const float*, const float*, const Scene&, const void*,
                                        void*, void*, Stream);

}  // namespace cuda
}  // namespace pantiny
