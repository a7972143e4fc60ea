"""Inputs for the tests and the benchmark of ``windows``; ``gaussian`` and ``blocks`` share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ..testing import Mask, generator, make_mask

Content = Literal["texture", "constant", "flat", "black", "zero", "signed", "ramp"]
Holes = Literal[Mask, "few"]


@dataclass(frozen=True)
class WindowCase:
    """Some planes and how they are compared.

    Attributes
    ----------
    name : str
        Also the seed.
    height, width, window : int
    planes : int
    dtype : str
        uint8, uint16, int16, float32 or float64.
    content : str
        ``"texture"`` of deviation ``sigma`` that the planes half share, about ``level``;
        ``"constant"``, another one per plane; ``"flat"``, texture with a constant lower right
        part; ``"black"``, the same with zeros there; ``"zero"``; ``"signed"``, texture about 0;
        ``"ramp"``, values that span the dtype.
    sigma, level : float
    mask : str
        What is NOT valid, as in ``kernels.testing.Case``, or a ``"few"`` single samples.
    strided : bool
        Planes are handed over with gaps between the samples and from the last row up.
    """

    name: str
    height: int
    width: int
    window: int = 8
    planes: int = 3
    dtype: str = "uint16"
    content: Content = "texture"
    sigma: float = 30.0
    level: float = 700.0
    mask: Holes = "none"
    strided: bool = False


_WINDOWS = (1, 3, 4, 5, 7, 8, 11, 13, 16, 32)

CASES: tuple[WindowCase, ...] = (
    *(WindowCase(f"window{w}", w + 9, w + 12, w) for w in _WINDOWS),
    *(WindowCase(f"one_window{w}", w, w, w) for w in _WINDOWS),
    # columns of windows around the vectors of 2, 4 and 8 doubles
    *(WindowCase(f"cols{n}", 9, 7 + n, 8) for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17)),
    # and around the blocks of 128 windows
    WindowCase("cols127", 9, 7 + 127),
    WindowCase("cols128", 9, 7 + 128),
    WindowCase("cols129", 9, 7 + 129),
    WindowCase("rows127", 7 + 127, 10),
    WindowCase("rows128", 7 + 128, 10),
    WindowCase("rows129", 7 + 129, 10),
    WindowCase("blocks", 140, 145, 7),
    WindowCase("blocks32", 162, 163, 32, planes=2),
    WindowCase("one_row", 1, 40, 1),
    WindowCase("one_column", 40, 1, 1),
    WindowCase("one_row_of_windows", 8, 40),
    WindowCase("one_column_of_windows", 40, 8),
    WindowCase("too_low", 7, 40),
    WindowCase("too_narrow", 40, 7),
    WindowCase("no_rows", 0, 9),
    WindowCase("no_columns", 9, 0),
    WindowCase("one_plane", 20, 21, planes=1),
    WindowCase("16_planes", 12, 13, planes=16),
    *(WindowCase(d, 21, 30, 7, dtype=d, level=120) for d in ("uint8", "int16", "float32")),
    WindowCase("float64", 21, 30, 7, dtype="float64"),
    WindowCase("uint8_range", 21, 30, 7, dtype="uint8", content="ramp"),
    WindowCase("uint16_range", 60, 61, 32, content="ramp"),
    WindowCase("int16_range", 21, 30, 7, dtype="int16", content="ramp"),
    WindowCase("signed", 21, 30, 7, dtype="int16", content="signed"),
    WindowCase("signed_float", 21, 30, 7, dtype="float32", content="signed"),
    *(
        WindowCase(f"offset{s:g}_{d}", 140, 40, w, 2, d, sigma=s, level=60000)
        for s in (0.6, 3.0, 30.0)
        for d, w in (("uint16", 32), ("float32", 8), ("float64", 7))
    ),
    WindowCase("far_offset", 30, 31, 7, 2, "float64", sigma=0.6, level=1e9),
    WindowCase("unit_range", 30, 31, 7, 2, "float32", sigma=0.01, level=0.4),
    WindowCase("constant", 20, 30, 7, content="constant"),
    WindowCase("constant_float", 140, 30, 7, dtype="float64", content="constant", level=0.3),
    WindowCase("flat", 40, 50, 7, content="flat"),
    WindowCase("flat_float", 140, 40, 13, dtype="float64", content="flat", level=0.3, sigma=0.1),
    WindowCase("black", 40, 50, 7, content="black"),
    WindowCase("black_float", 40, 50, 11, dtype="float64", content="black", level=0.3, sigma=0.1),
    WindowCase("zero", 20, 30, 7, content="zero"),
    WindowCase("zero_float", 20, 30, dtype="float32", content="zero"),
    WindowCase("all_masked", 20, 30, mask="all"),
    WindowCase("half_masked", 20, 30, 5, mask="half"),
    WindowCase("half_masked_float", 20, 30, 5, dtype="float32", mask="half"),
    WindowCase("few_masked", 140, 60, 5, mask="few"),
    WindowCase("few_masked_float", 40, 150, 4, dtype="float64", mask="few"),
    WindowCase("rim_masked", 40, 50, 13, dtype="float32", mask="rim"),
    WindowCase("speckle", 20, 30, 1, dtype="float32", mask="speckle"),
    WindowCase("one_valid", 20, 30, 1, mask="point"),
    WindowCase("flat_masked", 60, 50, 7, dtype="float64", content="flat", mask="rim"),
    WindowCase("strided", 21, 30, 7, strided=True),
    WindowCase("strided_masked", 21, 30, 5, dtype="float32", strided=True, mask="half"),
)
BENCH_CASES = tuple(
    WindowCase(f"bench-{planes}-{window}-{n}", n, n, window, planes)
    for planes, window in ((5, 32), (9, 32), (2, 8))
    for n in (512, 1024)
)


class Inputs(NamedTuple):
    """What the kernel gets.

    Attributes
    ----------
    planes : list of array [H, W]
        NaN, or the largest number of the dtype, where not valid.
    pairs : list of (int, int)
    valid : array [H, W] uint8 or None
    """

    planes: list[np.ndarray]
    pairs: list[tuple[int, int]]
    valid: np.ndarray | None


def pairs_of(planes: int) -> list[tuple[int, int]]:
    """Each plane with itself and with the next ones, at most 64."""
    return [(i, j) for i in range(planes) for j in range(i, planes)][:64]


def _plane(case: WindowCase, number: int, shared: np.ndarray) -> np.ndarray:
    rng = generator(case.name, f"plane{number}")
    level = case.level * (1 + 0.07 * number)
    own = rng.standard_normal(shared.shape)
    if case.content in ("constant", "zero"):
        plane = np.full(shared.shape, level if case.content == "constant" else 0.0)
    elif case.content == "ramp":
        info = np.iinfo(case.dtype)
        plane = info.min + rng.random(shared.shape) * (info.max - float(info.min))
    else:
        plane = (0.0 if case.content == "signed" else level) + case.sigma * (shared + own) / 2**0.5
    if case.content in ("flat", "black"):
        part = np.s_[shared.shape[0] // 3 :, shared.shape[1] // 3 :]
        plane[part] = level / 3 if case.content == "flat" else 0.0
    if np.issubdtype(np.dtype(case.dtype), np.integer):
        info = np.iinfo(case.dtype)
        plane = np.clip(np.rint(plane), info.min, info.max)
    return plane.astype(case.dtype)


def inputs(case: WindowCase) -> Inputs:
    """The case's arrays."""
    shape = case.height, case.width
    rng = generator(case.name, "windows")
    shared = rng.standard_normal(shape)
    planes = [_plane(case, i, shared) for i in range(case.planes)]
    valid = None
    if case.mask != "none":
        few = case.mask == "few"
        good = rng.random(shape) > 0.005 if few else make_mask(case.mask, *shape, rng)
        for plane in planes:
            whole = np.issubdtype(plane.dtype, np.integer)
            plane[~good] = np.iinfo(plane.dtype).max if whole else np.nan
        valid = good.astype(np.uint8)
    if case.strided:
        planes = [_with_gaps(plane) for plane in planes]
    return Inputs(planes, pairs_of(case.planes), valid)


def _with_gaps(plane: np.ndarray) -> np.ndarray:
    wide = np.zeros((plane.shape[0], 3 * plane.shape[1]), plane.dtype)
    view = wide[::-1, 1::3]
    view[:] = plane
    return view
