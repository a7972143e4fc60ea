"""The streaming driver: passes over bands of rows, within a memory budget.

Arrays and files take the same road, so they give the same bits.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from .bands import Group
from .errors import BackendError, CoreError, MemoryBudgetError
from .system import format_bytes
from .weights import Model

log = logging.getLogger("pantiny")

CORE_FUSIONS = {"conv1x1": 0, "gated_conv": 1, "enhanced_conv": 2}
Progress = Callable[[float], None]


class Source(Protocol):
    """Rows of a pair in DN; PAN rows are rows of the output."""

    shape: tuple[int, int]
    ms_shape: tuple[int, int, int]
    ms_dtype: np.dtype
    pan_dtype: np.dtype
    masked: bool
    ms_masked: bool

    def ms(self, first: int, last: int) -> np.ndarray:
        """[K, rows, w]"""

    def pan(self, first: int, last: int) -> np.ndarray:
        """[rows, W]"""

    def ms_valid(self, first: int, last: int) -> np.ndarray | None:
        """[rows, w] uint8, or None where all is valid."""

    def valid(self, first: int, last: int) -> np.ndarray | None:
        """[rows, W] uint8, or None where all is valid."""


class Sink(Protocol):
    """Takes finished rows.

    Attributes
    ----------
    dtype : numpy dtype
    ordered : bool
        Whether rows must come from the top.
    """

    dtype: np.dtype
    ordered: bool

    def write(self, row: int, bands: list[int], fused: np.ndarray) -> None:
        """``fused`` [len(bands), rows, W] from ``row`` on."""


@dataclass(frozen=True)
class Settings:
    """Everything the driver needs beyond the pixels.

    Attributes
    ----------
    scale, offset : (float, float)
        Where the output rows and columns fall on the MS grid (see ``grid.Pairing``).
    gains : tuple of float
        MTF gain per input band.
    consistency : int
    threads : int
    memory : int
        Bytes this run may add to the process.
    tile : int or None
        Side of a tile in pixels; rounded down to a multiple of the core's block.
    low, high : float
        Saturation limits.
    fill : float
        Value of invalid pixels.
    reserve : bool
        Keep valid pixels away from ``fill``.
    cache : int
        Bytes that the source's and sink's library may hold.
    precision : str
        ``fp32`` or ``bf16`` (see :func:`pantiny.options.check_precision`).
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    gains: tuple[float, ...]
    consistency: int
    threads: int
    memory: int
    tile: int | None
    low: float
    high: float
    fill: float
    reserve: bool
    cache: int = 0
    precision: str = "fp32"


@dataclass(frozen=True)
class Layout:
    """How a run is cut up.

    Attributes
    ----------
    keep : bool
        Features of the whole scene stay in memory between passes; else each pass
        recomputes them (three times the arithmetic).
    tile : (int, int)
        Rows and columns; tiles of kept features are as wide as the scene.
    band_rows, threads : int
    bytes : int
        What the run adds to the process at its peak.
    """

    keep: bool
    tile: tuple[int, int]
    band_rows: int
    threads: int
    bytes: int

    def describe(self, budget: int) -> str:
        """One line for the log."""
        how = "features kept, in place" if self.keep else "features recomputed in every pass"
        rows, columns = self.tile
        across = "full width" if self.keep else f"{columns} columns"
        return (
            f"working memory {format_bytes(self.bytes)} of {format_bytes(budget)} allowed: {how}, "
            f"tiles of {rows} rows x {across}, bands of {self.band_rows} rows, "
            f"{self.threads} threads"
        )


@lru_cache(maxsize=1)
def core() -> Any:
    """The compiled core, with the instruction set that ``PANTINY_ISA`` asks for."""
    try:
        from . import _core
    except ImportError as error:
        raise BackendError(
            f"backend: the compiled core cannot be imported ({error}); "
            "reinstall with: pip install --force-reinstall pantiny"
        ) from error
    wanted = os.environ.get("PANTINY_ISA", "")
    try:
        _core.isa_choose(wanted)
    except RuntimeError as error:
        raise BackendError(
            f"PANTINY_ISA={wanted}: cannot run here; usable: {_core.isa_usable()}; "
            "set one of these or unset it"
        ) from error
    return _core


