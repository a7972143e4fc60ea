"""What runs inside a worker process: the job it gets and the class it fills in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from pantiny.weights import Model

from .candidate import WHOLE
from .inputs import Tile, gate_tile, get_model, make_tile


@dataclass(frozen=True)
class Job:
    """What a worker is to do.

    Attributes
    ----------
    subject : str
        Key of ``worker.SUBJECTS``.
    model : str
        Packaged model or variant.
    height, width : int
        Of the tile that is timed.
    threads, buffers : int
    folder : str
        For temporary files.
    options : dict
        Of the subject.
    """

    subject: str
    model: str
    height: int
    width: int
    threads: int
    buffers: int
    folder: str
    options: dict[str, Any] = field(default_factory=dict)


WAKE_S = 0.1  # of calls before one that follows others


class Subject:
    """Base of everything a worker measures."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.calls: list[Callable[[], object]] = []

    @cached_property
    def model(self) -> Model:
        """The network."""
        return get_model(self.job.model)

    def tiles(self) -> list[Tile]:
        """One tile per set of buffers."""
        return [make_tile(self.job.height, self.job.width, i) for i in range(self.job.buffers)]

    def check(self) -> np.ndarray:
        """DN [4, H, W] of the gate's tile."""
        return self.result(gate_tile())

    def result(self, tile: Tile) -> np.ndarray:
        """DN [4, H, W] of a tile."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Fill ``calls``, one per set of buffers."""
        raise NotImplementedError

    def run(self, buffer: int) -> dict[str, float]:
        """Seconds of one call."""
        call = self.calls[buffer]
        started = time.perf_counter()
        call()
        return {WHOLE: time.perf_counter() - started}

    def facts(self) -> dict[str, Any]:
        """What else there is to say."""
        return {}


class Warm(Subject):
    """A subject whose calls take milliseconds: the one that is timed follows others.

    A thread that has slept is woken on the core that wakes it, and moved later than a small image
    takes. The first call after idling is a fact of its own.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.after_idle: list[float] = []

    def run(self, buffer: int) -> dict[str, float]:
        self.after_idle.append(super().run(buffer)[WHOLE])
        until = time.perf_counter() + WAKE_S
        while time.perf_counter() < until:
            self.calls[buffer]()
        return super().run(buffer)

    def facts(self) -> dict[str, Any]:
        return {"after_idle_s": median(self.after_idle)} if self.after_idle else {}
