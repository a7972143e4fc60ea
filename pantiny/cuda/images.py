"""The images of pairs in host memory on their way to a device, and the result on its way back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import cuda
from ..bands import Group
from ..engine import Settings, Source
from ..errors import CoreError
from . import DTYPES, NO_MASK, using
from .lanes import Lane

ROWS_SAMPLES = 1 << 24  # read at once

Rows = tuple[np.ndarray, np.ndarray | None]  # samples and their mask
Read = Callable[[int, int], Rows]


def _locked(samples: Callable[..., Any], valid: Callable[..., Any], lock: threading.Lock) -> Read:
    def read(first: int, last: int) -> Rows:
        with lock:
            return samples(first, last), valid(first, last)

    return read


def ms_of(source: Source, lock: threading.Lock) -> Read:
    """Rows of MS with their mask; one thread at a time reads the source."""
    return _locked(source.ms, source.ms_valid, lock)


def pan_of(source: Source, lock: threading.Lock) -> Read:
    """Of PAN."""
    return _locked(source.pan, source.valid, lock)


def upload_rows(
    lane: Lane,
    read: Read,
    rows: tuple[int, int],
    shape: tuple[int, int, int],
    samples: int,
    mask: int,
) -> None:
    """Rows first to last of an image to a device.

    Parameters
    ----------
    rows : (int, int)
        First and last.
    shape : (int, int, int)
        Bands, rows and columns of the array there; its first row is the first of ``rows``.
    samples, mask : int
        Addresses; 0: no mask.
    """
    bands, height, width = shape
    step = max(1, ROWS_SAMPLES // (bands * width))
    for first in range(rows[0], rows[1], step):
        last = min(first + step, rows[1])
        found, valid = read(first, last)
        at = first - rows[0]
        for k, plane in enumerate(found if found.ndim == 3 else found[None]):
            lane.upload(plane, samples + (k * height + at) * width * plane.itemsize)
        if mask:
            lane.upload_mask(valid, (last - first, width), mask + at * width)


def input_of(
    source: Source,
    group: Group,
    ms: tuple[int, int],
    pan: tuple[int, int],
    dn_per_unit: int,
) -> Any:
    """What kernels read of images like this one, one behind the other.

    Parameters
    ----------
    ms, pan : (int, int)
        Addresses of samples and mask; mask 0: none.
    """
    count, rows, cols = source.ms_shape
    height, width = source.shape
    pixels, ms_pixels = height * width, rows * cols
    strides = [count * ms_pixels, ms_pixels, cols, 1]
    return cuda.module().Input(
        ms=(ms[0], DTYPES[str(source.ms_dtype)], strides),
        pan=(pan[0], DTYPES[str(source.pan_dtype)], [pixels, 0, width, 1]),
        ms_bands=list(group.read),
        valid=(pan[1], [pixels, width]) if pan[1] else NO_MASK,
        ms_valid=(ms[1], [ms_pixels, cols]) if ms[1] else NO_MASK,
        dn_per_unit=dn_per_unit,
    )


def output_of(
    settings: Settings, targets: list[int], address: int, dtype: np.dtype, shape: tuple[int, int]
) -> Any:
    """Where results go: bands of ``shape``, one image behind the other."""
    pixels = shape[0] * shape[1]
    written = sum(t >= 0 for t in targets)
    return cuda.module().Output(
        out=(address, DTYPES[str(dtype)], [written * pixels, pixels, shape[1], 1]),
        bands=targets,
        low=settings.low,
        high=settings.high,
        fill=settings.fill,
        reserve=settings.reserve,
    )


def targets_of(group: Group) -> tuple[list[int], list[int]]:
    """Bands of the sink that are written, and where the network's bands lie among them."""
    written = [b for b in group.write if b >= 0]
    slots = iter(range(len(written)))
    return written, [next(slots) if b >= 0 else -1 for b in group.write]


def _settle(lanes: list[Lane]) -> None:
    for lane in lanes:
        with using(lane.device):
            lane.wait()


@contextlib.contextmanager
def run_on(lanes: list[Lane]) -> Iterator[None]:
    """A run: the lanes are its own, the core's errors become ours, and nothing is under way at
    the end."""
    with contextlib.ExitStack() as stack:
        for lane in lanes:
            stack.enter_context(lane.lock)
            lane.begin()
        try:
            yield
            _settle(lanes)
        except BaseException as error:
            with contextlib.suppress(RuntimeError):  # the first error is the one to tell
                _settle(lanes)
            if isinstance(error, cuda.module().Error):
                raise CoreError(f"the CUDA core refuses the pair: {error}") from error
            raise
