"""Wald's protocol: gains, phase, edges and linearity of the degradation and the upsampling."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from pantiny.degrade import degrade_ms, degrade_pan, upsample_ms
from pantiny.errors import OptionError, ShapeError

RATIOS = range(2, 9)
GAINS = (0.15, 0.22, 0.30, 0.365)

Degradation = Callable[[np.ndarray, int], np.ndarray]


def by_mtf(image: np.ndarray, ratio: int) -> np.ndarray:
    return degrade_ms(image[None], ratio, (0.3,))[0]


def up(image: np.ndarray, ratio: int) -> np.ndarray:
    return upsample_ms(image[None], ratio)[0]


DEGRADATIONS = pytest.mark.parametrize("degrade", [by_mtf, degrade_pan])
OPERATIONS = pytest.mark.parametrize("operation", [by_mtf, degrade_pan, up])


def phase_tolerance(degrade: Degradation, ratio: int, rounding: float) -> float:
    """Odd ratios: the Gaussian's 2*radius taps reach one pixel farther on the right.

    That tap lies at four standard deviations, d = radius px, where the kernel is
    exp(-8) of its peak; its share of the sum is below exp(-8) / (sigma * sqrt(2 pi)),
    its moment below 4 * exp(-8) / sqrt(2 pi) = 5.4e-4 px.
    """
    return 5.4e-4 if degrade is by_mtf and ratio % 2 else rounding


@OPERATIONS
@pytest.mark.parametrize("ratio", RATIOS)
def test_a_constant_stays(operation: Degradation, ratio: int) -> None:
    out = operation(np.full((3 * ratio, ratio), 511.3), ratio)
    np.testing.assert_allclose(out, 511.3, rtol=1e-13)


@OPERATIONS
@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_linear(operation: Degradation, ratio: int) -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 6 * ratio, 5 * ratio))
    mixed = operation(2.5 * a - 0.7 * b, ratio)
    np.testing.assert_allclose(
        mixed, 2.5 * operation(a, ratio) - 0.7 * operation(b, ratio), atol=1e-12
    )


@OPERATIONS
@pytest.mark.parametrize("ratio", RATIOS)
def test_flips_and_transposition_commute(operation: Degradation, ratio: int) -> None:
    image = np.random.default_rng(2).uniform(size=(6 * ratio, 7 * ratio))
    out = operation(image, ratio)
    tolerance = phase_tolerance(operation, ratio, 1e-12)
    np.testing.assert_allclose(operation(image[::-1], ratio)[::-1], out, atol=tolerance)
    np.testing.assert_allclose(operation(image[:, ::-1], ratio)[:, ::-1], out, atol=tolerance)
    np.testing.assert_allclose(operation(image.T, ratio).T, out, atol=1e-12)


@DEGRADATIONS
@pytest.mark.parametrize("ratio", RATIOS)
def test_point_sources_are_seen_at_the_pixel_centre(degrade: Degradation, ratio: int) -> None:
    """What sample i collects from a point moved along the row has its centre of mass there."""
    coarse = 13
    fine = np.arange(coarse * ratio)
    collected = np.zeros((coarse, fine.size))
    for x in fine:
        point = np.zeros((ratio, fine.size))
        point[:, x] = 1
        collected[:, x] = degrade(point, ratio)[0]
    inner = slice(5, -5)  # kernels that do not reach the edge
    centre = collected @ fine / collected.sum(1)
    expected = ratio * np.arange(coarse) + (ratio - 1) / 2
    np.testing.assert_allclose(
        centre[inner], expected[inner], atol=phase_tolerance(degrade, ratio, 1e-9)
    )


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_response_at_nyquist_is_the_gain(ratio: int) -> None:
    """A wave of two coarse pixels, its crests on the sample centres, keeps the gain."""
    x = np.arange(24 * ratio)
    wave = np.cos(math.pi * (x - (ratio - 1) / 2) / ratio)  # +1, -1, ... on the samples
    across = np.broadcast_to(wave, (len(GAINS), 2 * ratio, x.size))
    out = degrade_ms(across, ratio, GAINS)
    along = degrade_ms(across.swapaxes(1, 2), ratio, GAINS)
    signs = np.where(np.arange(24) % 2, -1, 1)[6:-6]
    for k, gain in enumerate(GAINS):
        np.testing.assert_allclose(out[k, 0, 6:-6] * signs, gain, rtol=0.02)
        np.testing.assert_allclose(along[k, 6:-6, 0] * signs, gain, rtol=0.02)


def test_the_antialiased_cubic_stops_what_the_coarse_grid_cannot_hold() -> None:
    x = np.arange(96)
    wave = np.broadcast_to(np.cos(2 * math.pi * 0.4 * x), (8, 96))  # 1.6 periods per sample
    assert np.abs(degrade_pan(wave, 4)[:, 4:-4]).max() < 0.02


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_ramp_upsampled_is_the_ramp(ratio: int) -> None:
    y, x = np.mgrid[:9, :11].astype(float)
    out = upsample_ms((3 * x - 2 * y + 5)[None], ratio)[0]
    fine_y, fine_x = np.mgrid[: 9 * ratio, : 11 * ratio]
    expected = 3 * ((fine_x + 0.5) / ratio - 0.5) - 2 * ((fine_y + 0.5) / ratio - 0.5) + 5
    inner = np.s_[2 * ratio : -2 * ratio, 2 * ratio : -2 * ratio]
    np.testing.assert_allclose(out[inner], expected[inner], atol=1e-12)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_bands_do_not_mix(ratio: int) -> None:
    image = np.random.default_rng(3).uniform(size=(4, 4 * ratio, 4 * ratio))
    together = degrade_ms(image, ratio, GAINS)
    for k, gain in enumerate(GAINS):  # the radius is the widest band's, so tails may differ
        alone = degrade_ms(image[k : k + 1], ratio, (gain,))[0]
        np.testing.assert_allclose(together[k], alone, atol=2e-3)
        others = [j for j in range(4) if j != k]
        assert np.abs(together[others] - alone).max() > 0.05


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_any_dtype_gives_the_float64_result(dtype: type) -> None:
    image = np.random.default_rng(4).integers(0, 255, (2, 12, 12))
    image[0, :6] = 255  # sums that would wrap in 8 bits
    exact = image.astype(np.float64)
    stored: np.ndarray = image.astype(dtype)
    for out, expected in (
        (degrade_ms(stored, 4, (0.3, 0.2)), degrade_ms(exact, 4, (0.3, 0.2))),
        (degrade_pan(stored[0], 4)[None], degrade_pan(exact[0], 4)[None]),
        (upsample_ms(stored, 2), upsample_ms(exact, 2)),
    ):
        assert out.dtype == np.float64
        np.testing.assert_array_equal(out, expected)


def test_refusals() -> None:
    image = np.ones((2, 8, 12))
    with pytest.raises(ShapeError, match="crop it to 6x12"):
        degrade_ms(image, 3, (0.3, 0.3))
    with pytest.raises(ShapeError, match="1 gains"):
        degrade_ms(image, 4, (0.3,))
    with pytest.raises(ShapeError, match=r"need \[K, H, W\]"):
        degrade_ms(image[0], 4, (0.3,))
    with pytest.raises(ShapeError, match=r"need \[H, W\]"):
        degrade_pan(image, 4)
    with pytest.raises(ShapeError, match="multiples"):
        degrade_pan(np.ones((0, 4)), 4)
    for ratio in (1, 9, 2.0):
        with pytest.raises(OptionError, match="from 2 to 8"):
            degrade_pan(image[0], ratio)  # type: ignore[arg-type]
