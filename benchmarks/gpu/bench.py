"""What groups are made with: attempts that cannot end the run, and calls timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..candidate import Unavailable
from ..harness import turns
from .rows import FAILED, SKIPPED, OverTimeError, Row, Store, limit, make_row

if TYPE_CHECKING:
    from .device import Call, Gpu

T = TypeVar("T")
ROUNDS = 7
ENOUGH_MS = 30.0  # of calls in one measurement
MOST_CALLS = 200
GRACE_S = 15.0  # an alarm waits for a call into a library to return; then the process is ended


class DeviceLostError(Exception):
    """Nothing more runs in this process."""


@dataclass
class Bench:
    """A device, where rows go, and the time that is left.

    Attributes
    ----------
    until : float
        ``time.monotonic()`` at which the group ends.
    """

    device: Gpu
    store: Store
    until: float
    scene_gpx: float
    about: dict[str, Any] = field(default_factory=dict)  # goes into every row of the moment

    def left(self) -> float:
        """Seconds of the group."""
        return self.until - time.monotonic()

    @property
    def dry(self) -> bool:
        """Whether times mean nothing."""
        return self.device.dry

    def rounds(self) -> int:
        """Of measurements in turns."""
        return 1 if self.dry else ROUNDS

    def add(self, engine: str, *words: str, **more: Any) -> Row:
        """A row."""
        row = make_row(engine, *words, **{**self.about, **more})
        self.store.add(row)
        print(line(row), flush=True)
        return row

    def attempt(self, engine: str, make: Callable[[], T], seconds: float) -> T | None:
        """What ``make`` gives within so long; None, and a row that says why, where it does not.

        Raises
        ------
        DeviceLostError
            If the device does not answer any more.
        """
        seconds = min(seconds, self.left())
        if seconds <= 0:
            self.add(engine, SKIPPED, "no time left")
            return None
        self.store.running(engine, seconds + GRACE_S)
        try:
            with limit(seconds):
                return make()
        except Unavailable as error:
            status = SKIPPED if error.status == "missing" else FAILED
            self.add(engine, status, error.reason)
        except OverTimeError:
            self.add(engine, FAILED, f"over its time of {seconds:.3g} s")
        except Exception as error:
            self.add(engine, FAILED, f"{type(error).__name__}: {error}")
        try:
            with limit(GRACE_S):
                self.device.sync()
                self.device.release()
        except Exception as error:
            raise DeviceLostError(str(error)) from error
        return None

    def compare(self, calls: dict[str, Call], seconds: float = 20.0) -> dict[str, dict[str, float]]:
        """Median, least and most milliseconds of a call of each, measured in turns.

        One that fails is a row of its own and left out.
        """
        counts: dict[str, int] = {}
        found: dict[str, list[float]] = {}
        for name, call in calls.items():
            count = self.attempt(name, partial(self._count, call), seconds)
            if count is not None:
                counts[name], found[name] = count, []
        for round_ in range(self.rounds()):
            if self.left() <= 0 and round_ > 0:
                break
            names = list(counts)
            for i in turns(len(names), round_):
                once = partial(self.device.timed, calls[names[i]], counts[names[i]])
                ms = self.attempt(names[i], once, seconds)
                if ms is None:
                    del counts[names[i]], found[names[i]]
                else:
                    found[names[i]].append(ms)
        return {
            name: {
                "ms": statistics.median(t),
                "least_ms": min(t),
                "most_ms": max(t),
                "rounds": len(t),
                "calls": counts[name],
            }
            for name, t in found.items()
            if t
        }

    def _count(self, call: Call) -> int:
        """Calls of a measurement; the first runs warm it up, and repeats become graphs."""
        if self.dry:
            return 1
        for _ in range(3):
            call()
        self.device.sync()
        return max(1, min(MOST_CALLS, round(ENOUGH_MS / max(self.device.timed(call, 1), 1e-3))))

    def rows(
        self,
        times: dict[str, dict[str, float]],
        pixels: int,
        facts: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Rows of what ``compare`` found, by name, with what else is known of each."""
        for name, t in times.items():
            more = (facts or {}).get(name, {})
            self.add(name, **t, ms_per_mpx=t["ms"] / (pixels / 1e6), **more)


def line(row: Row) -> str:
    """A row as text."""
    where = f"{row['side']}^2 x {row['images']}" if "side" in row else ""
    text = f"  {where:11} {row['engine']:40}"
    if row["reason"]:
        return f"{text} {row['status']}: {row['reason']}"
    if row.get("ms") is not None:
        text += f" {row['ms']:10.4f} ms"
    if row.get("ms_per_mpx") is not None:
        text += f" {row['ms_per_mpx']:9.4f} ms/Mpx"
    known = ("engine", "status", "reason", "side", "images", "ms", "ms_per_mpx")
    unsaid = ("least_ms", "most_ms", "rounds", "calls")
    for key, value in row.items():
        if key not in (*known, *unsaid):
            text += f" {key}={value:.4g}" if isinstance(value, float) else f" {key}={value}"
    return text
