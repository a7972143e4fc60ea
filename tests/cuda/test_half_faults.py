"""Each seeded fault must be found by the checks of the 16-bit segments."""

from __future__ import annotations

import numpy as np
import pytest

from pantiny.kernels import testing
from pantiny.kernels.testing import Case

from .faults_half import FAULTS, NARROW
from .half_ops import SOURCES, WIDE, Ops
from .segment_checks import check_block, check_convolutions, check_head, check_upsampled, check_wild

_SOURCES = tuple(s for s in SOURCES if "bf16" not in s)
# two tiles each way, a mask and none
_BATCH = [Case("seeded whole", 15, 63), Case("seeded masked", 15, 63, mask="speckle")]


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return testing.random_weights("tiny")


def seeded(faults: list[tuple[str, str, str]], weights: dict[str, np.ndarray]) -> Ops:
    return Ops(weights, faults=[*NARROW, *faults], sources=_SOURCES)


def checks(ops: Ops, weights: dict[str, np.ndarray]) -> None:
    for ahead in (False, True):
        ops.run_ahead(ahead)
        check_head(ops, _BATCH, weights, WIDE)
        check_convolutions(ops, _BATCH, weights, WIDE)
        check_block(ops, _BATCH, weights, WIDE)
    check_upsampled(ops, _BATCH[1], weights, WIDE)
    check_wild(ops, Case("seeded wild", 5, 9), weights)


def test_nothing_is_found_without_a_fault(weights: dict[str, np.ndarray]) -> None:
    checks(seeded([], weights), weights)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=[f[0] for f in FAULTS])
def test_found(fault: tuple[str, str, str, str], weights: dict[str, np.ndarray]) -> None:
    ops = seeded([fault[1:]], weights)  # outside: a build that fails finds nothing
    with pytest.raises((AssertionError, RuntimeError)):
        checks(ops, weights)
