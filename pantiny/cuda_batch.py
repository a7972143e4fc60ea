"""Small pairs in host memory, several in one run of a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from . import cuda
from .bands import Group
from .cuda import DTYPES, NO_MASK
from .cuda_lanes import Writer, lanes
from .cuda_layout import budget_of, geometry, image_bytes, on
from .cuda_scene import output_of, refusals, targets_of
from .engine import Progress, Settings, Sink, Source
from .weights import Model

RUN_PIXELS = 1 << 24  # of a run: more would not be faster
MOST_IMAGES = 4096  # of a plan


def images_a_run(
    source: Source,
    sink_dtype: np.dtype,
    model: Model,
    precision: str,
    groups: list[Group],
    device: int,
    settings: Settings,
    total: int,
) -> int:
    """How many of ``total`` images like this one fit, 1 where they are better fused one by one."""
    height, width = source.shape
    count = min(MOST_IMAGES, RUN_PIXELS // (height * width), total)
    written = max(sum(b >= 0 for b in g.write) for g in groups)
    item = source.pan_dtype.itemsize + 1 + written * sink_dtype.itemsize
    budget = budget_of((device,))
    with on(device):
        handle = cuda.store.model(model, precision, device)
        while count > 1:
            scene = cuda.scene_of(replace(geometry(source, settings, groups[0]), images=count))
            each = height * width * item + image_bytes(source) + source.ms_shape[1] * width
            if cuda.module().plan_bytes(handle, scene) + count * each <= budget:
                return count
            count //= 2
    return 1


def run_batch(
    sources: Sequence[Source],
    sinks: Sequence[Sink],
    model: Model,
    groups: list[Group],
    scales: Sequence[list[float]],
    settings: Settings,
    precision: str,
    device: int,
    progress: Progress | None = None,
) -> None:
    """Fuse pairs of one shape and dtype together, all of them masked or none.

    Parameters
    ----------
    scales : sequence of list of float
        Of each image, DN per network value of each group.
    """
    with on(device):
        lane = lanes.of(device)
    with lane.lock, on(device), refusals([lane]):
        lane.begin()
        first, n = sources[0], len(sources)
        (height, width), (count, ms_height, ms_width) = first.shape, first.ms_shape
        pixels, ms_pixels = height * width, ms_height * ms_width
        ms_bytes = count * ms_pixels * first.ms_dtype.itemsize
        ms = lane.memory(n * ms_bytes)
        pan = lane.memory(n * pixels * first.pan_dtype.itemsize)
        valid = lane.memory(n * pixels) if first.masked else None
        ms_valid = lane.memory(n * ms_pixels) if any(s.ms_masked for s in sources) else None
        for i, source in enumerate(sources):
            lane.upload(source.ms(0, ms_height), ms.address + i * ms_bytes)
            lane.upload(source.pan(0, height), pan.address + i * pixels * first.pan_dtype.itemsize)
            if valid:
                found = source.valid(0, height)
                lane.upload_mask(found, (height, width), valid.address + i * pixels)
            if ms_valid:
                found = source.ms_valid(0, ms_height)
                lane.upload_mask(found, (ms_height, ms_width), ms_valid.address + i * ms_pixels)
        lane.uploaded()
        item = sinks[0].dtype.itemsize
        dn_per_unit = lane.memory(8 * n)
        for done, group in enumerate(groups):
            kept = cuda.store.plan(
                model, precision, device, lane.work.handle,
                replace(geometry(first, settings, group), images=n),
            )  # fmt: skip
            written, targets = targets_of(group)
            out = lane.memory(n * len(written) * pixels * item)
            given = np.array([s[done] for s in scales], np.float64)
            dn_per_unit.copy_in(given, lane.work.handle)
            ms_plane, plane = [count * ms_pixels, ms_pixels, ms_width, 1], [pixels, 0, width, 1]
            pair = cuda.module().Input(
                ms=(ms.address, DTYPES[str(first.ms_dtype)], ms_plane),
                pan=(pan.address, DTYPES[str(first.pan_dtype)], plane),
                ms_bands=list(group.read),
                valid=(valid.address, [pixels, width]) if valid else NO_MASK,
                ms_valid=(ms_valid.address, [ms_pixels, ms_width]) if ms_valid else NO_MASK,
                dn_per_unit=dn_per_unit.address,
            )
            strides = [len(written) * pixels, pixels, width, 1]
            into = output_of(settings, targets, out.address, sinks[0].dtype, strides)
            with kept.lock:
                kept.plan.run(pair, into, lane.work.handle)
                for i, sink in enumerate(sinks):
                    writer = Writer(lane, sink, written, width)
                    at = out.address + i * len(written) * pixels * item
                    writer.put(0, height, at, pixels * item)
                    writer.flush()
            del kept, out  # whose memory the next group may need
            if progress:
                progress((done + 1) / len(groups))
