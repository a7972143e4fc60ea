"""Batches in the CUDA kernels of the quality indices, and the kernel that shrinks planes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pantiny.kernels.shrink import cases as shrink_cases
from pantiny.kernels.shrink.cases import ShrinkCase
from pantiny.kernels.shrink.shrink_ref import shrink_ref
from pantiny.kernels.testing import assert_within
from pantiny.kernels.windows import cases as window_cases
from pantiny.kernels.windows.cases import Inputs, WindowCase
from pantiny.kernels.windows.windows_ref import U

from .quality import ORDERS, Failed, Kernels, stacked

INDICES = {"uqi": 9, "decorrelation": 5, "ssim": 11, "gaussian_uqi": 11}


def images(count: int, dtype: str, mask: window_cases.Holes) -> list[Inputs]:
    case = WindowCase("batch", 37, 75, 9, 3, dtype, level=120, mask=mask)
    return [window_cases.inputs(replace(case, name=f"batch{i}")) for i in range(count)]


def check_windows(kernels: Kernels, index: str, dtype: str, mask: window_cases.Holes) -> None:
    """Images of a batch have the bits that they have alone."""
    alone = images(3, dtype, mask)
    window = INDICES[index]
    for ahead in ORDERS:
        kernels.run_ahead(ahead)
        found = kernels.windows(stacked(alone), window, index)
        for i, given in enumerate(alone):
            one = kernels.windows(given, window, index)
            assert found.count[i] == one.count > 0
            assert found.sums[i].tobytes() == one.sums.tobytes()


def check_blocks(kernels: Kernels, dtype: str, mask: window_cases.Holes) -> None:
    """The same of blocks."""
    alone = images(3, dtype, mask)
    for ahead in ORDERS:
        kernels.run_ahead(ahead)
        found = kernels.moments(stacked(alone), 8)
        for i, given in enumerate(alone):
            one = kernels.moments(given, 8)
            assert found.valid[i].tolist() == one.valid.tolist()
            whole = one.valid == 64
            assert found.moments[i][whole].tobytes() == one.moments[whole].tobytes()


@pytest.mark.parametrize("mask", ["none", "few"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("index", INDICES)
def test_images_of_a_batch_are_summed_as_alone(
    kernels: Kernels, index: str, dtype: str, mask: window_cases.Holes
) -> None:
    check_windows(kernels, index, dtype, mask)


@pytest.mark.parametrize("mask", ["none", "few"])
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_blocks_of_a_batch(kernels: Kernels, dtype: str, mask: window_cases.Holes) -> None:
    check_blocks(kernels, dtype, mask)


def test_images_anywhere(kernels: Kernels) -> None:
    """Bands last, images and rows backwards, one mask for all, one plane for all images."""
    alone = images(3, "uint16", "few")
    mask = alone[0].valid
    alone = [i._replace(valid=mask, planes=[*i.planes[:2], alone[0].planes[2]]) for i in alone]
    spread = np.zeros((3, 37, 75, 5), np.uint16)
    spread[::-1, ::-1, :, 1:3] = np.stack([np.stack(i.planes[:2], -1) for i in alone])
    planes = [spread[::-1, ::-1, :, 1 + k] for k in range(2)]
    planes.append(np.broadcast_to(alone[0].planes[2], (3, 37, 75)))
    given = Inputs(planes, alone[0].pairs, mask)
    for index, window in INDICES.items():
        found = kernels.windows(given, window, index)
        for i, one in enumerate(alone):
            expected = kernels.windows(one, window, index)
            assert found.sums[i].tobytes() == expected.sums.tobytes()
            assert found.count[i] == expected.count
    assert np.array_equal(
        kernels.moments(given, 8).valid, np.stack([kernels.moments(i, 8).valid for i in alone])
    )


def test_a_batch_of_none_is_refused(kernels: Kernels) -> None:
    with pytest.raises(Failed):
        kernels.windows(Inputs([np.zeros((0, 9, 9), np.uint8)] * 2, [(0, 1)], None), 3, "uqi")


def check_shrink(kernels: Kernels, case: ShrinkCase) -> None:
    plane, valid, weights, first = shrink_cases.inputs(case)
    shape = case.height, case.width
    both = np.stack([weights, np.random.default_rng(0).random(len(weights))])
    other = plane // 2
    given = Inputs([plane, other], [], valid)
    among = np.ones(shape, np.uint8)
    among[0, 0] = 0
    for ahead in ORDERS:
        kernels.run_ahead(ahead)
        made, reached = kernels.shrink(
            given, np.stack([both, both[::-1]]), (first, first), case.step, shape, among
        )
        for i, (p, w) in enumerate(((plane, both), (other, both[::-1]))):
            data = p if valid is None else np.where(valid, p, 0)
            truth = shrink_ref(data, *w, (first, first), case.step, shape)
            size = shrink_ref(np.abs(data.astype(np.float64)), *w, (first, first), case.step, shape)
            assert_within(made[i], truth, (2 * len(weights) + 8) * U * size, case.name)
        clear = np.ones(shape, bool)
        if valid is not None:
            clear = shrink_ref(1 - valid, *both, (first, first), case.step, shape) == 0
        assert np.array_equal(reached != 0, clear & (among != 0))


@pytest.mark.parametrize("case", shrink_cases.CASES, ids=lambda c: c.name)
def test_shrink_case(kernels: Kernels, case: ShrinkCase) -> None:
    check_shrink(kernels, case)


@pytest.mark.parametrize("width", [31, 32, 33, 65])
def test_tiles_of_a_row(kernels: Kernels, width: int) -> None:
    check_shrink(kernels, ShrinkCase(f"tiles{width}", 2, width, mask="speckle", dtype="float32"))


def check_shrunk_batch(kernels: Kernels) -> None:
    """Images of a batch, their rows and columns backwards, have the bits that they have alone."""
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 900, (3, 24, 36)).astype(d) for d in ("uint16", "float64")]
    valid = (rng.random((3, 24, 36)) > 0.02).astype(np.uint8)
    weights = rng.random((2, 2, 11))
    shape = 6, 9
    options = weights, (-3, -3), 4, shape
    flipped = [np.ascontiguousarray(p[:, ::-1, ::-1])[:, ::-1, ::-1] for p in planes]
    made, reached = kernels.shrink(Inputs(flipped, [], valid), *options)
    for i in range(3):
        alone = kernels.shrink(Inputs([p[i] for p in planes], [], valid[i]), *options)
        assert made[i].tobytes() == alone[0].tobytes()
        assert reached[i].tobytes() == alone[1].tobytes()
    assert reached.any() and not reached.all()


def test_batches_and_layouts_shrink_as_alone(kernels: Kernels) -> None:
    check_shrunk_batch(kernels)
