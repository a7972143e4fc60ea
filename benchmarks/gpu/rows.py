"""Rows of a run, on disk after every one, and the clock that ends what takes too long."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..candidate import without_folders

Row = dict[str, Any]
OK, FAILED, SKIPPED, WRONG = "ok", "failed", "skipped", "wrong"
AGAIN_S = 10.0  # an alarm that somebody's `except` swallowed rings again

_deadlines: list[float] = []


class OverTimeError(Exception):
    """A call took longer than it may."""


def _ring(*_: object) -> None:
    raise OverTimeError("over its time")


def _set_alarm() -> None:
    if _deadlines:
        left = max(0.01, min(_deadlines) - time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, left, AGAIN_S)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise ``OverTimeError`` in the main thread after so long; calls nest."""
    signal.signal(signal.SIGALRM, _ring)
    _deadlines.append(time.monotonic() + seconds)
    try:
        _set_alarm()
        yield
    finally:
        _deadlines.pop()
        _set_alarm()


def make_row(engine: str, status: str = OK, reason: str = "", **more: Any) -> Row:
    """A row; ``reason`` says why there is no figure. JSON has no infinity and no NaN."""
    for key, value in more.items():
        if isinstance(value, float) and not math.isfinite(value):
            more[key] = None
    return {"engine": engine, "status": status, "reason": without_folders(reason) or None, **more}


class Store:
    """The JSON of a run; what runs now, and when it is given up, is in a small file beside it.

    Attributes
    ----------
    result : dict
        ``groups``: list of ``{name, title, rows, seconds}``; ``seconds`` is None while one runs.
    """

    def __init__(self, path: Path, result: dict[str, Any] | None = None) -> None:
        self.path = path
        self.result = json.loads(path.read_text()) if result is None else result
        self._beside = path.with_suffix(".running")

    @staticmethod
    def _replace(path: Path, content: Any) -> None:
        """At once: a kill leaves the last one."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(partial, path)

    def write(self) -> None:
        """The JSON."""
        self._replace(self.path, self.result)

    def begin(self, name: str, title: str) -> None:
        """Another group."""
        self.result["groups"].append({"name": name, "title": title, "rows": [], "seconds": None})
        self.write()

    def add(self, row: Row) -> None:
        """A row of the group that runs."""
        self.result["groups"][-1]["rows"].append(row)
        self.write()

    def end(self, seconds: float) -> None:
        """The group is over."""
        self.result["groups"][-1]["seconds"] = round(seconds, 2)
        self.idle()
        self.write()

    def started(self, name: str) -> bool:
        """Whether a group was begun."""
        return any(g["name"] == name for g in self.result["groups"])

    def running(self, engine: str, seconds: float) -> None:
        """What runs now, and how long it may."""
        self._replace(self._beside, {"engine": engine, "until": time.time() + seconds})

    def idle(self) -> None:
        """Nothing runs."""
        self._beside.unlink(missing_ok=True)

    def now(self) -> dict[str, Any] | None:
        """``engine`` and ``until`` (``time.time()``) of what runs."""
        try:
            found: dict[str, Any] = json.loads(self._beside.read_text())
        except FileNotFoundError:
            return None
        return found

    def give_up(self, reason: str) -> None:
        """The process died: what ran then failed, and the group is over."""
        engine = (self.now() or {}).get("engine", "the group")
        if self.result["groups"] and self.result["groups"][-1]["seconds"] is None:
            self.add(make_row(engine, FAILED, reason))
            self.end(0.0)
        else:
            self.result["errors"] = [*self.result.get("errors", []), f"{engine}: {reason}"]
            self.write()


def rows_of(result: dict[str, Any], group: str) -> list[Row]:
    """Rows of a group, none where it was not run."""
    return [row for g in result["groups"] if g["name"] == group for row in g["rows"]]


def find(result: dict[str, Any], group: str, engine: str) -> Row | None:
    """A timed row; rows that say why there is none are not found."""
    for row in rows_of(result, group):
        if row["engine"] == engine and row["status"] == OK and row.get("ms") is not None:
            return row
    return None
