"""The steps around the segments against their truths; what tests and seeded faults share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pantiny.kernels.boundary.boundary_ref import Statistics
from pantiny.kernels.consistency import cases as consistency_cases
from pantiny.kernels.consistency.cases import ConsistencyCase
from pantiny.kernels.consistency.consistency_ref import consistency_ref
from pantiny.kernels.fold import cases as fold_cases
from pantiny.kernels.fold.cases import FoldCase
from pantiny.kernels.fold.fold_ref import fold_ref
from pantiny.kernels.resample.resample_ref import cubic_taps
from pantiny.kernels.testing import assert_within, generator
from pantiny.scaling import array_scene_scale

from .segment_checks import check
from .segment_ops import Call
from .step_ops import Rounding, Steps

U32 = 2.0**-24


def tile_sums(case: FoldCase, tiles: tuple[int, int]) -> np.ndarray:
    """The case's statistics as those of so many tiles, [rows, across, size] float32."""
    stats = fold_cases.inputs(case).stats
    total = np.concatenate([np.ravel(f) for f in stats])
    share = generator(case.name, "tiles").random((*tiles, total.size)) + 0.1
    return (share / share.sum(axis=(0, 1)) * total).astype(np.float32)


def check_folds(steps: Steps, cases: Sequence[FoldCase], tiles: tuple[int, int]) -> None:
    """A batch; the weights are the first case's. Sums are in double: the matrix is off by its own
    rounding alone."""
    given = fold_cases.inputs(cases[0])
    partials = np.stack([tile_sums(c, tiles) for c in cases])
    heads, c = given.stats.gram.shape[:2]
    found = steps.fold(partials, given.temperature, given.project)
    for case, sums, matrix in zip(cases, partials, found, strict=True):
        gram, norms = np.split(sums.astype(np.float64).sum(axis=(0, 1)), [heads * c * c])
        stats = Statistics(gram.reshape(heads, c, c), *np.split(norms, 2))
        expected = fold_ref(stats, given.temperature, given.project)
        bound = U32 * np.abs(expected) + 1e-9 * np.abs(given.project).max()
        assert_within(matrix, expected, bound, case.name)


def check_fold(steps: Steps, case: FoldCase, tiles: tuple[int, int]) -> None:
    """One image."""
    check_folds(steps, [case], tiles)


UNITS = 0.5  # network value of one DN: exact


def consistency_call(given: Sequence[consistency_cases.Inputs]) -> Call:
    """A batch of one geometry; MS is NaN where it does not exist."""
    first = given[0]
    ms = np.stack([g.ms for g in given]) / np.float32(UNITS)
    shape = (len(given), *first.fused.shape[1:])
    masked = first.ms_valid is not None
    if masked:
        ms = np.stack([np.where(g.ms_valid, m, np.nan) for g, m in zip(given, ms, strict=True)])
    return Call(
        np.stack([g.valid for g in given]) if masked else np.ones(shape, bool),
        ms=ms.astype(np.float32),
        ms_valid=np.stack([g.ms_valid for g in given]) if masked else None,
        units=UNITS,
        scale=first.scale,
        offset=first.offset,
    )


def corrected(steps: Steps, given: Sequence[consistency_cases.Inputs]) -> np.ndarray:
    """Network values [N, K, H, W] after back-projection."""
    fused = np.stack([g.fused for g in given])
    return steps.consistency(
        consistency_call(given),
        fused,
        given[0].gains,
        given[0].steps,
        Rounding(),
        np.full(fused.shape, np.nan, np.float32),
        np.ones(len(given)),
    )


def check_consistency(steps: Steps, case: ConsistencyCase) -> None:
    """Back-projection of one image."""
    given = consistency_cases.inputs(case)
    expected = consistency_ref(
        *given[:4],
        scale=given.scale,
        offset=given.offset,
        valid=given.valid,
        ms_valid=given.ms_valid,
    )
    check(corrected(steps, [given])[0].astype(np.float64), expected, 2e-6, case.name)


def check_far(steps: Steps) -> None:
    """Pixels are left alone of which no tap lies in the MS grid."""
    case = ConsistencyCase("far", 4, 4, bands=1, steps=1, shape=(40, 36), offset=(-3.0, -2.5))
    given = consistency_cases.inputs(case)
    expected = consistency_ref(*given[:4], scale=given.scale, offset=given.offset)
    for axis, size in enumerate(given.fused.shape[1:]):
        first = cubic_taps(0, size, given.scale[axis], given.offset[axis]).first
        far = np.flatnonzero((first + 3 < 0) | (first >= 4))
        assert far.size
        at = (slice(None), *(far if i == axis else slice(None) for i in range(2)))
        expected[at] = given.fused[at]
    check(corrected(steps, [given])[0].astype(np.float64), expected, 2e-6, case.name)


ROUNDINGS: tuple[tuple[str, Rounding], ...] = (
    ("u1", Rounding(0, 255, 0, True)),
    ("u1", Rounding(0, 255, 255, True)),
    ("u1", Rounding(3, 200, 7, False)),
    ("u2", Rounding(0, 2047, 0, True)),
    ("u2", Rounding(0, 65535, 1000, True)),
    ("u2", Rounding(5, 5, 5, True)),
    ("i2", Rounding(-32768, 32767, -32768, True)),
    ("i2", Rounding(-32768, 32767, -9999, False)),
    ("i2", Rounding(-100, 32767, 32767, True)),
    ("f4", Rounding(-np.inf, np.inf, 0.0, True)),
    ("f4", Rounding(-50.5, 1000.0, 1000.0, True)),
    ("f4", Rounding(-np.inf, np.inf, np.nan, False)),
)
DN = (
    0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 2.5000002, 254.5, 255.5, 2046.5, 2047.5, 65534.5,
    32766.5, -32767.5, -32768.5, 1e9, -1e9, np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, 255.0,
    254.0, 7.0, 1000.0, 999.5, 65535.0, 32767.0, -32768.0, -9999.0, 5.0, 1e-45, -50.5, 3.0,
)  # fmt: skip


