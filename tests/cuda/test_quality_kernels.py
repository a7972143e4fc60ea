"""The CUDA kernels of the quality indices against their float64 references, and their bits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from pantiny.kernels.blocks import cases as block_cases
from pantiny.kernels.blocks.blocks_ref import blocks_ref
from pantiny.kernels.gaussian import cases as gaussian_cases
from pantiny.kernels.gaussian.gaussian_ref import SIDE, gaussian_ref
from pantiny.kernels.testing import assert_within
from pantiny.kernels.windows import cases as window_cases
from pantiny.kernels.windows.cases import Inputs, WindowCase
from pantiny.kernels.windows.windows_ref import Maps, windows_ref

from .quality import (
    C1,
    C2,
    ORDERS,
    Failed,
    Kernels,
    Sums,
    error_bound,
    mirrored,
)

UNIFORM = ("uqi", "decorrelation")
GAUSSIANS = ("ssim", "gaussian_uqi")


def by_name(case: WindowCase) -> str:
    return case.name


def same(found: Sums, expected: Sums) -> None:
    assert found.count == expected.count
    assert found.sums.tobytes() == expected.sums.tobytes()


def side(index: str, window: int) -> int:
    return SIDE if index in GAUSSIANS else window


@lru_cache
def truth_of(case: WindowCase, index: Any) -> Maps:
    i = window_cases.inputs(case)
    if index in GAUSSIANS:
        return gaussian_ref(i.planes, i.pairs, index, C1, C2, i.valid)
    return windows_ref(i.planes, i.pairs, case.window, index, i.valid)


def check_case(kernels: Kernels, case: WindowCase, index: str) -> None:
    i, truth = window_cases.inputs(case), truth_of(case, index)
    kernels.run_ahead(False)
    found = kernels.windows(i, case.window, index)
    assert found.count == truth.keep.sum()
    expected = truth.values.sum(axis=(1, 2))
    assert_within(found.sums, expected, error_bound(truth, i.planes, index), case.name)
    for ahead in ORDERS[1:]:
        kernels.run_ahead(ahead)
        same(kernels.windows(i, case.window, index), found)


@pytest.mark.parametrize("index", UNIFORM)
@pytest.mark.parametrize("case", window_cases.CASES, ids=by_name)
def test_windows_case(kernels: Kernels, case: WindowCase, index: str) -> None:
    check_case(kernels, case, index)


@pytest.mark.parametrize("index", GAUSSIANS)
@pytest.mark.parametrize("case", gaussian_cases.CASES, ids=by_name)
def test_gaussian_case(kernels: Kernels, case: WindowCase, index: str) -> None:
    check_case(kernels, case, index)


# Around the runs of 4 and 8 windows and the tiles of 64 x 8 and 32 x 32.
TILES = tuple(
    WindowCase(f"tile{rows}x{cols}_{dtype}", rows, cols, 1, 2, dtype, mask=mask)
    for rows, cols in ((4, 63), (5, 64), (8, 65), (9, 31), (31, 32), (32, 33), (33, 129), (17, 128))
    for dtype, mask in (("uint16", "none"), ("float32", "few"))
)


@pytest.mark.parametrize("case", TILES, ids=by_name)
@pytest.mark.parametrize("index", [*UNIFORM, *GAUSSIANS])
def test_tile_edges(kernels: Kernels, case: WindowCase, index: str) -> None:
    for window in (SIDE,) if index in GAUSSIANS else (3, 5, 8):
        more = window - 1
        grown = WindowCase(
            case.name,
            case.height + more,
            case.width + more,
            window,
            case.planes,
            case.dtype,
            mask=case.mask,
        )
        check_case(kernels, grown, index)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_largest_window(kernels: Kernels, dtype: str) -> None:
    case = WindowCase("largest", 258, 260, 256, 2, dtype, level=120)
    for index in UNIFORM:
        check_case(kernels, case, index)


@pytest.mark.parametrize("planes", [9, 16])
def test_many_planes(kernels: Kernels, planes: int) -> None:
    """Tiles of 4 rows, and of one where even they are too large."""
    for dtype in ("uint16", "float64"):
        check_case(kernels, WindowCase("many", 17, 76, 9, planes, dtype), "uqi")


@pytest.mark.parametrize("case", block_cases.CASES, ids=by_name)
def test_blocks_case(kernels: Kernels, case: WindowCase) -> None:
    i = block_cases.inputs(case)
    found = kernels.moments(i, case.window)
    taller = mirrored(i, case.window)
    truth = blocks_ref(taller.planes, taller.pairs, case.window, taller.valid)
    assert found.valid.tolist() == truth.valid.tolist()
    whole = truth.valid == case.window**2
    assert_within(found.moments[whole], truth.moments[whole], truth.bound[whole], "moments")
    variances = np.s_[:, case.planes : 2 * case.planes]
    constant = truth.moments[whole][variances] == 0
    assert (found.moments[whole][variances][constant] == 0).all()
    for ahead in ORDERS[1:]:
        kernels.run_ahead(ahead)
        again = kernels.moments(i, case.window)
        assert again.moments[whole].tobytes() == found.moments[whole].tobytes()
        assert again.valid.tolist() == found.valid.tolist()


def cut(i: Inputs, rows: slice) -> Inputs:
    valid = None if i.valid is None else np.ascontiguousarray(i.valid[rows])
    return i._replace(planes=[p[rows] for p in i.planes], valid=valid)


@pytest.mark.parametrize("index", [*UNIFORM, *GAUSSIANS])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("pieces", [(1,), (1, 1)])
def test_pieces_of_128_rows_of_windows(
    kernels: Kernels, index: str, dtype: str, pieces: tuple[int, ...]
) -> None:
    window = side(index, 7)
    case = WindowCase("pieces", 2 * 128 + 40, 79, window, 2, dtype, mask="few")
    i = window_cases.inputs(case)
    whole = kernels.windows(i, window, index)
    assert whole.count > 1000
    at, found = 0, None
    for blocks in pieces:
        rows = np.s_[at : at + 128 * blocks + window - 1]
        found = kernels.windows(cut(i, rows), window, index, found)
        at += 128 * blocks
    same(kernels.windows(cut(i, np.s_[at:]), window, index, found), whole)


def test_layout_and_dtype_change_no_bit(kernels: Kernels) -> None:
    i = window_cases.inputs(WindowCase("layout", 24, 141, 5, 3))
    spread = np.zeros((24, 141, 6), np.uint16)
    spread[::-1, ::-1, 1::2] = np.stack(i.planes, axis=-1)
    other = i._replace(planes=[spread[::-1, ::-1, 1 + 2 * k] for k in range(3)])
    for index in (*UNIFORM, *GAUSSIANS):
        window = side(index, 5)
        same(kernels.windows(other, window, index), kernels.windows(i, window, index))
    assert kernels.moments(other, 5).moments.tobytes() == kernels.moments(i, 5).moments.tobytes()
    signed = i._replace(planes=[p.astype(np.int16) for p in i.planes])
    mixed = i._replace(planes=[i.planes[0], signed.planes[1], i.planes[2]])
    as_float = i._replace(planes=[p.astype(np.float32) for p in i.planes])
    doubles = i._replace(planes=[i.planes[0], as_float.planes[1], i.planes[2].astype(np.float64)])
    for index in UNIFORM:
        whole = kernels.windows(i, 5, index)
        for integers in (signed, mixed):
            same(kernels.windows(integers, 5, index), whole)
        same(kernels.windows(doubles, 5, index), kernels.windows(as_float, 5, index))


@pytest.mark.parametrize("index", [*UNIFORM, *GAUSSIANS])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30, 0.0])
def test_what_lies_under_a_mask_does_not_matter(
    kernels: Kernels, index: str, garbage: float
) -> None:
    window = side(index, 5)
    for dtype in ("float32", "float64"):
        i = window_cases.inputs(WindowCase("under", 30, 90, window, 2, dtype, mask="few"))
        assert i.valid is not None
        planes = [np.where(i.valid, p, garbage).astype(dtype) for p in i.planes]
        found = kernels.windows(i._replace(planes=planes), window, index)
        same(found, kernels.windows(i, window, index))
        assert np.isfinite(found.sums).all() and found.count


@pytest.mark.parametrize("index", [*UNIFORM, *GAUSSIANS])
def test_a_mask_that_is_all_valid_changes_nothing(kernels: Kernels, index: str) -> None:
    window = side(index, 8)
    i = window_cases.inputs(WindowCase("all_valid", 30, 80, window, 3, "float32"))
    masked = i._replace(valid=np.full(i.planes[0].shape, 255, np.uint8))
    same(kernels.windows(masked, window, index), kernels.windows(i, window, index))


@pytest.mark.parametrize("index", [*UNIFORM, *GAUSSIANS])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("content", ["texture", "constant"])
@pytest.mark.parametrize("at", [(0, 0), (13, 17), (-1, -1)])
def test_nan_is_seen(
    kernels: Kernels, index: str, bad: float, content: Any, at: tuple[int, int]
) -> None:
    window = side(index, 5)
    i = window_cases.inputs(WindowCase("nan", 20, 30, window, 3, "float32", content=content))
    i.planes[1][at] = bad
    touched = [1 in pair for pair in i.pairs]
    assert np.isnan(kernels.windows(i, window, index).sums).tolist() == touched
    found = kernels.moments(i, 5).moments
    block = at[0] % 20 // 5, at[1] % 30 // 5
    assert (~np.isfinite(found[block])).tolist() == [False, True, False] * 2 + touched


@pytest.mark.parametrize("scale", [None, 1.0, 1 / 2047])
@pytest.mark.parametrize("sigma", [0.6, 3.0, 30.0])
@pytest.mark.parametrize("window", [7, 8, SIDE, 32])
def test_error_of_the_mean(
    kernels: Kernels, window: int, sigma: float, scale: float | None
) -> None:
    """11-bit DN, the same as float32 and as fractions: every index below 1e-6."""
    rng = np.random.default_rng([window, round(10 * sigma)])
    shape = window + 23, window + 90
    shared = rng.standard_normal(shape)
    planes = []
    for level in (500, 900):
        dn = np.rint(level + sigma * (shared + rng.standard_normal(shape)) / 2**0.5)
        dn[0, 0] = 2047  # what sums are taken about lies far from the texture
        dn = np.clip(dn, 0, 2047)
        planes.append(dn.astype(np.uint16) if scale is None else (dn * scale).astype(np.float32))
    i = Inputs(planes, [(0, 1)], None)
    doubles = [p.astype(np.float64) for p in planes]
    for index in GAUSSIANS if window == SIDE else UNIFORM:
        found = kernels.windows(i, window, index)
        truth: Any
        if index in GAUSSIANS:
            truth = gaussian_ref(doubles, i.pairs, index, C1, C2)  # type: ignore[arg-type]
        else:
            truth = windows_ref(doubles, i.pairs, window, index)  # type: ignore[arg-type]
        error = abs(found.sums[0] / found.count - truth.values.mean())
        print(f"{index} {window} {sigma} {scale}: {error:.1e}")
        assert error < 1e-6


@pytest.mark.parametrize("value", [0.1, 1 / 3, 700.123, 1e-7])
@pytest.mark.parametrize("window", [3, 5, 8, 13, 32])
def test_black_windows_have_no_mean(kernels: Kernels, window: int, value: float) -> None:
    """Sums about a bright sample must not leave a mean of rounding noise in black windows."""
    a, b = np.zeros((2, window + 1, window + 4))
    a[0, 0], b[0, 0] = value, 3.7 * value
    a[0, 1:4] = b[0, 1:4] = value
    i = Inputs([a, b], [(0, 1)], None)
    every = kernels.windows(i, window, "uqi")
    first = kernels.windows(cut(i, np.s_[:window]), window, "uqi")
    assert_within(every.sums - first.sums, np.array([5.0]), 1e-13)  # the windows of zeros


def test_adds_to_what_is_there(kernels: Kernels) -> None:
    i = window_cases.inputs(WindowCase("twice", 14, 17, 5))
    for index in ("uqi", "ssim"):
        once = kernels.windows(i, side(index, 5), index)
        twice = kernels.windows(i, side(index, 5), index, into=once)
        assert twice.count == 2 * once.count
        assert twice.sums.tolist() == (once.sums + once.sums).tolist()


@pytest.mark.parametrize("window, pairs", [(0, [(0, 1)]), (257, [(0, 1)]), (5, [(0, 2)]), (5, [])])
def test_arguments_are_checked(kernels: Kernels, window: int, pairs: list[tuple[int, int]]) -> None:
    i = window_cases.inputs(WindowCase("twice", 14, 17, 5, 2))._replace(pairs=pairs)
    with pytest.raises(Failed):
        kernels.windows(i, window, "uqi")
    with pytest.raises(Failed):
        kernels.windows(i._replace(pairs=[(0, 1)]), 7, "ssim")
