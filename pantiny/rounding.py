"""From float64 results to the DN of the output."""

from __future__ import annotations

import numpy as np


def to_dn(
    values: np.ndarray,
    dtype: np.dtype,
    low: float,
    high: float,
    fill: float,
    reserve: bool,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Rounded half to even and saturated.

    Parameters
    ----------
    values : array [K, rows, W] float64
        Anything, also NaN, where not valid. Overwritten.
    dtype : numpy dtype
    low, high : float
        Saturation limits.
    fill : float
        Value of pixels that are not valid.
    reserve : bool
        Keep valid pixels away from ``fill``: one that would equal it moves to the next value.
    valid : array [rows, W], optional
        Nonzero where a pixel is valid.

    Returns
    -------
    array [K, rows, W] of ``dtype``
    """
    missing = None if valid is None else valid == 0
    if missing is not None:
        values[:, missing] = 0.0
    np.clip(values, low, high, out=values)
    if dtype.kind == "f":
        values = values.astype(dtype, copy=False)
    else:
        np.rint(values, out=values)
    if reserve:
        values[values == fill] = _beside(fill, high, dtype)
    if missing is not None:
        values[:, missing] = fill
    return values.astype(dtype, copy=False)


def _beside(fill: float, high: float, dtype: np.dtype) -> float:
    """What a valid pixel becomes that would equal ``fill``."""
    if dtype.kind == "f":
        return float(np.nextafter(np.float32(fill), np.float32(high)))
    return fill + 1 if fill + 1 <= high else fill - 1
