"""One image of a pair, degraded in bands of rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.windows import Window

from ..errors import MemoryBudgetError
from ..filters import Degrader
from ..raster import RasterPair, read_window
from ..raster_out import RasterSink
from ..rounding import to_dn
from ..survey import check_finite
from ..system import format_bytes

_PIECE = 32  # coarse rows that one thread makes together


@dataclass(frozen=True)
class Image:
    """One of the two images: what is read, what is written."""

    name: str
    files: list[Any]
    pair: RasterPair
    masked: bool
    filters: list[Degrader]
    ms_dtype: np.dtype  # named as in RasterPair, which output_profile expects
    low: float
    high: float
    fill: float
    reserve: bool

    @property
    def bands(self) -> int:
        return len(self.filters)

    @property
    def shape(self) -> tuple[int, int]:
        return self.filters[0].shape

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray | None]:
        """[K, rows, W] and where it is valid."""
        window = Window(0, first, self.files[0].width, last - first)
        parts = [read_window(f, self.name, window=window) for f in self.files]
        image = parts[0] if len(parts) == 1 else np.concatenate(parts)
        good = None
        if self.masked:
            good = np.ones(image.shape[1:], bool)
            for file in self.files:
                good &= self.pair.good(file, self.name, window)
        if image.dtype.kind == "f":
            bad = ~np.isfinite(image)
            if good is not None:
                bad &= good
            if bad.any():
                check_finite(image if good is None else image[:, good], self.name)
        return image, good

    def band_bytes(self, rows: int, threads: int) -> int:
        """What a band of coarse rows takes."""
        first, last = self.filters[0].reads(0, min(rows, self.shape[0]))
        piece = self.filters[0].reads(0, min(rows, _PIECE, self.shape[0]))
        width, fine = self.files[0].width, last - first
        masks = self.bands + 4 if self.masked else 0
        masks += self.bands if self.ms_dtype.kind == "f" else 0
        source = fine * width * (2 * self.bands * self.ms_dtype.itemsize + masks)
        result = rows * self.shape[1] * self.bands * (8 + 2 * self.ms_dtype.itemsize + 8)
        held = (piece[1] - piece[0]) * 8 * ((3 if self.masked else 1) * width + 3 * self.shape[1])
        tables = sum(f.bytes for f in {id(f): f for f in self.filters}.values())
        return source + result + threads * held + tables

    def band_rows(self, budget: int, threads: int) -> int:
        """The most coarse rows at once that the budget holds."""
        for rows in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
            if self.band_bytes(rows, threads) <= budget:
                return rows
        need = self.band_bytes(1, threads)
        raise MemoryBudgetError(
            f"memory: {format_bytes(budget)} is too little for {self.name} of "
            f"{self.files[0].width} pixels a row; one row of the result needs "
            f"{format_bytes(need)}; raise memory="
        )

    def stream(
        self, sink: RasterSink, rows: int, pool: ThreadPoolExecutor, tell: Callable[[int], None]
    ) -> None:
        """Write every row."""
        height = self.shape[0]
        for y0 in range(0, height, rows):
            y1 = min(y0 + rows, height)
            self._band(sink, y0, y1, pool)  # what it holds is gone before the next one reads
            tell(y1 - y0)

    def _band(self, sink: RasterSink, y0: int, y1: int, pool: ThreadPoolExecutor) -> None:
        first, last = self.filters[0].reads(y0, y1)
        image, valid = self.read(first, last)
        values = np.empty((self.bands, y1 - y0, self.shape[1]))
        good = np.ones(values.shape[1:], bool)
        tasks = [(k, a) for a in range(y0, y1, _PIECE) for k in range(self.bands)]

        def degraded(task: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
            k, a = task
            return self.filters[k](image[k], valid, first, a, min(a + _PIECE, y1))

        for (k, a), (piece, exists) in zip(tasks, pool.map(degraded, tasks)):
            at = slice(a - y0, a - y0 + len(piece))
            values[k, at] = piece
            if exists is not None:
                good[at] &= exists
        missing = None if valid is None else good
        dn = to_dn(values, self.ms_dtype, self.low, self.high, self.fill, self.reserve, missing)
        sink.write(y0, list(range(self.bands)), dn)