@lru_cache(maxsize=4)
def _core_model(sha256: str, model: Model) -> Any:
    v = model.variant
    if v.fusion not in CORE_FUSIONS:
        raise BackendError(
            f"model: the core cannot run fusion {v.fusion!r} (it runs {', '.join(CORE_FUSIONS)}); "
            "use backend='reference' or the torch module"
        )
    arch = core().Arch(
        bands=v.bands,
        channels=v.channels,
        heads=v.heads,
        encoder_blocks=v.encoder_blocks,
        body_blocks=v.body_blocks,
        fusion=CORE_FUSIONS[v.fusion],
    )
    try:
        return core().Model(arch, dict(model.tensors))
    except RuntimeError as error:
        raise CoreError(f"model {model.name}: refused by the core: {error}") from error


def core_model(model: Model) -> Any:
    """The model as the core holds it, folded; cached."""
    return _core_model(model.sha256, model)


def _scene(
    source: Source, s: Settings, layout: Layout, dn_per_unit: float, gains: list[float]
) -> Any:
    return core().Scene(
        shape=source.shape,
        ms_shape=source.ms_shape[1:],
        scale=s.scale,
        offset=s.offset,
        dn_per_unit=dn_per_unit,
        consistency=s.consistency,
        gains=gains,
        threads=layout.threads,
        keep=layout.keep,
        bf16=s.precision == "bf16",
        tile=layout.tile,
        band_rows=layout.band_rows,
    )


def _io_bytes(source: Source, sink_dtype: np.dtype, s: Settings, band: int, bands_out: int) -> int:
    """Rows read and written at once, masks and the copies made on the way included."""
    width = source.shape[1]
    halo = 2 * (20 + s.consistency * 40)
    rows = min(band + halo, source.shape[0])
    k, _, ms_width = source.ms_shape
    ms_rows = min(int(rows * s.scale[0]) + 8, source.ms_shape[1])
    pan = rows * width * (source.pan_dtype.itemsize + (3 if source.masked else 0))
    masks = 2 * k if source.ms_masked else 0
    ms = ms_rows * ms_width * (k * source.ms_dtype.itemsize * 2 + masks)
    out = min(band, source.shape[0]) * width * bands_out * sink_dtype.itemsize
    return pan + ms + 2 * out


