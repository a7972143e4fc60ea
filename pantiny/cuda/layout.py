"""How a pair in host memory is cut up for one or several devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .. import cuda
from ..bands import Group
from ..engine import Settings, Source
from ..errors import BackendError, CoreError, MemoryBudgetError
from ..system import format_bytes
from ..weights import Model
from . import Geometry, using

BAND_PIXELS = 1 << 25  # of a band; not tuned on a GPU
SHARE_OF_FREE = 0.9  # of a device's memory


@dataclass(frozen=True)
class Share:
    """Rows of a scene that a device answers for, and those it runs for them."""

    first: int
    last: int
    run_first: int
    run_last: int

    def bands(self, rows: int, result: bool) -> list[tuple[int, int]]:
        """First and last rows of the bands of a pass; those of the result are its own only."""
        first, last = (self.first, self.last) if result else (self.run_first, self.run_last)
        return [(y, min(y + rows, last)) for y in range(first, last, rows)]

    def pan_rows(self, height: int, margin: int, step: int) -> tuple[int, int]:
        """PAN rows that it needs in all, first and last."""
        return max(0, self.run_first - margin - step), min(height, self.run_last + margin)


def shares_of(height: int, step: int, margin: int, count: int, keep: bool) -> list[Share]:
    """The rows of at most so many devices; with kept features they run a margin more."""
    rows = -(-height // (step * count)) * step
    wide = margin if keep else 0
    shares = []
    for first in range(0, height, rows):
        last = min(first + rows, height)
        run_last = min(height, -(-(last + wide) // step) * step)
        shares.append(Share(first, last, max(0, first - wide), run_last))
    return shares


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


def budget_of(devices: tuple[int, ...]) -> int:
    """Bytes that a run may take on each device."""
    free = []
    for device in devices:
        with using(device) as core:
            free.append(core.free_memory() + cuda.store.bytes(device))
    return int(SHARE_OF_FREE * min(free))


def image_bytes(source: Source) -> int:
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
        with using(device):
            handles.append(cuda.store.model(model, precision, device))
    with using(devices[0]):
        step = core.scan_step(handles[0], scene)
        margin = core.scan_margin(handles[0], scene)
    for device, handle in zip(devices, handles):
        with using(device):
            if core.scan_step(handle, scene) != step:
                raise BackendError(
                    f"device: cuda:{device} and cuda:{devices[0]} take tiles of different shape; "
                    "need devices of one kind; name fewer"
                )
    written = max(sum(b >= 0 for b in g.write) for g in groups)
    out_row = width * written * sink_dtype.itemsize
    pan_row = width * (source.pan_dtype.itemsize + source.masked)
    fixed = image_bytes(source)
    used = devices[: len(shares_of(height, step, margin, len(devices), False))]
    refused: RuntimeError | None = None
    smallest: DeviceLayout | None = None
    for layout in candidates(height, width, step, margin, used, settings):
        try:
            if layout.whole:
                need = core.plan_bytes(handles[0], scene) + height * (pan_row + out_row)
            else:
                shares = shares_of(height, step, margin, len(used), layout.keep)
                kept = max(s.run_last - s.run_first for s in shares)
                kept = min(height, -(-kept // step) * step)
                bands = core.Bands(rows=layout.band_rows, keep=layout.keep, first=0, last=kept)
                first_last = (s.pan_rows(height, margin, step) for s in shares)
                rows = max(last - first for first, last in first_last)
                if not layout.resident:
                    rows = 2 * min(height, layout.band_rows + 2 * margin + step)
                need = core.scan_bytes(handles[0], scene, bands) + rows * pan_row
                need += 2 * min(layout.band_rows, height) * out_row
        except RuntimeError as error:  # more than kernels count
            refused = error
            continue
        found = replace(layout, bytes=need + fixed)
        if found.bytes <= budget:
            return found
        if smallest is None or found.bytes < smallest.bytes:
            smallest = found
    if smallest is None:
        raise CoreError(
            f"plan: refused by the CUDA core for {height}x{width} pixels; need at most 2^30 pixels "
            "in the rows of a band and its margin; use backend='cpu'"
        ) from refused
    raise MemoryBudgetError(
        f"memory: {format_bytes(budget)} on the device is too little for a scene {width} pixels "
        f"wide; the smallest layout (bands of {smallest.band_rows} rows) needs "
        f"{format_bytes(smallest.bytes)}; free device memory, or use backend='cpu'"
    )


def candidates(
    height: int,
    width: int,
    step: int,
    margin: int,
    devices: tuple[int, ...],
    settings: Settings,
) -> Iterator[DeviceLayout]:
    """From the fastest to the smallest."""
    threads = settings.threads
    if settings.tile is None and len(devices) == 1:
        yield DeviceLayout(devices, True, False, True, height, threads, 0)
    if settings.tile is not None:
        sizes = [max(step, settings.tile // step * step)]
    else:
        n, sizes = max(1, min(height, BAND_PIXELS // width) // step), []
        while n:
            sizes.append(n * step)
            n //= 2
    high = [rows for rows in sizes if rows >= margin]  # lower ones recompute more than they are
    low = [rows for rows in sizes if rows < margin]
    kinds = ((True, True, sizes), (False, True, high), (False, False, high), (False, False, low))
    for keep, resident, among in kinds:
        for rows in among:
            yield DeviceLayout(devices, False, keep, resident, rows, threads, 0)
