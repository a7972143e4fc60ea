"""Inputs for the tests and the benchmark of ``fusion``."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...variants import get_variant
from .. import testing
from ..testing import Case, case_features, case_image, case_matrix, case_valid, random_weights

_OTHERS = ("tiny-conv1x1", "tiny-gated_conv", "large", "huge")
_SUBSET = ("1x1", "5x7", "3x65", "huge", "all_masked", "speckle_masked", "rim_masked")

CASES = testing.CASES + tuple(
    replace(case, name=f"{variant}-{case.name}", variant=variant)
    for variant in _OTHERS
    for case in testing.CASES
    if case.name in _SUBSET
)
BENCH_CASES = testing.BENCH_CASES


class Inputs(NamedTuple):
    """Arguments of ``fusion_ref``."""

    x: np.ndarray
    pan: np.ndarray
    valid: np.ndarray
    matrix: np.ndarray
    w: dict[str, np.ndarray]
    variant: str
    block: str
    next_block: str


def inputs(case: Case) -> Inputs:
    """The case's arrays."""
    last = get_variant(case.variant).encoder_blocks - 1
    return Inputs(
        case_features(case),
        case_image(case, 1, "pan")[0],
        case_valid(case),
        case_matrix(case),
        random_weights(case.variant),
        case.variant,
        f"encoder.{last}",
        "body.0",
    )
