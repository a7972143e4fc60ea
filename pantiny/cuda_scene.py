"""Pairs in host memory on one or several devices: whole where they fit, else in bands of rows.

Neither bands nor devices change a bit: a device adds up rows of tiles, and all sums of a pass are
gathered in the order of the rows before anything is made of them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import cuda
from .bands import Group
from .cuda import DTYPES, NO_MASK, Geometry
from .cuda_lanes import Lane, Writer, lanes
from .engine import Progress, Settings, Sink, Source
from .errors import BackendError, CoreError, MemoryBudgetError
from .system import format_bytes
from .weights import Model

BAND_PIXELS = 1 << 25  # of a band: enough to keep a device busy
SHARE_OF_FREE = 0.9  # of a device's memory


@dataclass(frozen=True)
class DeviceLayout:
    """How a run is cut up.

    Attributes
    ----------
    devices : tuple of int
    whole : bool
        All rows at once, on one device.
    keep : bool
        Features of the scene stay on the device between passes; else each pass recomputes them.
    resident : bool
        PAN stays on the device; else each pass reads it anew.
    band_rows : int
    threads : int
        For the sink's codec.
    bytes : int
        Device memory at the peak.
    """

    devices: tuple[int, ...]
    whole: bool
    keep: bool
    resident: bool
    band_rows: int
    threads: int
    bytes: int

    def describe(self, budget: int) -> str:
        """One line for the log."""
        names = ", ".join(f"cuda:{d}" for d in self.devices)
        if self.whole:
            how = "all rows at once"
        else:
            kept = "features kept" if self.keep else "features recomputed in every pass"
            pan = "PAN kept" if self.resident else "PAN read in every pass"
            how = f"{kept}, {pan}, bands of {self.band_rows} rows"
        return f"{names}: {format_bytes(self.bytes)} of {format_bytes(budget)} allowed: {how}"


def geometry(source: Source, settings: Settings, group: Group) -> Geometry:
    """Of one image."""
    return Geometry(
        1,
        source.shape,
        source.ms_shape[1:],
        settings.scale,
        settings.offset,
        settings.consistency,
        tuple(settings.gains[b] for b in group.read),
    )


@contextlib.contextmanager
def on(device: int) -> Iterator[None]:
    """This thread's current device."""
    core = cuda.module()
    before = core.use(device)
    try:
        yield
    finally:
        core.use(before)


def budget_of(devices: tuple[int, ...]) -> int:
    """Bytes that a run may take on each device."""
    free = []
    for device in devices:
        with on(device):
            free.append(cuda.module().free_memory() + cuda.store.bytes(device))
    return int(SHARE_OF_FREE * min(free))


def _image_bytes(source: Source) -> int:
    """MS and its mask."""
    count, rows, cols = source.ms_shape
    return rows * cols * (count * source.ms_dtype.itemsize + source.ms_masked)


