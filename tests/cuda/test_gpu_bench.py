"""The harness for a GPU, without one: a dry run on the emulator, guards, and the verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from pantiny.benchmarks.gpu import indices as ix
from pantiny.benchmarks.gpu.__main__ import watched
from pantiny.benchmarks.gpu.bench import Bench, DeviceLostError
from pantiny.benchmarks.gpu.engines import ALONE, AUTOTUNED, COMPILED, EAGER32, ours_name
from pantiny.benchmarks.gpu.groups import (
    ACCURACY,
    DRY_GROUPS,
    GROUPS,
    INDICES,
    PLANTED,
    ROOFS,
    SCENE,
    network_name,
)
from pantiny.benchmarks.gpu.planted import DIES, FAILS, HANGS, NoDevice
from pantiny.benchmarks.gpu.roofs import COPY, short
from pantiny.benchmarks.gpu.rows import OverTimeError, Store, limit, make_row, rows_of
from pantiny.benchmarks.gpu.verdict import verdict

COMMAND = [sys.executable, "-m", "pantiny.benchmarks.gpu"]
FP16, FP32 = ours_name("fp16"), ours_name("fp32")


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The JSON of a dry run, and its page."""
    pytest.importorskip("pantiny._cuda_emulated")
    out = tmp_path_factory.mktemp("gpu") / "dry.json"
    done = subprocess.run([*COMMAND, str(out), "--dry-run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text()), out.with_suffix(".md").read_text()


@pytest.mark.slow
def test_every_group_of_a_dry_run_gives_rows_without_errors(dry: Any) -> None:
    result, _ = dry
    assert [g["name"] for g in result["groups"]] == [g.name for g in DRY_GROUPS]
    assert "errors" not in result
    for group in result["groups"]:
        statuses = {r["status"] for r in group["rows"]}
        assert group["seconds"] is not None
        if group["name"] != PLANTED:
            assert "ok" in statuses and statuses <= {"ok", "skipped"}, group
            assert all(r["reason"] for r in group["rows"] if r["status"] == "skipped")
    engines = {r["engine"] for r in rows_of(result, network_name(8, 1))}
    assert {FP16, ours_name("bf16"), FP32, ALONE, EAGER32, COMPILED, AUTOTUNED} <= engines
    assert "TensorRT fp16" in engines and any(e.startswith("ONNX Runtime") for e in engines)


@pytest.mark.slow
def test_planted_engines_are_rows_that_say_why(dry: Any) -> None:
    rows = {r["engine"]: r for r in rows_of(dry[0], PLANTED)}
    assert {r["status"] for r in rows.values()} == {"failed"}
    assert rows[FAILS]["reason"] == "RuntimeError: planted"
    assert rows[HANGS]["reason"].startswith("over its time")
    assert rows[DIES]["reason"] == "its process ended with 41"


@pytest.mark.slow
def test_a_dry_run_judges_nothing_and_says_so(dry: Any) -> None:
    result, page = dry
    assert result["dry"] is True
    assert all(t["met"] is None for t in result["targets"])
    assert "times mean nothing" in result["note"] and result["note"] in page


def test_a_dry_run_is_kept_out_of_the_results() -> None:
    at = Path(__file__).parents[2] / "benchmarks" / "results" / "dry.json"
    done = subprocess.run([*COMMAND, str(at), "--dry-run"], capture_output=True, text=True)
    assert done.returncode == 2 and "outside benchmarks/results" in done.stderr
    assert not at.exists()


def bench(tmp_path: Path, device: Any) -> Bench:
    store = Store(tmp_path / "r.json", {"groups": []})
    store.begin("some", "rows")
    return Bench(device, store, time.monotonic() + 60, 1.0)


def test_one_that_fails_while_it_is_timed_is_left_out(tmp_path: Path) -> None:
    class Clock(NoDevice):
        def timed(self, call: Any, count: int) -> float:
            call()
            return 2.0

    calls = {"right": lambda: None, "wrong": lambda: 1 / 0}
    b = bench(tmp_path, Clock())
    found = b.compare(calls)
    assert list(found) == ["right"] and found["right"]["ms"] == 2.0
    (row,) = rows_of(json.loads(b.store.path.read_text()), "some")
    assert row["engine"] == "wrong" and row["reason"] == "ZeroDivisionError: division by zero"


def test_a_device_that_answers_no_more_ends_the_process(tmp_path: Path) -> None:
    class Lost(NoDevice):
        def sync(self) -> None:
            raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(DeviceLostError, match="illegal"):
        bench(tmp_path, Lost()).attempt("engine", lambda: 1 / 0, 1.0)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import time; time.sleep(60)", "gave no answer; its process was ended"),
        ("raise SystemExit(3)", "its process ended with 3"),
        ("", ""),
    ],
)
def test_a_process_that_hangs_or_dies_is_noticed(tmp_path: Path, code: str, why: str) -> None:
    store = Store(tmp_path / "r.json", {"groups": [], "until": time.time() + 60})
    store.begin("some", "rows")
    store.running("engine", 2.0)
    assert watched(store, [sys.executable, "-c", code]) == why
    store.give_up(why)
    assert rows_of(store.result, "some")[0]["engine"] == "engine"
    assert store.now() is None


