"""Pairs in host memory on one or several devices: whole where they fit, else in bands of rows.

Neither bands nor devices change a bit: a device adds up rows of tiles, and all sums of a pass are
gathered in the order of the rows before anything is made of them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import cuda
from .bands import Group
from .cuda import DTYPES
from .cuda_lanes import Lane, Writer, lanes
from .cuda_layout import DeviceLayout, aligned, geometry, on
from .cuda_part import Part
from .engine import Progress, Settings, Sink, Source
from .errors import CoreError
from .weights import Model


def run_source(
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
    """Fuse a pair in host memory.

    Parameters
    ----------
    groups : list of Group
    scales : list of float
        DN per network value of each group.
    progress : callable, optional
        Gets the share done, 0 to 1.
    """
    reading = threading.Lock()
    with contextlib.ExitStack() as stack:
        parts = []
        for index, device in enumerate(layout.devices):
            with on(device):
                lane = lanes.of(device)
            stack.enter_context(lane.lock)
            lane.begin()
            parts.append(Part(index, lane, source, layout, model, precision, settings, reading))
        with refusals([part.lane for part in parts]):
            run = _run_whole if layout.whole else _run_bands
            run(parts, sink, groups, scales, progress)


@contextlib.contextmanager
def refusals(used: list[Lane]) -> Iterator[None]:
    """The core's errors as ours; at the end, come what may, nothing is under way on the lanes."""
    try:
        yield
    except RuntimeError as error:
        if type(error) is not RuntimeError:  # ours, or that of a callback
            raise
        raise CoreError(f"the CUDA core refuses the pair: {error}") from error
    finally:
        for lane in used:
            with on(lane.device), contextlib.suppress(RuntimeError):
                lane.wait()


def targets_of(group: Group) -> tuple[list[int], list[int]]:
    """Bands of the sink that are written, and where the network's bands lie among them."""
    written = [b for b in group.write if b >= 0]
    slots = iter(range(len(written)))
    return written, [next(slots) if b >= 0 else -1 for b in group.write]


def output_of(
    settings: Settings, targets: list[int], address: int, dtype: np.dtype, strides: list[int]
) -> Any:
    """Where a result goes; strides of image, band, row and column in samples."""
    return cuda.module().Output(
        out=(address, DTYPES[str(dtype)], strides),
        bands=targets,
        low=settings.low,
        high=settings.high,
        fill=settings.fill,
        reserve=settings.reserve,
    )


def _run_whole(
    parts: list[Part],
    sink: Sink,
    groups: list[Group],
    scales: list[float],
    progress: Progress | None,
) -> None:
    (part,) = parts
    lane, (height, width) = part.lane, part.source.shape
    with on(lane.device):
        for done, (group, scale) in enumerate(zip(groups, scales)):
            written, targets = targets_of(group)
            kept = cuda.store.plan(
                part.model, part.precision, lane.device, lane.work.handle,
                geometry(part.source, part.settings, group),
            )  # fmt: skip
            part.prepare(group, scale, height, 0, height)
            out = lane.memory(len(written) * height * width * sink.dtype.itemsize)
            given, _ = part.input(0, height)
            into = output_of(
                part.settings, targets, out.address, sink.dtype, [0, height * width, width, 1]
            )
            with kept.lock:
                kept.plan.run(given, into, lane.work.handle)
                writer = Writer(lane, sink, written, width)
                writer.put(0, height, out.address, height * width * sink.dtype.itemsize)
                writer.flush()
            del kept, out  # whose memory the next group may need
            if progress:
                progress((done + 1) / len(groups))


@dataclass(frozen=True)
class _Share:
    """Rows of the scene that a device answers for, and those it runs for them."""

    first: int
    last: int
    run_first: int
    run_last: int


