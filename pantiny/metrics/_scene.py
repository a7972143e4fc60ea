"""The images of a call of an index without a truth, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..sensors import Sensor, get_sensor
from ._device import Images
from ._grids import both, coarse_mask, degrade, ms_gains, pan_gain
from ._inputs import Given, as_images, as_mask, as_pan, grid_ratio, warn_of_units
from ._variants import Request, Spectra, get_variant
from ._windows import block_means

Gains = Sequence[float] | None

SIDE_OF_BLOCKS = 8  # whose mean squares show a unit
SAMPLES = 1 << 16  # of a band: a unit shows in few, and the indices are fast
WITHOUT: Any = object()  # an image that the index does not take; None is a mistake


class Scene(Given):
    """Checked images of a call: fused [N, K, H, W], ms [N, K, h, w], pan [N, H, W].

    With ``device`` they may lie there.
    """

    def __init__(
        self,
        fused: Any,
        ms: Any,
        pan: Any,
        mask: Any,
        sensor: str | Sensor | None,
        gains: Gains,
        phase: float | None = None,
        *,
        device: bool = False,
    ) -> None:
        self.fused = as_images(fused, "fused", device=device)
        self.ms = None if ms is WITHOUT else as_images(ms, "ms", beside=self.fused)
        self.pan = None if pan is WITHOUT else as_pan(pan, self.fused)
        self.mask = as_mask(mask, self.fused)
        self.count, self.bands, self.height, self.width = self.fused.shape
        self.sensor, self._given, self.phase = get_sensor(sensor, self.bands), gains, phase
        self._gains: tuple[float, ...] | None = None
        self.ratio = 1 if self.ms is None else grid_ratio(self.fused, self.ms)

    @property
    def gains(self) -> tuple[float, ...]:
        """MTF gain of each band; looked up once, so that a warning comes once and when needed."""
        if self._gains is None:
            self._gains = ms_gains(self.sensor, self._given, self.bands)
        return self._gains

    def check_units(self) -> None:
        """Warn where PAN and MS cannot be in one unit."""
        assert self.ms is not None and self.pan is not None
        if isinstance(self.fused, Images):
            try:
                sizes = [_magnitudes(planes, self.mask, r) for planes, r in self._by_grid()]
            except DataError:
                return  # no block without a masked pixel: nothing to go by
            any(warn_of_units(pan, ms) for pan, ms in zip(*sizes))
            return
        for i, (ms, pan) in enumerate(zip(self.ms, self.pan)):
            valid = self.valid(i)
            low = coarse_mask(valid, self.ratio)
            if warn_of_units(_magnitude(pan[None], valid), _magnitude(ms, low)):
                return

    def _by_grid(self) -> list[tuple[list[Any], int]]:
        assert self.ms is not None
        return [([self.pan], 1), ([*self.ms], self.ratio)]

    def planes(self, i: int) -> list[Any]:
        """Bands of the fused image, then PAN."""
        return [*self._of(self.fused, i), self._of(self.pan, i)]

    def spectra(
        self,
        i: int,
        variant: str,
        window: int,
        pan_low: Any = None,
        *,
        spectral: bool = True,
    ) -> Spectra:
        """What the variant compares, of image ``i``."""
        assert self.ms is not None
        request = Request(
            self._of(self.fused, i),
            self._of(self.ms, i),
            self._of(self.pan, i),
            self._of(pan_low, i),
            self.ratio,
            window,
            pan_gain(self.sensor),
            self.valid(i),
            spectral,
            self.phase,
        )
        return get_variant(variant)(request)

    def reprojected(self, i: int) -> tuple[Any, Any, Any]:
        """The fused image on the MS grid, MS, and what is valid in both."""
        assert self.ms is not None
        fused, ms = self._of(self.fused, i), self._of(self.ms, i)
        low, valid = degrade(fused, self.ratio, self.gains, self.valid(i), self.phase)
        return low, ms, both(valid, coarse_mask(self.valid(i), self.ratio))


def _magnitudes(planes: list[Any], mask: Any, ratio: int) -> np.ndarray:
    """Roots of mean squares [N] of planes on a device, of every n-th row, in blocks without a
    masked pixel.

    Raises
    ------
    DataError
        If there is none.
    """
    _, height, width = planes[0].shape
    step, low = -(-height * width // SAMPLES), coarse_mask(mask, ratio)
    rows = [plane.every(step) for plane in planes]
    squares = block_means(
        rows,
        [(k, k) for k in range(len(rows))],
        min(SIDE_OF_BLOCKS, *rows[0].shape[1:]),
        lambda mean, variance, _: mean**2 + variance,
        None if low is None else low.every(step),
        mirror=False,
    )
    with np.errstate(invalid="ignore", over="ignore"):
        return np.sqrt(squares.mean(axis=-1))


def _magnitude(image: np.ndarray, mask: np.ndarray | None) -> float:
    """Root of the mean square of valid pixels of [K, H, W], of every n-th row; 0 of none."""
    step = -(-image[0].size // SAMPLES)
    rows = image[:, ::step]
    values = rows if mask is None else rows[:, mask[::step] != 0]
    if not values.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sqrt(np.square(values, dtype=np.float64).mean()))
