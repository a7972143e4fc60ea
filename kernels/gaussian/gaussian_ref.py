"""SSIM and Gaussian Q of windows that slide by one sample: the float64 truth, two passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..windows.windows_ref import Maps, Moments, U

Index = Literal["ssim", "gaussian_uqi"]
SIDE = 11
SIGMA = 1.5


def gaussian_weights() -> np.ndarray:
    """[11, 11], of sum 1."""
    at = np.arange(SIDE) - SIDE // 2
    weights = np.exp(-(at[:, None] ** 2 + at**2) / (2 * SIGMA**2))
    return np.asarray(weights / weights.sum())


def gaussian_moments(rows: np.ndarray) -> Moments:
    """Of the windows in ``rows`` [11, W], weighted."""
    weights = gaussian_weights().ravel()
    x = sliding_window_view(rows, (SIDE, SIDE))[0].reshape(-1, SIDE * SIDE)
    mean = (x * weights).sum(axis=1)
    deviation = x - mean[:, None]
    return Moments(mean, deviation, (deviation * deviation * weights).sum(axis=1))


def gaussian_ref(
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    index: Index,
    c1: float,
    c2: float,
    valid: np.ndarray | None = None,
) -> Maps:
    """The index of every window and pair, from weighted moments.

    Parameters
    ----------
    planes : sequence of array [H, W]
    pairs : sequence of (int, int)
    index : {"ssim", "gaussian_uqi"}
    c1, c2 : float
        Not negative; above 0 where there are flat or black windows.
    valid : array [H, W], optional

    Returns
    -------
    Maps

    Notes
    -----
    The bound: a weighted sum of samples less one of the plane passes through 30 roundings at
    most, so a variance is off by ``100 u R^2`` with R the range of the valid samples, a mean by
    ``40 u`` of the largest magnitude.
    """
    height, width = planes[0].shape
    shape = max(0, height - SIDE + 1), max(0, width - SIDE + 1)
    good = np.ones((height, width), bool) if valid is None else valid != 0
    data = [np.where(good, p, 0).astype(np.float64) for p in planes]
    values, bound = np.zeros((2, len(pairs), *shape))
    keep = np.zeros(shape, bool)
    if not values.size:
        return Maps(values, keep, bound)
    keep[:] = sliding_window_view(good, (SIDE, SIDE)).all(axis=(2, 3))
    weights = gaussian_weights().ravel()
    reach = [float(np.ptp(p[good])) if good.any() else 0.0 for p in data]
    size = [float(np.abs(p).max()) for p in data]

    for y in range(shape[0]):
        made = [gaussian_moments(p[y : y + SIDE]) for p in data]
        for k, (i, j) in enumerate(pairs):
            (ma, da, va), (mb, db, vb) = made[i], made[j]
            cov = (da * db * weights).sum(axis=1)
            power, spread = ma**2 + mb**2, va + vb
            off_v = 100 * U * (reach[i] + reach[j]) ** 2  # of spread and of 2 cov
            off_m = 40 * U * (size[i] + size[j])
            off_power = 2 * off_m * (np.abs(ma) + np.abs(mb))  # and of 2 ma mb
            if index == "ssim":
                top = (2 * ma * mb + c1) * (2 * cov + c2)
                below = (power + c1) * (spread + c2)
                off = 2 * off_v / (spread + c2) + 2 * off_power / (power + c1)
            else:
                top = 2 * ma * mb * (2 * cov)
                below = power * (spread + c1) + c2
                off = (2 * off_power * (spread + c1) + 2 * power * off_v) / below
            values[k, y] = top / below
            bound[k, y] = np.minimum(3.0, 2 * off) + 16 * U
    return Maps(values * keep, keep, bound * keep)
