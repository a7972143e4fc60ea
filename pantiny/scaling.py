"""The scale contract: how DN become network values.

A model file names one of two contracts. ``peak``: network value = DN / (2^bits - 1).
``scene``: network value = DN / (2 * the 99th percentile of the scene's MS), so that
exposure and bit depth matter less. The percentile is an exact order statistic taken
from a histogram, so it does not depend on tiles or threads.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .errors import DataError

ScaleContract = Literal["peak", "scene"]
SCENE_QUANTILE = 0.99
SCENE_FACTOR = 2.0
BIT_DEPTHS = (8, 10, 11, 12, 14, 16)
_HALF = 65536


class _Histogram:
    """Counts of 16-bit keys; only the span of keys seen is touched."""

    def __init__(self) -> None:
        self._counts = np.zeros(_HALF, np.int64)
        self._first, self._end = _HALF, 0
        self.total = 0

    def add(self, keys: np.ndarray) -> None:
        if not keys.size:
            return
        first = int(keys.min())
        found = np.bincount(keys - keys.dtype.type(first))
        self._counts[first : first + found.size] += found
        self._first = min(self._first, first)
        self._end = max(self._end, first + found.size)
        self.total += keys.size

    def find(self, rank: int) -> tuple[int, int]:
        """Key of the value of a rank, and the value's rank among those of the key."""
        counts = self._counts[self._first : self._end]
        cumulated = np.cumsum(counts)
        at = int(np.searchsorted(cumulated, rank))
        return self._first + at, rank - int(cumulated[at] - counts[at])


class Quantile:
    """Exact order statistic of a stream of values in constant memory.

    Values are ordered by a 32-bit key and counted by its upper half; for element
    types wider than 16 bits a second sweep counts the lower half inside one bin.

    Parameters
    ----------
    dtype : numpy dtype
        uint8, uint16, int16 or float32.
    q : float
        In (0, 1]; the statistic of rank ``ceil(q * n)``.
    """

    def __init__(self, dtype: np.dtype, q: float = SCENE_QUANTILE) -> None:
        self.dtype = np.dtype(dtype)
        self.sweeps = 2 if self.dtype.itemsize > 2 else 1
        self._q = q
        self._upper, self._lower = _Histogram(), _Histogram()
        self._bin = -1
        self._rank_in_bin = 0

    def _key(self, values: np.ndarray) -> np.ndarray:
        if self.dtype == np.float32:  # order-preserving map of IEEE floats to uint32
            bits = values.view(np.uint32)
            return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
        shift = 32768 if self.dtype.kind == "i" else 0
        return (values.astype(np.int64) + shift).astype(np.uint32)

    def add(self, values: np.ndarray) -> None:
        """Count valid values (1-D, of the stated dtype) in the current sweep."""
        key = self._key(np.ascontiguousarray(values, self.dtype))
        if self.sweeps == 1:
            self._upper.add(key)
        elif self._bin < 0:
            self._upper.add(key >> 16)
        else:
            self._lower.add(key[(key >> 16) == self._bin] & 0xFFFF)

    @property
    def count(self) -> int:
        """Number of values seen in the first sweep."""
        return self._upper.total

    def end_sweep(self) -> None:
        """Close the first sweep of a two-sweep statistic.

        Raises
        ------
        DataError
            If nothing was counted.
        """
        if not self.count:
            raise DataError(
                "ms: no valid pixel; need at least one pixel that is neither nodata nor masked; "
                "check nodata= and mask="
            )
        rank = max(1, math.ceil(self._q * self.count))
        self._bin, self._rank_in_bin = self._upper.find(rank)

    def value(self) -> float:
        """The order statistic.

        Raises
        ------
        DataError
            If nothing was counted.
        """
        if self.sweeps == 1 or not self.count:
            self.end_sweep()
            return float(self._bin - (32768 if self.dtype.kind == "i" else 0))
        low, _ = self._lower.find(self._rank_in_bin)
        key = np.uint32((self._bin << 16) | low)
        bits = key & np.uint32(0x7FFFFFFF) if key >> 31 else ~key
        return float(np.array([bits], np.uint32).view(np.float32)[0])


def scene_scale(quantile: float) -> float:
    """DN per network value of a scene whose MS has this 99th percentile.

    Raises
    ------
    DataError
        If the network's float32 cannot hold what comes of it.
    """
    if quantile > 0 and not 1e-30 < SCENE_FACTOR * quantile < 1e30:
        raise DataError(
            f"ms: 99 % of the values lie below {quantile:.3g}; need a number between 1e-30 and "
            "5e29 there, or float32 does not hold what the network computes; bring ms and pan "
            "into another unit"
        )
    return SCENE_FACTOR * quantile if quantile > 0 else 1.0


def array_scene_scale(ms: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Scene scale of an MS array [K, h, w]; ``valid`` [h, w] marks the pixels to count."""
    dtype = ms.dtype if ms.dtype in (np.uint8, np.uint16, np.int16) else np.dtype(np.float32)
    quantile = Quantile(dtype)
    values = (ms if valid is None else ms[:, valid]).reshape(-1)
    for _ in range(quantile.sweeps):
        quantile.add(values)
        if quantile.sweeps == 2 and quantile._bin < 0:
            quantile.end_sweep()
    return scene_scale(quantile.value())


def peak_of(bits: int) -> float:
    """Largest DN of a bit depth."""
    return float(2**bits - 1)


def infer_bits(dtype: np.dtype, largest: float) -> int:
    """Bit depth from the dtype and the largest DN seen.

    uint8 is 8 bits. Anything else is the smallest of 8, 10, 11, 12, 14, 16 bits that
    holds the largest DN (16 where none does).
    """
    if np.dtype(dtype) == np.uint8:
        return 8
    return next((b for b in BIT_DEPTHS if largest <= peak_of(b)), 16)
