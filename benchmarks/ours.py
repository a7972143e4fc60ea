"""The package under test, inside a worker. Knows the driver's names; nothing else here does."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import pantiny
from pantiny.bands import Group, band_groups
from pantiny.engine import Layout, Settings, choose_layout, core, run
from pantiny.errors import PanTinyError
from pantiny.options import check_precision
from pantiny.pair import ArraySink, ArraySource

from .candidate import Unavailable
from .inputs import BITS, PEAK, SENSOR, Tile, gains
from .macs import RATIO
from .subject import Job, Subject, Warm

BUDGET = 1 << 36  # counted, not taken: features are kept in memory whatever the size
LIMIT = float(np.finfo(np.float32).max)


class PassSource(ArraySource):
    """A pair in memory that remembers when its first row was asked for."""

    first_read = 0.0

    def ms(self, first: int, last: int) -> np.ndarray:
        self.first_read = self.first_read or time.perf_counter()
        return super().ms(first, last)


class Network(Subject):
    """uint16 DN in, float32 DN out, through the driver that every call and every file takes.

    Everything is timed but the survey of the input: the plan, upsampling MS, the network.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.layout: Layout | None = None
        self.consistency = int(job.options.get("consistency", 0))
        self.extra: dict[str, Any] = {}
        try:
            self.extra["precision"] = check_precision(str(job.options.get("precision", "fp32")))
        except PanTinyError as error:
            raise Unavailable("unusable", str(error)) from error

    def source(self, tile: Tile) -> ArraySource:
        return ArraySource(tile.ms, tile.pan, None, None, None, RATIO)

    def fuse(
        self, source: ArraySource, out: np.ndarray, tell: Callable[[float], None] | None = None
    ) -> None:
        """Fuse into ``out`` [4, H, W] float32."""
        settings = Settings(
            scale=(1 / RATIO, 1 / RATIO),
            offset=(0.0, 0.0),
            gains=gains(),
            consistency=self.consistency,
            threads=self.job.threads,
            memory=BUDGET,
            tile=None,
            low=-LIMIT,
            high=LIMIT,
            fill=0.0,
            reserve=False,
            **self.extra,
        )
        groups: list[Group] = band_groups(4, None, self.model.variant.bands)
        sink = ArraySink(out)
        try:
            self.layout = choose_layout(source, sink.dtype, self.model, settings)
            run(source, sink, self.model, groups, [PEAK], settings, self.layout, tell)
        except PanTinyError as error:
            raise Unavailable("unusable", str(error)) from error

    def result(self, tile: Tile) -> np.ndarray:
        out = np.empty((4, *tile.pan.shape), np.float32)
        self.fuse(self.source(tile), out)
        return out

    def prepare(self) -> None:
        for tile in self.tiles():
            out = np.zeros((4, *tile.pan.shape), np.float32)
            self.calls.append(partial(self.fuse, self.source(tile), out))

    def facts(self) -> dict[str, Any]:
        layout = self.layout.describe(BUDGET).split(": ", 1)[1] if self.layout else ""
        return {"isa": core().isa(), "layout": layout}


class Passes(Network):
    """The same, timed pass by pass.

    The driver reports after every band of every pass. The first pass starts where its first
    row is read; what comes before is ``setup``: the plan and its memory.
    """

    def prepare(self) -> None:
        self.sets = [(tile, np.zeros((4, *tile.pan.shape), np.float32)) for tile in self.tiles()]

    def run(self, buffer: int) -> dict[str, float]:
        tile, out = self.sets[buffer]
        source = PassSource(tile.ms, tile.pan, None, None, None, RATIO)
        told: list[float] = []
        started = time.perf_counter()
        self.fuse(source, out, lambda _: told.append(time.perf_counter()))
        passes = self.model.variant.blocks + 1
        bands = len(told) // passes
        ends = [told[bands * (i + 1) - 1] for i in range(passes)]
        starts = [source.first_read, *ends[:-1]]
        return {
            "setup": source.first_read - started,
            **{str(i): end - start for i, (start, end) in enumerate(zip(starts, ends))},
        }


class Call(Warm):
    """``pantiny.fuse`` as a user calls it: uint16 in and out, every check on the way."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.options: dict[str, Any] = {"bits": BITS, "threads": job.threads}
        if "consistency" in job.options:
            self.options["consistency"] = int(job.options["consistency"])
        asked = job.options.get("precision")
        if asked is not None:
            self.options["precision"] = asked

    def fuse(self, tile: Tile) -> np.ndarray:
        try:
            return np.asarray(
                pantiny.fuse(tile.ms, tile.pan, model=self.model, sensor=SENSOR, **self.options)
            )
        except PanTinyError as error:
            raise Unavailable("unusable", str(error)) from error

    def result(self, tile: Tile) -> np.ndarray:
        return self.fuse(tile)

    def prepare(self) -> None:
        for tile in self.tiles():
            self.calls.append(partial(self.fuse, tile))

    def facts(self) -> dict[str, Any]:
        return {"isa": core().isa(), **super().facts()}
