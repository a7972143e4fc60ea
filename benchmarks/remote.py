"""A candidate that lives in a worker process, so that it has its own allocator and threads."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pantiny.system import format_bytes

from .candidate import Gate, Unavailable, without_folders
from .subject import Job

TIMEOUT_S = 1800.0  # of one answer: compiling a graph takes minutes
# Memory stays with the process instead of being faulted in again at every call: without this
# torch is several times slower. glibc reads these when a process starts.
TUNED_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "68719476736",
    "MALLOC_TOP_PAD_": "268435456",
}
PASSIVE = {"OMP_WAIT_POLICY": "passive"}  # sleeping workers must not spin


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


class Remote:
    """See ``Candidate``. The process starts with the first request.

    Parameters
    ----------
    name : str
    job : Job
    gate : Gate
    environment : mapping
        Added to this process's.
    needs_bytes : int
        What a call takes, about; it is refused where less is available.
    """

    def __init__(
        self,
        name: str,
        job: Job,
        gate: Gate,
        environment: Mapping[str, str] | None = None,
        needs_bytes: int = 0,
    ) -> None:
        self.name, self.job, self.gate = name, job, gate
        self.buffers = job.buffers
        self._needs_bytes = needs_bytes
        self._environment = {**PASSIVE, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path(job.folder) / f"worker-{id(self)}.log"

    def check(self) -> np.ndarray:
        path = self._log.with_suffix(".npy")
        self._ask({"do": "start", "job": asdict(self.job)})
        self._ask({"do": "check", "path": str(path)})
        result = np.load(path)
        path.unlink()
        return np.asarray(result)

    def prepare(self) -> None:
        self._ask({"do": "prepare"})

    def run(self, buffer: int) -> dict[str, float]:
        self._check_memory()
        seconds: dict[str, float] = self._ask({"do": "run", "buffer": buffer})["seconds"]
        return seconds

    def _check_memory(self) -> None:
        """Before the first call: a machine out of memory kills whom it likes."""
        needed, self._needs_bytes = self._needs_bytes, 0
        available = available_bytes()
        if available is not None and available < needed:
            raise Unavailable(
                "unusable",
                f"takes about {format_bytes(needed)} at this size, {format_bytes(available)} are "
                "available; give a smaller --size",
            )

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self._ask({"do": "facts"})["facts"]
        return {**facts, "environment": self._environment}

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        with contextlib.suppress(ProcessLookupError):  # it and what it started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "pantiny.benchmarks.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        line = self._read_line(process.stdout.fileno())
        if line is None:
            raise Unavailable("failed", f"no answer within {TIMEOUT_S:.0f} s")
        if not line:
            raise Unavailable("failed", f"the process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(*answer["unavailable"])
        return answer

    @staticmethod
    def _read_line(source: int) -> bytes | None:
        """One line; empty where the other side is gone, None where it keeps silent."""
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([source], [], [], TIMEOUT_S)[0]:
                return None
            piece = os.read(source, 65536)
            if not piece:
                return b""
            line += piece
        return line

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return without_folders(said[-1]) if said else "it said nothing (out of memory?)"
