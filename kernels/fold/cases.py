"""Inputs for the tests and the benchmark of ``fold``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ...variants import get_variant
from ..boundary.boundary_ref import Statistics, sums_ref
from ..testing import HUGE, generator

Kind = Literal["noise", "equal", "huge", "small", "silent", "one_silent"]


@dataclass(frozen=True)
class FoldCase:
    """One set of statistics.

    Attributes
    ----------
    name : str
        Also the seed.
    variant : str
        Sets the number of channels and heads.
    kind : str
        q and k behind the sums: ``"noise"``; ``"equal"``, the same vector in every
        channel; ``"huge"``, noise times 1e4; ``"small"``, norms below the floor of
        1e-12; ``"silent"``, nothing valid; ``"one_silent"``, one channel of each is zero.
    temperature : float
        Of every head.
    pixels : int
    """

    name: str
    variant: str = "tiny"
    kind: Kind = "noise"
    temperature: float = 1.5
    pixels: int = 35


CASES = (
    FoldCase("noise"),
    FoldCase("one_pixel", pixels=1),
    FoldCase("equal", kind="equal"),
    FoldCase("huge_values", kind="huge", pixels=4096),
    FoldCase("small_values", kind="small"),
    FoldCase("all_masked", kind="silent"),
    FoldCase("one_silent", kind="one_silent"),
    FoldCase("temperature_0", temperature=0.0),
    FoldCase("temperature_negative", temperature=-4.0),
    FoldCase("temperature_1000", temperature=1000.0),
    FoldCase("wide", "huge"),
    FoldCase("wide_all_masked", "huge", "silent"),
)
BENCH_CASES = (FoldCase("bench-tiny"), FoldCase("bench-huge", "huge"))


class Inputs(NamedTuple):
    """Arguments of ``fold_ref``."""

    stats: Statistics
    temperature: np.ndarray
    project: np.ndarray


def vectors(case: FoldCase) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, k [C, 1, pixels] behind the case's sums, and ``project``."""
    v = get_variant(case.variant)
    rng = generator(case.name, "fold")
    q, k = rng.standard_normal((2, v.channels, 1, case.pixels))
    if case.kind == "equal":
        q[:], k[:] = q[0], k[0]
    elif case.kind == "one_silent":
        q[1], k[2] = 0.0, 0.0
    else:
        factor = {"huge": HUGE, "small": 1e-14, "silent": 0.0}.get(case.kind, 1.0)
        q, k = q * factor, k * factor
    return q, k, rng.standard_normal((v.channels, v.channels, 1, 1)).astype(np.float32)


def inputs(case: FoldCase) -> Inputs:
    """The case's arrays: float64 sums, float32 weights."""
    q, k, project = vectors(case)
    heads = get_variant(case.variant).heads
    temperature = np.full((heads, 1, 1), case.temperature, np.float32)
    return Inputs(sums_ref(q, k, heads), temperature, project)
