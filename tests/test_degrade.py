"""Wald's protocol: gains, phase, edges and linearity of the degradation and the upsampling."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from pantiny.degrade import degrade_ms, degrade_pair, degrade_pan, upsample_ms
from pantiny.errors import OptionError, ShapeError
from pantiny.sensors import SENSORS

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


@pytest.mark.parametrize(
    ("ratio", "gain", "taps"),
    [(4, 0.30, 16), (4, 0.15, 20), (4, 0.11, 22), (2, 0.30, 8), (3, 0.3, 13)],
)
def test_the_kernel_is_the_documented_one(ratio: int, gain: float, taps: int) -> None:
    """docs/degrade.md, "The MTF filter": one sample in the middle, tap by tap."""
    coarse, at = 15, 7
    points = np.eye(coarse * ratio)[:, None].repeat(ratio, 1)  # a column of light each
    found = np.array([degrade_ms(p[None], ratio, (gain,))[0, 0, at] for p in points])
    assert np.count_nonzero(found) == taps
    sigma = ratio / math.pi * math.sqrt(-2 * math.log(gain))
    away = [j - (ratio * at + (ratio - 1) / 2) for j in range(coarse * ratio)]
    weight = [
        math.exp(-d * d / (2 * sigma**2)) if abs(d) <= math.ceil(4 * sigma) else 0 for d in away
    ]
    np.testing.assert_allclose(found, np.array(weight) / math.fsum(weight), atol=1e-15)


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


# Phase


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("phase", [(0.0, 0.0), (-0.5, 1.25), (2.0, 0.5)])
def test_a_ramp_shows_where_the_samples_lie(ratio: int, phase: tuple[float, float]) -> None:
    """Both filters are symmetric, so that a ramp keeps its value at the sample's place."""
    y, x = np.mgrid[: 14 * ratio, : 12 * ratio].astype(float)
    ramp = 3 * x - 2 * y + 5
    i, j = np.mgrid[:14, :12]
    expected = 3 * (ratio * j + phase[1]) - 2 * (ratio * i + phase[0]) + 5
    inner = np.s_[5:-5, 5:-5]
    found = degrade_ms(ramp[None], ratio, (0.3,), phase=phase)[0]
    # the Gaussian's taps end by distance: with a phase of its own one more may lie on one side,
    # at four standard deviations (see phase_tolerance), in both axes
    np.testing.assert_allclose(found[inner], expected[inner], atol=5 * 5.4e-4)
    # the stretched cubic has its zeros at whole numbers only, so its moment is not exactly 0
    found = degrade_pan(ramp, ratio, phase=phase)
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.1)
    i, j = np.mgrid[: 14 * ratio, : 12 * ratio]
    coarse = 3 * np.arange(12.0) - 2 * np.arange(14.0)[:, None] + 5
    up = upsample_ms(coarse[None], ratio, phase=phase)[0]
    expected = 3 * (j - phase[1]) / ratio - 2 * (i - phase[0]) / ratio + 5
    inner = np.s_[4 * ratio : -4 * ratio, 4 * ratio : -4 * ratio]
    np.testing.assert_allclose(up[inner], expected[inner], atol=1e-12)


@DEGRADATIONS
@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_the_default_phase_is_the_centred_one(degrade: Degradation, ratio: int) -> None:
    image = np.random.default_rng(5).uniform(size=(4 * ratio, 5 * ratio))
    centred = (ratio - 1) / 2
    expected = degrade(image, ratio)
    for phase in (centred, (centred, centred), [centred, centred]):
        if degrade is degrade_pan:
            found = degrade_pan(image, ratio, phase=phase)  # type: ignore[arg-type]
        else:
            found = degrade_ms(image[None], ratio, (0.3,), phase=phase)[0]  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_whole_phase_is_a_shift_of_the_image(ratio: int) -> None:
    image = np.random.default_rng(6).uniform(size=(1, 16 * ratio, 16 * ratio))
    inner = np.s_[5:-5, 5:-5]
    moved = np.roll(image, (-1, 1), (1, 2))  # what was at (y + 1, x - 1) is at (y, x)
    centred = (ratio - 1) / 2
    phase = (centred + 1, centred - 1)
    found = degrade_ms(image, ratio, (0.3,), phase=phase)[0]
    np.testing.assert_allclose(found[inner], by_mtf(moved[0], ratio)[inner], atol=1e-12)
    found = degrade_pan(image[0], ratio, phase=phase)
    np.testing.assert_allclose(found[inner], degrade_pan(moved[0], ratio)[inner], atol=1e-12)


