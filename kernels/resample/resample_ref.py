"""Separable resampling between the MS and the PAN grid: the float64 truth.

A resampling along one axis is a *tap table*: for every output sample the index
of its first input sample and the weights of the following ones. Indices outside
the image are clamped, which replicates the edges.

Coordinates are pixel centres. ``offset`` and ``scale`` place the PAN grid in MS
pixels: the centre of PAN sample ``y`` lies at MS coordinate
``(y + 0.5) * scale + offset - 0.5``; for two grids that share their corner
``scale = 1 / ratio`` and ``offset = 0``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Taps(NamedTuple):
    """first [n] int64 (unclamped), weight [n, T] float64."""

    first: np.ndarray
    weight: np.ndarray


def cubic_weight(t: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0))


def cubic_taps(start: int, count: int, scale: float, offset: float = 0.0) -> Taps:
    """Taps that give PAN samples ``start .. start+count-1`` from MS samples (4 taps)."""
    position = (np.arange(start, start + count) + 0.5) * scale + offset - 0.5
    first = np.floor(position).astype(np.int64) - 1
    distance = position[:, None] - (first[:, None] + np.arange(4)[None, :])
    return Taps(first, cubic_weight(distance))


def gaussian_sigma(gain: float, ratio: float) -> float:
    """Standard deviation, in PAN pixels, of the Gaussian with ``gain`` at MS Nyquist."""
    return ratio / math.pi * math.sqrt(-2.0 * math.log(gain))


def gaussian_radius(ratio: float, gains: tuple[float, ...]) -> int:
    """Half the number of taps: four standard deviations of the widest band."""
    return max(math.ceil(4.0 * gaussian_sigma(g, ratio)) for g in gains)


def gaussian_taps(
    start: int, count: int, scale: float, offset: float, gain: float, radius: int
) -> Taps:
    """Taps that give MS samples from PAN samples: the sensor's MTF (2 * radius + 2 taps).

    The kernel is centred on the MS sample: between two PAN samples where the ratio
    is even, on one where it is odd. Taps further than ``radius`` from it weigh nothing.
    """
    sigma = gaussian_sigma(gain, 1.0 / scale)
    centre = (np.arange(start, start + count) + 0.5 - offset) / scale - 0.5
    first = np.floor(centre).astype(np.int64) - radius
    distance = centre[:, None] - (first[:, None] + np.arange(2 * radius + 2)[None, :])
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    far = np.abs(distance) > radius + 1e-6
    weight[far] = 0.0
    total = weight.sum(axis=1, keepdims=True)
    if (total < 1e-200).any():  # a gain next to 1: relative to the nearest tap, which is the same
        gap = np.abs(distance)
        nearest = gap.min(axis=1, keepdims=True)
        weight = np.exp(-0.5 * ((gap - nearest) / sigma) * ((gap + nearest) / sigma))
        weight[far] = 0.0
        total = weight.sum(axis=1, keepdims=True)
    return Taps(first, weight / total)


def cubic_antialias_taps(start: int, count: int, ratio: float, offset: float = 0.0) -> Taps:
    """Taps that shrink by ``ratio`` with the cubic stretched by ``ratio`` (4 * ceil(ratio) taps).

    ``offset`` is that of the fine grid in coarse pixels, as everywhere: coarse sample ``i``
    has its centre at ``(i + 0.5 - offset) * ratio - 0.5``.
    """
    reach = 2 * math.ceil(ratio)
    centre = (np.arange(start, start + count) + 0.5 - offset) * ratio - 0.5
    first = np.floor(centre).astype(np.int64) - reach + 1
    distance = centre[:, None] - (first[:, None] + np.arange(2 * reach)[None, :])
    weight = cubic_weight(distance / ratio)
    return Taps(first, weight / weight.sum(axis=1, keepdims=True))


def taps_matrix(taps: Taps, n_in: int) -> np.ndarray:
    """The tap table as a dense matrix [n_out, n_in] with clamped (replicated) edges."""
    n_out, width = taps.weight.shape
    matrix = np.zeros((n_out, n_in))
    index = np.clip(taps.first[:, None] + np.arange(width)[None, :], 0, n_in - 1)
    np.add.at(matrix, (np.arange(n_out)[:, None], index), taps.weight)
    return matrix


def apply_taps(image: np.ndarray, rows: Taps, cols: Taps) -> np.ndarray:
    """Resample the last two axes of ``image`` [..., H, W]; float64 in the result."""
    image = np.asarray(image, np.float64)
    height, width = image.shape[-2:]
    index = np.clip(cols.first[:, None] + np.arange(cols.weight.shape[1]), 0, width - 1)
    out = np.zeros((*image.shape[:-1], index.shape[0]))
    for t in range(index.shape[1]):
        out += image[..., index[:, t]] * cols.weight[:, t]
    index = np.clip(rows.first[:, None] + np.arange(rows.weight.shape[1]), 0, height - 1)
    result = np.zeros((*image.shape[:-2], index.shape[0], out.shape[-1]))
    for t in range(index.shape[1]):
        result += out[..., index[:, t], :] * rows.weight[:, t, None]
    return result
