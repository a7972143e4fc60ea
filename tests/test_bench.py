"""The benchmark harness: gate, turns, roof, counts, inputs; no timing is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pantiny.benchmarks import roof, scenes
from pantiny.benchmarks.candidate import (
    WHOLE,
    Gate,
    Unavailable,
    within_one_dn,
)
from pantiny.benchmarks.harness import measure
from pantiny.benchmarks.inputs import make_tile
from pantiny.benchmarks.macs import network_macs, pass_bytes, pass_macs, pass_names
from pantiny.errors import OptionError
from pantiny.variants import VARIANTS, get_variant

TRUTH = np.linspace(-3.0, 5.0, 24).reshape(2, 3, 4)
GATE = Gate(TRUTH, 1e-5)


class Fake:
    """A candidate whose result and seconds are given; writes down what is done to it."""

    def __init__(
        self,
        name: str,
        diary: list[tuple[str, Any]],
        *,
        result: np.ndarray = TRUTH,
        seconds: float = 1.0,
        buffers: int = 3,
        gate: Gate = GATE,
        error: BaseException | None = None,
        fails_at: int | None = None,
    ) -> None:
        self.name, self.gate, self.buffers = name, gate, buffers
        self._diary, self._result, self._seconds = diary, result, seconds
        self._error, self._fails_at, self._calls = error, fails_at, 0

    def _write(self, what: Any) -> None:
        self._diary.append((self.name, what))

    def check(self) -> np.ndarray:
        self._write("check")
        if self._error is not None and self._fails_at is None:
            raise self._error
        return self._result

    def prepare(self) -> None:
        self._write("prepare")

    def run(self, buffer: int) -> dict[str, float]:
        self._write(buffer)
        self._calls += 1
        if self._error is not None and self._calls == self._fails_at:
            raise self._error
        return {WHOLE: self._seconds}

    def facts(self) -> dict[str, Any]:
        return {"peak_rss_bytes": 1 << 20}

    def close(self) -> None:
        self._write("close")


def runs(diary: list[tuple[str, Any]]) -> list[tuple[str, int]]:
    return [(name, what) for name, what in diary if isinstance(what, int)]


def run_fakes(*fakes: Fake, rounds: int = 3, warmup: int = 1) -> list[Any]:
    return measure(fakes, rounds=rounds, warmup=warmup, settle_s=0)


# The gate


@pytest.mark.parametrize(
    "wrong",
    [
        TRUTH + 2e-5 * 5.0 * (np.arange(24).reshape(TRUTH.shape) == 17),
        np.where(TRUTH == TRUTH[0, 0, 0], np.nan, TRUTH),
        TRUTH[:, :, :3],
        TRUTH[::-1],
        np.zeros_like(TRUTH),
    ],
    ids=["one element", "nan", "shape", "bands swapped", "zero"],
)
def test_a_wrong_candidate_is_never_timed(wrong: np.ndarray) -> None:
    diary: list[tuple[str, Any]] = []
    outcomes = run_fakes(Fake("right", diary), Fake("wrong", diary, result=wrong))
    assert [o.status for o in outcomes] == ["ok", "wrong"]
    assert "not timed" in outcomes[1].reason and not outcomes[1].samples
    assert {name for name, _ in runs(diary)} == {"right"}
    assert ("wrong", "prepare") not in diary and ("wrong", "close") in diary


def test_an_error_within_the_tolerance_is_reported() -> None:
    close = TRUTH + 0.5e-5 * 5.0 * (np.arange(24).reshape(TRUTH.shape) == 3)
    (outcome,) = run_fakes(Fake("close", [], result=close))
    assert outcome.ok and outcome.error == pytest.approx(0.5e-5)


def test_one_dn_passes_and_two_do_not() -> None:
    expected = np.array([[[7, 900, 30]]], np.uint16)
    gate = within_one_dn(expected)
    assert gate.error(expected + np.array([1, -1, 0])) <= gate.tolerance
    assert gate.error(expected + np.array([0, 0, 2])) > gate.tolerance


def test_every_gate_is_passed_before_anything_is_timed() -> None:
    diary: list[tuple[str, Any]] = []
    run_fakes(Fake("a", diary), Fake("b", diary))
    kinds = [isinstance(what, int) for _, what in diary if what != "close"]
    assert kinds == sorted(kinds) and sum(kinds) == 8


# Turns


def test_candidates_take_turns_and_so_do_buffers() -> None:
    diary: list[tuple[str, Any]] = []
    run_fakes(*(Fake(name, diary) for name in "abc"), rounds=4)
    assert runs(diary) == [
        *(("a", 0), ("b", 0), ("c", 0)),  # warm-up
        *(("a", 1), ("b", 1), ("c", 1)),
        *(("b", 2), ("c", 2), ("a", 2)),
        *(("c", 0), ("a", 0), ("b", 0)),
        *(("a", 1), ("b", 1), ("c", 1)),
    ]


def test_the_cold_call_is_no_sample() -> None:
    (outcome,) = run_fakes(Fake("a", [], seconds=2.5), rounds=3, warmup=2)
    assert outcome.cold == {WHOLE: 2.5} and outcome.samples == {WHOLE: [2.5] * 3}
    (outcome,) = run_fakes(Fake("a", []), rounds=2, warmup=0)
    assert not outcome.cold and len(outcome.samples[WHOLE]) == 2


def test_the_roof_is_measured_between_the_gates_and_the_rounds_and_after() -> None:
    diary: list[tuple[str, Any]] = []
    measure([Fake("a", diary)], rounds=1, settle_s=0, beside=lambda: diary.append(("roof", "")))
    assert [what or name for name, what in diary if what != 0] == [
        *("check", "prepare", "roof", 1, "roof", "close")
    ]


@pytest.mark.parametrize("fails_at", [1, 3])
def test_a_candidate_that_breaks_is_a_row_and_the_others_go_on(fails_at: int) -> None:
    diary: list[tuple[str, Any]] = []
    broken = Unavailable("failed", "out of memory")
    outcomes = run_fakes(Fake("a", diary, error=broken, fails_at=fails_at), Fake("b", diary))
    assert (outcomes[0].status, outcomes[0].reason) == ("failed", "out of memory")
    assert not outcomes[0].samples and len(outcomes[1].samples[WHOLE]) == 3
    assert len([r for r in runs(diary) if r[0] == "a"]) == fails_at


def test_everything_is_closed_after_an_interrupt() -> None:
    diary: list[tuple[str, Any]] = []
    fakes = [Fake("a", diary), Fake("b", diary, error=KeyboardInterrupt(), fails_at=2)]
    with pytest.raises(KeyboardInterrupt):
        run_fakes(*fakes)
    assert {("a", "close"), ("b", "close")} <= set(diary)


# The roof


def probed(one: float, every: float, copy: float | None = 20.0) -> dict[str, Any]:
    return {
        "one_thread": {"fma_gflops": one, "copy_gbytes": None},
        "all_threads": {"fma_gflops": every, "copy_gbytes": copy},
    }


def test_a_steady_roof_is_not_flagged() -> None:
    found = roof.compare(probed(100, 199), probed(97, 190, None), 2)
    assert found["flags"] == [] and found["change"] == pytest.approx(9 / 199)
    assert roof.mean(found, 2) == {"fma_gflops": 194.5, "copy_gbytes": 20.0}
    assert roof.mean(found, 1) == {"fma_gflops": 98.5, "copy_gbytes": None}


@pytest.mark.parametrize("after", [probed(100, 160), probed(80, 199), probed(120, 199)])
def test_a_roof_that_changed_is_flagged(after: dict[str, Any]) -> None:
    (flag,) = roof.compare(probed(100, 199), after, 2)["flags"]
    assert "the roof changed by 20%" in flag


def test_threads_that_share_a_core_are_flagged() -> None:
    found = roof.compare(probed(100, 101), probed(100, 102), 2)
    (flag,) = found["flags"]
    assert "they shared a core" in flag and "1.01 times before, 1.02 times after" in flag


def test_a_core_without_probes_is_said_to_be_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roof, "core", object)
    found = roof.compare(roof.probe(2), roof.probe(2), 2)
    assert found["change"] is None and found["flags"] == []
    assert roof.mean(found, 2) == {"fma_gflops": None, "copy_gbytes": None}


def test_the_probes_get_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        peak_gflops = staticmethod(lambda threads: 100.0 * threads)
        copy_gbytes = staticmethod(lambda threads: 7.0 * threads)

    monkeypatch.setattr(roof, "core", Core)
    assert roof.probe(3) == probed(100.0, 300.0, 21.0)
    assert roof.probe(3, copy=False) == probed(100.0, 300.0, None)


def test_the_cores_own_probes() -> None:
    found = roof.probe(1)
    assert found["one_thread"]["fma_gflops"] == found["all_threads"]["fma_gflops"]
    for value in found["all_threads"].values():
        assert value is None or 0.5 < value < 5000


# Counts


@pytest.mark.parametrize(("variant", "macs"), [("tiny", 83_748), ("huge", 198_440)])
def test_macs_of_the_design(variant: str, macs: int) -> None:
    assert network_macs(get_variant(variant)) == macs


@pytest.mark.parametrize("name", ["tiny", "tiny-conv1x1", "tiny-gated_conv", "large", "huge"])
def test_macs_are_one_per_convolution_weight_and_those_without_weights(name: str) -> None:
    v = VARIANTS[name]
    weights = sum(int(np.prod(s)) for key, s in v.shapes().items() if len(s) == 4)
    per_block = v.channels**2 // v.heads + 2 * v.channels  # gram matrix and squared norms
    assert sum(pass_macs(v)) == weights + v.blocks * per_block


def test_passes_of_tiny() -> None:
    v = get_variant("tiny")
    assert pass_macs(v) == [3_528, 10_052, 10_052, 24_416, 10_052, 10_052, 15_596]
    assert len(pass_names(v)) == len(pass_bytes(v)) == 7
    assert "fusion" in pass_names(v)[3] and pass_bytes(v)[1] == 2 * 4 * 28
    with pytest.raises(OptionError, match="deep_fusion"):
        network_macs(get_variant("tiny-deep_fusion"))


# Inputs


def test_the_tile_is_the_same_everywhere_and_new_with_the_seed() -> None:
    tile = make_tile(40, 24, 5)
    assert tile.ms.shape == (4, 10, 6) and tile.pan.shape == (40, 24)
    assert tile.ms.dtype == tile.pan.dtype == np.uint16 and 0 < tile.pan.std() < 1000
    np.testing.assert_array_equal(tile.pan, make_tile(40, 24, 5).pan)
    assert (tile.pan != make_tile(40, 24, 6).pan).any()


def test_a_scene_is_mirrored_at_the_edges_of_the_demo(tmp_path: Path) -> None:
    side = scenes.BASE_SIDE + 88
    pair = scenes.write_pair(tmp_path, side)
    ms, pan = scenes.corner(scenes.BASE_SIDE)
    with rasterio.open(pair.pan) as file, rasterio.open(pair.ms) as ms_file:
        whole, ms_whole = file.read(1), ms_file.read()
        assert (file.transform.a * 4, file.crs) == (ms_file.transform.a, ms_file.crs)
    assert whole.shape == (side, side) and ms_whole.shape == (4, side // 4, side // 4)
    np.testing.assert_array_equal(whole, np.pad(pan, (0, 88), "symmetric"))
    np.testing.assert_array_equal(ms_whole[2], np.pad(ms[2], (0, 22), "symmetric"))
    assert scenes.side_of(16) == 4096 and scenes.side_of(1e-9) == 64
