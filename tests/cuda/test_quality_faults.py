"""Every planted fault of the CUDA quality indices is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from pantiny.kernels.blocks.blocks_ref import Moments, blocks_ref
from pantiny.kernels.gaussian.gaussian_ref import SIDE, gaussian_ref
from pantiny.kernels.shrink.cases import ShrinkCase
from pantiny.kernels.windows.cases import Inputs, WindowCase, inputs
from pantiny.kernels.windows.windows_ref import Maps, windows_ref

from .build import WITH_GPU, library
from .faults_quality import FAULTS
from .quality import C1, C2, SOURCES, Kernels, Sums, error_bound, mirrored
from .test_quality_batches import (
    check_blocks,
    check_shrink,
    check_shrunk_batch,
    check_windows,
)

pytestmark = pytest.mark.skipif(WITH_GPU, reason="barriers are dropped: for the emulator only")

UNIFORM: tuple[tuple[WindowCase, str], ...] = (
    (WindowCase("u16", 19, 76, 8), "uqi"),
    (WindowCase("f64_masked", 14, 70, 5, 2, "float64", level=6e4, sigma=0.6, mask="few"), "uqi"),
    (WindowCase("half", 9, 20, 5, 2, mask="half"), "uqi"),
    (WindowCase("rim", 14, 30, 5, 2, "float64", level=6e4, sigma=0.6, mask="rim"), "uqi"),
    (WindowCase("black", 16, 20, 5, 2, "float64", content="black", level=0.3, sigma=0.1), "uqi"),
    (WindowCase("flat", 16, 20, 5, 2, content="flat"), "uqi"),
    (WindowCase("flat64", 16, 70, 5, 2, "float64", content="flat", level=0.3), "decorrelation"),
    (WindowCase("constant", 9, 12, 5, 2, content="constant"), "decorrelation"),
    (WindowCase("range", 10, 12, 8, 2, content="ramp"), "uqi"),
    (WindowCase("rows", 520, 3, 1, 2, "float32"), "decorrelation"),
)
GAUSSIAN: tuple[tuple[WindowCase, str], ...] = (
    (WindowCase("g16", 44, 43, SIDE), "ssim"),
    (WindowCase("g64", 20, 44, SIDE, 2, "float64", mask="few"), "ssim"),
    (WindowCase("g32", 13, 20, SIDE, 2, "float32", mask="few"), "gaussian_uqi"),
    (WindowCase("g_tall", 150, 12, SIDE, 1), "gaussian_uqi"),
)
BLOCKS: tuple[WindowCase, ...] = (
    WindowCase("b16", 17, 21, 8),
    WindowCase("b64", 32, 41, 32, 2, "float64", level=6e4, sigma=0.6),
    WindowCase("b_masked", 16, 25, 8, 2, "float32", mask="few"),
    WindowCase("b_range", 8, 8, 8, 2, content="ramp"),
)


SHRINK: tuple[ShrinkCase, ...] = (
    ShrinkCase("shrink", 3, 37),
    ShrinkCase("shrink_masked", 6, 35, step=2, dtype="float32", mask="speckle"),
    ShrinkCase("shrink_halves", 9, 13, mask="half"),
)


@lru_cache
def window_truth(case: WindowCase, index: Any) -> tuple[Inputs, Maps]:
    i = inputs(case)
    if index in ("uqi", "decorrelation"):
        return i, windows_ref(i.planes, i.pairs, case.window, index, i.valid)
    return i, gaussian_ref(i.planes, i.pairs, index, C1, C2, i.valid)


@lru_cache
def block_truth(case: WindowCase) -> tuple[Inputs, Moments]:
    i = inputs(case)
    taller = mirrored(i, case.window)
    return i, blocks_ref(taller.planes, taller.pairs, case.window, taller.valid)


def wrong_sums(kernels: Kernels, case: WindowCase, index: str) -> bool:
    i, truth = window_truth(case, index)
    before = Sums(np.full(len(i.pairs), 0.5), 3)
    found = kernels.windows(i, case.window, index, into=before)
    error = np.abs(found.sums - before.sums - truth.values.sum(axis=(1, 2)))
    fine = error <= error_bound(truth, i.planes, index) + 1e-13 * truth.keep.sum()
    return found.count - 3 != truth.keep.sum() or not fine.all()


def wrong_moments(kernels: Kernels, case: WindowCase) -> bool:
    i, truth = block_truth(case)
    found = kernels.moments(i, case.window)
    whole = truth.valid == case.window**2
    fine = np.abs(found.moments - truth.moments)[whole] <= truth.bound[whole]
    return bool((found.valid != truth.valid).any() or not fine.all())


def fails(check: Callable[..., None], *given: Any) -> bool:
    try:
        check(*given)
    except AssertionError:
        return True
    return False


def wrong_batch(kernels: Kernels, op: str) -> bool:
    """Whether images of a batch differ from themselves alone, or planes shrink wrong."""
    checks: list[tuple[Any, ...]] = []
    if op in ("windows", "planes", "tile sums"):
        checks += [(check_windows, "uqi", "float32", "few")]
    if op in ("gaussian", "planes"):
        checks += [(check_windows, "ssim", "uint16", "none")]
    if op in ("blocks", "planes"):
        checks += [(check_blocks, "uint16", "few")]
    if op == "shrink":
        checks += [(check_shrink, case) for case in SHRINK] + [(check_shrunk_batch,)]
    return any(fails(check, kernels, *given) for check, *given in checks)


def wrong(kernels: Kernels, op: str) -> bool:
    """Whether a result of the op is off, in one of the orders of the threads."""
    if wrong_batch(kernels, op):
        return True
    if op == "shrink":
        return False
    try:
        for ahead in (False, True):
            kernels.run_ahead(ahead)
            if op != "blocks" and any(
                wrong_sums(kernels, *given)
                for given in (
                    *(UNIFORM if op != "gaussian" else ()),
                    *(GAUSSIAN if op != "windows" else ()),
                )
            ):
                return True
            if op in ("blocks", "planes") and any(wrong_moments(kernels, c) for c in BLOCKS):
                return True
        return False
    finally:
        kernels.run_ahead(False)


def test_without_a_fault_nothing_is_wrong() -> None:
    kernels = Kernels(library(SOURCES))
    assert not any(wrong(kernels, op) for op in ("windows", "gaussian", "blocks", "shrink"))


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name: str) -> None:
    kernels = Kernels(library(SOURCES, faults=[FAULTS[name]]))
    assert wrong(kernels, name.partition(":")[0])
