"""Inputs for the tests and the benchmark of ``consistency``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..testing import GARBAGE, HUGE, Content, Mask, generator, make_mask

_GAINS = (0.355, 0.36, 0.365, 0.335, 0.22, 0.30, 0.27, 0.32)


@dataclass(frozen=True)
class ConsistencyCase:
    """One pair of grids and what they hold.

    Attributes
    ----------
    name : str
        Also the seed.
    ms_height, ms_width : int
        MS grid.
    ratio : int
        The PAN grid is ``ratio`` times the MS grid unless ``shape`` says otherwise.
    bands, steps : int
    content : str
        ``"noise"``, ``"constant"``, ``"huge"`` (noise times 1e4) or ``"zero"``.
    mask, ms_mask : str
        What is NOT valid on the PAN and on the MS grid, as in ``kernels.testing.Case``.
    shape : (int, int), optional
        PAN grid, for one that covers another area than the MS grid.
    scale, offset : (float, float)
        Place of the PAN grid; ``scale`` defaults to ``1 / ratio``.
    """

    name: str
    ms_height: int
    ms_width: int
    ratio: int = 4
    bands: int = 4
    steps: int = 2
    content: Content = "noise"
    mask: Mask = "none"
    ms_mask: Mask = "none"
    shape: tuple[int, int] | None = None
    scale: tuple[float, float] | None = None
    offset: tuple[float, float] = (0.0, 0.0)


CASES = (
    ConsistencyCase("1x1", 1, 1),
    ConsistencyCase("1x64", 1, 16),
    ConsistencyCase("64x1", 16, 1, steps=1),
    ConsistencyCase("5x7", 5, 7, 2),
    ConsistencyCase("ratio3", 5, 7, 3),
    ConsistencyCase("ratio4", 5, 17),
    ConsistencyCase("ratio5", 4, 5, 5, steps=3),
    ConsistencyCase("ratio8", 3, 9, 8),
    ConsistencyCase("60", 6, 15),
    ConsistencyCase("64", 4, 16),
    ConsistencyCase("68", 4, 17),
    ConsistencyCase("one_band", 6, 7, bands=1),
    ConsistencyCase("eight_bands", 6, 7, bands=8),
    ConsistencyCase("no_band", 3, 3, bands=0),
    ConsistencyCase("no_step", 6, 7, steps=0),
    ConsistencyCase("constant", 6, 7, content="constant"),
    ConsistencyCase("huge", 6, 7, content="huge"),
    ConsistencyCase("zero", 6, 7, content="zero"),
    ConsistencyCase("off_grid", 8, 9, shape=(30, 34), offset=(0.3, -0.2)),
    ConsistencyCase("uneven_scale", 8, 9, shape=(30, 18), scale=(0.26, 0.5)),
    ConsistencyCase("all_masked", 6, 7, mask="all"),
    ConsistencyCase("ms_all_masked", 6, 7, ms_mask="all"),
    ConsistencyCase("half_masked", 6, 8, mask="half"),
    ConsistencyCase("ms_half_masked", 6, 8, ms_mask="half"),
    ConsistencyCase("half_masked_ratio3", 6, 8, 3, mask="half", ms_mask="half"),
    ConsistencyCase("speckle", 9, 11, mask="speckle", ms_mask="speckle"),
    ConsistencyCase("speckle_ratio3", 9, 11, 3, mask="speckle", ms_mask="speckle"),
    ConsistencyCase("rim", 12, 17, mask="rim", ms_mask="rim"),
    ConsistencyCase("rim_off_grid", 12, 17, mask="rim", ms_mask="rim", offset=(0.3, -0.2)),
    ConsistencyCase("one_valid", 4, 5, mask="point", ms_mask="point"),
)
BENCH_CASES = tuple(ConsistencyCase(f"bench-{n}", n // 4, n // 4) for n in (512, 1024, 2048))


class Inputs(NamedTuple):
    """Arguments of ``consistency_ref``: the first four by place, the others by name."""

    fused: np.ndarray
    ms: np.ndarray
    gains: tuple[float, ...]
    steps: int
    scale: tuple[float, float]
    offset: tuple[float, float]
    valid: np.ndarray | None
    ms_valid: np.ndarray | None


def inputs(case: ConsistencyCase) -> Inputs:
    """The case's arrays, float32; a masked pixel is 0 in ``fused`` and garbage in ``ms``."""
    rng = generator(case.name, "consistency")
    coarse = (case.ms_height, case.ms_width)
    fine = case.shape or (coarse[0] * case.ratio, coarse[1] * case.ratio)
    if case.content in ("noise", "huge"):
        fused, ms = (rng.random((case.bands, *s)) for s in (fine, coarse))
    else:
        level = 0.0 if case.content == "zero" else 0.375
        fused, ms = (np.full((case.bands, *s), level) for s in (fine, coarse))
    factor = HUGE if case.content == "huge" else 1.0
    fused, ms = (fused * factor).astype(np.float32), (ms * factor).astype(np.float32)
    valid = ms_valid = None
    if (case.mask, case.ms_mask) != ("none", "none"):
        valid = make_mask(case.mask, *fine, rng)
        ms_valid = make_mask(case.ms_mask, *coarse, rng)
        fused[:, ~valid] = 0.0
        ms[:, ~ms_valid] = GARBAGE
    return Inputs(
        fused,
        ms,
        _GAINS[: case.bands],
        case.steps,
        case.scale or (1.0 / case.ratio, 1.0 / case.ratio),
        case.offset,
        valid,
        ms_valid,
    )
