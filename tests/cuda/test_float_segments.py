"""The float segments: every op against its truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pantiny.kernels import testing
from pantiny.kernels.boundary import cases as boundary_cases
from pantiny.kernels.fusion import cases as fusion_cases
from pantiny.kernels.head import cases as head_cases
from pantiny.kernels.testing import Case

from .float_ops import Ops
from .segment_checks import (
    check_block,
    check_convolutions,
    check_head,
    check_network,
    check_upsampled,
    outputs,
)
from .segment_ops import Call

VARIANTS = ("tiny", "huge")
_NAMES = {
    "1x1", "1x64", "64x1", "5x7", "17x17", "3x65",
    "flat", "huge", "zero", "all_masked", "half_masked", "speckle_masked",
    "rim_masked", "one_valid",
}  # fmt: skip
# around the edges of the tiles: 28 x 12 of the boundary, 30 x 14 of apply, 32 x 8 of a 3x3
EDGES = (
    Case("12x28", 12, 28),
    Case("13x29", 13, 29, mask="speckle"),
    Case("15x31", 15, 31),
    Case("9x33", 9, 33),
)


def selected(cases: tuple[Case, ...]) -> list[Case]:
    return [c for c in cases if c.name.removeprefix("huge-") in _NAMES and c.variant in VARIANTS]


def named(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, np.ndarray]]:
    return {v: testing.random_weights(v) for v in VARIANTS}


@pytest.fixture(scope="module")
def models(weights: dict) -> dict[str, Ops]:
    return {v: Ops(weights[v], v) for v in VARIANTS}


@pytest.fixture
def ahead(models: dict[str, Ops]) -> Iterator[None]:
    models["tiny"].run_ahead(True)
    yield
    models["tiny"].run_ahead(False)


@pytest.mark.parametrize("case", [*selected(boundary_cases.CASES), *EDGES], ids=named)
def test_block(case: Case, models: dict[str, Ops], weights: dict) -> None:
    check_block(models[case.variant], [case], weights[case.variant])


@pytest.mark.parametrize("case", [*selected(fusion_cases.CASES), *EDGES], ids=named)
def test_convolutions(case: Case, models: dict[str, Ops], weights: dict) -> None:
    check_convolutions(models[case.variant], [case], weights[case.variant])


@pytest.mark.parametrize("case", [*selected(head_cases.CASES), *EDGES], ids=named)
def test_head(case: Case, models: dict[str, Ops], weights: dict) -> None:
    check_head(models[case.variant], [case], weights[case.variant])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.usefixtures("ahead")
def test_a_warp_ahead(variant: str, models: dict[str, Ops], weights: dict) -> None:
    case = Case("ahead", 14, 35, variant, mask="speckle")
    ops, w = models[variant], weights[variant]
    check_block(ops, [case], w)
    check_convolutions(ops, [case], w)
    check_head(ops, [case], w)


@pytest.mark.parametrize("mask", ["none", "speckle"])
def test_upsampled(mask: str, models: dict[str, Ops], weights: dict) -> None:
    check_upsampled(models["tiny"], Case("upsampled", 19, 31, mask=mask), weights["tiny"])


BATCH = [
    Case("first", 11, 31),
    Case("second", 11, 31, mask="speckle"),
    Case("third", 11, 31, mask="half"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_changes_no_bit(variant: str, models: dict[str, Ops]) -> None:
    cases = [replace(c, variant=variant) for c in BATCH]
    together = outputs(models[variant], cases)
    for i, case in enumerate(cases):
        for all_of_them, one in zip(together, outputs(models[variant], [case]), strict=True):
            assert np.array_equal(all_of_them[i : i + 1], one)


def test_the_number_of_tiles(models: dict[str, Ops]) -> None:
    call = Call(np.ones((3, 25, 57), bool))
    assert models["tiny"].tiles(call) == 3 * 3
    assert models["tiny"].tiles(call, alone=True) == 2 * 2


@pytest.mark.parametrize(("variant", "mask"), [("tiny", "half"), ("huge", "none")])
def test_network(mask: str, variant: str, models: dict[str, Ops], weights: dict) -> None:
    check_network(models[variant], Case("network", 13, 30, variant, mask=mask), weights[variant])
