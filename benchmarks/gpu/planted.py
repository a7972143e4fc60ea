"""Engines that fail, in a dry run: each must be a row, and the last must not end the run."""

from __future__ import annotations

import os
import time

from .bench import Bench

FAILS, HANGS, DIES = "planted: fails", "planted: hangs", "planted: dies"


class NoDevice:
    """Of a group that needs none."""

    dry = True

    def about(self) -> None:
        """Nothing."""

    sync = release = forget = about


def _fail() -> None:
    raise RuntimeError("planted")


def planted(bench: Bench) -> None:
    """Fail, take too long, end the process."""
    bench.attempt(FAILS, _fail, 1.0)
    bench.attempt(HANGS, lambda: time.sleep(60), 0.1)
    bench.attempt(DIES, lambda: os._exit(41), 1.0)
