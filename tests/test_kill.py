"""A run that is killed or interrupted leaves the final name absent, untouched or complete."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scenes import make_pair

OLD = b"what was there before"
SEED = 20


@dataclass
class Job:
    """A pair, and what fusing it gives."""

    folder: Path
    fused: np.ndarray
    elapsed_s: float

    @property
    def out(self) -> Path:
        return self.folder / "out.tif"

    def arguments(self) -> list[str]:
        files = [str(self.folder / f) for f in ("ms.tif", "pan.tif", "out.tif")]
        return ["fuse", *files, "--quiet", "--threads", "1", "--tile", "64", "--overwrite"]

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pantiny.cli", *self.arguments()]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def reset(self, old: bool) -> None:
        for path in self.folder.iterdir():
            if path.name not in ("ms.tif", "pan.tif"):
                path.unlink()
        if old:
            self.out.write_bytes(OLD)

    def others(self) -> list[str]:
        names = {p.name for p in self.folder.iterdir()}
        return sorted(names - {"ms.tif", "pan.tif", "out.tif"})

    def complete(self) -> bool:
        """Whether the final name holds the result; it may hold nothing else but what it did."""
        if not self.out.exists() or self.out.read_bytes() == OLD:
            return False
        with rasterio.open(self.out) as file:
            np.testing.assert_array_equal(file.read(), self.fused)
        return True


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("kill")
    make_pair(folder, height=256, width=384)
    job = Job(folder, np.empty(0), 0.0)
    begin = time.monotonic()
    assert job.start().wait() == 0
    job.elapsed_s = time.monotonic() - begin
    with rasterio.open(job.out) as file:
        job.fused = file.read()
    assert job.fused.shape == (4, 256, 384) and job.fused.any() and not job.others()
    return job


def test_killed_at_any_moment(job: Job) -> None:
    print(f"seed {SEED}, run of {job.elapsed_s:.2f} s")
    rng = np.random.default_rng(SEED)
    seen = {"before": 0, "writing": 0, "complete": 0}
    for i in range(20):
        old = i % 2 == 1
        job.reset(old)
        process = job.start()
        time.sleep(job.elapsed_s * (i + rng.random()) / 20)
        process.kill()
        process.wait()
        state = "complete" if job.complete() else "writing" if job.others() else "before"
        seen[state] += 1
        assert job.out.exists() or not old
        assert all(n.startswith(".out.tif.") and n.endswith(".part") for n in job.others())
    print(seen)
    assert seen["before"] and seen["writing"]  # the moments do lie on both sides of the start


# Kills itself at a point of the sink's life: (module, function, before or after, call).
POINTS = {
    "created": ("RasterSink", "open", "after", 1),
    "one band of rows written": ("RasterSink", "write", "after", 1),
    "all written": ("RasterSink", "finish", "before", 1),
    "closed": ("os", "fsync", "before", 1),
    "before the rename": ("os", "replace", "before", 1),
    "after the rename": ("os", "replace", "after", 1),
    "named": ("RasterSink", "finish", "after", 1),
}
SCRIPT = """
import os, signal, sys
from pantiny import cli, raster_out
owner, name, when, at = sys.argv[1:5]
owner = raster_out.os if owner == "os" else getattr(raster_out, owner)
original, calls = getattr(owner, name), []
def deadly(*arguments):
    calls.append(1)
    if when == "before" and len(calls) == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*arguments)
    if when == "after" and len(calls) == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, name, deadly)
sys.argv = ["pantiny", *sys.argv[5:]]
cli.main()
"""


@pytest.mark.parametrize(
    ("point", "old"),
    [*[(point, True) for point in POINTS], *[(p, False) for p in POINTS if "rename" in p]],
)
def test_killed_at_a_point(job: Job, point: str, old: bool) -> None:
    job.reset(old)
    owner, name, when, at = POINTS[point]
    arguments = job.arguments()
    if not old:
        arguments.remove("--overwrite")
        name = "link" if name == "replace" else name
    command = [sys.executable, "-c", SCRIPT, owner, name, when, str(at), *arguments]
    result = subprocess.run(command, capture_output=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    done = point in ("after the rename", "named")
    assert job.complete() == done and job.out.exists() == (done or old)
    assert len(job.others()) == (not done or (point == "after the rename" and not old))


def wait_for(what: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not what() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_writing(
    job: Job, number: signal.Signals, share: float, old: bool
) -> None:
    job.reset(old)
    process = job.start()
    wait_for(job.others, process)
    time.sleep(share * job.elapsed_s)
    process.send_signal(number)
    code = process.wait()
    assert job.others() == []
    if job.complete():  # it was quicker, and may be on its way out
        assert share > 0
    else:
        assert code == 130 and job.out.exists() == old


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_at_any_moment(job: Job, number: signal.Signals) -> None:
    rng = np.random.default_rng(SEED + number)
    for i in range(5):
        job.reset(False)
        process = job.start()
        time.sleep(job.elapsed_s * (i + rng.random()) / 5)
        process.send_signal(number)
        code = process.wait()
        assert job.others() == []
        assert job.complete() or (code != 0 and not job.out.exists())
