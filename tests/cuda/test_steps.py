"""Fold, back-projection and rounding, scale and masks on the device against their truths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pantiny.kernels.consistency import cases as consistency_cases
from pantiny.kernels.consistency.cases import ConsistencyCase
from pantiny.kernels.fold import cases as fold_cases
from pantiny.kernels.fold.cases import FoldCase
from pantiny.kernels.testing import generator

from .segment_ops import Call
from .step_checks import (
    ROUNDINGS,
    check_consistency,
    check_far,
    check_fold,
    check_masks,
    check_rounding,
    check_scale,
    corrected,
    scale_images,
    tile_sums,
)
from .step_ops import Rounding, Steps

MASKS = (
    ("u1", None, False), ("u2", 0.0, False), ("i2", 3.0, True), ("f4", None, True),
    ("f4", np.nan, True), ("f4", 2.0, False), ("f4", -np.inf, False),
)  # fmt: skip


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps()


@pytest.fixture(params=["in turn", "run ahead"])
def schedule(request: pytest.FixtureRequest, steps: Steps) -> None:
    ahead = request.param == "run ahead"
    steps.run_ahead(ahead)
    if ahead:
        request.addfinalizer(lambda: steps.run_ahead(False))


@pytest.mark.parametrize("tiles", [(1, 1), (8, 8), (9, 3), (17, 9)])
@pytest.mark.parametrize("case", fold_cases.CASES, ids=lambda c: c.name)
def test_fold(case: FoldCase, tiles: tuple[int, int], steps: Steps) -> None:
    check_fold(steps, case, tiles)


@pytest.mark.parametrize("case", consistency_cases.CASES, ids=lambda c: c.name)
def test_consistency(case: ConsistencyCase, steps: Steps) -> None:
    check_consistency(steps, case)


def test_pixels_far_from_the_ms(steps: Steps) -> None:
    check_far(steps)


@pytest.mark.usefixtures("schedule")
def test_schedules(steps: Steps) -> None:
    check_fold(steps, fold_cases.CASES[0], (10, 7))
    check_consistency(steps, ConsistencyCase("wide", 3, 70, mask="speckle", ms_mask="speckle"))
    check_rounding(steps, *ROUNDINGS[3])
    check_scale(steps, scale_images("f4"))
    check_masks(steps, *MASKS[4])


@pytest.mark.parametrize(("dtype", "rounding"), ROUNDINGS)
def test_rounding(dtype: str, rounding: Rounding, steps: Steps) -> None:
    check_rounding(steps, dtype, rounding)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_scale(dtype: str, steps: Steps) -> None:
    ms = scale_images(dtype)
    check_scale(steps, ms)
    check_scale(steps, ms, generator(dtype, "valid").random((len(ms), *ms.shape[2:])) < 0.6)
    for value in (0, 1, 200):  # one sample
        check_scale(steps, np.full((1, 1, 1, 1), value, dtype))
    for size in (99, 100, 101, 200, 201):  # around whole ranks
        check_scale(steps, np.arange(size).reshape(1, 1, 1, size).astype(dtype))


def test_scale_of_a_wide_image(steps: Steps) -> None:
    check_scale(steps, np.sort(scale_images("i2", 1, 2, 2100)))


def test_scale_of_close_floats(steps: Steps) -> None:
    """They differ in the lower half of their bits alone."""
    bits = generator("close").integers(0, 65536, (2, 1, 7, 60)) + 0x43210000
    check_scale(steps, bits.astype(np.uint32).view(np.float32))
    check_scale(steps, -bits.astype(np.uint32).view(np.float32))


def test_scale_without_a_valid_sample(steps: Steps) -> None:
    ms, nothing = np.full((1, 4, 3, 5), 7, np.uint16), np.zeros((1, 3, 5), bool)
    call = Call(np.ones((1, 3, 5), bool), ms=ms, ms_valid=nothing)
    assert steps.scale(call).tolist() == [1.0]


@pytest.mark.parametrize(("dtype", "nodata", "given"), MASKS)
def test_masks(dtype: str, nodata: float | None, given: bool, steps: Steps) -> None:
    check_masks(steps, dtype, nodata, given)


@pytest.mark.parametrize("mask", ["none", "speckle"])
def test_a_batch_changes_no_bit_of_the_correction(mask: str, steps: Steps) -> None:
    case = ConsistencyCase("first", 5, 9, mask=mask, ms_mask=mask)
    given = [consistency_cases.inputs(replace(case, name=n)) for n in ("first", "second", "third")]
    together = corrected(steps, given)
    for one, alone in zip(together, given, strict=True):
        assert np.array_equal(one, corrected(steps, [alone])[0])


def test_a_batch_changes_no_bit_of_the_matrices(steps: Steps) -> None:
    cases = fold_cases.CASES[:3]
    weights = fold_cases.inputs(cases[0])[1:]
    partials = np.stack([tile_sums(c, (11, 6)) for c in cases])
    together = steps.fold(partials, *weights)
    for one, alone in zip(together, partials, strict=True):
        assert np.array_equal(one, steps.fold(alone[None], *weights)[0])
