"""Resampling in bands: the bits of the whole image, the references of the masks."""

from __future__ import annotations

import numpy as np
import pytest

from pantiny.filters import Degrader, Resampler, Upsampler
from pantiny.kernels.consistency.consistency_ref import degrade_masked_ref
from pantiny.kernels.resample.resample_masked_ref import upsample_masked_ref
from pantiny.kernels.resample.resample_ref import (
    apply_taps,
    cubic_antialias_taps,
    cubic_taps,
    gaussian_radius,
    gaussian_taps,
)

PLACES = [
    ((1 / 4, 1 / 4), (0.0, 0.0)),
    ((1 / 3, 1 / 3), (0.0, 0.0)),
    ((1 / 2, 1 / 2), (0.25, -0.25)),
    ((0.26, 0.5), (0.3, -0.2)),
]


def bands(count: int, heights: list[int]) -> list[tuple[int, int]]:
    """Bands of these heights, over and over, down to ``count``."""
    out, at, i = [], 0, 0
    while at < count:
        out.append((at, min(at + heights[i % len(heights)], count)))
        at, i = out[-1][1], i + 1
    return out


def holes(shape: tuple[int, int], seed: int) -> np.ndarray:
    """A mask with a big hole, specks, and a part without any."""
    valid: np.ndarray = np.random.default_rng(seed).random(shape) < 0.97
    valid[: shape[0] // 3, shape[1] // 2 :] = False
    valid[shape[0] // 2 :] = True
    return valid


@pytest.mark.parametrize("heights", [[1], [3, 1, 7], [100]])
def test_bands_have_the_bits_of_the_whole(heights: list[int]) -> None:
    image = np.random.default_rng(0).normal(size=(3, 45, 38)) * 1e3
    for ratio in (2, 3, 5):
        shape = 45 // ratio, 38 // ratio
        radius = gaussian_radius(ratio, (0.2,))
        tables = [
            [gaussian_taps(0, n, 1 / ratio, 0.1, 0.2, radius) for n in shape],
            [cubic_antialias_taps(0, n, ratio, 0.1) for n in shape],
            [cubic_taps(0, n * ratio, 1 / ratio, -0.3) for n in (45, 38)],
        ]
        for rows, cols in tables:
            expected = apply_taps(image, rows, cols)
            taps = Resampler(rows, cols, (45, 38))
            for start, stop in bands(expected.shape[1], heights):
                first, last = taps.reads(start, stop)
                for more in (0, 2):  # rows beyond those that are read do not matter
                    low = max(0, first - more)
                    found = taps(image[:, low : last + more], low, start, stop)
                    np.testing.assert_array_equal(found, expected[:, start:stop])


@pytest.mark.parametrize(("scale", "offset"), PLACES)
@pytest.mark.parametrize("heights", [[1], [5, 2], [100]])
def test_masked_upsampling(
    scale: tuple[float, float], offset: tuple[float, float], heights: list[int]
) -> None:
    shape = int(17 / scale[0]), int(14 / scale[1])
    ms = np.random.default_rng(1).normal(size=(2, 17, 14))
    exists = holes((17, 14), 2)
    expected = upsample_masked_ref(ms, exists, shape, scale, offset)
    plain = apply_taps(ms, *(cubic_taps(0, shape[i], scale[i], offset[i]) for i in range(2)))
    ms[:, ~exists] = np.nan
    up = Upsampler(shape, (17, 14), scale, offset)
    for start, stop in bands(shape[0], heights):
        first, last = up.reads(start, stop)
        part = ms[:, first:last]
        found, known = up(part, exists[first:last], first, start, stop)
        np.testing.assert_allclose(found, expected[:, start:stop], atol=1e-13)
        if known is None:
            np.testing.assert_array_equal(found, plain[:, start:stop])
        else:
            np.testing.assert_array_equal(known, (expected[:, start:stop] != 0).all(axis=0))
        whole, _ = up(np.nan_to_num(part), None, first, start, stop)
        complete = np.isclose(whole, found, rtol=0, atol=0).all(axis=0)
        assert complete.any() or start < shape[0] // 2


@pytest.mark.parametrize(("scale", "offset"), PLACES)
@pytest.mark.parametrize("heights", [[1], [3, 2], [100]])
def test_masked_degradation(
    scale: tuple[float, float], offset: tuple[float, float], heights: list[int]
) -> None:
    coarse = 15, 13
    fine = int(15 / scale[0]), int(13 / scale[1])
    pan = np.random.default_rng(3).uniform(1, 2, fine)
    valid = holes(fine, 4)
    expected, exists = degrade_masked_ref(pan[None], valid, coarse, (0.3,), scale, offset)
    radius = max(gaussian_radius(1 / s, (0.3,)) for s in scale)
    rows, cols = (gaussian_taps(0, coarse[i], scale[i], offset[i], 0.3, radius) for i in range(2))
    plain = apply_taps(pan, rows, cols)
    pan[~valid] = np.nan
    low = Degrader(Resampler(rows, cols, fine))
    values = np.empty(coarse)
    for start, stop in bands(coarse[0], heights):
        first, last = low.reads(start, stop)
        found, good = low(pan[first:last], valid[first:last], first, start, stop)
        np.testing.assert_allclose(found, expected[0, start:stop], atol=1e-13)
        assert good is None or np.array_equal(good, exists[0, start:stop])
        values[start:stop] = found
    assert not exists.all()
    everywhere = apply_taps(valid, rows, cols) == apply_taps(np.ones(fine), rows, cols)
    assert everywhere.any() and not everywhere.all()
    np.testing.assert_array_equal(values[everywhere], plain[everywhere])
