"""A pair of arrays as the streaming driver sees it."""

from __future__ import annotations

import numpy as np

from .options import holds

Mask = np.ndarray | None


def equals_nodata(values: np.ndarray, nodata: float) -> np.ndarray:
    """True where a value is nodata; NaN equals NaN."""
    if not holds(values.dtype, nodata):
        return np.zeros(values.shape, bool)
    return np.isnan(values) if nodata != nodata else values == values.dtype.type(nodata)


class ArraySource:
    """A pair in memory."""

    def __init__(
        self,
        ms: np.ndarray,
        pan: np.ndarray,
        nodata: float | None,
        ms_valid: Mask,
        valid: Mask,
        ratio: int,
    ) -> None:
        self._ms, self._pan = ms, pan
        self.shape = (pan.shape[0], pan.shape[1])
        self.ms_shape = (ms.shape[0], ms.shape[1], ms.shape[2])
        self.ms_dtype, self.pan_dtype = ms.dtype, pan.dtype
        if nodata is not None:
            good = np.logical_not(equals_nodata(ms, nodata).any(axis=0))
            ms_valid = good if ms_valid is None else ms_valid & good
            good = ~equals_nodata(pan, nodata)
            valid = good if valid is None else valid & good
        if ms_valid is not None and ms_valid.all():
            ms_valid = None
        if ms_valid is not None:
            covered = ms_valid.repeat(ratio, 0).repeat(ratio, 1)
            valid = covered if valid is None else valid & covered
        if valid is not None and valid.all():
            valid = None
        self._ms_valid = None if ms_valid is None else ms_valid.astype(np.uint8)
        self._valid = None if valid is None else valid.astype(np.uint8)
        self.masked, self.ms_masked = valid is not None, ms_valid is not None

    def ms(self, first: int, last: int) -> np.ndarray:
        return self._ms[:, first:last]

    def pan(self, first: int, last: int) -> np.ndarray:
        return self._pan[first:last]

    def ms_valid(self, first: int, last: int) -> np.ndarray | None:
        return None if self._ms_valid is None else self._ms_valid[first:last]

    def valid(self, first: int, last: int) -> np.ndarray | None:
        return None if self._valid is None else self._valid[first:last]


class ArraySink:
    """The result in memory."""

    ordered = False

    def __init__(self, fused: np.ndarray) -> None:
        self.fused, self.dtype = fused, fused.dtype

    def write(self, row: int, bands: list[int], fused: np.ndarray) -> None:
        for i, band in enumerate(bands):
            self.fused[band, row : row + fused.shape[1]] = fused[i]
