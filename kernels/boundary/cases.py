"""Inputs for the tests and the benchmark of ``boundary``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import testing
from ..testing import Case, case_features, case_matrix, case_valid, random_weights

CASES = testing.CASES + testing.WIDE_CASES
BENCH_CASES = testing.BENCH_CASES


class Inputs(NamedTuple):
    """Arguments of ``boundary_ref``; the first ones are those of its two halves."""

    x: np.ndarray
    valid: np.ndarray
    matrix: np.ndarray
    w: dict[str, np.ndarray]
    block: str
    next_block: str


def inputs(case: Case) -> Inputs:
    """The case's arrays."""
    return Inputs(
        case_features(case),
        case_valid(case),
        case_matrix(case),
        random_weights(case.variant),
        "encoder.0",
        "encoder.1",
    )