def test_limits_nest_and_are_gone_afterwards() -> None:
    with limit(30), pytest.raises(OverTimeError), limit(0.05):
        time.sleep(5)
    with pytest.raises(OverTimeError), limit(0.05), limit(30):
        time.sleep(5)
    time.sleep(0.1)


def test_names_of_kernels() -> None:
    text = "void pantiny::cuda::entry<pantiny::cuda::(anonymous namespace)::FloatSegment<"
    text += "pantiny::cuda::Width<28, 2>, true, true> >(pantiny::cuda::X::Args)"
    assert short(text) == "FloatSegment<Width<28, 2>, true, true>"
    assert short("void at::native::elementwise") == "void at::native::elementwise"


def result(speed: float) -> dict[str, Any]:
    """A run in which everything just meets its target, but for a factor."""

    def timed(engine: str, ms: float, side: int, images: int = 1, **more: Any) -> dict[str, Any]:
        per_mpx = ms / (side * side * images / 1e6)
        return make_row(engine, side=side, images=images, ms=ms, ms_per_mpx=per_mpx, **more)

    groups: dict[str, list[dict[str, Any]]] = {
        ACCURACY: [
            make_row(ours_name(p, s), of_result=1e-6 / speed, of_residual=0.009 / speed)
            for p in ("fp16", "fp32")
            for s in (0, 3)
        ],
        ROOFS: [make_row(COPY, gbytes_per_s=4000.0)],
    }
    for side in (1024, 2048, 4096):
        ours = 0.95e-6 * side * side / speed
        groups[network_name(side, 1)] = [
            timed(FP16, ours, side),
            timed(FP32, 5 * ours, side),
            timed(EAGER32, 0.95e-6 * side * side * 15.1, side),
            timed(AUTOTUNED, 0.95e-6 * side * side * 6.1, side),
        ]
    groups[network_name(128, 1)] = [timed(FP16, 0.099 / speed, 128)]
    groups[network_name(128, 16)] = [
        timed(FP16, 0.5 / speed, 128, 16),
        timed(AUTOTUNED, 3.1, 128, 16),
        timed(COMPILED, 4.0, 128, 16),
    ]
    mpx = 4096**2 / 1e6
    groups[INDICES] = [
        timed(ix.QNR_KERNELS, 0.029 * mpx / speed, 4096),
        timed(ix.QNR_LOW, 0.03 * mpx / speed, 4096),
        timed(ix.TM_QNR, 1.55 * mpx, 4096),
        timed(ix.SSIM_KERNELS, 4 * mpx * 12e6 / 4e12 * 1e3 / 1.31 / speed, 4096),
    ]
    engine = f"{FP16}, scene in host memory"
    groups[SCENE] = [
        timed(engine, 1e9, 400, gpx=0.1, gpx_per_s=1.0, what="warms up"),
        timed(engine, 9.9e3 / speed, 40_000, gpx=1.6, gpx_per_s=0.16, what="all"),
    ]
    named = [{"name": n, "title": n, "rows": r, "seconds": 1.0} for n, r in groups.items()]
    return {"dry": False, "groups": named}


def test_the_verdict_on_what_just_meets_the_targets_and_what_just_misses_them() -> None:
    assert [t["name"] for t in verdict(result(1.0)) if t["met"] is not True] == []
    slow = verdict(result(0.3))
    assert [t["name"] for t in slow if t["met"] is not False] == []
    assert all(t["figure"] for t in slow)


def test_the_verdict_on_what_was_not_measured() -> None:
    assert all(t["met"] is None and t["why"] for t in verdict({"dry": False, "groups": []}))
    failed = make_row(FP16, "failed", "OutOfMemoryError: too much")
    run = {"groups": [{"name": network_name(1024, 1), "rows": [failed]}], "dry": False}
    whys = {t["name"]: t["why"] for t in verdict(run)}
    assert "too much" in whys["network fp16, 1024^2 and up"]
    smaller = result(1.0)
    smaller["groups"][-1]["rows"][-1]["gpx"] = 0.8
    assert [t["met"] for t in verdict(smaller)][-1] is None


def test_accuracy_that_failed_is_missed() -> None:
    rows = [make_row(FP16, "failed", "ValueError: 3 values are not finite")]
    run = {"groups": [{"name": ACCURACY, "rows": rows}], "dry": False}
    assert verdict(run)[0]["met"] is False


def test_groups_have_names_of_their_own() -> None:
    for groups in (GROUPS, DRY_GROUPS):
        assert len({g.name for g in groups}) == len(groups)
