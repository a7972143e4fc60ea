"""Inputs for the tests and the benchmark of ``head``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...variants import get_variant
from .. import testing
from ..testing import Case, case_image, case_valid, random_weights

CASES = testing.CASES + testing.WIDE_CASES
BENCH_CASES = testing.BENCH_CASES


class Inputs(NamedTuple):
    """Arguments of ``head_ref``."""

    ms_up: np.ndarray
    valid: np.ndarray
    w: dict[str, np.ndarray]


def inputs(case: Case) -> Inputs:
    """The case's arrays."""
    bands = get_variant(case.variant).bands
    return Inputs(case_image(case, bands, "ms_up"), case_valid(case), random_weights(case.variant))
