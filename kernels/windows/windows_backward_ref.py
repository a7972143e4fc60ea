"""Gradients of sums over windows that slide by one: the float64 truth, window by window.

With weights w of sum 1, deviations d from the mean, and a window's slopes by its moments,
its sample x_s gets ``w_s (dmean + 2 dvariance d_s + dcovariance d'_s)``, d' of the other plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .windows_ref import Index, Moments, quotient, window_moments


class Slopes(NamedTuple):
    """Of an index of every window of a row: [columns of windows] each."""

    mean: tuple[np.ndarray, np.ndarray]
    variance: tuple[np.ndarray, np.ndarray]
    covariance: np.ndarray


def _uqi(a: Moments, b: Moments, covariance: np.ndarray) -> Slopes:
    """Where both means, or both variances, are 0 their part is 1 and has no slope."""
    power, spread = a.mean**2 + b.mean**2, a.variance + b.variance
    bias = quotient(2 * a.mean * b.mean, power, 1.0)
    structure = quotient(2 * covariance, spread, 1.0)
    by_a = quotient(2 * structure * (b.mean - bias * a.mean), power, 0.0)
    by_b = quotient(2 * structure * (a.mean - bias * b.mean), power, 0.0)
    by_variance = quotient(-bias * structure, spread, 0.0)
    return Slopes((by_a, by_b), (by_variance, by_variance), quotient(2 * bias, spread, 0.0))


def _decorrelation(a: Moments, b: Moments, covariance: np.ndarray) -> Slopes:
    """Where a variance is 0 there is no slope."""
    root = np.sqrt(a.variance) * np.sqrt(b.variance)
    half = 0.5 * quotient(covariance, root, 0.0)
    by_variance = quotient(half, a.variance, 0.0), quotient(half, b.variance, 0.0)
    none = np.zeros(half.shape)
    return Slopes((none, none), by_variance, -quotient(np.ones(half.shape), root, 0.0))


def sliding_backward(
    dsums: np.ndarray,
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    weights: np.ndarray,
    moments: Callable[[np.ndarray], Moments],
    slopes: Callable[[Moments, Moments, np.ndarray], Slopes],
    valid: np.ndarray | None,
) -> np.ndarray:
    """``windows_backward_ref`` for any ``weights`` [S, S], moments of rows of them, and slopes."""
    side, flat = len(weights), weights.ravel()
    height, width = planes[0].shape
    good = np.ones((height, width), bool) if valid is None else valid != 0
    data = [np.where(good, p, 0).astype(np.float64) for p in planes]
    out = np.zeros((len(data), height, width))
    for y in range(max(0, height - side + 1) if width >= side else 0):
        rows = slice(y, y + side)
        made = [moments(p[rows]) for p in data]
        for g, (i, j) in zip(dsums, pairs, strict=True):
            a, b = made[i], made[j]
            s = slopes(a, b, (a.deviation * b.deviation * flat).sum(axis=1))
            for here, own, other, mean, variance in (
                (i, a, b, s.mean[0], s.variance[0]),
                (j, b, a, s.mean[1], s.variance[1]),
            ):
                varied = 2 * variance[:, None] * own.deviation
                varied += s.covariance[:, None] * other.deviation
                dx = g * (mean[:, None] + varied) * flat
                for x in range(width - side + 1):
                    if good[rows, x : x + side].all():
                        out[here, rows, x : x + side] += dx[x].reshape(side, side)
    return out


def windows_backward_ref(
    dsums: np.ndarray,
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    window: int,
    index: Index,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient of ``sum over k of dsums[k] * sum over windows of the index of pair k``.

    Parameters
    ----------
    dsums : array [pairs]
    planes, pairs, window, index, valid
        As in ``windows_ref``.

    Returns
    -------
    array [planes, H, W] float64
        0 where not valid.
    """
    weights = np.full((window, window), 1.0 / window**2)
    slopes = _uqi if index == "uqi" else _decorrelation

    def moments(rows: np.ndarray) -> Moments:
        return window_moments(rows, window)

    return sliding_backward(dsums, planes, pairs, weights, moments, slopes, valid)
