// Indices of 11x11 Gaussian windows that slide by one sample; the blocks are those of windows.h.
#pragma once

#include "kernels/windows/windows.h"

namespace pantiny {

constexpr double kGaussianSigma = 1.5;
constexpr int kGaussianMoments = 4;
constexpr int kGaussianCols = 64;             // windows across at a time: the ring stays in L1
constexpr int kGaussianRing = kGaussian + 1;  // rows of samples under two rows of windows

constexpr int64_t kGaussianPitch =
    (kGaussianCols + kGaussian + 3 * kMaxReals - 1) / kMaxReals * kMaxReals;

// Doubles from one row of windows to the next: no power of two, whose rows would share few sets of
// the cache.
constexpr int64_t kGaussianRow = kGaussianCols + kMaxReals;

// Lines of samples, one of validity, the ring of blurred rows and that of what is invalid, two rows
// of windows.
constexpr size_t gaussian_scratch() {
  return static_cast<size_t>(kGaussianPitch * (kGaussianMoments + 1) +
                             kGaussianRow *
                                 (kGaussianRing * (kGaussianMoments + 1) + 2 * kGaussianMoments));
}

}  // namespace pantiny
