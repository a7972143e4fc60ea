"""Each fault seeded into the explicit gradients must be found by their checks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

import gradient_checks as g
import index_gradient_checks as i
from gradient_faults import FAULTS, seeded

from pantiny.kernels.consistency.cases import ConsistencyCase
from pantiny.kernels.fold.cases import FoldCase
from pantiny.kernels.testing import Case
from pantiny.kernels.windows.cases import WindowCase

_MASKED = Case("seeded masked", 5, 7, mask="speckle")


def fold() -> None:
    g.check_fold(FoldCase("seeded"))
    g.check_fold(FoldCase("seeded small", kind="small"))


def of_indices(check: Callable[..., None], *index: str) -> Callable[[], None]:
    def run() -> None:
        for mask in ("none", "few"):
            check(WindowCase(f"seeded {mask}", 25, 29, 11, 2, "float64", mask=mask), *index)

    return run


def consistency() -> None:
    g.check_consistency(ConsistencyCase("seeded", 3, 4, bands=2))
    g.check_consistency(ConsistencyCase("seeded m", 5, 6, bands=2, mask="half", ms_mask="speckle"))


CHECKS: dict[str, Callable[[], None]] = {
    "head": lambda: g.check_head(_MASKED),
    "block": lambda: g.check_block(_MASKED),
    "fold": fold,
    "fusion": lambda: g.check_fusion(_MASKED),
    "tail": lambda: g.check_tail(_MASKED),
    "consistency": consistency,
    "network": lambda: g.check_network("tiny", (5, 7)),
    "uqi": of_indices(i.check_windows, "uqi"),
    "decorrelation": of_indices(i.check_windows, "decorrelation"),
    "ssim": of_indices(i.check_gaussian, "ssim"),
    "gaussian_uqi": of_indices(i.check_gaussian, "gaussian_uqi"),
    "blocks": of_indices(i.check_blocks),
    "fuse": lambda: g.check_fuse_differences(masks=False),
}


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_is_found_without_a_fault(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize("name", FAULTS)
def test_found(name: str) -> None:
    with seeded(FAULTS[name]), pytest.raises(AssertionError):
        CHECKS[name.partition(":")[0]]()
