"""Segments of 16-bit features: every op against its truth, in every shape of tile."""

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

from .half_ops import BY_IMAGE, LEAN, SMALL, WIDE, Call, Ops
from .segment_checks import (
    check_block,
    check_convolutions,
    check_head,
    check_network,
    check_upsampled,
    check_wild,
    outputs,
)

VARIANTS = ("tiny", "huge")
_NAMES = {
    "1x1", "1x64", "64x1", "5x7", "17x17", "3x63", "4x64", "2x129",
    "constant", "flat", "zero", "all_masked", "half_masked", "speckle_masked", "rim_masked",
    "one_valid", "strided",
}  # fmt: skip
# around the edges of the tiles: 28 x 8 and 60 x 13, and of wide features 28 x 4 and 60 x 7
EDGES = (
    Case("8x28", 8, 28),
    Case("9x29", 9, 29),
    Case("13x60", 13, 60),
    Case("14x61", 14, 61, mask="speckle"),
    Case("15x62", 15, 62),
)


def selected(cases: tuple[Case, ...]) -> list[Case]:
    return [c for c in cases if c.name.removeprefix("huge-") in _NAMES and c.variant in VARIANTS]


def named(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module", params=["half", "bf16"])
def bf16(request: pytest.FixtureRequest) -> bool:
    return request.param == "bf16"


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, np.ndarray]]:
    return {v: testing.random_weights(v) for v in VARIANTS}


@pytest.fixture(scope="module")
def models(bf16: bool, weights: dict) -> dict[str, Ops]:
    return {v: Ops(weights[v], v, bf16) for v in VARIANTS}


@pytest.fixture(params=["in turn", "run ahead"])
def schedule(request: pytest.FixtureRequest, models: dict[str, Ops]) -> Iterator[None]:
    models["tiny"].run_ahead(request.param == "run ahead")
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
@pytest.mark.parametrize("tile", [WIDE, LEAN, SMALL], ids=["wide", "lean", "small"])
@pytest.mark.usefixtures("schedule")
def test_tiles(tile: int, variant: str, models: dict[str, Ops], weights: dict) -> None:
    case = Case("tiles", 19, 70, variant, mask="speckle")
    whole = Case("whole", 19, 70, variant)
    ops, w = models[variant], weights[variant]
    check_block(ops, [case], w, tile)
    check_block(ops, [whole], w, tile)
    check_convolutions(ops, [case, whole], w, tile)
    check_head(ops, [case], w, tile)


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
    together = outputs(models[variant], cases, SMALL)
    for i, case in enumerate(cases):
        for all_of_them, one in zip(together, outputs(models[variant], [case], SMALL), strict=True):
            assert np.array_equal(all_of_them[i : i + 1], one)


@pytest.mark.parametrize("variant", VARIANTS)
def test_tiles_change_no_feature(variant: str, models: dict[str, Ops]) -> None:
    case = Case("shapes", 21, 65, variant, mask="rim")
    by_shape = [outputs(models[variant], [case], tile) for tile in (SMALL, LEAN, WIDE)]
    for other in by_shape[1:]:
        for a, b in zip(by_shape[0][:5], other[:5], strict=True):
            assert np.array_equal(a, b)


def test_the_table_takes_small_tiles_of_small_images(models: dict[str, Ops]) -> None:
    case = Case("by image", 9, 33, mask="speckle")
    chosen, small = (outputs(models["tiny"], [case], tile) for tile in (BY_IMAGE, SMALL))
    for a, b in zip(chosen, small, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("height", "width", "tiles"), [(256, 256, 320), (257, 256, 100), (300, 300, 120)]
)
def test_the_number_of_tiles_depends_on_the_size_alone(
    height: int, width: int, tiles: int, models: dict[str, Ops]
) -> None:
    # 28 x 8 up to 256^2 pixels, then 60 x 13
    for images in (1, 3):
        call = Call(np.ones((images, height, width), bool), tile=BY_IMAGE)
        assert models["tiny"].tiles(call) == tiles


@pytest.mark.parametrize("mask", ["none", "half"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_network(mask: str, variant: str, models: dict[str, Ops], weights: dict) -> None:
    check_network(models[variant], Case("network", 18, 40, variant, mask=mask), weights[variant])


def test_wild_samples_leave_everything_finite(models: dict[str, Ops], weights: dict) -> None:
    check_wild(models["tiny"], Case("wild", 9, 33), weights["tiny"])