def stored(dn: float, dtype: str, r: Rounding) -> float:
    """What is to be stored for one valid pixel."""
    value = min(max(dn, r.low), r.high) if dn == dn else dn
    if dtype == "f4":
        single = np.float32(value)
        if r.reserve_fill and single == np.float32(r.fill):
            away = r.high if single < np.float32(r.high) else r.low
            return float(np.nextafter(single, np.float32(away)))
        return float(single)
    whole = r.low if value != value else float(round(value))
    if r.reserve_fill and whole == r.fill:
        return next((v for v in (whole + 1, whole - 1) if r.low <= v <= r.high), whole)
    return whole


def check_rounding(steps: Steps, dtype: str, rounding: Rounding) -> None:
    """Two images with scales of their own into interleaved bands, of which one stays as it was."""
    units = np.array([2.0, 0.25])
    height, width = 9, 4 * len(DN) // 9
    dn = np.resize(np.array(DN, np.float32), (2, 3, height, width))
    dn[1] = dn[1, :, ::-1, ::-1]
    fused = (dn / units[:, None, None, None]).astype(np.float32)
    valid = generator(dtype, "valid").random((2, height, width)) < 0.9
    bands = (2, -1, 0)
    out = np.full((2, height, width, 4), 77, dtype).transpose(0, 3, 1, 2)
    call = Call(valid, ms=np.zeros((2, 3, 1, 1), np.float32))
    steps.consistency(call, fused, (0.3,) * 3, 0, rounding, out, units, bands)
    expected = np.full(out.shape, 77.0)
    for image in range(2):
        for band, to in enumerate(bands):
            if to < 0:
                continue
            values = fused[image, band].astype(np.float64) * units[image]
            whole = np.array([stored(v, dtype, rounding) for v in values.flat])
            expected[image, to] = np.where(valid[image], whole.reshape(values.shape), rounding.fill)
    assert np.array_equal(out.astype(np.float64), expected, equal_nan=True)


def scale_images(dtype: str, bands: int = 3, height: int = 5, width: int = 41) -> np.ndarray:
    """MS [N, K, h, w]: noise; most values equal; below zero but for a few; one value."""
    rng = generator(dtype, "scale")
    size = (bands, height, width)
    if dtype == "f4":
        noise = rng.normal(3.0, 700.0, size)
        ties = np.where(rng.random(size) < 0.97, 1.25, rng.random(size))
    else:
        ends = np.iinfo(dtype)
        noise = rng.integers(ends.min, ends.max, size, endpoint=True)
        ties = np.where(rng.random(size) < 0.97, 11, rng.integers(0, 100, size))
    negative = -np.abs(noise) - (0.0 if dtype == "f4" else 1)
    negative.flat[:3] = 5
    if not np.issubdtype(np.dtype(dtype), np.signedinteger) and dtype != "f4":
        negative = noise // 2
    return np.stack([noise, ties, negative, np.full(size, 9)]).astype(dtype)


def check_scale(steps: Steps, ms: np.ndarray, ms_valid: np.ndarray | None = None) -> None:
    """Equal to the scale of each image by itself."""
    n, _, height, width = ms.shape
    call = Call(np.ones((n, height, width), bool), ms=ms, ms_valid=ms_valid)
    expected = [
        array_scene_scale(ms[i], None if ms_valid is None else ms_valid[i]) for i in range(n)
    ]
    assert steps.scale(call).tolist() == expected


def check_masks(steps: Steps, dtype: str, nodata: float | None, given: bool) -> None:
    """Of three images, the last without a valid pixel."""
    rng = generator(dtype, str(nodata))
    n, h, w, ratio = 3, 5, 131, 2
    ms = rng.integers(0, 8, (n, 4, h, w)).astype(dtype)
    pan = rng.integers(0, 8, (n, h * ratio, w * ratio)).astype(dtype)
    if dtype == "f4":
        for array in (ms, pan):
            array[rng.random(array.shape) < 0.05] = np.nan
            array[rng.random(array.shape) < 0.02] = -np.inf
    ms_given = rng.random((n, h, w)) < 0.8 if given else np.ones((n, h, w), bool)
    pan_given = rng.random(pan.shape) < 0.8 if given else np.ones(pan.shape, bool)
    if nodata is not None:
        pan[-1] = nodata

    def known(x: np.ndarray) -> np.ndarray:
        if nodata is None:
            return np.ones(x.shape, bool)
        return ~np.isnan(x) if np.isnan(nodata) else x != nodata

    call = Call(pan_given, ms=ms, pan=pan, ms_valid=ms_given if given else None)
    found = steps.masks(call, ratio, nodata)
    ms_valid = ms_given & known(ms).all(axis=1)
    valid = pan_given & known(pan) & np.kron(ms_valid, np.ones((1, ratio, ratio), bool))
    assert np.array_equal(found.ms_valid, ms_valid)
    assert np.array_equal(found.valid, valid)
    odd_ms = (~np.isfinite(ms) & ms_valid[:, None]).sum(axis=(1, 2, 3))
    odd_pan = (~np.isfinite(pan) & valid).sum(axis=(1, 2))
    counts = np.stack([valid.sum(axis=(1, 2)), odd_ms, odd_pan], axis=1)
    assert np.array_equal(found.counts, counts)
