"""Upsampling an MS image with missing samples: the float64 truth.

Where all 16 samples that the cubic reads exist, the cubic. Elsewhere the bilinear
mean of those of the 4 nearest samples that exist, and 0 where none of them does.
Indices outside the image are clamped and then asked whether they exist.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .resample_ref import Taps, apply_taps, cubic_taps

# A sample of weight zero counts as missing. Where the PAN pixel lies on an MS sample the
# weight of its neighbours is rounding noise, 1e-16 of either sign, and would be normalised
# up to one; no useful geometry has a true weight between that and 1e-6.
MIN_WEIGHT = 1e-6


def linear_taps(start: int, count: int, scale: float, offset: float = 0.0) -> Taps:
    """Taps of linear interpolation, placed like ``cubic_taps`` (the middle 2 of its 4)."""
    position = (np.arange(start, start + count) + 0.5) * scale + offset - 0.5
    first = np.floor(position).astype(np.int64)
    distance = position - first
    return Taps(first, np.stack([1.0 - distance, distance], axis=1))


class UpsamplePlan(NamedTuple):
    """How each PAN pixel is made.

    Attributes
    ----------
    cubic, near : (Taps, Taps)
        Rows and columns.
    complete : array [..., H, W] bool
        All samples of the cubic exist.
    weight : array [..., H, W] float64
        Of the nearest samples, what exists.
    some : array [..., H, W] bool
        Not complete, but a nearest sample exists.
    """

    cubic: tuple[Taps, Taps]
    near: tuple[Taps, Taps]
    complete: np.ndarray
    weight: np.ndarray
    some: np.ndarray


def upsample_plan(
    exists: np.ndarray,
    shape: tuple[int, int],
    scale: tuple[float, float],
    offset: tuple[float, float],
) -> UpsamplePlan:
    """The plan for the samples ``exists`` [..., h, w]."""
    cubic, near = (
        (taps(0, shape[0], scale[0], offset[0]), taps(0, shape[1], scale[1], offset[1]))
        for taps in (cubic_taps, linear_taps)
    )
    rows, cols = (Taps(taps.first, np.ones(taps.weight.shape)) for taps in cubic)
    complete = apply_taps(exists, rows, cols) == 16.0  # sums of ones are exact
    weight = apply_taps(exists, *near)
    return UpsamplePlan(cubic, near, complete, weight, ~complete & (weight > MIN_WEIGHT))


def upsample_masked_ref(
    ms: np.ndarray,
    ms_valid: np.ndarray,
    shape: tuple[int, int],
    scale: tuple[float, float],
    offset: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """MS with missing samples on the PAN grid.

    Parameters
    ----------
    ms : array [K, h, w]
        Anything (also NaN) where a sample is missing.
    ms_valid : array [h, w] or [K, h, w] bool
        False where a sample is missing.
    shape : (int, int)
        H, W of the PAN grid.
    scale, offset : (float, float)
        Rows and columns, as in ``cubic_taps``.

    Returns
    -------
    array [K, H, W] float64
    """
    exists = np.broadcast_to(ms_valid, np.shape(ms))
    ms = np.where(exists, np.asarray(ms, np.float64), 0.0)
    plan = upsample_plan(exists, shape, scale, offset)
    near = np.divide(
        apply_taps(ms, *plan.near), plan.weight, out=np.zeros(plan.weight.shape), where=plan.some
    )
    return np.where(plan.complete, apply_taps(ms, *plan.cubic), near)
