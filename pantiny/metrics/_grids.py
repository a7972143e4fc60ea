"""Between the grids: MS pixels under a mask, degradation and upsampling row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine import core
from ..errors import CoreError, OptionError, ShapeError
from ..kernels.resample.resample_ref import gaussian_radius, gaussian_taps
from ..sensors import UNKNOWN_GAIN, UNKNOWN_PAN_GAIN, Sensor, get_sensor
from ..system import resolve_threads
from ._device import Images, Plane, reach, shrink
from ._rows import join

Phase = float | tuple[float, float] | None


def ms_gains(sensor: str | Sensor | None, gains: Sequence[float] | None, bands: int) -> tuple:
    """MTF gain of each band at MS Nyquist: given, or the sensor's, or that of an unknown one.

    Which bands of a sensor an image has: see ``Sensor.gains_for``.

    Raises
    ------
    OptionError, ShapeError
    """
    if gains is None:
        known = get_sensor(sensor, bands)
        return known.gains_for(bands) if known else (UNKNOWN_GAIN,) * bands
    found = check_gains(gains)
    if len(found) != bands:
        raise ShapeError(f"gains: got {len(found)} for {bands} bands; need one per band")
    return found


def check_gains(gains: Sequence[float]) -> tuple[float, ...]:
    """Amplitudes.

    Raises
    ------
    OptionError
    """
    try:
        found = tuple(float(g) for g in gains)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"gains: got {gains!r}; need one number per band; take them from pantiny.sensors"
        ) from error
    if not all(0 < g < 1 for g in found):
        raise OptionError(f"gains: got {found}; need amplitudes between 0 and 1")
    return found


def pan_gain(sensor: str | Sensor | None) -> float:
    """MTF gain of PAN at its own Nyquist frequency, used to take it to the MS grid."""
    known = get_sensor(sensor)
    return known.pan_gain if known else UNKNOWN_PAN_GAIN


def coarse_mask(mask: Any, ratio: int) -> Any:
    """[h, w] uint8 of [H, W]: all pixels under an MS pixel are valid; None of None."""
    if mask is None:
        return None
    if isinstance(mask, Plane):
        _, height, width = mask.shape
        return reach(mask, np.ones((2, ratio)), (0, 0), ratio, (height // ratio, width // ratio))
    height, width = mask.shape
    return mask.reshape(height // ratio, ratio, width // ratio, ratio).min(axis=(1, 3))


def check_phase(phase: object, ratio: int) -> float:
    """A place among the PAN pixels of an MS pixel, or next to them.

    Raises
    ------
    OptionError
    """
    if isinstance(phase, (int, float, np.number)) and -ratio <= phase <= 2 * ratio:
        return float(phase)
    raise OptionError(
        f"phase: got {phase!r}; need the PAN pixel under the centre of MS pixel 0, {-ratio} to "
        f"{2 * ratio}; leave it out for the middle, {(ratio - 1) / 2:g}"
    )


class Degrade:
    """Rows of the PAN grid in, rows of the MS grid out, each through its band's Gaussian MTF.

    Parameters
    ----------
    shape : (int, int)
        Of the whole image on the PAN grid.
    ratio : int
    gains : sequence of float
        One per band.
    phase : float or (float, float), optional
        PAN row and column under MS sample 0: i lies at ``r * i + phase``; default the middle of
        the pixels it covers, ``(r - 1) / 2``.

    Notes
    -----
    A sample whose kernel reaches a masked pixel is not valid. The same values for any pieces.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        ratio: int,
        gains: Sequence[float],
        phase: Phase = None,
    ) -> None:
        self._rows, self._ratio = shape[0], ratio
        self._count, self._width = shape[0] // ratio, shape[1] // ratio
        radius = gaussian_radius(ratio, tuple(gains))
        # the weights of every sample are those of the first: the ratio is a whole number
        pair = phase if isinstance(phase, (tuple, list)) and len(phase) == 2 else (phase, phase)
        taps = []  # of rows and of columns
        for one in pair:
            offset = 0.0 if one is None else ((ratio - 1) / 2 - check_phase(one, ratio)) / ratio
            taps.append([gaussian_taps(0, 1, 1.0 / ratio, offset, g, radius) for g in gains])
        self._weights = [[np.ascontiguousarray(t.weight[0]) for t in along] for along in zip(*taps)]
        # of the first sample, on the PAN grid
        self._start, self._left = (int(along[0].first[0]) for along in taps)
        self._widest = int(np.argmin(gains))
        self._threads = resolve_threads(None)
        self._held: np.ndarray | None = None
        self._held_mask: np.ndarray | None = None
        self._first = 0  # of the held rows
        self._next = 0  # coarse row

    def _needs(self, row: int) -> tuple[int, int]:
        """First and one past the last PAN row of a coarse row."""
        first = self._start + row * self._ratio
        last = first + len(self._weights[0][0])
        return min(max(0, first), self._rows - 1), max(1, min(last, self._rows))

    def update(
        self, image: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows [K, n, W] and mask [n, W]; gives [K, m, w] float64 and [m, w] uint8."""
        if mask is not None:
            image = np.where(mask != 0, image, 0)
        if self._held is None:
            self._held, self._held_mask = image, mask
        else:
            self._held = join(self._held, image)
            if mask is not None and self._held_mask is not None:
                self._held_mask = join(self._held_mask, mask)
        there = self._first + self._held.shape[1]
        last = self._next
        while last < self._count and self._needs(last)[1] <= there:
            last += 1
        count = last - self._next
        made = np.stack([self._apply(b, k, count) for k, b in enumerate(self._held)])
        valid = None
        if self._held_mask is not None:
            touched = self._apply(1 - self._held_mask, self._widest, count)
            valid = (touched == 0).astype(np.uint8)
        self._next = last
        keep = self._needs(min(last, self._count - 1))[0]
        self._held = self._held[:, keep - self._first :].copy()
        if self._held_mask is not None:
            self._held_mask = self._held_mask[keep - self._first :].copy()
        self._first = keep
        return made, valid

    def there(self, images: Images, mask: Plane | None) -> tuple[Images, Plane | None]:
        """Whole images on a device: [N, K, h, w] float64 and what is valid, [N, h, w]."""
        weights = np.array(self._weights)
        place = (self._start, self._left), self._ratio, (self._count, self._width)
        made = shrink(images, weights, *place, mask, int(core().MAX_PLANES))
        valid = None if mask is None else reach(mask, weights[self._widest], *place)
        return made, valid

    def _apply(self, plane: np.ndarray, band: int, count: int) -> np.ndarray:
        rows, cols = self._weights[band]
        try:
            made = core().shrink_run(
                plane=plane,
                valid=None,
                first_row=self._start + self._next * self._ratio - self._first,
                first_col=self._left,
                step=self._ratio,
                row_weights=rows,
                col_weights=cols,
                out_rows=count,
                cols=self._width,
                threads=self._threads,
            )
        except RuntimeError as error:
            raise CoreError(f"degrade: refused by the core: {error}") from error
        return np.asarray(made)


def degrade(
    image: Any,
    ratio: int,
    gains: Sequence[float],
    mask: Any = None,
    phase: Phase = None,
) -> tuple[Any, Any]:
    """A whole image [K, H, W], or `Images`, on the MS grid, and what is valid there."""
    made = Degrade(image.shape[-2:], ratio, gains, phase)
    return made.there(image, mask) if isinstance(image, Images) else made.update(image, mask)


def both(first: Any, second: Any) -> Any:
    """Valid in both masks; None is valid everywhere."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, Plane):  # both on the MS grid
        return reach(first, np.ones((2, 1)), (0, 0), 1, first.shape[1:], second)
    return first & second
