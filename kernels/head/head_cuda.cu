// Head in float: DN are read, interpolated and convolved in one kernel.
#include "kernels/conv3x3_cuda.h"
#include "kernels/head/head_cuda.h"

namespace pantiny {
namespace cuda {

template <class W>
ptn_status float_head(const float* weights, const Scene& scene, void* x, Stream stream) {
  using Kernel = FloatConv<4, W::kChannels, ConvInput::kMsUp, ConvFinish::kPlain>;
  return float_conv<Kernel>(scene, weights, nullptr, x, stream);
}

template ptn_status float_head<Width28>(const float*, const Scene&, void*, Stream);
template ptn_status float_head<Width40>(const float*, const Scene&, void*, Stream);

}  // namespace cuda
}  // namespace pantiny
