"""The explicit gradients of the windowed indices, and of the moments of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import index_gradient_checks as g

from pantiny.kernels.blocks import cases as block_cases
from pantiny.kernels.gaussian import cases as gaussian_cases
from pantiny.kernels.windows import cases as window_cases
from pantiny.kernels.windows.cases import WindowCase
from pantiny.kernels.windows.windows_backward_ref import windows_backward_ref

SMALL = 1300  # samples
JUMPS = ("constant", "flat", "black", "zero")


def small(cases: tuple[WindowCase, ...]) -> list[WindowCase]:
    """Of several planes that are not all zero, with a row of blocks or windows at least."""
    return [
        c
        for c in cases
        if c.window <= c.height
        and 0 < c.width
        and c.height * c.width <= SMALL
        and 1 < c.planes <= 4
        and c.content != "zero"
        and c.mask != "all"
        and not (c.window == 1 and c.mask == "point")
    ]


# constant planes: the Gaussian Q is the square of what differences are made of
GAUSSIAN = [c for c in small(gaussian_cases.CASES) if c.content != "constant"]


def by_name(case: Any) -> str:
    return str(case.name)


@pytest.mark.parametrize("index", ["uqi", "decorrelation"])
@pytest.mark.parametrize("case", small(window_cases.CASES), ids=by_name)
def test_windows(case: WindowCase, index: str) -> None:
    g.check_windows(case, index, case.content not in JUMPS)


@pytest.mark.parametrize("index", ["ssim", "gaussian_uqi"])
@pytest.mark.parametrize("case", GAUSSIAN, ids=by_name)
def test_gaussian(case: WindowCase, index: str) -> None:
    g.check_gaussian(case, index)


@pytest.mark.parametrize("case", small(block_cases.CASES), ids=by_name)
def test_blocks(case: WindowCase) -> None:
    g.check_blocks(case)


def test_no_window_has_no_gradient() -> None:
    for shape in ((7, 40), (40, 7), (0, 9)):
        planes = [np.ones(shape), np.ones(shape)]
        out = windows_backward_ref(np.ones(1), planes, [(0, 1)], 8, "uqi")
        assert out.shape == (2, *shape) and not out.any()
