"""One look at all pixels before fusing: NaN, largest DN, valid share, scale."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from .engine import Source
from .errors import BitDepthWarning, DataError
from .options import Radiometry
from .scaling import Quantile, infer_bits, peak_of, scene_scale

log = logging.getLogger("pantiny")
_AT_ONCE = 1 << 17  # values sorted into the histogram together


def check_finite(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity among valid pixels."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        nans = int(np.isnan(values).sum())
        infinite = int(np.isinf(values).sum())
        fix = "if NaN marks missing pixels, pass nodata=float('nan') (--nodata nan)"
        if infinite:
            fix = "replace infinite values before fusing, or mask those pixels"
        raise DataError(
            f"{name}: got {nans} NaN and {infinite} infinite values among the valid pixels; "
            f"need finite values; {fix}"
        )


def _widened(known: np.ndarray | None, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The range [2, ...] that also holds ``low`` and ``high``."""
    found = np.stack([low, high]).astype(np.float64)
    if known is None:
        return found
    return np.stack([np.minimum(known[0], found[0]), np.maximum(known[1], found[1])])


class Survey:
    """One look at all pixels before fusing: percentiles, largest DN, NaN, valid share.

    Parameters
    ----------
    ms_dtype : numpy dtype
    groups : list of tuple of int
        Bands of each group; each gets its own percentile.
    contract : {"peak", "scene"}
    """

    def __init__(self, ms_dtype: np.dtype, groups: list[tuple[int, ...]], contract: str) -> None:
        self._groups = [sorted(set(g)) for g in groups]
        self._quantiles = [Quantile(ms_dtype) for _ in groups] if contract == "scene" else []
        self.contract = contract
        self.sweeps = self._quantiles[0].sweeps if self._quantiles else 1
        self.largest = 0.0
        self.ms_range: np.ndarray | None = None  # [2, K]: smallest and largest valid DN
        self.pan_range: np.ndarray | None = None  # [2]
        self.valid_pixels = 0
        self.pixels = 0
        self.ms_complete = True

    def add_ms(self, ms: np.ndarray, valid: np.ndarray | None, first_sweep: bool) -> None:
        """Rows [K, rows, w] and their mask."""
        picked = ms.reshape(ms.shape[0], -1) if valid is None else ms[:, valid != 0]
        if first_sweep:
            self.ms_complete = self.ms_complete and picked.size == ms.size
            check_finite(picked, "ms")
            if picked.size:
                self.ms_range = _widened(self.ms_range, picked.min(axis=1), picked.max(axis=1))
                self.largest = max(self.largest, float(self.ms_range[1].max()))
        for bands, quantile in zip(self._groups, self._quantiles):
            quantile.add(picked[bands].reshape(-1))

    def add_pan(self, pan: np.ndarray, valid: np.ndarray | None) -> None:
        """Rows [rows, W] and the mask of what will be fused."""
        picked = pan if valid is None else pan[valid != 0]
        check_finite(picked, "pan")
        self.pixels += pan.size
        self.valid_pixels += picked.size
        if picked.size:
            self.pan_range = _widened(self.pan_range, picked.min(), picked.max())
            self.largest = max(self.largest, float(self.pan_range[1]))

    def end_sweep(self) -> None:
        """Between the two sweeps a float scene needs."""
        for quantile in self._quantiles:
            quantile.end_sweep()

    def require_valid(self) -> None:
        """Refuse a pair without a valid pixel."""
        if not self.valid_pixels:
            raise DataError(
                "ms, pan: no pixel is valid in both; need at least one that is neither nodata nor "
                "masked; check the nodata value and the masks"
            )

    def finish(self, ms_dtype: np.dtype, bits: int | None) -> list[float]:
        """DN per network value of each group; warns where the bit depth had to be inferred."""
        if self.contract == "scene":
            return [scene_scale(q.value()) for q in self._quantiles]
        if bits is None:
            bits = infer_bits(ms_dtype, self.largest)
            warnings.warn(
                f"bits: not stated; {bits} bits inferred from dtype {ms_dtype} and the largest DN "
                f"{self.largest:g}; pass bits= or sensor= to be sure",
                BitDepthWarning,
                stacklevel=5,
            )
        return [peak_of(bits)] * len(self._groups)

    def report(self, bits: int | None, scales: list[float], high: float) -> str:
        """One line on what was found, for the log."""
        depth = f"{bits} bits" if bits is not None else "bits not stated"
        how = "scene's 99th percentile" if self.contract == "scene" else "peak"
        unit = f"network value = DN / {', '.join(f'{s:g}' for s in scales)} ({how}); "
        share = self.valid_pixels / max(1, self.pixels)
        return (
            f"{depth}, output saturates at {high:g}; {unit if scales else ''}"
            f"largest DN {self.largest:g}; {share:.1%} of the pixels are valid"
        )


def survey(
    source: Source,
    radiometry: Radiometry,
    groups: list[tuple[int, ...]],
    contract: str,
    rows: int = 256,
) -> list[float]:
    """DN per network value of each group of bands, from one look at the whole pair.

    A mask without a hole is dropped from the source: such a pair gives the bits of one that
    has no mask.

    Parameters
    ----------
    source : Source
    radiometry : Radiometry
    groups : list of tuple of int
        Bands of each group.
    contract : {"peak", "scene"}
    rows : int
        Rows to look at together; the result does not depend on it.

    Raises
    ------
    DataError
        If a valid value is not finite, or no pixel is valid.
    """
    found = look(source, groups, contract, rows)
    scales = found.finish(source.ms_dtype, radiometry.bits)
    log.info("%s", found.report(radiometry.bits, scales, radiometry.high))
    return scales


def look(source: Source, groups: list[tuple[int, ...]], contract: str, rows: int = 256) -> Survey:
    """The look that `survey` takes; without groups only checks, ranges and valid pixels."""
    found = Survey(source.ms_dtype, groups, contract)
    for sweep in range(found.sweeps):
        if sweep:
            found.end_sweep()
        for row in range(0, source.ms_shape[1], rows):
            end = min(row + rows, source.ms_shape[1])
            ms, ms_valid = source.ms(row, end), source.ms_valid(row, end)
            step = max(1, _AT_ONCE // (ms.shape[0] * ms.shape[2]))
            for at in range(0, end - row, step):  # small temporaries, whatever the scene
                piece = None if ms_valid is None else ms_valid[at : at + step]
                found.add_ms(ms[:, at : at + step], piece, sweep == 0)
        if sweep == 0:  # before end_sweep, which an empty scene cannot pass
            for row in range(0, source.shape[0], rows):
                end = min(row + rows, source.shape[0])
                found.add_pan(source.pan(row, end), source.valid(row, end))
            found.require_valid()
    source.ms_masked = source.ms_masked and not found.ms_complete
    source.masked = source.masked and found.valid_pixels < found.pixels
    return found
