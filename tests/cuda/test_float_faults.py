"""Each seeded fault must be found by the checks of the float kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from pantiny.kernels import testing
from pantiny.kernels.consistency.cases import ConsistencyCase
from pantiny.kernels.fold.cases import FoldCase
from pantiny.kernels.testing import Case

from .build import WITH_GPU, library
from .faults_float import FAULTS, NARROW
from .float_ops import SOURCES as SEGMENTS
from .float_ops import Ops
from .segment_checks import check_block, check_convolutions, check_head, check_upsampled
from .step_checks import (
    ROUNDINGS,
    check_consistency,
    check_far,
    check_fold,
    check_folds,
    check_masks,
    check_rounding,
    check_scale,
    scale_images,
)
from .step_ops import SOURCES as STEPS
from .step_ops import Steps

pytestmark = pytest.mark.skipif(WITH_GPU, reason="barriers are dropped: for the emulator only")

# two tiles each way, a mask and none
_BATCH = [Case("seeded whole", 13, 31), Case("seeded masked", 13, 31, mask="speckle")]
_COARSE = Case("seeded coarse", 9, 14, mask="speckle")
_FOLDS = (
    (FoldCase("seeded"), (13, 5)),
    (FoldCase("seeded small", kind="small"), (1, 1)),
    (FoldCase("seeded hot", temperature=1000.0, pixels=1), (13, 10)),
)
_CONSISTENCY = (
    ConsistencyCase("seeded", 3, 35, 2, bands=2),
    ConsistencyCase("seeded half", 6, 7, bands=2, mask="half", ms_mask="speckle"),
    ConsistencyCase("seeded ms", 6, 8, bands=1, ms_mask="speckle"),
    ConsistencyCase("seeded speckle", 5, 6, 3, bands=1, mask="speckle"),
)


_BUILT: dict[str, Future[None]] = {}


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return testing.random_weights("tiny")


def block(ops: Ops, weights: dict[str, np.ndarray]) -> None:
    check_block(ops, _BATCH, weights)


def convolutions(ops: Ops, weights: dict[str, np.ndarray]) -> None:
    check_head(ops, _BATCH, weights)
    check_convolutions(ops, _BATCH, weights)
    check_upsampled(ops, _COARSE, weights)


def fold(steps: Steps) -> None:
    for case, tiles in _FOLDS:
        check_fold(steps, case, tiles)
    check_folds(steps, [FoldCase("first"), FoldCase("second")], (11, 6))


def consistency(steps: Steps) -> None:
    for case in _CONSISTENCY:
        check_consistency(steps, case)
    check_far(steps)


def rounding(steps: Steps) -> None:
    for dtype, how in ROUNDINGS:
        check_rounding(steps, dtype, how)


def scale(steps: Steps) -> None:
    for dtype in ("u2", "i2", "f4"):
        ms = scale_images(dtype)
        check_scale(steps, ms)
        check_scale(steps, ms, testing.generator(dtype).random((len(ms), *ms.shape[2:])) < 0.6)
    check_scale(steps, np.sort(scale_images("i2", 1, 2, 2100)))


def masks(steps: Steps) -> None:
    check_masks(steps, "i2", 3.0, True)
    check_masks(steps, "f4", np.nan, True)
    check_masks(steps, "f4", None, True)


OF_SEGMENTS = {"block": block, "conv": convolutions}
OF_STEPS: dict[str, Callable[[Steps], None]] = {
    "fold": fold,
    "consistency": consistency,
    "rounding": rounding,
    "scale": scale,
    "masks": masks,
}


def seeded(op: str, faults: list[tuple[str, str, str]], weights: dict) -> Callable[[], None]:
    """The checks of an op, in both orders of the threads; built here."""
    if op in OF_STEPS:
        steps = Steps(faults)
        return _in_both_orders(steps, lambda: OF_STEPS[op](steps))
    ops = Ops(weights, faults=[*NARROW, *faults])
    return _in_both_orders(ops, lambda: OF_SEGMENTS[op](ops, weights))


def _in_both_orders(of: Ops | Steps, checks: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            for ahead in (False, True):
                of.run_ahead(ahead)
                checks()
        finally:
            of.run_ahead(False)

    return run


@pytest.mark.parametrize("op", [*OF_SEGMENTS, *OF_STEPS])
def test_nothing_is_found_without_a_fault(op: str, weights: dict[str, np.ndarray]) -> None:
    seeded(op, [], weights)()


@pytest.fixture(scope="module")
def builder() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def build(name: str) -> None:
    op = name.partition(":")[0]
    faults = [FAULTS[name]]
    library(STEPS if op in OF_STEPS else SEGMENTS, faults if op in OF_STEPS else [*NARROW, *faults])


_NAMES = list(FAULTS)


@pytest.mark.parametrize("name", _NAMES)
def test_found(name: str, weights: dict[str, np.ndarray], builder: ThreadPoolExecutor) -> None:
    for other in _NAMES[_NAMES.index(name) :][:3]:  # the next are built while this one runs
        if other not in _BUILT:
            _BUILT[other] = builder.submit(build, other)
    _BUILT[name].result()
    run = seeded(name.partition(":")[0], [FAULTS[name]], weights)
    with pytest.raises((AssertionError, RuntimeError)):
        run()
