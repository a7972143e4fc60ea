"""Checks of the explicit gradients of the windowed indices: against differences of their truths
and, without a mask, against the torch operator, which computes from sums over planes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gradient_checks import slope

from pantiny.kernels.blocks.blocks_backward_ref import blocks_backward_ref
from pantiny.kernels.blocks.blocks_ref import blocks_ref
from pantiny.kernels.gaussian.gaussian_backward_ref import gaussian_backward_ref
from pantiny.kernels.gaussian.gaussian_ref import gaussian_ref
from pantiny.kernels.testing import assert_within, generator
from pantiny.kernels.windows.cases import WindowCase, inputs
from pantiny.kernels.windows.windows_backward_ref import windows_backward_ref
from pantiny.kernels.windows.windows_ref import U, windows_ref
from pantiny.nn import _windows

Value = Callable[[list[np.ndarray]], np.ndarray]  # terms of the loss
STEP = 1e-4  # of differences, in deviations of the texture
SSIM = (50.0, 450.0)  # c1, c2


def rounding(case: WindowCase) -> float:
    """Of a sample, as a share of the texture's deviation."""
    return 10 * U * case.level / case.sigma


def check_differences(case: WindowCase, value: Value, gradient: np.ndarray) -> None:
    """In two directions."""
    planes, _, valid = inputs(case)
    kept = [np.float64(p) for p in planes]
    inside = np.broadcast_to(True if valid is None else valid != 0, gradient.shape)
    assert not gradient[~inside].any()
    rng = generator(case.name, "directions")
    for _ in range(2):
        d = case.sigma * np.where(inside, rng.standard_normal(gradient.shape), 0.0)
        terms = gradient * d

        def at(t: float, d: np.ndarray = d) -> np.ndarray:
            return value([p + t * e for p, e in zip(kept, d, strict=True)])

        bound = (1e-7 + rounding(case) / STEP) * np.sqrt((terms * terms).sum())
        bound += 4 * U * np.abs(at(STEP)).sum() / STEP
        expected = slope(lambda t, at=at: float(at(t).sum()), STEP)
        assert_within(np.array(terms.sum()), np.array(expected), bound, "slope")


def check_torch(
    case: WindowCase, dsums: np.ndarray, index: str, c: tuple[float, float], gradient: np.ndarray
) -> None:
    planes, pairs, _ = inputs(case)
    first = torch.from_numpy(np.float64(np.stack(planes)))[None]
    count = (case.height - case.window + 1) * (case.width - case.window + 1)
    options: Any = [n for pair in pairs for n in pair], case.window, index, *c
    grad = torch.from_numpy(dsums)[None] * count  # of the mean
    made = _windows.gradient(grad, first, first[:, :0], *options, (True, False), torch.float64)
    expected = made[0][0].numpy()
    assert_within(gradient, expected, (1e-9 + rounding(case)) * np.abs(expected).max(), "torch")


def check_windows(case: WindowCase, index: Any, differences: bool = True) -> None:
    """``differences=False`` where windows are flat or black: the index jumps there."""
    planes, pairs, valid = inputs(case)
    dsums = generator(case.name, "dsums").standard_normal(len(pairs))
    gradient = windows_backward_ref(dsums, planes, pairs, case.window, index, valid)
    if valid is None:
        check_torch(case, dsums, index, (0.0, 0.0), gradient)

    def value(planes: list[np.ndarray]) -> np.ndarray:
        maps = windows_ref(planes, pairs, case.window, index, valid)
        return np.asarray(dsums[:, None, None] * maps.values)

    if differences:
        check_differences(case, value, gradient)


def check_gaussian(case: WindowCase, index: Any) -> None:
    planes, pairs, valid = inputs(case)
    dsums = generator(case.name, "dsums").standard_normal(len(pairs))
    c = SSIM if index == "ssim" else (2.0, 1e3)
    gradient = gaussian_backward_ref(dsums, planes, pairs, index, *c, valid)
    if valid is None and index == "ssim":
        check_torch(case, dsums, index, c, gradient)

    def value(planes: list[np.ndarray]) -> np.ndarray:
        maps = gaussian_ref(planes, pairs, index, *c, valid)
        return np.asarray(dsums[:, None, None] * maps.values)

    check_differences(case, value, gradient)


def check_blocks(case: WindowCase) -> None:
    planes, pairs, valid = inputs(case)
    made = blocks_ref(planes, pairs, case.window, valid)
    dmoments = generator(case.name, "dmoments").standard_normal(made.moments.shape)
    gradient = blocks_backward_ref(dmoments, planes, pairs, case.window, valid)

    def value(planes: list[np.ndarray]) -> np.ndarray:
        return np.asarray(dmoments * blocks_ref(planes, pairs, case.window, valid).moments)

    check_differences(case, value, gradient)