def choose_device_layout(
    source: Source,
    sink_dtype: np.dtype,
    model: Model,
    precision: str,
    groups: list[Group],
    devices: tuple[int, ...],
    settings: Settings,
) -> DeviceLayout:
    """The fastest layout that fits the devices.

    Raises
    ------
    MemoryBudgetError
        If not even the smallest fits; the text says what would.
    BackendError
        If the devices cannot share a scene.
    """
    core = cuda.module()
    budget = budget_of(devices)
    height, width = source.shape
    # the widest kernel has the largest radius
    widest = replace(settings, gains=(min(settings.gains),) * len(settings.gains))
    scene = cuda.scene_of(geometry(source, widest, groups[0]))
    handles = []
    for device in devices:
        with on(device):
            handles.append(cuda.store.model(model, precision, device))
    with on(devices[0]):
        step = core.scan_step(handles[0], scene)
        margin = core.scan_margin(handles[0], scene)
    for device, handle in zip(devices, handles):
        with on(device):
            if core.scan_step(handle, scene) != step:
                raise BackendError(
                    f"device: cuda:{device} and cuda:{devices[0]} take tiles of different shape; "
                    "need devices of one kind; name fewer"
                )
    written = max(sum(b >= 0 for b in g.write) for g in groups)
    out_row = width * written * sink_dtype.itemsize
    pan_row = width * (source.pan_dtype.itemsize + source.masked)
    fixed = _image_bytes(source)
    used = devices[: max(1, -(-height // step))]
    share = -(-height // (step * len(used))) * step
    smallest: DeviceLayout | None = None
    for layout in _candidates(height, width, step, used, settings):
        try:
            if layout.whole:
                need = core.plan_bytes(handles[0], scene) + height * (pan_row + out_row)
            else:
                end = min(height, share + margin) if len(used) > 1 else height
                bands = core.Bands(
                    rows=layout.band_rows, keep=layout.keep, first=0, last=_aligned(end, step, height)
                )
                rows = min(height, layout.band_rows + 2 * margin + step)
                held = height if layout.resident else 2 * rows
                need = core.scan_bytes(handles[0], scene, bands) + held * pan_row
                need += 2 * min(layout.band_rows, height) * out_row
        except RuntimeError:
            continue  # more than kernels count
        found = replace(layout, bytes=need + fixed)
        if found.bytes <= budget:
            return found
        if smallest is None or found.bytes < smallest.bytes:
            smallest = found
    if smallest is None:
        raise CoreError(
            f"plan: refused by the CUDA core for {height}x{width} pixels; need at most 2^30 pixels "
            "in the rows of a band and its margin; use backend='cpu'"
        )
    raise MemoryBudgetError(
        f"memory: {format_bytes(budget)} on the device is too little for a scene {width} pixels "
        f"wide; the smallest layout (bands of {smallest.band_rows} rows) needs "
        f"{format_bytes(smallest.bytes)}; free device memory, or use backend='cpu'"
    )


def _aligned(row: int, step: int, height: int) -> int:
    return min(height, -(-row // step) * step)


def _candidates(
    height: int, width: int, step: int, devices: tuple[int, ...], settings: Settings
) -> Iterator[DeviceLayout]:
    """From the fastest to the smallest."""
    threads = settings.threads
    if settings.tile is None and len(devices) == 1:
        yield DeviceLayout(devices, True, False, True, height, threads, 0)
    if settings.tile is not None:
        sizes = [max(step, settings.tile // step * step)]
    else:
        most = max(1, min(height, BAND_PIXELS // width) // step)
        sizes = [n * step for n in sorted({most, -(-most // 2), -(-most // 4), -(-most // 8)})]
        sizes.reverse()
    for keep, resident in ((True, True), (False, True), (False, False)):
        for rows in sizes:
            yield DeviceLayout(devices, False, keep, resident, rows, threads, 0)
    if settings.tile is None:
        yield DeviceLayout(devices, False, False, False, step, threads, 0)


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
            parts.append(_Part(index, lane, source, layout, model, precision, settings, reading))
        try:
            run = _run_whole if layout.whole else _run_bands
            run(parts, sink, groups, scales, progress)
        except RuntimeError as error:
            raise CoreError(f"the CUDA core refuses the pair: {error}") from error
        finally:
            for part in parts:
                with on(part.lane.device), contextlib.suppress(RuntimeError):
                    part.lane.wait()


class _Part:
    """A device with the images it has of a pair."""

    def __init__(
        self,
        index: int,
        lane: Lane,
        source: Source,
        layout: DeviceLayout,
        model: Model,
        precision: str,
        settings: Settings,
        reading: threading.Lock,
    ) -> None:
        self.index, self.lane, self.source, self.layout = index, lane, source, layout
        self.model, self.precision, self.settings = model, precision, settings
        self._reading = reading
        self._dn_per_unit: Any = None
        self._ms: Any = None
        self._ms_mask: Any = None
        self._pan: _Rows | None = None

    def _place_ms(self) -> None:
        core, lane, source = cuda.module(), self.lane, self.source
        count, rows, cols = source.ms_shape
        item = source.ms_dtype.itemsize
        self._ms = self._memory(count * rows * cols * item)
        if source.ms_masked:
            self._ms_mask = self._memory(rows * cols)
        step = max(1, (1 << 22) // (count * cols))
        for first in range(0, rows, step):
            last = min(first + step, rows)
            with self._reading:
                ms, valid = source.ms(first, last), source.ms_valid(first, last)
            for k in range(count):
                lane.upload(ms[k], self._ms.address + (k * rows + first) * cols * item)
            if self._ms_mask is not None:
                found = np.ones((last - first, cols), bool) if valid is None else valid != 0
                lane.upload(found.view(np.uint8), self._ms_mask.address + first * cols)
        self._dn_per_unit = self._memory(8)
        core.wait(lane.up.handle)

    def _memory(self, size: int) -> Any:
        return self._allocated(size, lambda: cuda.module().Memory(max(1, size)))

    def scan(self, handle: Any, scene: Any, bands: Any) -> Any:
        """A scan with its memory."""
        core = cuda.module()
        size = core.scan_bytes(handle, scene, bands)
        return self._allocated(size, lambda: core.Scan(handle, scene, bands))

    def _allocated(self, size: int, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except RuntimeError as error:
            raise MemoryBudgetError(
                f"memory: cuda:{self.lane.device} refuses {format_bytes(size)} ({error}); free "
                "memory there, or use backend='cpu'"
            ) from error

    def prepare(self, group: Group, scale: float, cap: int) -> None:
        """Images and the scale of a group of bands; PAN in `cap` rows, or whole."""
        if self._ms is None:
            self._place_ms()
            held = self.source.shape[0] if self.layout.resident else cap
            self._pan = _Rows(self, held, self._memory)
        self._dn_per_unit.copy_in(np.array([scale], np.float64), self.lane.work.handle)
        self.group = group

    def input(self, first: int, last: int) -> tuple[Any, int]:
        """What a run reads that needs these PAN rows, and the first PAN row there."""
        assert self._pan is not None
        pan, mask, top = self._pan.get(first, last)
        _, rows, cols = self.source.ms_shape
        ms_dtype, pan_dtype = str(self.source.ms_dtype), str(self.source.pan_dtype)
        ms_mask = NO_MASK if self._ms_mask is None else (self._ms_mask.address, [0, cols])
        width = self.source.shape[1]
        given = cuda.module().Input(
            ms=(self._ms.address, DTYPES[ms_dtype], [0, rows * cols, cols, 1]),
            pan=(pan, DTYPES[pan_dtype], [0, 0, width, 1]),
            ms_bands=list(self.group.read),
            valid=(mask, [0, width]) if mask else NO_MASK,
            ms_valid=ms_mask,
            dn_per_unit=self._dn_per_unit.address,
        )
        return given, top

    def release(self) -> None:
        """The rows that the last input named may be overwritten once ``work`` has run."""
        assert self._pan is not None
        self._pan.release()

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray | None]:
        """PAN rows and their mask."""
        with self._reading:
            return self.source.pan(first, last), self.source.valid(first, last)


class _Rows:
    """PAN on a device: whole, filled as far as asked for, or two bands in turn."""

    def __init__(self, part: _Part, rows: int, memory: Callable[[int], Any]) -> None:
        source = part.source
        self._part, self._width = part, source.shape[1]
        self._item = source.pan_dtype.itemsize
        self._whole = rows >= source.shape[0]
        self._filled = 0
        count = 1 if self._whole else 2
        self._pan = [memory(rows * self._width * self._item) for _ in range(count)]
        self._mask = [memory(rows * self._width) for _ in range(count)] if source.masked else []
        self._read = [cuda.module().Event() for _ in range(count)]
        self._at = 0

    def get(self, first: int, last: int) -> tuple[int, int, int]:
        """(address of PAN, of its mask or 0, first row there) with these rows in them."""
        if self._whole:
            if last > self._filled:
                self._fill(0, self._filled, last, self._filled)
                self._filled = last
            return self._pan[0].address, self._mask[0].address if self._mask else 0, 0
        self._at = 1 - self._at
        self._read[self._at].wait_in(self._part.lane.up.handle)
        self._fill(self._at, first, last, 0)
        mask = self._mask[self._at].address if self._mask else 0
        return self._pan[self._at].address, mask, first

    def _fill(self, slot: int, first: int, last: int, at: int) -> None:
        lane = self._part.lane
        step = max(1, (1 << 24) // self._width)
        for top in range(first, last, step):
            end = min(top + step, last)
            pan, valid = self._part.read(top, end)
            row = at + top - first
            lane.upload(pan, self._pan[slot].address + row * self._width * self._item)
            if self._mask:
                found = np.ones(pan.shape, bool) if valid is None else valid != 0
                lane.upload(found.view(np.uint8), self._mask[slot].address + row * self._width)
        ready = cuda.module().Event()
        ready.record(lane.up.handle)
        ready.wait_in(lane.work.handle)

    def release(self) -> None:
        """What ``work`` holds now is the last that reads these rows."""
        self._read[self._at].record(self._part.lane.work.handle)


def _targets(group: Group) -> tuple[list[int], list[int]]:
    """Bands of the sink that are written, and where the network's bands lie among them."""
    written = [b for b in group.write if b >= 0]
    slots = iter(range(len(written)))
    return written, [next(slots) if b >= 0 else -1 for b in group.write]


def _output(part: _Part, targets: list[int], address: int, dtype: np.dtype, rows: int) -> Any:
    s, width = part.settings, part.source.shape[1]
    return cuda.module().Output(
        out=(address, DTYPES[str(dtype)], [0, rows * width, width, 1]),
        bands=targets,
        low=s.low,
        high=s.high,
        fill=s.fill,
        reserve=s.reserve,
    )


def _run_whole(
    parts: list[_Part],
    sink: Sink,
    groups: list[Group],
    scales: list[float],
    progress: Progress | None,
) -> None:
    (part,) = parts
    lane, (height, width) = part.lane, part.source.shape
    with on(lane.device):
        for done, (group, scale) in enumerate(zip(groups, scales)):
            written, targets = _targets(group)
            kept = cuda.store.plan(
                part.model, part.precision, lane.device, lane.work.handle,
                geometry(part.source, part.settings, group),
            )  # fmt: skip
            part.prepare(group, scale, height)
            out = cuda.module().Memory(len(written) * height * width * sink.dtype.itemsize)
            given, _ = part.input(0, height)
            into = _output(part, targets, out.address, sink.dtype, height)
            with kept.lock:
                kept.plan.run(given, into, lane.work.handle)
                writer = Writer(lane, sink, written, width)
                writer.put(0, height, out.address, height * width * sink.dtype.itemsize)
                writer.flush()
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
        shares.append(_Share(first, last, max(0, first - wide), _aligned(last + wide, step, height)))
    return shares


class _Bands:
    """The bands of a group on one device."""

    def __init__(self, part: _Part, scan: Any, share: _Share, tell: Callable[[], None]) -> None:
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
        written, targets = _targets(part.group)
        width, item = part.source.shape[1], sink.dtype.itemsize
        rows = min(part.layout.band_rows, self.share.last - self.share.first)
        with on(lane.device):
            core = cuda.module()
            out = [core.Memory(len(written) * rows * width * item) for _ in range(2)]
            taken = [core.Event(), core.Event()]
            writer = Writer(lane, sink, written, width)
            for i, (y0, y1) in enumerate(self.bands(True)):
                memory = out[i % 2]
                taken[i % 2].wait_in(lane.work.handle)
                into = _output(part, targets, memory.address, sink.dtype, rows)
                self._run(pass_, y0, y1, into)
                writer.put(y0, y1 - y0, memory.address, rows * width * item)
                taken[i % 2].record(lane.down.handle)
            writer.flush()


def _run_bands(
    parts: list[_Part],
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

    with ThreadPoolExecutor(len(parts)) as pool:
        for index, (group, scale) in enumerate(zip(groups, scales)):
            scene = cuda.scene_of(geometry(source, parts[0].settings, group))
            runs: list[_Bands] = []
            for part in parts:
                with on(part.lane.device):
                    handle = cuda.store.model(part.model, part.precision, part.lane.device)
                    step, margin = core.scan_step(handle, scene), core.scan_margin(handle, scene)
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
                    part.prepare(group, scale, min(height, layout.band_rows + 2 * margin + step))
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
