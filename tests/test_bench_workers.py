"""Workers of the benchmark, the processes it starts, the machine block; no timing is judged."""

from __future__ import annotations

import mmap
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pantiny.benchmarks import machine, worker
from pantiny.benchmarks.candidate import (
    TOLERANCES,
    WHOLE,
    Gate,
    Unavailable,
    within_one_dn,
    without_folders,
)
from pantiny.benchmarks.harness import measure
from pantiny.benchmarks.inputs import Reference, gate_tile, get_model, truth
from pantiny.benchmarks.ours import Passes
from pantiny.benchmarks.remote import Remote
from pantiny.benchmarks.spawn import spawn
from pantiny.benchmarks.subject import Job

# Workers

GATE = Gate(np.zeros((2, 3, 4)), 1e-5)  # of workers that do not get as far


def job(tmp_path: Path, subject: str = "network", **options: Any) -> Job:
    return Job(subject, "tiny", 64, 64, 1, 3, str(tmp_path), options)


def test_a_worker_checks_and_times(tmp_path: Path) -> None:
    right = Gate(truth("tiny", 0), TOLERANCES["float32"])
    wrong = Gate(truth("tiny", 2), TOLERANCES["float32"])
    candidates = [Remote("a", job(tmp_path), right), Remote("b", job(tmp_path), wrong)]
    outcomes = measure(candidates, rounds=2, settle_s=0)
    assert [o.status for o in outcomes] == ["ok", "wrong"]
    assert all(0 < s < 5 for s in outcomes[0].samples[WHOLE])
    assert outcomes[0].facts["isa"] and 20 < outcomes[0].facts["peak_rss_bytes"] / 2**20 < 300
    assert outcomes[0].facts["environment"] == {"OMP_WAIT_POLICY": "passive"}


def test_a_warm_call_follows_others(tmp_path: Path) -> None:
    gate = within_one_dn(Reference(get_model("tiny"), gate_tile()).rounded(0))
    (outcome,) = measure(
        [Remote("a", job(tmp_path, "call", consistency=0), gate)], rounds=2, settle_s=0
    )
    assert outcome.ok and len(outcome.samples[WHOLE]) == 2
    assert 0 < outcome.facts["after_idle_s"] < 5


def test_a_worker_says_what_it_cannot_do(tmp_path: Path) -> None:
    remote = Remote("float8", job(tmp_path, precision="float8"), GATE)
    (outcome,) = measure([remote], rounds=1, settle_s=0)
    assert outcome.status == "unusable" and "precision: got 'float8'" in outcome.reason


def test_a_worker_that_dies_is_a_failed_row(tmp_path: Path) -> None:
    remote = Remote("isa", job(tmp_path), GATE, {"PYTHONHOME": str(tmp_path)})
    (outcome,) = measure([remote], rounds=1, settle_s=0)
    assert outcome.status == "failed" and "the process ended: " in outcome.reason
    assert str(tmp_path) not in outcome.reason


def test_an_instruction_set_that_cannot_run_is_a_row(tmp_path: Path) -> None:
    remote = Remote("isa", job(tmp_path), GATE, {"PANTINY_ISA": "armv99"})
    (outcome,) = measure([remote], rounds=1, settle_s=0)
    assert outcome.status == "unusable" and "PANTINY_ISA=armv99: cannot run" in outcome.reason


def test_a_closed_worker_is_gone_though_busy(tmp_path: Path) -> None:
    remote = Remote("a", replace(job(tmp_path), height=1024, width=1024, buffers=1), GATE)
    remote.check()
    remote.prepare()
    assert remote._process is not None
    pid = remote._process.pid
    assert remote._process.stdin is not None
    remote._process.stdin.write(b'{"do": "run", "buffer": 0}\n')  # takes a second
    remote._process.stdin.flush()
    time.sleep(0.1)
    started = time.perf_counter()
    remote.close()
    assert time.perf_counter() - started < 0.5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    remote.close()


