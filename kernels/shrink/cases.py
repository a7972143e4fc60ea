"""Inputs for the tests and the benchmark of ``shrink``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..resample.resample_ref import gaussian_radius, gaussian_taps
from ..testing import Mask, generator, make_mask


@dataclass(frozen=True)
class ShrinkCase:
    """A plane of ``height * step`` x ``width * step`` samples.

    Attributes
    ----------
    name : str
        Also the seed.
    gain : float
        Of the Gaussian.
    content : str
        ``"noise"``, ``"constant"`` or ``"huge"``: noise of 1 on 1e9.
    strided : bool
        The plane is a view with gaps between its samples.
    """

    name: str
    height: int
    width: int
    step: int = 4
    gain: float = 0.3
    dtype: str = "uint16"
    content: str = "noise"
    mask: Mask = "none"
    strided: bool = False


CASES = (
    ShrinkCase("1x1", 1, 1),
    ShrinkCase("row", 1, 33),
    ShrinkCase("column", 33, 1),
    ShrinkCase("5x7", 5, 7),
    ShrinkCase("9x16", 9, 16),
    ShrinkCase("step1", 20, 31, step=1),
    ShrinkCase("step2", 11, 17, step=2),
    ShrinkCase("step3", 11, 17, step=3, gain=0.15),
    ShrinkCase("step8", 5, 9, step=8, gain=0.2),
    ShrinkCase("uint8", 9, 13, dtype="uint8"),
    ShrinkCase("int16", 9, 13, dtype="int16"),
    ShrinkCase("float32", 9, 13, dtype="float32"),
    ShrinkCase("float64", 9, 13, dtype="float64"),
    ShrinkCase("strided", 9, 13, strided=True),
    ShrinkCase("constant", 9, 13, content="constant"),
    ShrinkCase("huge", 9, 13, dtype="float64", content="huge"),
    ShrinkCase("speckle", 9, 13, dtype="float32", mask="speckle"),
    ShrinkCase("all_masked", 9, 13, mask="all"),
)
BENCH_CASES = tuple(ShrinkCase(f"bench-{n}", n // 4, n // 4) for n in (512, 1024, 2048))


def inputs(case: ShrinkCase) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, int]:
    """Plane, valid or None, weights [taps] and where the first tap lies.

    What is masked is NaN where the dtype has it.
    """
    rng = generator(case.name, "shrink")
    shape = (case.height * case.step, case.width * case.step * (2 if case.strided else 1))
    level = 1e9 if case.content == "huge" else 100.0
    noise = 0.0 if case.content == "constant" else 1.0 if case.content == "huge" else 20.0
    plane = (level + noise * rng.standard_normal(shape)).astype(case.dtype)
    plane = plane[:, ::2] if case.strided else plane
    valid = None
    if case.mask != "none":
        valid = make_mask(case.mask, *plane.shape, rng).astype(np.uint8)
        plane[valid == 0] = np.nan if plane.dtype.kind == "f" else 7
    taps = gaussian_taps(
        0, 1, 1 / case.step, 0.0, case.gain, gaussian_radius(case.step, (case.gain,))
    )
    return plane, valid, np.ascontiguousarray(taps.weight[0]), int(taps.first[0])
