"""Groups of pairs in host memory: whole, in batches, and a scene as large as there is room for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import pantiny

from ..inputs import BITS, make_tile
from ..machine import available_memory
from ..macs import RATIO
from .bench import Bench
from .engines import ours_name

SIZES = ((1024, 1), (4096, 1), (128, 16), (512, 16))
DRY_SIZES = ((16, 1), (8, 2))
TILE, DRY_TILE = 400, 16  # of a scene: 100 of them are 40,000 pixels
BYTES_PER_PIXEL = 2 + 4 * 2 / RATIO**2 + 4 * 2  # PAN, MS, result
SHARE_OF_MEMORY = 0.6
FIRST_GPX = 0.1
CALL_S = 60.0
MODEL_STEPS = 3  # of the packaged model


def _tiled(tile: np.ndarray, times: int) -> np.ndarray:
    """``tile`` [..., h, w] repeated down and across; at the speed of memory."""
    *lead, h, w = tile.shape
    made = np.empty((*lead, times, h, times, w), tile.dtype)
    made[...] = tile[..., None, :, None, :]
    return made.reshape(*lead, times * h, times * w)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def arrays(bench: Bench) -> None:
    """numpy in, numpy out: with the copies there and back."""
    for side, images in DRY_SIZES if bench.dry else SIZES:
        bench.about = {"side": side, "images": images}
        edge = min(side, 256 if not bench.dry else side)
        tile = make_tile(edge, edge, 0)
        ms, pan = (_tiled(a, side // edge) for a in (tile.ms, tile.pan))
        if images > 1:
            ms, pan = np.stack([ms] * images), np.stack([pan] * images)
        out = np.zeros((*ms.shape[:-2], side, side), ms.dtype)
        for precision in ("fp16", "fp32"):
            call = partial(
                pantiny.fuse, ms, pan, backend="cuda", bits=BITS, precision=precision,
                consistency=0, out=out,
            )  # fmt: skip
            name = ours_name(precision) + ", host memory"
            times = bench.attempt(
                name, lambda call=call: [_seconds(call) for _ in range(bench.rounds() + 1)], CALL_S
            )
            if times is None:
                continue
            warm = sorted(times[1:])
            ms_a_call = 1e3 * warm[len(warm) // 2]
            bench.add(
                name,
                ms=ms_a_call,
                least_ms=1e3 * warm[0],
                most_ms=1e3 * warm[-1],
                first_ms=1e3 * times[0],
                ms_per_mpx=ms_a_call / (side * side * images / 1e6),
            )


class _Layout(logging.Handler):
    """Remembers what the driver says of how it cuts the scene up."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def _fused(edge: int, times: int, steps: int) -> tuple[float, str]:
    """Seconds of a scene, and its layout. The result's memory was written before."""
    tile, side = make_tile(edge, edge, 0), edge * times
    ms, pan = _tiled(tile.ms, times), _tiled(tile.pan, times)
    out = np.empty((4, side, side), np.uint16)
    out.fill(1)
    log, handler = logging.getLogger("pantiny"), _Layout()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        took = _seconds(
            lambda: pantiny.fuse(
                ms, pan, backend="cuda", bits=BITS, precision="fp16", consistency=steps, out=out
            )
        )
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    corner = np.s_[:, -2 * RATIO :, -2 * RATIO :]
    if (out[corner] == 1).all():
        raise ValueError("the end of the scene was not written")
    return took, handler.said


def scene(bench: Bench) -> None:
    """A scene from host memory to host memory: a small one, then the largest that time and memory
    allow, without and with the model's consistency steps."""

    edge = DRY_TILE if bench.dry else TILE

    def row(gpx: float, steps: int, what: str) -> float | None:
        name = ours_name("fp16", steps) + ", scene in host memory"
        times = max(1, round((gpx * 1e9) ** 0.5 / edge))
        bench.about = {"side": edge * times, "images": 1}
        started = time.perf_counter()
        found = bench.attempt(name, lambda: _fused(edge, times, steps), bench.left())
        if found is None:
            return None
        seconds, layout = found
        size = (edge * times) ** 2 / 1e9
        bench.add(
            name, ms=1e3 * seconds, ms_per_mpx=seconds / size, gpx=size,
            gpx_per_s=size / seconds, layout=layout, what=what,
        )  # fmt: skip
        return time.perf_counter() - started

    took: float | None = None
    for what in ("warms up", "small"):  # the second tells how long a large one takes
        took = row(min(FIRST_GPX, bench.scene_gpx), 0, what)
        if took is None:
            return
    assert took is not None
    room = SHARE_OF_MEMORY * available_memory() / BYTES_PER_PIXEL / 1e9
    fits = FIRST_GPX * 0.4 * bench.left() / took
    gpx = min(bench.scene_gpx, room, fits)
    what = f"memory for {room:.2f} Gpx, time for {fits:.2f} Gpx, asked {bench.scene_gpx:g} Gpx"
    for steps in (0, MODEL_STEPS):
        row(gpx, steps, what)
