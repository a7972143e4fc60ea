"""Run a command in a process of its own: wall time and peak memory; memory touched before."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .candidate import Unavailable, without_folders

# The kernel counts what a program's parent held when it was forked as the program's own peak,
# so a bare interpreter of a few MiB stands between.
_LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
quiet = [(os.POSIX_SPAWN_DUP2, 2, 1)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
elapsed = time.perf_counter() - started
print(json.dumps([elapsed, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True)
class Finished:
    """A command that ended well.

    Attributes
    ----------
    seconds : float
        Wall time, start of the program included.
    peak_rss_bytes : int
    said : str
        What it wrote to its streams.
    """

    seconds: float
    peak_rss_bytes: int
    said: str


def spawn(words: Sequence[str]) -> Finished:
    """Run a command to its end.

    Raises
    ------
    Unavailable
        If it fails; the reason is the last thing it said.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        answer, said = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    lines = [line for line in said.splitlines() if line.strip()]
    last = without_folders(lines[-1]) if lines else "it said nothing"
    if process.returncode:
        raise Unavailable("failed", f"cannot be started: {last}")
    seconds, peak_kib, code = json.loads(answer)
    if code:
        raise Unavailable("failed", f"exit code {code}: {last}")
    return Finished(seconds, peak_kib * 1024, said)


def touch_memory(count: int) -> float:
    """Have the system supply ``count`` bytes, and give them back; seconds per GiB it took."""
    started = time.perf_counter()
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, count, flags=private) as memory:
        for page in range(0, count, mmap.PAGESIZE):
            memory[page] = 1
    return (time.perf_counter() - started) / (count / 2**30)
