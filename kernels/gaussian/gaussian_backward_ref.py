"""Gradients of sums of SSIM and of the Gaussian Q: the float64 truth, window by window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..windows.windows_backward_ref import Slopes, sliding_backward
from ..windows.windows_ref import Moments
from .gaussian_ref import Index, gaussian_moments, gaussian_weights


def gaussian_backward_ref(
    dsums: np.ndarray,
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    index: Index,
    c1: float,
    c2: float,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient of ``sum over k of dsums[k] * sum over windows of the index of pair k``.

    Parameters
    ----------
    dsums : array [pairs]
    planes, pairs, index, c1, c2, valid
        As in ``gaussian_ref``.

    Returns
    -------
    array [planes, H, W] float64
        0 where not valid.
    """

    def slopes(a: Moments, b: Moments, covariance: np.ndarray) -> Slopes:
        """Both are ``top / below``; see the README."""
        power, spread = a.mean**2 + b.mean**2, a.variance + b.variance
        product, twice = 2 * a.mean * b.mean, 2 * covariance
        if index == "ssim":
            bias, structure = product + c1, twice + c2
            below, by_power, by_spread = (power + c1) * (spread + c2), spread + c2, power + c1
        else:
            bias, structure = product, twice
            below, by_power, by_spread = power * (spread + c1) + c2, spread + c1, power
        value = bias * structure / below
        by_mean = [
            2 * (other.mean * structure - value * own.mean * by_power) / below
            for own, other in ((a, b), (b, a))
        ]
        by_variance = -value * by_spread / below
        return Slopes((by_mean[0], by_mean[1]), (by_variance, by_variance), 2 * bias / below)

    return sliding_backward(
        dsums, planes, pairs, gaussian_weights(), gaussian_moments, slopes, valid
    )
