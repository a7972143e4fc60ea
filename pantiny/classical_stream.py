"""The classical methods on scenes of any size: sums over the whole scene, then bands of rows.

Every sweep goes down the scene in bands; what a band gives does not depend on its height
(`pantiny.filters`), and sums are taken row by row in the order of rows
(`pantiny.classical_fit`). So memory, bands and threads change no bit. Arithmetic is float64.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .classical_fit import Cubic, Moments, row_sums
from .engine import Progress, Settings, Sink, Source
from .errors import MemoryBudgetError
from .filters import Degrader, Resampler, Upsampler
from .kernels.resample.resample_ref import gaussian_radius, gaussian_taps
from .rounding import to_dn
from .system import format_bytes

_BANDS = (512, 256, 128, 64)  # not less than a block of the output, which is written once
_PIECE = 1 << 16  # PAN pixels that one thread works on together: their planes stay in cache
_LOW_PIECE = 1 << 20  # the same where PAN is degraded, which reads rows beyond its own

Span = tuple[int, int]


@dataclass(frozen=True)
class BandLayout:
    """How a classical run is cut up.

    Attributes
    ----------
    band_rows : int
        PAN rows read together.
    piece_rows, low_rows : int
        PAN rows that one thread fuses, or degrades, together.
    threads : int
    bytes : int
        What the run adds to the process at its peak.
    """

    band_rows: int
    piece_rows: int
    low_rows: int
    threads: int
    bytes: int

    def describe(self, budget: int) -> str:
        """One line for the log."""
        return (
            f"working memory {format_bytes(self.bytes)} of {format_bytes(budget)} allowed: "
            f"bands of {self.band_rows} rows, {self.threads} threads"
        )


def _radius(gains: tuple[float, ...], scale: tuple[float, float]) -> int:
    return max(gaussian_radius(1.0 / s, gains) for s in scale)


def _bytes(
    source: Source, dtype: np.dtype, method: Cubic, s: Settings, layout: tuple[int, int, int, int]
) -> int:
    """Inputs of a band, its result, tables, and what the threads hold; float64 is 8 bytes."""
    band, piece, low_rows, threads = layout
    (height, width), (k, ms_height, ms_width) = source.shape, source.ms_shape
    ratio, lows = 1 / min(s.scale), len(method.low_gains)
    reach = 2 * _radius(method.low_gains, s.scale) + 2 if lows else 0
    rows = min(height, band + reach + (int(6 * ratio) if lows else 0))
    ms_rows = min(ms_height, int(band * s.scale[0]) + 8)
    pan = rows * width * (source.pan_dtype.itemsize + (4 if source.masked else 0))
    ms = (
        ms_rows * ms_width * (k * source.ms_dtype.itemsize * 2 + (2 * k if source.ms_masked else 0))
    )
    low = ms_rows * ms_width * 8 * (2 * lows + (k + lows if method.coarse_pairs else 0))
    out = 2 * min(band, height) * width * k * dtype.itemsize
    # what resampling holds, with a mask a second time; planes of the sums; single ones
    planes = (4 if source.masked else 2) * (k + lows * method.upsamples_low) + k + 6
    fusing = 8 * width * (piece * planes + (piece * s.scale[0] + 4) * 2 * (k + lows))
    degrading = (
        8 * min(height, low_rows + reach) * ((2.5 if source.masked else 1.5) * width + 2 * ms_width)
    )
    tables = 16 * ((height + width) * 6 + lows * (ms_height + ms_width) * (reach + 1))
    held = threads * max(fusing, degrading if lows else 0)
    return int(pan + ms + low + out + held + tables) + s.cache


def choose_bands(source: Source, sink_dtype: np.dtype, method: Cubic, s: Settings) -> BandLayout:
    """The tallest bands within the budget; ``tile`` bounds their height.

    Raises
    ------
    MemoryBudgetError
        If not even the smallest fits; the text says what would.
    """
    height, width = source.shape
    bands = [b for b in _BANDS if b <= height] or [height]
    if s.tile is not None:
        bands = [min(s.tile, height)]
    piece, low_rows = max(1, _PIECE // width), max(64, _LOW_PIECE // width)
    candidates = [(band, piece, low_rows, s.threads) for band in bands]
    threads = s.threads
    while piece > 1 or threads > 1:  # the last resorts: less scratch
        piece, low_rows = max(1, piece // 2), max(16, low_rows // 2)
        candidates.append((bands[-1], piece, low_rows, threads))
        if piece == 1:
            threads //= 2
            candidates += [(bands[-1], 1, 16, threads)] if threads else []
    smallest = None
    for band, piece, low_rows, threads in candidates:
        cut = band, min(piece, band), min(low_rows, band), threads
        found = BandLayout(*cut, _bytes(source, sink_dtype, method, s, cut))
        if found.bytes <= s.memory:
            return found
        smallest = found if smallest is None or found.bytes < smallest.bytes else smallest
    assert smallest is not None
    raise MemoryBudgetError(
        f"memory: {format_bytes(s.memory)} is too little for a scene {width} pixels wide; the "
        f"smallest layout (bands of {smallest.band_rows} rows, one thread) needs "
        f"{format_bytes(smallest.bytes)}; raise memory="
    )


def _spans(start: int, stop: int, step: int) -> list[Span]:
    return [(a, min(a + step, stop)) for a in range(start, stop, step)]


class ClassicalRun:
    """One method on one scene.

    Parameters
    ----------
    source : Source
    method : Cubic
        Has seen the scene's ranges.
    settings : Settings
    layout : BandLayout
    progress : callable, optional
        Gets the share done, 0 to 1.
    """

    def __init__(
        self,
        source: Source,
        method: Cubic,
        settings: Settings,
        layout: BandLayout,
        progress: Progress | None,
    ) -> None:
        self._source, self._method, self._settings, self._layout = source, method, settings, layout
        s, shape, coarse = settings, source.shape, source.ms_shape[1:]
        self._up = Upsampler(shape, coarse, s.scale, s.offset)
        radius = _radius(method.low_gains, s.scale) if method.low_gains else 0
        self._lows = [
            Degrader(
                Resampler(
                    gaussian_taps(0, coarse[0], s.scale[0], s.offset[0], gain, radius),
                    gaussian_taps(0, coarse[1], s.scale[1], s.offset[1], gain, radius),
                    shape,
                )
            )
            for gain in method.low_gains
        ]
        # MS pixels whose centres lie in the output: the others see PAN's replicated edge
        rows, cols = (_inside(coarse[i], shape[i], s.scale[i], s.offset[i]) for i in range(2))
        self._inside = None if rows.all() and cols.all() else (rows, cols)
        self._coarse_step = max(1, int(layout.band_rows * s.scale[0]))
        self._progress, self._done = progress, 0
        bands = -(-shape[0] // layout.band_rows)
        self._steps = (1 + bool(method.fine_pairs)) * bands
        if method.coarse_pairs:
            self._steps += -(-coarse[0] // self._coarse_step)
        self._pool: ThreadPoolExecutor | None = None

    def run(self, sink: Sink) -> None:
        """All sweeps: sums at MS scale, sums at PAN scale, the result."""
        method = self._method
        with contextlib.ExitStack() as stack:
            if self._layout.threads > 1:
                self._pool = stack.enter_context(ThreadPoolExecutor(self._layout.threads))
            if method.coarse_pairs:
                method.fit_coarse(self._coarse())
            if method.fine_pairs:
                method.fit_fine(self._fine())
            for y0, y1 in _spans(0, self._source.shape[0], self._layout.band_rows):
                self._write(sink, y0, y1)  # what a band holds is gone before the next one reads
                self._tell()

    def _map(self, function: Callable[[Span], Any], spans: list[Span]) -> Iterable[Any]:
        """Results in the order of the spans."""
        return (self._pool.map if self._pool else map)(function, spans)

    def _tell(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done / self._steps)

    def _coarse(self) -> Moments:
        """Sums over the MS pixels that are valid and whose neighbourhood PAN has."""
        method = self._method
        found = Moments(method.coarse_pivots(), method.coarse_pairs)
        for m0, m1 in _spans(0, self._source.ms_shape[1], self._coarse_step):
            found.add(self._coarse_rows(m0, m1))
            self._tell()
        found.require_pixels(method.name)
        return found

    def _coarse_rows(self, m0: int, m1: int) -> np.ndarray:
        source, method = self._source, self._method
        low, exists = self._low(m0, m1)
        ms, ms_valid = source.ms(m0, m1), source.ms_valid(m0, m1)
        counted = exists
        if ms_valid is not None:
            counted = ms_valid != 0 if exists is None else exists & (ms_valid != 0)
            ms = np.where(ms_valid != 0, ms, 0)
        if self._inside is not None:
            inside = self._inside[0][m0:m1, None] & self._inside[1][None, :]
            counted = inside if counted is None else counted & inside
        return row_sums(method.coarse(ms.astype(np.float64), low), method.coarse_pairs, counted)

    def _low(self, m0: int, m1: int) -> tuple[np.ndarray, np.ndarray | None]:
        """``pan_low`` [low_gains, rows, w] and, where a mask cuts in, where it exists."""
        source = self._source
        reads = [low.reads(m0, m1) for low in self._lows]
        first, last = min(r[0] for r in reads), max(r[1] for r in reads)
        pan, valid = source.pan(first, last), source.valid(first, last)
        step = max(1, int(self._layout.low_rows * self._settings.scale[0]))
        spans = _spans(m0, m1, step)
        values = np.empty((len(self._lows), m1 - m0, source.ms_shape[2]))
        exists: np.ndarray | None = None
        for at, low in enumerate(self._lows):

            def degraded(span: Span, low: Degrader = low) -> tuple[Span, Any]:
                return span, low(pan, valid, first, *span)

            for (a, b), (piece, good) in self._map(degraded, spans):
                values[at, a - m0 : b - m0] = piece
                if good is not None:
                    if exists is None:
                        exists = np.ones(values.shape[1:], bool)
                    exists[a - m0 : b - m0] &= good
        return values, exists

    def _fine(self) -> Moments:
        """Sums over the valid PAN pixels."""
        method = self._method
        found = Moments(method.fine_pivots(), method.fine_pairs)
        for y0, y1 in _spans(0, self._source.shape[0], self._layout.band_rows):
            for rows in self._fine_rows(y0, y1):
                found.add(rows)
            self._tell()
        return found

    def _fine_rows(self, y0: int, y1: int) -> list[np.ndarray]:
        method, read = self._method, self._reader(y0, y1, False)

        def sums(span: Span) -> np.ndarray:
            ms_up, pan, valid, _, _ = read(span)
            return row_sums(method.fine(ms_up, pan), method.fine_pairs, valid)

        return list(self._map(sums, _spans(y0, y1, self._layout.piece_rows)))

    def _write(self, sink: Sink, y0: int, y1: int) -> None:
        """Finished rows [K, y1 - y0, W]."""
        source, method, s = self._source, self._method, self._settings
        out = np.empty((source.ms_shape[0], y1 - y0, source.shape[1]), sink.dtype)
        read = self._reader(y0, y1, method.upsamples_low)

        def fuse(span: Span) -> None:
            ms_up, pan, valid, low, known = read(span)
            method.apply(ms_up, pan, low, known)
            out[:, span[0] - y0 : span[1] - y0] = to_dn(
                ms_up, sink.dtype, s.low, s.high, s.fill, s.reserve, valid
            )

        for _ in self._map(fuse, _spans(y0, y1, self._layout.piece_rows)):
            pass
        sink.write(y0, list(range(len(out))), out)

    def _reader(self, y0: int, y1: int, with_low: bool) -> Callable[[Span], tuple[Any, ...]]:
        """What gives pieces of the band: ``ms_up``, PAN, valid, ``low`` up, where it is known."""
        source = self._source
        m0, m1 = self._up.reads(y0, y1)
        low, exists = self._low(m0, m1) if with_low else (None, None)
        ms, ms_valid = source.ms(m0, m1), source.ms_valid(m0, m1)
        pan, valid = source.pan(y0, y1), source.valid(y0, y1)

        def read(span: Span) -> tuple[Any, ...]:
            a, b = span
            good = None if valid is None else valid[a - y0 : b - y0] != 0
            if good is not None and good.all():
                good = None
            piece = pan[a - y0 : b - y0].astype(np.float64)
            if good is not None:
                piece[~good] = self._method.pan_pivot
            ms_up, _ = self._up(ms, ms_valid, m0, a, b)
            low_up, known = (None, None) if low is None else self._up(low, exists, m0, a, b)
            return ms_up, piece, good, low_up, known

        return read


def _inside(count: int, size: int, scale: float, offset: float) -> np.ndarray:
    """Which MS rows or columns have their centre among ``size`` PAN ones."""
    centre = (np.arange(count) + 0.5 - offset) / scale
    found: np.ndarray = (centre >= -1e-6) & (centre <= size + 1e-6)
    return found