def test_a_call_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    gate = Gate(truth("tiny", 0), TOLERANCES["float32"])
    remote = Remote("glutton", job(tmp_path), gate, needs_bytes=1 << 60)
    (outcome,) = measure([remote], rounds=1, settle_s=0)
    assert outcome.status == "unusable" and "give a smaller --size" in outcome.reason


def test_a_missing_baseline_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable) as caught:
        worker.make_subject(job(tmp_path, "openvino", precision="f32"))
    assert caught.value.status == "missing"
    assert caught.value.reason == "not installed: pip install torch openvino"


@pytest.mark.parametrize("subject", ["torch", "torch passes"])
def test_the_torch_baselines_are_the_network(tmp_path: Path, subject: str) -> None:
    pytest.importorskip("torch")
    made = worker.make_subject(job(tmp_path, subject, layout="channels_last"))
    gate = Gate(truth("tiny", 0), TOLERANCES["float32"])
    assert gate.error(made.check()) <= gate.tolerance
    made.prepare()
    assert len(made.run(2)) == (7 if subject == "torch passes" else 1)


def test_passes_add_up_to_the_call(tmp_path: Path) -> None:
    subject = Passes(job(tmp_path, "passes", consistency=2))
    subject.prepare()
    subject.run(0)
    started = time.perf_counter()
    parts = subject.run(1)
    elapsed = time.perf_counter() - started
    assert list(parts) == ["setup", *map(str, range(get_model("tiny").variant.blocks + 1))]
    assert all(s > 0 for s in parts.values()) and 0.5 * elapsed < sum(parts.values()) <= elapsed


# Processes


def test_peak_memory_is_the_commands_own() -> None:
    ballast = np.ones(30_000_000)  # this process is larger than what it starts
    hold = "import time; x = bytearray(80 << 20); time.sleep(0.2)"
    big = spawn([sys.executable, "-I", "-S", "-c", hold])
    small = spawn([sys.executable, "-I", "-S", "-c", "pass"])
    assert ballast[0] == 1
    assert 80 < big.peak_rss_bytes / 2**20 < 130 and small.peak_rss_bytes < 40 * 2**20
    assert 0.2 < big.seconds < 5


def test_touched_memory_was_held_and_is_given_back() -> None:
    hold = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); from benchmarks.spawn import "
        "touch_memory; print(touch_memory(300 << 20)); print(open('/proc/self/statm').read())"
    )
    root = str(Path(__file__).resolve().parents[1])
    ran = spawn([sys.executable, "-c", hold, root])
    seconds_per_gib, statm = ran.said.splitlines()[:2]
    assert float(seconds_per_gib) > 0
    assert ran.peak_rss_bytes > 300 << 20 > int(statm.split()[1]) * mmap.PAGESIZE


def test_a_command_that_fails_says_why() -> None:
    fail = f"import sys; print('cannot read {os.sep}some{os.sep}where.tif'); sys.exit(3)"
    with pytest.raises(Unavailable, match=r"^exit code 3: cannot read where\.tif$"):
        spawn([sys.executable, "-c", fail])
    with pytest.raises(Unavailable, match="cannot be started"):
        spawn(["no-such-program-anywhere"])


def test_paths_are_cut_to_their_last_name() -> None:
    text = f"File '{os.sep}a{os.sep}b{os.sep}c.py', 3 s{os.sep}Mpx and\nmore"
    assert without_folders(text) == f"File 'c.py', 3 s{os.sep}Mpx and more"


# The machine


def test_the_machine_block_does_not_name_the_host() -> None:
    block = machine.machine()
    assert block["cores"] >= 1 and block["isa"] in block["isa_usable"]
    assert block["versions"]["numpy"] == np.__version__
    uname = os.uname()
    values = " ".join(map(str, block.values()))
    assert uname.nodename not in values.split() and uname.version not in values
    assert machine.slug({"cpu": "AMD EPYC 9B14 (R)", "isa": "avx512"}) == "amd-epyc-9b14-r-avx512"
