"""Between the grids: MS pixels under a mask, degradation and upsampling row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import OptionError, ShapeError
from ..kernels.resample.resample_ref import Taps, apply_taps, gaussian_radius, gaussian_taps
from ..sensors import UNKNOWN_GAIN, UNKNOWN_PAN_GAIN, Sensor, get_sensor


def ms_gains(sensor: str | Sensor | None, gains: Sequence[float] | None, bands: int) -> tuple:
    """MTF gain of each band at MS Nyquist: given, or the sensor's, or that of an unknown one.

    Raises
    ------
    OptionError, ShapeError
    """
    if gains is None:
        known = get_sensor(sensor, bands)
        return known.gains_for(bands) if known else (UNKNOWN_GAIN,) * bands
    found = tuple(float(g) for g in gains)
    if len(found) != bands:
        raise ShapeError(f"gains: got {len(found)} for {bands} bands; need one per band")
    if not all(0 < g < 1 for g in found):
        raise OptionError(f"gains: got {found}; need amplitudes between 0 and 1")
    return found


def pan_gain(sensor: str | Sensor | None) -> float:
    """MTF gain of PAN at its own Nyquist frequency, used to take it to the MS grid."""
    known = get_sensor(sensor)
    return known.pan_gain if known else UNKNOWN_PAN_GAIN


def coarse_mask(mask: np.ndarray | None, ratio: int) -> np.ndarray | None:
    """[h, w] uint8 of [H, W]: all pixels under an MS pixel are valid."""
    if mask is None:
        return None
    height, width = mask.shape
    return mask.reshape(height // ratio, ratio, width // ratio, ratio).min(axis=(1, 3))


class Degrade:
    """Rows of the PAN grid in, rows of the MS grid out, each through its band's Gaussian MTF.

    Parameters
    ----------
    shape : (int, int)
        Of the whole image on the PAN grid.
    ratio : int
    gains : sequence of float
        One per band.
    offset : float
        MS sample i lies at ``r * i + (r - 1) / 2 - r * offset``.

    Notes
    -----
    A sample whose kernel reaches a masked pixel is not valid. The same values for any pieces.
    """

    def __init__(
        self, shape: tuple[int, int], ratio: int, gains: Sequence[float], offset: float = 0.0
    ) -> None:
        self._height, self._ratio, self._gains, self._offset = shape[0], ratio, gains, offset
        self._radius = gaussian_radius(ratio, tuple(gains))
        count = shape[1] // ratio
        self._columns = [self._taps(0, count, gain) for gain in gains]
        self._held: np.ndarray | None = None
        self._held_mask: np.ndarray | None = None
        self._first = 0  # of the held rows
        self._next = 0  # coarse row

    def _taps(self, start: int, count: int, gain: float) -> Taps:
        return gaussian_taps(start, count, 1.0 / self._ratio, self._offset, gain, self._radius)

    def _needs(self, row: int) -> tuple[int, int]:
        """First and one past the last PAN row of a coarse row."""
        first = int(self._taps(row, 1, self._gains[0]).first[0])
        last = first + 2 * self._radius + 2
        return max(0, min(first, self._height - 1)), max(1, min(last, self._height))

    def update(
        self, image: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows [K, n, W] and mask [n, W]; gives [K, m, w] float64 and [m, w] uint8."""
        if mask is not None:
            image = np.where(mask != 0, image, 0)
        if self._held is None:
            self._held, self._held_mask = image, mask
        else:
            self._held = np.concatenate((self._held, image), axis=1)
            if mask is not None and self._held_mask is not None:
                self._held_mask = np.concatenate((self._held_mask, mask))
        there = self._first + self._held.shape[1]
        last = self._next
        while last < self._height // self._ratio and self._needs(last)[1] <= there:
            last += 1
        count = last - self._next
        made = np.stack([self._apply(b, k, count) for k, b in enumerate(self._held)])
        valid = None
        if self._held_mask is not None:
            widest = int(np.argmin(self._gains))
            touched = self._apply((self._held_mask == 0).astype(np.float64), widest, count)
            valid = (touched == 0).astype(np.uint8)
        self._next = last
        keep = self._needs(min(last, self._height // self._ratio - 1))[0]
        self._held = self._held[:, keep - self._first :].copy()
        if self._held_mask is not None:
            self._held_mask = self._held_mask[keep - self._first :].copy()
        self._first = keep
        return made, valid

    def _apply(self, plane: np.ndarray, band: int, count: int) -> np.ndarray:
        rows = self._taps(self._next, count, self._gains[band])
        return apply_taps(plane, Taps(rows.first - self._first, rows.weight), self._columns[band])


def degrade(
    image: np.ndarray,
    ratio: int,
    gains: Sequence[float],
    mask: np.ndarray | None = None,
    offset: float = 0.0,
) -> tuple[np.ndarray, np.ndarray | None]:
    """A whole image [K, H, W] on the MS grid, and what is valid there."""
    return Degrade(image.shape[-2:], ratio, gains, offset).update(image, mask)


def both(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Valid in both masks; None is valid everywhere."""
    if first is None or second is None:
        return second if first is None else first
    return first & second
