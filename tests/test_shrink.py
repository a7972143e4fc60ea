"""``kernels/shrink`` against its float64 reference, on every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pantiny import engine
from pantiny.degrade import degrade_ms
from pantiny.engine import core
from pantiny.kernels.shrink.cases import CASES, ShrinkCase, inputs
from pantiny.kernels.shrink.shrink_ref import shrink_ref
from pantiny.kernels.testing import assert_within
from pantiny.metrics._grids import Degrade, degrade

EPS = 2.0**-53


@pytest.fixture(params=core().isa_usable().split())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = core().isa()
    core().isa_choose(request.param)
    yield request.param
    core().isa_choose(before)


def run(case: ShrinkCase, threads: int = 2) -> np.ndarray:
    plane, valid, weights, first = inputs(case)
    return np.asarray(
        core().shrink_run(
            plane=plane,
            valid=valid,
            first_row=first,
            first_col=first,
            step=case.step,
            row_weights=weights,
            col_weights=weights,
            out_rows=case.height,
            cols=case.width,
            threads=threads,
        )
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_reference(case: ShrinkCase, isa: str) -> None:
    plane, valid, weights, first = inputs(case)
    shape = (case.height, case.width)
    expected = shrink_ref(plane, weights, weights, (first, first), case.step, shape, valid)
    magnitude = np.abs(plane if valid is None else plane[valid != 0]).max(initial=0.0)
    bound = (4 * len(weights) + 16) * EPS * float(magnitude)  # weights are positive, their sum 1
    assert_within(run(case), expected, bound)


@pytest.mark.parametrize("name", ["9x16", "step3", "float32"])
def test_threads_change_no_bit(name: str) -> None:
    case = next(c for c in CASES if c.name == name)
    assert len({run(case, threads).tobytes() for threads in (1, 2, 3)}) == 1


def test_a_masked_sample_is_as_good_as_zero() -> None:
    case = next(c for c in CASES if c.name == "speckle")
    plane, valid, weights, first = inputs(case)
    assert valid is not None and np.isnan(plane[valid == 0]).all()
    blank = np.where(valid != 0, plane, 0).astype(plane.dtype)
    assert (run(case) == shrink_again(blank, weights, first, case)).all()


def shrink_again(
    plane: np.ndarray, weights: np.ndarray, first: int, case: ShrinkCase
) -> np.ndarray:
    made = core().shrink_run(
        plane=plane, valid=None, first_row=first, first_col=first, step=case.step,
        row_weights=weights, col_weights=weights, out_rows=case.height, cols=case.width, threads=1,
    )  # fmt: skip
    return np.asarray(made)


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (20, 33)])
def test_the_indices_degrade_as_the_package_does(ratio: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    image = rng.random((3, shape[0] * ratio, shape[1] * ratio))
    gains = (0.2, 0.3, 0.35)
    found, valid = degrade(image, ratio, gains)
    assert valid is None
    assert_within(found, degrade_ms(image, ratio, gains), 1e-14)


@pytest.mark.parametrize("piece", [1, 5, 16, 200])
def test_pieces_change_no_bit_and_masks_reach_as_far_as_the_kernel(piece: int) -> None:
    rng = np.random.default_rng(6)
    image, mask = rng.random((2, 64, 40)), np.ones((64, 40), np.uint8)
    mask[30, 21] = 0
    image[:, 30, 21] = np.nan
    whole, valid = degrade(image, 4, (0.2, 0.3), mask)
    assert valid is not None and np.isfinite(whole).all()
    stream = Degrade((64, 40), 4, (0.2, 0.3))
    parts = [
        stream.update(image[:, y : y + piece], mask[y : y + piece]) for y in range(0, 64, piece)
    ]
    assert (np.concatenate([p[0] for p in parts], 1) == whole).all()
    assert (np.concatenate([p[1] for p in parts if p[1] is not None]) == valid).all()
    hit = np.zeros((1, 64, 40))
    hit[0, 30, 21] = 1
    assert ((degrade_ms(hit, 4, (0.2,))[0] > 0) == (valid == 0)).all()


@pytest.mark.parametrize("wrong", [{"step": 0}, {"cols": 0}, {"threads": 0}, {"step": 65}])
def test_refusals(wrong: dict[str, int]) -> None:
    weights = np.ones(3)
    arguments = {
        "plane": np.ones((4, 4)), "valid": None, "first_row": 0, "first_col": 0, "step": 1,
        "row_weights": weights, "col_weights": weights, "out_rows": 2, "cols": 2, "threads": 1,
    }  # fmt: skip
    assert engine.core().shrink_run(**arguments).shape == (2, 2)
    with pytest.raises(RuntimeError, match="out of range"):
        engine.core().shrink_run(**{**arguments, **wrong})
