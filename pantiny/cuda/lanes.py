"""What moves images between host memory and a device: streams, and pinned memory that copies on
their way need not wait for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import cuda
from ..engine import Sink
from ..system import MIB

SLOTS = 3  # of pinned memory, each way
SLOT_BYTES = 16 * MIB
KEPT_BYTES = 64 * MIB  # device memory of a lane that is kept for its next run


class _Slot:
    """A piece of pinned memory, and the event behind which it may be used again."""

    def __init__(self, size: int) -> None:
        core = cuda.module()
        self._memory = core.Pinned(size)
        self.bytes = np.frombuffer(self._memory, np.uint8)
        self.event = core.Event()
        self.used = False


class _Slots:
    """Pinned memory in turn."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._next = 0

    def next(self, size: int) -> _Slot:
        """A slot of at least so many bytes; wait for its event where it was used."""
        if any(slot.bytes.size < size for slot in self._slots):
            for slot in self._slots:
                if slot.used:
                    slot.event.wait()
            self._slots.clear()
        if len(self._slots) < SLOTS:
            self._slots.append(_Slot(max(size, SLOT_BYTES)))
            self._next = 0
            return self._slots[-1]
        slot = self._slots[self._next]
        self._next = (self._next + 1) % SLOTS
        return slot


@dataclass
class Lane:
    """A device's streams: images come in, are fused and go out at the same time.

    Attributes
    ----------
    device : int
    up, work, down : core.Stream
    lock : threading.Lock
        Of the call that uses it.
    """

    device: int
    up: Any = field(default_factory=lambda: cuda.module().Stream())
    work: Any = field(default_factory=lambda: cuda.module().Stream())
    down: Any = field(default_factory=lambda: cuda.module().Stream())
    lock: threading.Lock = field(default_factory=threading.Lock)
    out: _Slots = field(default_factory=_Slots)
    _slots: _Slots = field(default_factory=_Slots)
    _memory: list[Any] = field(default_factory=list)
    _taken: int = 0

    def begin(self) -> None:
        """Another run: the memory of the one before is free."""
        self._taken = 0

    def memory(self, size: int) -> Any:
        """Device memory until the next ``begin``: for runs alike the same, at the same place.

        Raises
        ------
        MemoryBudgetError
        """
        at, self._taken = self._taken, self._taken + 1
        if at < len(self._memory) and self._memory[at].bytes >= size:
            return self._memory[at]
        del self._memory[at:]
        made = cuda.allocate(size)
        if at == len(self._memory) and sum(m.bytes for m in self._memory) + size <= KEPT_BYTES:
            self._memory.append(made)
        return made

    def upload(self, array: np.ndarray, address: int) -> None:
        """A contiguous array to the device, on ``up``; it may change once this returns."""
        core = cuda.module()
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for first in range(0, flat.size, SLOT_BYTES):
            piece = flat[first : first + SLOT_BYTES]
            slot = self._slots.next(piece.size)
            if slot.used:
                slot.event.wait()
            slot.bytes[: piece.size] = piece
            core.copy_in(address + first, slot.bytes[: piece.size], self.up.handle)
            slot.event.record(self.up.handle)
            slot.used = True

    def upload_mask(self, valid: np.ndarray | None, shape: tuple[int, int], address: int) -> None:
        """A mask of this shape, nonzero where a pixel is valid; None: everywhere."""
        found = np.ones(shape, bool) if valid is None else valid != 0
        self.upload(found.view(np.uint8), address)

    def uploaded(self) -> None:
        """What ``work`` gets from now on waits for what was uploaded."""
        ready = cuda.module().Event()
        ready.record(self.up.handle)
        ready.wait_in(self.work.handle)

    def wait(self) -> None:
        """Until nothing is under way."""
        for stream in (self.up, self.work, self.down):
            cuda.module().wait(stream.handle)


class Writer:
    """Takes rows of a result from the device to a sink, in order, one piece behind the copies.

    Parameters
    ----------
    lane : Lane
    sink : Sink
    bands : list of int
        Of the sink, in the order of the planes.
    width : int
    """

    def __init__(self, lane: Lane, sink: Sink, bands: list[int], width: int) -> None:
        self._lane, self._sink, self._bands, self._width = lane, sink, bands, width
        self._waiting: list[tuple[_Slot, int, int]] = []

    def put(self, row: int, rows: int, address: int, plane_bytes: int) -> None:
        """Rows of all planes that lie at ``address``; what ``work`` holds now makes them."""
        core, down = cuda.module(), self._lane.down.handle
        ready = core.Event()
        ready.record(self._lane.work.handle)
        ready.wait_in(down)
        count, item = len(self._bands), self._sink.dtype.itemsize
        row_bytes = self._width * item
        step = max(1, SLOT_BYTES // (count * row_bytes))
        for first in range(0, rows, step):
            n = min(step, rows - first)
            if len(self._waiting) == SLOTS:
                self._write()
            slot = self._lane.out.next(count * n * row_bytes)
            for k in range(count):
                to = slot.bytes[k * n * row_bytes : (k + 1) * n * row_bytes]
                core.copy_out_later(to, address + k * plane_bytes + first * row_bytes, down)
            slot.event.record(down)
            slot.used = True
            self._waiting.append((slot, row + first, n))

    def _write(self) -> None:
        slot, row, n = self._waiting.pop(0)
        slot.event.wait()
        size = len(self._bands) * n * self._width * self._sink.dtype.itemsize
        fused = slot.bytes[:size].view(self._sink.dtype)
        self._sink.write(row, self._bands, fused.reshape(len(self._bands), n, self._width))

    def flush(self) -> None:
        """Until every row is in the sink."""
        while self._waiting:
            self._write()


class _Lanes:
    """One of each device, made when first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[int, Lane] = {}

    def of(self, device: int) -> Lane:
        """The lane of a device that is the current one."""
        with self._lock:
            if device not in self._made:
                self._made[device] = Lane(device)
            return self._made[device]

    def clear(self) -> None:
        """Give streams and pinned memory back."""
        with self._lock:
            self._made.clear()


lanes = _Lanes()
