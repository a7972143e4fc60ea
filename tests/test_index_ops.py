"""The kernels of the quality indices against their float64 references, and their bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from pantiny.engine import core
from pantiny.kernels.blocks import cases as block_cases
from pantiny.kernels.blocks.blocks_ref import blocks_ref
from pantiny.kernels.gaussian import cases as gaussian_cases
from pantiny.kernels.gaussian.gaussian_ref import SIDE, gaussian_ref
from pantiny.kernels.testing import assert_within
from pantiny.kernels.windows import cases as window_cases
from pantiny.kernels.windows.cases import WindowCase
from pantiny.kernels.windows.windows_ref import Maps, U, windows_ref

INDICES = {"uqi": "UQI", "decorrelation": "DECORRELATION"}
GAUSSIANS = {"ssim": "SSIM", "gaussian_uqi": "GAUSSIAN_UQI"}
C1, C2 = 41.9, 377.2  # (0.01 * 647)^2, (0.03 * 647)^2


def isas() -> list[str]:
    return str(core().isa_usable()).split()


@pytest.fixture
def choose_isa() -> Iterator[Callable[[str], None]]:
    before = core().isa()
    yield core().isa_choose
    core().isa_choose(before)


def by_name(case: WindowCase) -> str:
    return case.name


class Sums(NamedTuple):
    sums: np.ndarray
    count: int


def run(
    given: window_cases.Inputs, window: int, index: str, threads: int = 1, into: Any = None
) -> Sums:
    """One call of the kernel, onto ``into``."""
    sums = np.zeros(len(given.pairs)) if into is None else into.sums.copy()
    count = np.array([0 if into is None else into.count], np.int64)
    core().windows_run(
        planes=given.planes,
        pairs=given.pairs,
        valid=given.valid,
        index=getattr(core(), {**INDICES, **GAUSSIANS}[index]),
        window=window,
        threads=threads,
        c1=C1,
        c2=C2,
        sums=sums,
        count=count,
    )
    return Sums(sums, int(count[0]))


def moments(given: window_cases.Inputs, window: int, threads: int = 1) -> Any:
    return core().moments_run(
        planes=given.planes, pairs=given.pairs, valid=given.valid, window=window, threads=threads
    )


def check_sums(found: Sums, truth: Maps, name: str) -> None:
    assert found.count == truth.keep.sum()
    count = max(1, found.count)
    adding = count * U * np.abs(truth.values).sum(axis=(1, 2))
    bound = truth.bound.sum(axis=(1, 2)) + adding
    assert_within(found.sums, truth.values.sum(axis=(1, 2)), bound, name)


@lru_cache
def window_truth(case: WindowCase, index: Any) -> Maps:
    i = window_cases.inputs(case)
    return windows_ref(i.planes, i.pairs, case.window, index, i.valid)


@lru_cache
def gaussian_truth(case: WindowCase, index: Any) -> Maps:
    i = gaussian_cases.inputs(case)
    return gaussian_ref(i.planes, i.pairs, index, C1, C2, i.valid)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("index", sorted(INDICES))
@pytest.mark.parametrize("case", window_cases.CASES, ids=by_name)
def test_windows_case(case: WindowCase, index: str, isa: str, choose_isa: Any) -> None:
    choose_isa(isa)
    i = window_cases.inputs(case)
    found = run(i, case.window, index)
    check_sums(found, window_truth(case, index), "sums")
    for threads in (2, 3):
        same(run(i, case.window, index, threads), found)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("index", sorted(GAUSSIANS))
@pytest.mark.parametrize("case", gaussian_cases.CASES, ids=by_name)
def test_gaussian_case(case: WindowCase, index: str, isa: str, choose_isa: Any) -> None:
    choose_isa(isa)
    i = gaussian_cases.inputs(case)
    found = run(i, SIDE, index)
    check_sums(found, gaussian_truth(case, index), "sums")
    for threads in (2, 3):
        same(run(i, SIDE, index, threads), found)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("case", block_cases.CASES, ids=by_name)
def test_blocks_case(case: WindowCase, isa: str, choose_isa: Any) -> None:
    choose_isa(isa)
    i = block_cases.inputs(case)
    found, count = moments(i, case.window)
    truth = blocks_ref(i.planes, i.pairs, case.window, i.valid)
    assert count.tolist() == truth.valid.tolist()
    whole = truth.valid == case.window**2
    assert_within(found[whole], truth.moments[whole], truth.bound[whole], "moments")
    constant = truth.moments[whole][:, case.planes : 2 * case.planes] == 0
    assert (found[whole][:, case.planes : 2 * case.planes][constant] == 0).all()
    for threads in (2, 3):
        again, counted = moments(i, case.window, threads)
        assert again[whole].tobytes() == found[whole].tobytes()
        assert counted.tolist() == count.tolist()


def same(found: Sums, expected: Sums) -> None:
    assert found.count == expected.count
    assert found.sums.tobytes() == expected.sums.tobytes()


def named(name: str) -> WindowCase:
    return next(c for c in window_cases.CASES if c.name == name)


def cut(i: window_cases.Inputs, rows: slice, columns: slice = np.s_[:]) -> window_cases.Inputs:
    valid = None if i.valid is None else np.ascontiguousarray(i.valid[rows, columns])
    return i._replace(planes=[p[rows, columns] for p in i.planes], valid=valid)


@pytest.mark.parametrize("index", [*INDICES, *GAUSSIANS])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("pieces", [(1,), (2,), (1, 1), (1, 1, 1)])
def test_pieces_of_128_rows_of_windows(index: str, masked: bool, pieces: tuple[int, ...]) -> None:
    window = SIDE if index in GAUSSIANS else 7
    mask: Any = "few" if masked else "none"
    case = WindowCase("pieces", 3 * 128 + 40, 37, window, 2, "float32", mask=mask)
    i = window_cases.inputs(case)
    whole = run(i, window, index)
    assert whole.count > 1000
    at, found = 0, None
    for blocks in pieces:
        found = run(cut(i, np.s_[at : at + 128 * blocks + window - 1]), window, index, into=found)
        at += 128 * blocks
    same(run(cut(i, np.s_[at:]), window, index, into=found), whole)


@pytest.mark.parametrize("isa", isas())
def test_layout_changes_no_bit(isa: str, choose_isa: Any) -> None:
    choose_isa(isa)
    case = WindowCase("layout", 24, 141, 5, 3)
    i = window_cases.inputs(case)
    spread = np.zeros((24, 141, 6), np.uint16)
    spread[::-1, ::-1, 1::2] = np.stack(i.planes, axis=-1)
    other = i._replace(planes=[spread[::-1, ::-1, 1 + 2 * k] for k in range(3)])
    for index in INDICES:
        same(run(other, 5, index), run(i, 5, index))
    assert moments(other, 5)[0].tobytes() == moments(i, 5)[0].tobytes()
    whole = run(i, 5, "uqi")
    as_float = i._replace(planes=[p.astype(np.float32) for p in i.planes])
    same(run(as_float, 5, "uqi"), whole)
    mixed = i._replace(planes=[i.planes[0], as_float.planes[1], i.planes[2].astype(np.int16)])
    same(run(mixed, 5, "uqi"), whole)


@pytest.mark.parametrize("index", [*INDICES, *GAUSSIANS])
def test_a_mask_that_is_all_valid_changes_nothing(index: str) -> None:
    window = SIDE if index in GAUSSIANS else 8
    i = window_cases.inputs(WindowCase("all_valid", 30, 50, window, 3, "float32"))
    masked = i._replace(valid=np.full(i.planes[0].shape, 255, np.uint8))
    same(run(masked, window, index), run(i, window, index))


@pytest.mark.parametrize("index", [*INDICES, *GAUSSIANS])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30, 0.0])
def test_what_lies_under_a_mask_does_not_matter(index: str, garbage: float) -> None:
    window = SIDE if index in GAUSSIANS else 5
    i = window_cases.inputs(WindowCase("under", 40, 150, window, 2, "float64", mask="few"))
    assert i.valid is not None
    other = i._replace(planes=[np.where(i.valid, p, garbage) for p in i.planes])
    same(run(other, window, index), run(i, window, index))
    assert np.isfinite(run(i, window, index).sums).all()


@pytest.mark.parametrize("index", [*INDICES, *GAUSSIANS])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("content", ["texture", "constant"])
@pytest.mark.parametrize("at", [(0, 0), (13, 17), (-1, -1)])
def test_nan_is_seen(index: str, bad: float, content: Any, at: tuple[int, int]) -> None:
    window = SIDE if index in GAUSSIANS else 5
    i = window_cases.inputs(WindowCase("nan", 20, 30, window, 3, "float32", content=content))
    i.planes[1][at] = bad
    sums = run(i, window, index).sums
    touched = [1 in pair for pair in i.pairs]
    assert np.isnan(sums).tolist() == touched
    found, _ = moments(i, 5)
    block = at[0] % 20 // 5, at[1] % 30 // 5
    assert (~np.isfinite(found[block])).tolist() == [False, True, False] * 2 + touched


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("scale", [1.0, 1 / 2047])
@pytest.mark.parametrize("sigma", [0.6, 3.0, 30.0])
@pytest.mark.parametrize("window", [7, 8, 32])
def test_peak_error_of_float32(
    window: int, sigma: float, scale: float, isa: str, choose_isa: Any
) -> None:
    """11-bit DN and DN / 2047, float32, against float64: each window alone, below 1e-6."""
    choose_isa(isa)
    rng = np.random.default_rng([window, round(10 * sigma)])
    shape = 2 * window + 3, 3 * window
    shared = rng.standard_normal(shape)
    planes = []
    for level in (500, 900):
        dn = np.rint(level + sigma * (shared + rng.standard_normal(shape)) / 2**0.5)
        dn[0, 0] = 2047  # what sums are taken about lies far from the texture
        planes.append((np.clip(dn, 0, 2047) * scale).astype(np.float32))
    truth = windows_ref([p.astype(np.float64) for p in planes], [(0, 1)], window, "uqi")
    worst = 0.0
    for y, x in zip(rng.integers(1, shape[0] - window + 1, 40), rng.integers(0, 2 * window, 40)):
        valid = np.zeros(shape, np.uint8)
        valid[0, 0] = valid[y : y + window, x : x + window] = 1
        found = run(window_cases.Inputs(planes, [(0, 1)], valid), window, "uqi")
        assert found.count == 1
        worst = max(worst, abs(found.sums[0] - truth.values[0, y, x]))
    assert worst < 1e-6
    # and how far below: sums about 2047 of n samples, over a variance of sigma^2
    assert worst < 64 * (window + 12) * U * 2047**2 / sigma**2


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 700.123, 1e-7])
@pytest.mark.parametrize("window", [3, 5, 7, 8, 11, 13, 32])
def test_black_windows_have_no_mean(window: int, value: float) -> None:
    """Sums about a bright sample must not leave a mean of rounding noise in black windows."""
    a, b = np.zeros((2, window + 1, window + 4))
    a[0, 0], b[0, 0] = value, 3.7 * value
    a[0, 1:4] = b[0, 1:4] = value
    i = window_cases.Inputs([a[:, :], b[:, :]], [(0, 1)], None)
    every = run(i, window, "uqi")
    first = run(cut(i, np.s_[:window]), window, "uqi")
    below = every.sums - first.sums  # of the windows of zeros
    assert_within(below, np.array([5.0]), 1e-13)


def test_adds_to_what_is_there() -> None:
    i = window_cases.inputs(named("window5"))
    once = run(i, 5, "uqi")
    twice = run(i, 5, "uqi", into=once)
    assert twice.count == 2 * once.count
    assert twice.sums.tolist() == (once.sums + once.sums).tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"window": 0},
        {"window": 257},
        {"threads": 0},
        {"index": 4},
        {"index": -1},
        {"pairs": [(0, 3)]},
        {"pairs": [(-1, 0)]},
        {"pairs": []},
        {"index": 2, "window": 7},
        {"index": 3, "c1": -1.0},
        {"index": 2, "c2": float("nan")},
    ],
    ids=str,
)
def test_arguments_are_checked(change: dict[str, Any]) -> None:
    i = window_cases.inputs(named("window8"))
    arguments: dict[str, Any] = {
        "planes": i.planes,
        "pairs": i.pairs,
        "valid": None,
        "index": 0,
        "window": 8,
        "threads": 1,
        **change,
    }
    sums, count = np.zeros(len(arguments["pairs"])), np.zeros(1, np.int64)
    with pytest.raises(RuntimeError, match="out of range"):
        core().windows_run(**arguments, sums=sums, count=count)
    assert not sums.any() and not count.any()


def test_planes_must_be_alike() -> None:
    a = np.zeros((9, 9), np.float32)
    arguments = {"pairs": [(0, 1)], "valid": None, "window": 3, "threads": 1}
    with pytest.raises(ValueError, match="one shape"):
        core().moments_run(planes=[a, a[1:]], **arguments)
    with pytest.raises(TypeError, match="dtype"):
        core().moments_run(planes=[a, a.astype(np.int32)], **arguments)
    with pytest.raises(ValueError, match="valid"):
        core().moments_run(planes=[a, a], **{**arguments, "valid": np.ones((9, 8), np.uint8)})
    packed = np.zeros((9, 9), [("flag", "u1"), ("value", "f4")])["value"]
    with pytest.raises(ValueError, match="whole samples"):
        core().moments_run(planes=[a, packed], **arguments)


def test_no_pair_gives_means_and_variances_only() -> None:
    i = window_cases.inputs(named("window8"))
    found, _ = moments(i._replace(pairs=[]), 8)
    assert found.tobytes() == moments(i, 8)[0][..., : 2 * len(i.planes)].tobytes()