def choose_layout(source: Source, sink_dtype: np.dtype, model: Model, s: Settings) -> Layout:
    """The fastest layout within the budget.

    Raises
    ------
    MemoryBudgetError
        If not even the smallest fits; the text says what would.
    """
    block = core().BLOCK
    handle = core_model(model)
    height, width = source.shape
    bands_out = model.variant.bands
    rounded = -(-height // block) * block

    # the widest kernel has the largest radius
    gains = [min(s.gains)] * bands_out

    def priced(keep: bool, tile: tuple[int, int], band: int, threads: int) -> Layout:
        layout = Layout(keep, tile, band, threads, 0)
        plan = handle.plan_bytes(_scene(source, s, layout, 1.0, gains))
        total = plan + _io_bytes(source, sink_dtype, s, band, bands_out) + s.cache
        return replace(layout, bytes=total)

    sides = [512, 256, 128, 64]
    if s.tile is not None:
        side = max(block, s.tile // block * block)
        sides = [min(side, -(-max(height, width) // block) * block)]
    candidates = []
    for keep in (True, False):
        for side in sides if keep or s.tile is not None else sides[1:]:
            # a few tiles for every thread, lest one waits for the other; where features are
            # kept tiles are as wide as the scene, and rows are all there is to share out
            columns = side if keep else -(-side // core().COLUMNS) * core().COLUMNS
            per_row = 1 if keep else -(-width // columns)
            wanted = -(-(2 if side > 128 else 4) * s.threads // per_row) * side
            if keep and s.tile is None and side > block and 2 * s.threads * side > rounded:
                continue
            for band in sorted({min(max(wanted, side), rounded), side}, reverse=True):
                band = max(block, band // block * block)
                candidates.append((keep, (side, columns), band, s.threads))
    threads = s.threads
    while threads > 1:  # the last resort: less scratch
        threads //= 2
        candidates.append((False, (sides[-1], columns), sides[-1], threads))
    smallest = None
    for candidate in candidates:
        found = priced(*candidate)
        if found.bytes <= s.memory:
            return found
        smallest = found if smallest is None or found.bytes < smallest.bytes else smallest
    assert smallest is not None
    raise MemoryBudgetError(
        f"memory: {format_bytes(s.memory)} is too little for a scene {width} pixels wide; the "
        f"smallest layout (tiles of {smallest.tile[0]}, one thread) needs "
        f"{format_bytes(smallest.bytes)}; raise memory="
    )


def run(
    source: Source,
    sink: Sink,
    model: Model,
    groups: list[Group],
    scales: list[float],
    settings: Settings,
    layout: Layout,
    progress: Progress | None = None,
) -> None:
    """Fuse: every group of bands through all passes.

    Parameters
    ----------
    groups : list of Group
    scales : list of float
        DN per network value of each group.
    progress : callable, optional
        Gets the share done, 0 to 1.
    """
    height, width = source.shape
    handle = core_model(model)
    last = handle.passes - 1
    steps = len(groups) * handle.passes * -(-height // layout.band_rows)
    done = 0
    for group, dn_per_unit in zip(groups, scales):
        gains = [settings.gains[b] for b in group.read]
        scene = _scene(source, settings, layout, dn_per_unit, gains)
        try:
            plan = core().Plan(handle, scene)
        except RuntimeError as error:
            raise CoreError(f"plan: refused by the core: {error}") from error
        except MemoryError as error:
            raise MemoryBudgetError(
                f"memory: the system refuses {format_bytes(layout.bytes)}; give a smaller memory="
            ) from error
        written = [b for b in group.write if b >= 0]
        slots, targets = iter(range(len(written))), []
        for b in group.write:
            targets.append(next(slots) if b >= 0 else -1)
        for pass_ in range(handle.passes):
            for y0 in range(0, height, layout.band_rows):
                y1 = min(y0 + layout.band_rows, height)
                out = None
                if pass_ == last:
                    out = np.empty((len(written), y1 - y0, width), sink.dtype)
                _run_band(plan, pass_, y0, y1, source, group, settings, out, targets)
                if out is not None:
                    sink.write(y0, written, out)
                done += 1
                if progress:
                    progress(done / steps)
        del plan


def _run_band(
    plan: Any,
    pass_: int,
    y0: int,
    y1: int,
    source: Source,
    group: Group,
    s: Settings,
    out: np.ndarray | None,
    targets: list[int],
) -> None:
    pan_first, pan_last, ms_first, ms_last = plan.input_rows(pass_, y0, y1)
    try:
        plan.run(
            pass_=pass_,
            y0=y0,
            y1=y1,
            ms=source.ms(ms_first, ms_last),
            ms_first=ms_first,
            ms_bands=list(group.read),
            pan=source.pan(pan_first, pan_last),
            pan_first=pan_first,
            valid=source.valid(pan_first, pan_last),
            ms_valid=source.ms_valid(ms_first, ms_last),
            out=out,
            out_bands=targets,
            low=s.low,
            high=s.high,
            fill=s.fill,
            reserve=s.reserve,
        )
    except RuntimeError as error:
        raise CoreError(f"pass {pass_}, rows {y0}..{y1}: refused by the core: {error}") from error
