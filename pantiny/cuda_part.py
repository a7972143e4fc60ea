"""The images of a pair on one device: MS whole, PAN whole or in bands."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from . import cuda
from .bands import Group
from .cuda import DTYPES, NO_MASK
from .cuda_lanes import Lane
from .cuda_layout import DeviceLayout
from .engine import Settings, Source
from .errors import MemoryBudgetError
from .system import format_bytes
from .weights import Model


class Part:
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
        self._pan: Rows | None = None

    def _place_ms(self) -> None:
        lane, source = self.lane, self.source
        count, rows, cols = source.ms_shape
        item = source.ms_dtype.itemsize
        self._ms = lane.memory(count * rows * cols * item)
        if source.ms_masked:
            self._ms_mask = lane.memory(rows * cols)
        step = max(1, (1 << 22) // (count * cols))
        for first in range(0, rows, step):
            last = min(first + step, rows)
            with self._reading:
                ms, valid = source.ms(first, last), source.ms_valid(first, last)
            for k in range(count):
                lane.upload(ms[k], self._ms.address + (k * rows + first) * cols * item)
            if self._ms_mask is not None:
                at = self._ms_mask.address + first * cols
                lane.upload_mask(valid, (last - first, cols), at)
        self._dn_per_unit = lane.memory(8)

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

    def prepare(self, group: Group, scale: float, cap: int, first: int, last: int) -> None:
        """Images and the scale of a group of bands; PAN rows ``first`` to ``last`` to stay, or at
        most ``cap`` at once."""
        if self._ms is None:
            self._place_ms()
            self._pan = Rows(self, cap, first, last)
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


class Rows:
    """PAN on a device: rows that stay, filled as far as asked for, or two bands in turn."""

    def __init__(self, part: Part, cap: int, first: int, last: int) -> None:
        source, memory = part.source, part.lane.memory
        self._part, self._width = part, source.shape[1]
        self._item = source.pan_dtype.itemsize
        self._stay = part.layout.resident
        self._first = self._filled = first
        self._rows = last - first if self._stay else cap
        rows, count = self._rows, 1 if self._stay else 2
        self._pan = [memory(rows * self._width * self._item) for _ in range(count)]
        self._mask = [memory(rows * self._width) for _ in range(count)] if source.masked else []
        self._read = [cuda.module().Event() for _ in range(count)]
        self._at = 0

    def get(self, first: int, last: int) -> tuple[int, int, int]:
        """(address of PAN, of its mask or 0, first row there) with these rows in them."""
        if self._stay:
            if last > self._filled:
                self._fill(0, self._filled, last, self._filled - self._first)
                self._filled = last
            return self._pan[0].address, self._mask[0].address if self._mask else 0, self._first
        assert last - first <= self._rows
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
                to = self._mask[slot].address + row * self._width
                lane.upload_mask(valid, (end - top, self._width), to)
        lane.uploaded()

    def release(self) -> None:
        """What ``work`` holds now is the last that reads these rows."""
        self._read[self._at].record(self._part.lane.work.handle)