def _shares(height: int, step: int, margin: int, count: int, keep: bool) -> list[_Share]:
    rows = -(-height // (step * count)) * step
    shares = []
    for first in range(0, height, rows):
        last = min(first + rows, height)
        wide = margin if keep else 0
        shares.append(_Share(first, last, max(0, first - wide), aligned(last + wide, step, height)))
    return shares


class _Bands:
    """The bands of a group on one device."""

    def __init__(self, part: Part, scan: Any, share: _Share, tell: Callable[[], None]) -> None:
        self.part, self.scan, self.share, self._tell = part, scan, share, tell

    def bands(self, last_pass: bool) -> list[tuple[int, int]]:
        s, step = self.share, self.part.layout.band_rows
        first, last = (s.first, s.last) if last_pass else (s.run_first, s.run_last)
        return [(y, min(y + step, last)) for y in range(first, last, step)]

    def sums(self, pass_: int) -> None:
        """A pass that ends in sums."""
        with on(self.part.lane.device):
            for y0, y1 in self.bands(False):
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
        with on(self.part.lane.device):
            address, count = self.scan.sums(pass_, self.share.first, self.share.last)
            found = np.empty(count, np.float64)
            cuda.module().copy_out(found, address, self.part.lane.work.handle)
        return found

    def fold(self, pass_: int, others: list[tuple[_Share, np.ndarray]]) -> None:
        """The end of a pass, with the sums of the other devices."""
        core, work = cuda.module(), self.part.lane.work.handle
        with on(self.part.lane.device):
            for share, found in others:
                address, count = self.scan.sums(pass_, share.first, share.last)
                core.copy_in(address, found[:count], work)
            self.scan.fold(pass_, work)

    def result(self, pass_: int, sink: Sink) -> None:
        """The last pass: two bands in turn, one on its way to the sink."""
        part, lane = self.part, self.part.lane
        written, targets = targets_of(part.group)
        width, item = part.source.shape[1], sink.dtype.itemsize
        rows = min(part.layout.band_rows, self.share.last - self.share.first)
        with on(lane.device):
            core = cuda.module()
            out = [lane.memory(len(written) * rows * width * item) for _ in range(2)]
            taken = [core.Event(), core.Event()]
            writer = Writer(lane, sink, written, width)
            for i, (y0, y1) in enumerate(self.bands(True)):
                memory = out[i % 2]
                taken[i % 2].wait_in(lane.work.handle)
                into = output_of(
                    part.settings, targets, memory.address, sink.dtype, [0, rows * width, width, 1]
                )
                self._run(pass_, y0, y1, into)
                writer.put(y0, y1 - y0, memory.address, rows * width * item)
                taken[i % 2].record(lane.down.handle)
            writer.flush()


def _run_bands(
    parts: list[Part],
    sink: Sink,
    groups: list[Group],
    scales: list[float],
    progress: Progress | None,
) -> None:
    core, source, layout = cuda.module(), parts[0].source, parts[0].layout
    height = source.shape[0]
    counted = threading.Lock()
    done = total = 0

    def tell() -> None:
        nonlocal done
        with counted:
            done += 1
            if progress:
                progress(min(1.0, done / total))

    scenes = [cuda.scene_of(geometry(source, parts[0].settings, group)) for group in groups]
    with ThreadPoolExecutor(len(parts)) as pool:
        for index, (group, scale, scene) in enumerate(zip(groups, scales, scenes)):
            runs: list[_Bands] = []
            for part in parts:
                with on(part.lane.device):
                    handle = cuda.store.model(part.model, part.precision, part.lane.device)
                    step = core.scan_step(handle, scene)
                    # of all groups: they share the memory of PAN
                    margin = max(core.scan_margin(handle, s) for s in scenes)
                    shares = _shares(height, step, margin, len(parts), layout.keep)
                    if part.index >= len(shares):
                        continue
                    share = shares[part.index]
                    bands = core.Bands(
                        rows=layout.band_rows,
                        keep=layout.keep,
                        first=share.run_first,
                        last=share.run_last,
                    )
                    cuda.store.drop_plans(part.lane.device)
                    part.prepare(
                        group,
                        scale,
                        min(height, layout.band_rows + 2 * margin + step),
                        max(0, share.run_first - margin - step),
                        min(height, share.run_last + margin),
                    )
                    runs.append(_Bands(part, part.scan(handle, scene, bands), share, tell))
            passes = handle.passes
            total = len(groups) * sum(
                (passes - 1) * len(r.bands(False)) + len(r.bands(True)) for r in runs
            )
            done = index * total // len(groups)
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
