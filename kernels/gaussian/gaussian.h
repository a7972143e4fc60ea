// Indices of 11x11 Gaussian windows that slide by one sample; the blocks are those of windows.h.
#pragma once

#include "kernels/windows/windows.h"

namespace pantiny {

constexpr double kGaussianSigma = 1.5;

constexpr int64_t kGaussianPitch =
    (kWindowBlock + kGaussian + 2 * kMaxReals) / kMaxReals * kMaxReals;

// Lines, one of validity, the ring of blurred rows and that of what is invalid.
constexpr size_t gaussian_scratch() {
  return static_cast<size_t>(kGaussianPitch * (5 + 1 + kGaussian * 5 + kGaussian));
}

}  // namespace pantiny
