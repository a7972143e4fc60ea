"""What tests and benchmarks of every op share: weights, images, masks, comparison.

Everything is drawn from a generator seeded by the case's name, so a case is the same
array wherever it is run.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..variants import Variant, get_variant

Content = Literal["noise", "constant", "flat", "huge", "zero"]
Mask = Literal["none", "all", "half", "speckle", "rim", "point"]

HUGE = 1e4
GARBAGE = -7.5  # what a masked pixel of an input image holds: finite, and not to be read


@dataclass(frozen=True)
class Case:
    """One set of inputs of an op that runs on an image.

    Attributes
    ----------
    name : str
        Also the seed.
    height, width : int
        PAN grid.
    variant : str
        Sets the number of channels, heads and bands.
    content : str
        ``"noise"``; ``"constant"`` over the pixels; ``"flat"`` over pixels and channels
        (no variance for LayerNorm); ``"huge"``, noise times 1e4; ``"zero"``.
    mask : str
        What is NOT valid: ``"none"``, ``"all"``, the right ``"half"``, a random half
        (``"speckle"``), a ``"rim"`` of nodata, everything but one ``"point"``.
    strided : bool
        Images are handed over as a view with gaps between the pixels.
    """

    name: str
    height: int
    width: int
    variant: str = "tiny"
    content: Content = "noise"
    mask: Mask = "none"
    strided: bool = False


_SIZES = (
    (1, 1),
    (1, 64),
    (64, 1),
    (5, 7),
    (2, 15),
    (16, 16),
    (17, 17),
    (3, 63),
    (4, 64),
    (3, 65),
    (15, 33),
    (2, 127),
    (65, 3),
    (2, 129),
)

CASES: tuple[Case, ...] = (
    *(Case(f"{h}x{w}", h, w) for h, w in _SIZES),
    Case("empty_rows", 0, 9),
    Case("empty_cols", 6, 0),
    Case("constant", 9, 20, content="constant"),
    Case("flat", 9, 20, content="flat"),
    Case("huge", 9, 20, content="huge"),
    Case("zero", 9, 20, content="zero"),
    Case("all_masked", 6, 18, mask="all"),
    Case("half_masked", 12, 66, mask="half"),
    Case("speckle_masked", 19, 35, mask="speckle"),
    Case("rim_masked", 20, 70, mask="rim"),
    Case("one_valid", 7, 19, mask="point"),
    Case("strided", 10, 21, strided=True),
)

WIDE_CASES: tuple[Case, ...] = tuple(
    replace(case, name=f"huge-{case.name}", variant="huge")
    for case in CASES
    if case.name in ("1x1", "5x7", "3x65", "speckle_masked")
)

BENCH_CASES: tuple[Case, ...] = tuple(
    Case(f"bench-{variant}-{n}", n, n, variant) for variant in ("tiny", "huge") for n in (512, 1024)
)


def generator(*key: str) -> np.random.Generator:
    """A random generator seeded by names."""
    return np.random.default_rng([zlib.crc32(k.encode()) for k in key])


def random_weights(variant: str | Variant, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights under which every part of the network matters.

    LayerNorm gains lie in 0.5 .. 1.5 and its biases are normal with deviation 0.3, so
    that a missing gain or a bias outside the image shows; temperatures lie in 1 .. 3;
    convolutions keep the scale of what they read, so that features stay of order one.

    Returns
    -------
    dict of str to array float32
        Names and shapes as in ``Variant.shapes()``.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, np.ndarray] = {}
    for name, shape in get_variant(variant).shapes().items():
        if name.endswith("temperature"):
            value = rng.uniform(1.0, 3.0, shape)
        elif name.endswith(".bias"):
            value = 0.3 * rng.standard_normal(shape)
        elif len(shape) == 1:
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        out[name] = value.astype(np.float32)
    return out


def make_mask(mask: Mask, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """The ``valid`` array [height, width] bool of a kind of mask."""
    valid = np.full((height, width), mask == "none")
    if mask == "half":
        valid[:, : width // 2] = True
    elif mask == "speckle":
        valid = rng.random((height, width)) < 0.5
    elif mask == "rim":
        valid[height // 5 : height - 1, 3 : width - width // 4] = True
    elif mask == "point":
        valid[height // 2, width // 3] = True
    return valid


def case_valid(case: Case) -> np.ndarray:
    """``valid`` [H, W] bool of a case."""
    return make_mask(case.mask, case.height, case.width, generator(case.name, "valid"))


def _fill(case: Case, channels: int, key: str, image: bool) -> np.ndarray:
    rng = generator(case.name, key)
    shape = (channels, case.height, case.width * (2 if case.strided else 1))
    if case.content in ("noise", "huge"):
        x = rng.random(shape) if image else rng.standard_normal(shape)
        x *= HUGE if case.content == "huge" else 1.0
    elif case.content == "constant":
        x = np.broadcast_to(rng.random((channels, 1, 1)), shape)
    else:
        x = np.full(shape, 0.625 if case.content == "flat" else 0.0)
    x = x.astype(np.float32)
    return x[:, :, ::2] if case.strided else x


def case_image(case: Case, channels: int, key: str) -> np.ndarray:
    """An input image [channels, H, W] float32 in 0 .. 1, garbage where masked."""
    x = _fill(case, channels, key, image=True)
    x[:, ~case_valid(case)] = GARBAGE
    return x


def case_features(case: Case, key: str = "x") -> np.ndarray:
    """Features [C, H, W] float32 as one segment hands them to the next: 0 where masked."""
    x = _fill(case, get_variant(case.variant).channels, key, image=False)
    x[:, ~case_valid(case)] = 0.0
    return x


def case_matrix(case: Case) -> np.ndarray:
    """A folded attention matrix [C, C] float32 that keeps the scale of what it mixes."""
    c = get_variant(case.variant).channels
    matrix = generator(case.name, "matrix").standard_normal((c, c)) / np.sqrt(c)
    return np.asarray(matrix, np.float32)


def assert_within(
    actual: np.ndarray, expected: np.ndarray, bound: np.ndarray | float, name: str = "result"
) -> None:
    """Compare element by element; the report names the worst element.

    Parameters
    ----------
    actual, expected : arrays of one shape
    bound : float or array that broadcasts to that shape
        Largest absolute difference allowed; NaN and infinity are never allowed.

    Raises
    ------
    AssertionError
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        raise AssertionError(f"{name}: shape {actual.shape}; expected {expected.shape}")
    if not actual.size:
        return
    bound = np.broadcast_to(np.asarray(bound, np.float64), actual.shape)
    error = np.abs(actual - expected)
    excess = np.where(np.isfinite(error), error - bound, np.inf)
    if excess.max() > 0:
        at = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
        raise AssertionError(
            f"{name}{list(at)}: {actual[at]!r}; expected {expected[at]!r}; error {error[at]:.3e} "
            f"over the bound {bound[at]:.3e}; {int((excess > 0).sum())} of {excess.size} are off"
        )


def assert_close(actual: np.ndarray, expected: np.ndarray, rtol: float = 1e-11) -> None:
    """Compare to ``rtol`` of the largest expected value."""
    assert_within(actual, expected, rtol * np.abs(expected).max())
