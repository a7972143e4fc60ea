"""The images of a call of an index without a truth, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..sensors import Sensor, get_sensor
from ._grids import both, coarse_mask, degrade, ms_gains, pan_gain
from ._inputs import as_images, as_mask, as_pan, grid_ratio, warn_of_units
from ._variants import Request, Spectra, get_variant

Gains = Sequence[float] | None

SAMPLES = 1 << 16  # of a band: a unit shows in few, and the indices are fast
WITHOUT: Any = object()  # an image that the index does not take; None is a mistake


class Scene:
    """Checked images of a call: fused [N, K, H, W], ms [N, K, h, w], pan [N, H, W]."""

    def __init__(
        self,
        fused: Any,
        ms: Any,
        pan: Any,
        mask: Any,
        sensor: str | Sensor | None,
        gains: Gains,
        phase: float | None = None,
    ) -> None:
        self.fused = as_images(fused, "fused")
        self.ms = None if ms is WITHOUT else as_images(ms, "ms")
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
        for i, (ms, pan) in enumerate(zip(self.ms, self.pan)):
            valid = self.valid(i)
            low = coarse_mask(valid, self.ratio)
            if warn_of_units(_magnitude(pan[None], valid), _magnitude(ms, low)):
                return

    def valid(self, i: int) -> np.ndarray | None:
        return None if self.mask is None else self.mask[i]

    def spectra(
        self,
        i: int,
        variant: str,
        window: int,
        pan_low: np.ndarray | None = None,
        *,
        spectral: bool = True,
    ) -> Spectra:
        """What the variant compares, of image ``i``."""
        assert self.ms is not None
        request = Request(
            self.fused[i],
            self.ms[i],
            None if self.pan is None else self.pan[i],
            None if pan_low is None else pan_low[i],
            self.ratio,
            window,
            pan_gain(self.sensor),
            self.valid(i),
            spectral,
            self.phase,
        )
        return get_variant(variant)(request)

    def reprojected(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The fused image on the MS grid, MS, and what is valid in both."""
        assert self.ms is not None
        low, valid = degrade(self.fused[i], self.ratio, self.gains, self.valid(i), self.phase)
        return low, self.ms[i], both(valid, coarse_mask(self.valid(i), self.ratio))


def _magnitude(image: np.ndarray, mask: np.ndarray | None) -> float:
    """Root of the mean square of valid pixels of [K, H, W], of every n-th row; 0 of none."""
    step = -(-image[0].size // SAMPLES)
    rows = image[:, ::step]
    values = rows if mask is None else rows[:, mask[::step] != 0]
    if not values.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sqrt(np.square(values, dtype=np.float64).mean()))
