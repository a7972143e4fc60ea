"""Pairs in host memory that fit a device: all rows at once, several images in one run."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .. import cuda
from ..bands import Group
from ..engine import Progress, Settings, Sink, Source
from ..weights import Model
from . import using
from .images import input_of, ms_of, output_of, pan_of, run_on, targets_of, upload_rows
from .lanes import Writer, lanes
from .layout import budget_of, geometry, image_bytes

RUN_PIXELS = 1 << 24  # of a run of several images; not tuned on a GPU
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
    each = height * width * item + image_bytes(source) + source.ms_shape[1] * width
    budget = budget_of((device,))
    with using(device) as core:
        handle = cuda.store.model(model, precision, device)
        while count > 1:
            scene = cuda.scene_of(replace(geometry(source, settings, groups[0]), images=count))
            if core.plan_bytes(handle, scene) + count * each <= budget:
                return count
            count //= 2
    return 1


def run_whole(
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
    with using(device):
        lane = lanes.of(device)
    with run_on([lane]), using(device):
        first, n = sources[0], len(sources)
        (height, width), ms_shape = first.shape, first.ms_shape
        pixels, ms_pixels = height * width, ms_shape[1] * ms_shape[2]
        ms_size = ms_shape[0] * ms_pixels * first.ms_dtype.itemsize
        pan_size = pixels * first.pan_dtype.itemsize
        ms, pan = lane.memory(n * ms_size), lane.memory(n * pan_size)
        valid = lane.memory(n * pixels).address if first.masked else 0
        ms_masked = any(s.ms_masked for s in sources)
        ms_valid = lane.memory(n * ms_pixels).address if ms_masked else 0
        lock = threading.Lock()
        for i, source in enumerate(sources):
            mask = ms_valid and ms_valid + i * ms_pixels
            at = ms.address + i * ms_size
            upload_rows(lane, ms_of(source, lock), (0, ms_shape[1]), ms_shape, at, mask)
            mask = valid and valid + i * pixels
            at = pan.address + i * pan_size
            read = pan_of(source, lock)
            upload_rows(lane, read, (0, height), (1, height, width), at, mask)
        lane.uploaded()
        dtype = sinks[0].dtype
        dn_per_unit = lane.memory(8 * n)
        for done, group in enumerate(groups):
            images = replace(geometry(first, settings, group), images=n)
            kept = cuda.store.plan(model, precision, device, lane.work.handle, images)
            written, targets = targets_of(group)
            plane = pixels * dtype.itemsize
            out = lane.memory(n * len(written) * plane)
            given = np.array([s[done] for s in scales], np.float64)
            dn_per_unit.copy_in(given, lane.work.handle)
            pair = input_of(
                first, group, (ms.address, ms_valid), (pan.address, valid), dn_per_unit.address
            )
            into = output_of(settings, targets, out.address, dtype, first.shape)
            with kept.lock:
                kept.plan.run(pair, into, lane.work.handle)
                for i, sink in enumerate(sinks):
                    writer = Writer(lane, sink, written, width)
                    writer.put(0, height, out.address + i * len(written) * plane, plane)
                    writer.flush()
            del kept, out  # whose memory the next group may need
            if progress:
                progress((done + 1) / len(groups))
