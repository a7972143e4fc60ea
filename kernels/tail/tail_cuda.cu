// Tail in float: two 3x3, the second adds the upsampled bands.
#include "kernels/conv3x3_cuda.h"
#include "kernels/tail/tail_cuda.h"

namespace pantiny {
namespace cuda {

template <class W>
ptn_status float_tail(const float* refine, const float* output, const Scene& scene, const void* x,
                      void* between, float* fused, Stream stream) {
  constexpr int C = W::kChannels;
  using Refine = FloatConv<C, C, ConvInput::kFeatures, ConvFinish::kPlain>;
  using Output = FloatConv<C, 4, ConvInput::kFeatures, ConvFinish::kAddMsUp>;
  const ptn_status status = float_conv<Refine>(scene, refine, x, between, stream);
  return status == PTN_OK ? float_conv<Output>(scene, output, between, fused, stream) : status;
}

template ptn_status float_tail<Width28>(const float*, const float*, const Scene&, const void*,
                                        void*, float*, Stream);
template ptn_status float_tail<Width40>(const float*, const float*, const Scene&, const void*,
                                        void*, float*, Stream);

}  // namespace cuda
}  // namespace pantiny
