"""A device's part of a scene in bands: MS whole, PAN in rows that stay or in bands."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .. import cuda
from ..bands import Group
from ..engine import Settings, Source
from ..errors import MemoryBudgetError
from ..system import format_bytes
from .images import input_of, ms_of, pan_of, upload_rows
from .lanes import Lane
from .layout import Share


class Part:
    """A device with the images it has of a pair.

    Parameters
    ----------
    share : Share
        Its rows.
    stay : (int, int) or None
        PAN rows that stay on the device; None: every run reads its own.
    cap : int
        PAN rows that a run may need.
    reading : threading.Lock
        Of the source.
    """

    def __init__(
        self,
        lane: Lane,
        source: Source,
        settings: Settings,
        share: Share,
        stay: tuple[int, int] | None,
        cap: int,
        reading: threading.Lock,
    ) -> None:
        self.lane, self.source, self.settings, self.share = lane, source, settings, share
        count, rows, cols = source.ms_shape
        ms = lane.memory(count * rows * cols * source.ms_dtype.itemsize)
        mask = lane.memory(rows * cols) if source.ms_masked else None
        self._held = [ms, mask]
        self._ms = ms.address, mask.address if mask else 0
        read = ms_of(source, reading)
        upload_rows(lane, read, (0, rows), source.ms_shape, *self._ms)
        self._dn_per_unit = lane.memory(8)
        self._pan = PanRows(lane, source, stay, cap, reading)
        self.group: Group

    def scan(self, handle: Any, scene: Any, bands: Any) -> Any:
        """A scan with its memory."""
        core = cuda.module()
        try:
            return core.Scan(handle, scene, bands)
        except RuntimeError as error:
            size = format_bytes(core.scan_bytes(handle, scene, bands))
            raise MemoryBudgetError(
                f"memory: cuda:{self.lane.device} refuses {size} ({error}); free memory there, or "
                "use backend='cpu'"
            ) from error

    def prepare(self, group: Group, scale: float) -> None:
        """What follows is of this group of bands."""
        self._dn_per_unit.copy_in(np.array([scale], np.float64), self.lane.work.handle)
        self.group = group

    def input(self, first: int, last: int) -> tuple[Any, int]:
        """What a run reads that needs these PAN rows, and the first PAN row there."""
        *pan, top = self._pan.get(first, last)
        at = self._dn_per_unit.address
        return input_of(self.source, self.group, self._ms, (pan[0], pan[1]), at), top

    def release(self) -> None:
        """The rows that the last input named may be overwritten once ``work`` has run."""
        self._pan.release()


class PanRows:
    """PAN on a device: rows that stay, filled as far as asked for, or two bands in turn."""

    def __init__(
        self,
        lane: Lane,
        source: Source,
        stay: tuple[int, int] | None,
        cap: int,
        reading: threading.Lock,
    ) -> None:
        self._lane, self._width = lane, source.shape[1]
        self._read_rows = pan_of(source, reading)
        self._stay = stay
        self._first = self._filled = stay[0] if stay else 0
        self._item = source.pan_dtype.itemsize
        self._rows, count = (stay[1] - stay[0], 1) if stay else (cap, 2)
        size = self._rows * self._width
        self._pan = [lane.memory(size * self._item) for _ in range(count)]
        self._mask = [lane.memory(size) for _ in range(count)] if source.masked else []
        self._used = [cuda.module().Event() for _ in range(count)]
        self._at = 0

    def get(self, first: int, last: int) -> tuple[int, int, int]:
        """(address of PAN, of its mask or 0, first row there) with these rows in them."""
        if self._stay:
            if last > self._filled:
                self._fill(self._filled, last, self._filled - self._first)
                self._filled = last
            top = self._first
        else:
            assert last - first <= self._rows
            self._at = 1 - self._at
            self._used[self._at].wait_in(self._lane.up.handle)
            self._fill(first, last, 0)
            top = first
        return self._pan[self._at].address, self._mask_at(0), top

    def _mask_at(self, row: int) -> int:
        return self._mask[self._at].address + row * self._width if self._mask else 0

    def _fill(self, first: int, last: int, at: int) -> None:
        samples = self._pan[self._at].address + at * self._width * self._item
        shape = 1, self._rows, self._width
        upload_rows(self._lane, self._read_rows, (first, last), shape, samples, self._mask_at(at))
        self._lane.uploaded()

    def release(self) -> None:
        """What ``work`` holds now is the last that reads these rows."""
        self._used[self._at].record(self._lane.work.handle)
