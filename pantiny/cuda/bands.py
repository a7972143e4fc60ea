"""Scenes in bands of rows, on one or several devices.

Neither bands nor devices change a bit: a device adds up rows of tiles, and all sums of a pass are
gathered in the order of the rows before anything is made of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import cuda
from ..bands import Group
from ..engine import Progress, Settings, Sink, Source
from ..weights import Model
from . import using
from .images import output_of, run_on, targets_of
from .lanes import Writer, lanes
from .layout import DeviceLayout, Share, geometry, shares_of
from .part import Part


class _Bands:
    """The bands of a group on one device."""

    def __init__(self, part: Part, scan: Any, rows: int, tell: Callable[[], None]) -> None:
        self.part, self.scan, self._rows, self._tell = part, scan, rows, tell
        self.share = part.share

    def sums(self, pass_: int) -> None:
        """A pass that ends in sums."""
        with using(self.part.lane.device):
            for y0, y1 in self.share.bands(self._rows, False):
                self._run(pass_, y0, y1, None)
            cuda.module().wait(self.part.lane.work.handle)

    def _run(self, pass_: int, y0: int, y1: int, into: Any) -> None:
        first, last = self.scan.rows(pass_, y0, y1)
        given, top = self.part.input(first, last)
        self.scan.run(pass_, y0, y1, given, top, into, self.part.lane.work.handle)
        self.part.release()
        self._tell()

    def gathered(self, pass_: int) -> np.ndarray:
        """Sums of its own rows."""
        with using(self.part.lane.device):
            address, count = self.scan.sums(pass_, self.share.first, self.share.last)
            found = np.empty(count, np.float64)
            cuda.module().copy_out(found, address, self.part.lane.work.handle)
        return found

    def fold(self, pass_: int, others: list[tuple[Share, np.ndarray]]) -> None:
        """The end of a pass, with the sums of the other devices."""
        core, work = cuda.module(), self.part.lane.work.handle
        with using(self.part.lane.device):
            for share, found in others:
                address, count = self.scan.sums(pass_, share.first, share.last)
                core.copy_in(address, found[:count], work)
            self.scan.fold(pass_, work)

    def result(self, pass_: int, sink: Sink) -> None:
        """The last pass: two bands in turn, one on its way to the sink."""
        part, lane = self.part, self.part.lane
        written, targets = targets_of(part.group)
        width, item = part.source.shape[1], sink.dtype.itemsize
        rows = min(self._rows, self.share.last - self.share.first)
        with using(lane.device) as core:
            out = [lane.memory(len(written) * rows * width * item) for _ in range(2)]
            taken = [core.Event(), core.Event()]
            writer = Writer(lane, sink, written, width)
            for i, (y0, y1) in enumerate(self.share.bands(self._rows, True)):
                memory = out[i % 2]
                taken[i % 2].wait_in(lane.work.handle)
                into = output_of(part.settings, targets, memory.address, sink.dtype, (rows, width))
                self._run(pass_, y0, y1, into)
                writer.put(y0, y1 - y0, memory.address, rows * width * item)
                taken[i % 2].record(lane.down.handle)
            writer.flush()


def run_bands(
    source: Source,
    sink: Sink,
    model: Model,
    groups: list[Group],
    scales: list[float],
    settings: Settings,
    layout: DeviceLayout,
    precision: str,
    progress: Progress | None = None,
) -> None:
    """Fuse a pair in passes over its rows; see ``engine.run``."""
    height = source.shape[0]
    scenes = [cuda.scene_of(geometry(source, settings, group)) for group in groups]
    used, handles = [], []
    for device in layout.devices:
        with using(device) as core:
            used.append(lanes.of(device))
            handles.append(cuda.store.model(model, precision, device))
            step = core.scan_step(handles[-1], scenes[0])
            # of all groups: they share the memory of PAN
            margin = max(core.scan_margin(handles[-1], s) for s in scenes)
    shares = shares_of(height, step, margin, len(used), layout.keep)
    rows, passes, reading = layout.band_rows, handles[0].passes, threading.Lock()
    total = len(groups) * sum(
        (passes - 1) * len(s.bands(rows, False)) + len(s.bands(rows, True)) for s in shares
    )
    counted, done = threading.Lock(), 0

    def tell() -> None:
        nonlocal done
        with counted:
            done += 1
            if progress:
                progress(done / total)

    with run_on(used), ThreadPoolExecutor(len(used)) as pool:
        parts = []
        for lane, share in zip(used, shares, strict=True):
            with using(lane.device):
                stay = share.pan_rows(height, margin, step) if layout.resident else None
                cap = min(height, rows + 2 * margin + step)
                parts.append(Part(lane, source, settings, share, stay, cap, reading))
        for group, scale, scene in zip(groups, scales, scenes, strict=True):
            runs: list[_Bands] = []
            for part, handle in zip(parts, handles, strict=True):
                share = part.share
                with using(part.lane.device) as core:
                    cuda.store.drop_plans(part.lane.device)
                    part.prepare(group, scale)
                    bands = core.Bands(
                        rows=rows, keep=layout.keep, first=share.run_first, last=share.run_last
                    )
                    runs.append(_Bands(part, part.scan(handle, scene, bands), rows, tell))
            for pass_ in range(passes - 1):
                list(pool.map(lambda r, p=pass_: r.sums(p), runs))
                found = [(r.share, r.gathered(pass_)) for r in runs] if len(runs) > 1 else []
                for run in runs:
                    run.fold(pass_, [f for f in found if f[0] is not run.share])
            if sink.ordered:
                for run in runs:
                    run.result(passes - 1, sink)
            else:
                list(pool.map(lambda r, p=passes - 1: r.result(p, sink), runs))
            del run, runs  # whose memory the next group may need