# Masks


def masked(image: np.ndarray, ratio: int, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ms = degrade_ms(np.stack([image, 2 * image]), ratio, (0.3, 0.2), valid=valid)
    return ms, degrade_pan(image, ratio, valid=valid)


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_missing_pixels_take_no_part(ratio: int) -> None:
    rng = np.random.default_rng(7)
    image = rng.uniform(1, 2, (12 * ratio, 11 * ratio))
    valid = rng.random(image.shape) < 0.97
    valid[: 4 * ratio, : 5 * ratio] = False
    expected = masked(image, ratio, valid)
    for garbage in (np.nan, np.inf, 1e30):
        image[~valid] = garbage
        for found, other in zip(masked(image, ratio, valid), expected):
            np.testing.assert_array_equal(found, other)
    for low in expected:
        assert np.isnan(low[..., :2, :2]).all() and np.isfinite(low[..., -4:, -4:]).all()
    assert (np.isnan(expected[0][0]) == np.isnan(expected[0][1])).all()


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_half_of_the_weight_decides(ratio: int) -> None:
    """A straight edge of nodata: samples on the valid side exist, the others do not."""
    valid = np.ones((12 * ratio, 12 * ratio), bool)
    valid[:, : 6 * ratio] = False
    for low in masked(np.ones(valid.shape), ratio, valid):
        exists = np.isfinite(low)
        assert not exists[..., :6].any() and exists[..., 6:].all()
        np.testing.assert_allclose(low[..., 6:] / low[..., -1:], 1, rtol=1e-12)  # constants stay


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_mask_changes_no_bit_where_nothing_is_missing(ratio: int) -> None:
    image = np.random.default_rng(8).uniform(1, 2, (16 * ratio, 9 * ratio))
    plain = degrade_ms(np.stack([image, 2 * image]), ratio, (0.3, 0.2)), degrade_pan(image, ratio)
    valid = np.ones(image.shape, bool)
    for found, expected in zip(masked(image, ratio, valid), plain):
        np.testing.assert_array_equal(found, expected)
    valid[:ratio] = False
    for found, expected in zip(masked(image, ratio, valid), plain):
        np.testing.assert_array_equal(found[..., 6:, :], expected[..., 6:, :])
        assert (found[..., 1:3, :] != expected[..., 1:3, :]).any()


# The pair


def test_the_pair() -> None:
    rng = np.random.default_rng(9)
    ms, pan = rng.uniform(size=(4, 8, 12)), rng.uniform(size=(32, 48))
    valid, ms_valid = rng.random(pan.shape) < 0.95, rng.random((8, 12)) < 0.9
    for phase in (None, (0.5, 2.5)):
        gains = SENSORS["QB"].gains
        low = degrade_pair(ms, pan, 4, sensor="QB", phase=phase)
        np.testing.assert_array_equal(low[0], degrade_ms(ms, 4, gains, phase=phase))
        np.testing.assert_array_equal(low[1], degrade_pan(pan, 4, phase=phase))
        for one, other in zip(low, degrade_pair(ms, pan, 4, gains=gains, phase=phase)):
            np.testing.assert_array_equal(one, other)
        low = degrade_pair(ms, pan, 4, phase=phase, ms_valid=ms_valid, valid=valid)
        expected = degrade_ms(ms, 4, (0.3,) * 4, phase=phase, valid=ms_valid)
        np.testing.assert_array_equal(low[0], expected)
        np.testing.assert_array_equal(low[1], degrade_pan(pan, 4, phase=phase, valid=valid))


def test_the_reduced_pair_has_the_phase_of_the_pair() -> None:
    """A ramp seen by both: upsampled with the phase, the reduced MS meets the reduced PAN."""
    phase = (0.5, 2.0)  # of MS on the PAN grid
    y, x = np.mgrid[:256, :256].astype(float)
    pan = 5 * x + 3 * y
    i, j = np.mgrid[:64, :64]
    ms = (5 * (4 * j + phase[1]) + 3 * (4 * i + phase[0]))[None]
    ms_low, pan_low = degrade_pair(ms, pan, 4, phase=phase)
    inner = np.s_[20:-20, 20:-20]
    np.testing.assert_allclose(pan_low[inner], ms[0][inner], atol=0.3)  # PAN lies on MS's grid
    up = upsample_ms(ms_low, 4, phase=phase)[0]
    np.testing.assert_allclose(up[inner], ms[0][inner], atol=0.05)
    assert np.abs(upsample_ms(ms_low, 4)[0] - ms[0])[inner].min() > 1.9  # 4 * (5 * 0.5 - 3 * 1)


def test_refusals_of_the_pair() -> None:
    ms, pan = np.ones((2, 8, 8)), np.ones((32, 32))
    for shapes in ((ms[0], pan), (ms, pan[None]), (ms, pan[:-4]), (pan[None], ms[0])):
        with pytest.raises(ShapeError, match=r"ms, pan: got shapes .*; crop both"):
            degrade_pair(*shapes, 4)
    with pytest.raises(OptionError, match=r"sensor, gains: got both; need one"):
        degrade_pair(ms, pan, 4, sensor="QB", gains=(0.3, 0.3))
    with pytest.raises(OptionError, match=r"sensor: 'X' is not in the sensor table"):
        degrade_pair(ms, pan, 4, sensor="X")
    with pytest.raises(ShapeError, match=r"gains: got 1 gains for 2 bands; need one per band"):
        degrade_pair(ms, pan, 4, gains=(0.3,))
    for gains in ((0.3, 1.0), (0.3, math.nan)):
        with pytest.raises(OptionError, match=r"gains: got .*; need amplitudes between 0 and 1"):
            degrade_pair(ms, pan, 4, gains=gains)
    with pytest.raises(OptionError, match=r"gains: got 0\.3; need one number per band"):
        degrade_pair(ms, pan, 4, gains=0.3)  # type: ignore[arg-type]
    for phase in (math.nan, 6.0, "centre", (1, 2, 3), (0, None), True):
        with pytest.raises(OptionError, match=r"phase: got .*from -2\.5 to 5\.5; leave it out"):
            degrade_pair(ms, pan, 4, phase=phase)  # type: ignore[arg-type]
    for valid in (np.ones((8, 8), bool), np.ones((32, 32))):
        with pytest.raises(ShapeError, match=r"valid: got .*; need bool \(32, 32\), True where"):
            degrade_pair(ms, pan, 4, valid=valid)


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
    for gains in (0.3, "abcd"):
        with pytest.raises(OptionError, match="need one number per band"):
            degrade_ms(image, 4, gains)  # type: ignore[arg-type]


@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
@pytest.mark.parametrize("gain", [0.999, 0.9999, 0.99999, 1 - 1e-12, 1 - 1e-16])
def test_gains_next_to_one_leave_the_nearest_pixels(ratio: int, gain: float) -> None:
    image = np.random.default_rng(5).uniform(1, 2, (1, 8 * ratio, 8 * ratio))
    found = degrade_ms(image, ratio, (gain,))[0]
    middle = [ratio // 2] if ratio % 2 else [ratio // 2 - 1, ratio // 2]
    cells = image.reshape(8, ratio, 8, ratio)
    nearest = cells[:, middle][:, :, :, middle].mean((1, 3))
    tolerance = 1e-12 if gain > 0.9999 else 0.02
    np.testing.assert_allclose(found, nearest, rtol=tolerance)
    aside = degrade_ms(image, ratio, (gain,), phase=1.2)[0]  # pixel 1 is the nearest
    np.testing.assert_allclose(aside, cells[:, 1, :, 1], rtol=tolerance * 4)
