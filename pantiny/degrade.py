"""The project's one Wald protocol: degrade an image pair by the ratio.

MS loses resolution through the sensor's MTF (a Gaussian with the sensor's gain at
the Nyquist frequency of the coarser grid), PAN through an antialiased cubic
(a = -0.5). Sample ``i`` of the coarse grid lies at ``r*i + (r-1)/2`` of the fine one;
edges are replicated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import OptionError, ShapeError
from .kernels.resample.resample_ref import (
    apply_taps,
    cubic_antialias_taps,
    cubic_taps,
    gaussian_radius,
    gaussian_taps,
)


def _coarse_shape(image: np.ndarray, ratio: int, name: str) -> tuple[int, int]:
    if not isinstance(ratio, int) or not 2 <= ratio <= 8:
        raise OptionError(f"ratio: got {ratio!r}; need a whole number from 2 to 8")
    height, width = image.shape[-2:]
    if height % ratio or width % ratio or not height or not width:
        raise ShapeError(
            f"{name}: its last two sizes are {height}x{width}; need multiples of the ratio "
            f"{ratio}; crop it to {height // ratio * ratio}x{width // ratio * ratio}"
        )
    return height // ratio, width // ratio


def degrade_ms(ms: np.ndarray, ratio: int, gains: Sequence[float]) -> np.ndarray:
    """MS blurred by the sensor's MTF and decimated.

    Parameters
    ----------
    ms : array [K, H, W]
        Any real dtype.
    ratio : int
        2 to 8; must divide H and W.
    gains : sequence of K floats
        MTF gain of each band at the Nyquist frequency of the coarse grid, in (0, 1).

    Returns
    -------
    array [K, H/ratio, W/ratio] float64
    """
    ms = np.asarray(ms)
    if ms.ndim != 3 or len(gains) != ms.shape[0]:
        raise ShapeError(
            f"ms: got shape {ms.shape} with {len(gains)} gains; need [K, H, W] and K gains"
        )
    height, width = _coarse_shape(ms, ratio, "ms")
    out = np.empty((ms.shape[0], height, width))
    radius = gaussian_radius(ratio, tuple(gains))
    for k, gain in enumerate(gains):
        rows = gaussian_taps(0, height, 1.0 / ratio, 0.0, gain, radius)
        cols = gaussian_taps(0, width, 1.0 / ratio, 0.0, gain, radius)
        out[k] = apply_taps(ms[k], rows, cols)
    return out


def degrade_pan(pan: np.ndarray, ratio: int) -> np.ndarray:
    """PAN [H, W] shrunk by ``ratio`` with an antialiased cubic; float64 [H/r, W/r]."""
    pan = np.asarray(pan)
    if pan.ndim != 2:
        raise ShapeError(f"pan: got shape {pan.shape}; need [H, W]")
    height, width = _coarse_shape(pan, ratio, "pan")
    rows = cubic_antialias_taps(0, height, ratio)
    cols = cubic_antialias_taps(0, width, ratio)
    return apply_taps(pan, rows, cols)


def upsample_ms(ms: np.ndarray, ratio: int) -> np.ndarray:
    """MS [K, h, w] on the PAN grid by cubic convolution (a = -0.5); float64 [K, h*r, w*r]."""
    ms = np.asarray(ms)
    rows = cubic_taps(0, ms.shape[-2] * ratio, 1.0 / ratio)
    cols = cubic_taps(0, ms.shape[-1] * ratio, 1.0 / ratio)
    return apply_taps(ms, rows, cols)
