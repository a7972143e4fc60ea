"""Indices of windows that slide by one sample: the float64 truth, window by window, two passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Index = Literal["uqi", "decorrelation"]
U = 2.0**-53  # half a unit in the last place of float64, relative


class Maps(NamedTuple):
    """An index of every window.

    Attributes
    ----------
    values : array [pairs, H - window + 1, W - window + 1] float64
        0 where the window does not count.
    keep : array [H - window + 1, W - window + 1] bool
        Windows without an invalid sample.
    bound : array like values
        Largest error of a computation in double about a sample of the same plane.
    """

    values: np.ndarray
    keep: np.ndarray
    bound: np.ndarray


class Moments(NamedTuple):
    """Of one row of windows, [columns of windows]."""

    mean: np.ndarray
    deviation: np.ndarray  # [columns, window * window], of every sample from the mean
    variance: np.ndarray


def window_moments(rows: np.ndarray, window: int) -> Moments:
    """Of the windows in ``rows`` [window, W]."""
    x = sliding_window_view(rows, (window, window))[0].reshape(-1, window * window)
    shifted = x - x[:, :1]  # a constant window has no variance, not even by rounding
    deviation = shifted - shifted.mean(axis=1, keepdims=True)
    return Moments(x.mean(axis=1), deviation, (deviation**2).mean(axis=1))


def quotient(above: np.ndarray, below: np.ndarray, otherwise: float) -> np.ndarray:
    return np.divide(above, below, out=np.full(below.shape, otherwise), where=below != 0)


def _uqi(a: Moments, b: Moments, covariance: np.ndarray) -> np.ndarray:
    bias = quotient(2 * a.mean * b.mean, a.mean**2 + b.mean**2, 1.0)
    return bias * quotient(2 * covariance, a.variance + b.variance, 1.0)


def _decorrelation(a: Moments, b: Moments, covariance: np.ndarray) -> np.ndarray:
    flat = (a.variance == 0) & (b.variance == 0)
    correlation = quotient(covariance, np.sqrt(a.variance) * np.sqrt(b.variance), 0.0)
    return np.where(flat, 0.0, 1 - correlation)


def windows_ref(
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    window: int,
    index: Index,
    valid: np.ndarray | None = None,
) -> Maps:
    """Q, or 1 - correlation, of every window and pair.

    Parameters
    ----------
    planes : sequence of array [H, W]
    pairs : sequence of (int, int)
    window : int
    index : {"uqi", "decorrelation"}
    valid : array [H, W], optional

    Returns
    -------
    Maps

    Notes
    -----
    The bound: a sum over a window, of samples less a sample of the plane, passes through
    ``window + 12`` roundings at most, so with R the range of the valid samples a variance is off
    by ``8 (window + 12) u R^2`` (half of it by what is taken for flat) and a covariance by half
    of that; a mean by ``4 (window + 12) u`` of the largest magnitude. What is exactly flat or
    black is known as such: no error there.
    """
    height, width = planes[0].shape
    shape = max(0, height - window + 1), max(0, width - window + 1)
    good = np.ones((height, width), bool) if valid is None else valid != 0
    data = [np.where(good, p, 0).astype(np.float64) for p in planes]
    values, bound = np.zeros((2, len(pairs), *shape))
    keep = np.zeros(shape, bool)
    if not values.size:
        return Maps(values, keep, bound)
    keep[:] = sliding_window_view(good, (window, window)).all(axis=(2, 3))
    reach = [float(np.ptp(p[good])) if good.any() else 0.0 for p in data]
    size = [float(np.abs(p).max()) for p in data]
    step = (window + 12) * U
    formula = _uqi if index == "uqi" else _decorrelation
    for y in range(shape[0]):
        made = [window_moments(p[y : y + window], window) for p in data]
        for k, (i, j) in enumerate(pairs):
            a, b = made[i], made[j]
            covariance = (a.deviation * b.deviation).mean(axis=1)
            values[k, y] = formula(a, b, covariance)
            off_a, off_b = 8 * step * reach[i] ** 2, 8 * step * reach[j] ** 2
            off_c = 4 * step * reach[i] * reach[j]
            if index == "uqi":
                power = np.sqrt(a.mean**2 + b.mean**2)
                spread = a.variance + b.variance
                off = quotient(2 * off_c + off_a + off_b + 0 * spread, spread, 0.0)
                off += quotient(8 * step * (size[i] + size[j]) + 0 * power, power, 0.0)
            else:
                root = np.sqrt(a.variance) * np.sqrt(b.variance)
                off = quotient(off_c + 0 * root, root, 0.0)
                for m, v in ((a, off_a), (b, off_b)):
                    off += (root > 0) * quotient(v + 0 * root, m.variance, 0.0)
            bound[k, y] = np.minimum(3.0, 2 * off) + 16 * U
    return Maps(values * keep, keep, bound * keep)
