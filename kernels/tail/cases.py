"""Inputs for the tests and the benchmark of ``tail``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...variants import get_variant
from .. import testing
from ..testing import Case, case_features, case_image, case_matrix, case_valid, random_weights

CASES = testing.CASES + testing.WIDE_CASES
BENCH_CASES = testing.BENCH_CASES


class Inputs(NamedTuple):
    """Arguments of ``tail_ref``."""

    x: np.ndarray
    ms_up: np.ndarray
    valid: np.ndarray
    matrix: np.ndarray
    w: dict[str, np.ndarray]
    block: str


def inputs(case: Case) -> Inputs:
    """The case's arrays."""
    v = get_variant(case.variant)
    return Inputs(
        case_features(case),
        case_image(case, v.bands, "ms_up"),
        case_valid(case),
        case_matrix(case),
        random_weights(case.variant),
        f"body.{v.body_blocks - 1}",
    )
