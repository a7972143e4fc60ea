"""Back-projection, so that the fused image degrades to the MS: the float64 truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..resample.resample_masked_ref import upsample_masked_ref
from ..resample.resample_ref import (
    Taps,
    apply_taps,
    cubic_taps,
    gaussian_radius,
    gaussian_taps,
)

# Half, less a margin for rounding: a straight nodata edge through the middle of a symmetric
# kernel leaves exactly half of its weight, and that sample is to exist in every precision.
MIN_COVERAGE = 0.5 - 1e-4


def mtf_taps(
    shape: tuple[int, int],
    gains: Sequence[float],
    scale: tuple[float, float],
    offset: tuple[float, float],
) -> list[tuple[Taps, Taps]]:
    """Row and column taps of every band; both axes and all bands share the widest radius."""
    radius = max(gaussian_radius(1.0 / s, tuple(gains)) for s in scale)
    return [
        (
            gaussian_taps(0, shape[0], scale[0], offset[0], gain, radius),
            gaussian_taps(0, shape[1], scale[1], offset[1], gain, radius),
        )
        for gain in gains
    ]


def coverage_ref(
    valid: np.ndarray,
    shape: tuple[int, int],
    gains: Sequence[float],
    scale: tuple[float, float],
    offset: tuple[float, float],
) -> np.ndarray:
    """The weight of each MS sample's kernel that lies on valid pixels, [K, h, w]."""
    return np.stack([apply_taps(valid, *t) for t in mtf_taps(shape, gains, scale, offset)])


def degrade_masked_ref(
    fused: np.ndarray,
    valid: np.ndarray,
    shape: tuple[int, int],
    gains: Sequence[float],
    scale: tuple[float, float],
    offset: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray]:
    """The sensor's blur and sampling, normalised over the pixels that exist.

    Parameters
    ----------
    fused : array [K, H, W]
    valid : array [H, W] bool
    shape : (int, int)
        h, w of the MS grid.
    gains : sequence of K floats
    scale, offset : (float, float)

    Returns
    -------
    degraded : array [K, h, w] float64
        ``sum(w valid fused) / sum(w valid)``; 0 where it does not exist.
    exists : array [K, h, w] bool
        True where the valid pixels hold at least half of the kernel's weight.
    """
    fused = np.where(valid, np.asarray(fused, np.float64), 0.0)
    taps = mtf_taps(shape, gains, scale, offset)
    total = np.stack([apply_taps(band, *t) for band, t in zip(fused, taps, strict=True)])
    weight = coverage_ref(valid, shape, gains, scale, offset)
    exists = weight >= MIN_COVERAGE
    return np.divide(total, weight, out=np.zeros(total.shape), where=exists), exists


def consistency_ref(
    fused: np.ndarray,
    ms: np.ndarray,
    gains: Sequence[float],
    steps: int,
    *,
    scale: tuple[float, float] | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    valid: np.ndarray | None = None,
    ms_valid: np.ndarray | None = None,
) -> np.ndarray:
    """``steps`` times ``fused += up(ms - degrade(fused))``.

    Parameters
    ----------
    fused : array [K, H, W]
    ms : array [K, h, w]
        In the units of ``fused``; anything (also NaN) where not valid.
    gains : sequence of K floats
        MTF gain of each band at the Nyquist frequency of the MS grid, in (0, 1).
    steps : int
        0 leaves the image alone.
    scale, offset : (float, float), optional
        Place of the PAN grid in MS pixels, rows and columns, as in ``cubic_taps``.
        Default: the grids share their corners, ``scale = (h / H, w / W)``.
    valid : array [H, W] bool, optional
        Pixels of ``fused`` that exist. The others are neither read nor changed.
    ms_valid : array [h, w] bool, optional
        Samples of ``ms`` that exist.

    Returns
    -------
    array [K, H, W] float64

    Notes
    -----
    With a mask, the residual of an MS sample exists where the sample does and the valid
    pixels hold at least half of its kernel's weight; it is upsampled by
    ``upsample_masked_ref``. With masks that are all True the result is the unmasked one.
    """
    fused = np.array(fused, np.float64)
    ms = np.asarray(ms, np.float64)
    if not fused.size:
        return fused
    shape, coarse = fused.shape[1:], ms.shape[1:]
    if scale is None:
        scale = coarse[0] / shape[0], coarse[1] / shape[1]
    if valid is None and ms_valid is None:
        taps = mtf_taps(coarse, gains, scale, offset)
        rows, cols = (cubic_taps(0, shape[i], scale[i], offset[i]) for i in range(2))
        for _ in range(steps):
            low = [apply_taps(band, *t) for band, t in zip(fused, taps, strict=True)]
            fused += apply_taps(ms - np.stack(low), rows, cols)
        return fused
    valid = np.ones(shape, bool) if valid is None else valid
    known = np.ones(coarse, bool) if ms_valid is None else ms_valid
    for _ in range(steps):
        degraded, exists = degrade_masked_ref(fused, valid, coarse, gains, scale, offset)
        update = upsample_masked_ref(ms - degraded, exists & known, shape, scale, offset)
        fused = np.where(valid, fused + update, fused)
    return fused
