#include <algorithm>
#include <cmath>

#include "kernels/fold/fold.h"

namespace pantiny {

void fold(const Weights& weights, const BlockWeights& block, const double* statistics,
          float* matrix) {
  const int channels = weights.arch.channels, heads = weights.arch.heads, c = channels / heads;
  const double* qq = statistics + heads * c * c;
  const double* kk = qq + channels;
  for (int h = 0; h < heads; ++h) {
    const double* gram = statistics + h * c * c;
    double attention[64][64];
    for (int i = 0; i < c; ++i) {
      const double qn = std::max(std::sqrt(qq[h * c + i]), 1e-12);
      double peak = -1e300;
      for (int j = 0; j < c; ++j) {
        const double kn = std::max(std::sqrt(kk[h * c + j]), 1e-12);
        attention[i][j] = block.temperature[h] * (gram[i * c + j] / (qn * kn));
        peak = std::max(peak, attention[i][j]);
      }
      double sum = 0;
      for (int j = 0; j < c; ++j) sum += attention[i][j] = std::exp(attention[i][j] - peak);
      for (int j = 0; j < c; ++j) attention[i][j] /= sum;
    }
    // matrix[k][o] = sum_i project[o][h*c + i] * attention[i][k - h*c]
    for (int j = 0; j < c; ++j)
      for (int o = 0; o < channels; ++o) {
        double sum = 0;
        for (int i = 0; i < c; ++i)
          sum += static_cast<double>(block.project[o * channels + h * c + i]) * attention[i][j];
        matrix[(h * c + j) * channels + o] = static_cast<float>(sum);
      }
  }
}

}  // namespace pantiny
