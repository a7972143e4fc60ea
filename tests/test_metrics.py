"""Indices with truth: hand-computed values, invariances and an independent quaternion loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pantiny.errors import DataError, OptionError, ShapeError
from pantiny.metrics import ergas, psnr, q2n, sam
from pantiny.metrics._hypercomplex import signs

# Hamilton's table: unit a times unit b is SIGN[a][b] * unit INDEX[a][b]; units 1, i, j, k.
HAMILTON_INDEX = ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0))
HAMILTON_SIGN = ((1, 1, 1, 1), (1, -1, 1, -1), (1, -1, -1, 1), (1, 1, -1, -1))


def image(seed: int, bands: int = 4, height: int = 64, width: int = 64) -> np.ndarray:
    """11-bit DN with a different mean and contrast in every band."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(200, 900, (bands, 1, 1))
    return np.rint(mean + rng.uniform(20, 150, (bands, 1, 1)) * rng.normal(size=(height, width)))


def noisy(truth: np.ndarray, seed: int, level: float = 40.0) -> np.ndarray:
    return truth + level * np.random.default_rng(seed).normal(size=truth.shape)


def hamilton(p: list[float], q: list[float]) -> list[float]:
    out = [0.0] * 4
    for a in range(4):
        for b in range(4):
            out[HAMILTON_INDEX[a][b]] += HAMILTON_SIGN[a][b] * p[a] * q[b]
    return out


def q4_of_block(fused: list[list[float]], truth: list[list[float]]) -> float:
    """Garzelli and Nencini (2009) on one block: two lists of pixels, each four values."""
    count = len(truth)
    mean = [math.fsum(p[k] for p in truth) / count for k in range(4)]
    std = [
        math.sqrt(math.fsum((p[k] - mean[k]) ** 2 for p in truth) / (count - 1)) for k in range(4)
    ]
    z1 = [[(p[k] - mean[k]) / std[k] + 1 for k in range(4)] for p in truth]
    z2 = [[(p[k] - mean[k]) / std[k] + 1 for k in range(4)] for p in fused]
    conjugate = [[p[0], -p[1], -p[2], -p[3]] for p in z2]

    def average(pixels: list[list[float]]) -> list[float]:
        return [math.fsum(p[k] for p in pixels) / count for k in range(4)]

    def square(p: list[float]) -> float:
        return math.fsum(v * v for v in p)

    m1, m2 = average(z1), average(conjugate)
    factor = count / (count - 1)
    of_product = average([hamilton(p, q) for p, q in zip(z1, conjugate)])
    of_means = hamilton(m1, m2)
    covariance = factor * math.sqrt(square([a - b for a, b in zip(of_product, of_means)]))
    var1 = factor * (math.fsum(map(square, z1)) / count - square(m1))
    var2 = factor * (math.fsum(map(square, z2)) / count - square(m2))
    bias = 2 * math.sqrt(square(m1) * square(m2)) / (square(m1) + square(m2))
    return covariance * 2 / (var1 + var2) * bias


def q4_by_loop(fused: np.ndarray, truth: np.ndarray, block: int) -> float:
    """Mean over blocks; a pixel beyond the right or bottom edge is its mirror image."""
    _, height, width = truth.shape
    scores = []
    for top in range(0, height, block):
        for left in range(0, width, block):
            where = [
                (y if y < height else 2 * height - 1 - y, x if x < width else 2 * width - 1 - x)
                for y in range(top, top + block)
                for x in range(left, left + block)
            ]
            pixels = [[z[:, y, x].tolist() for y, x in where] for z in (fused, truth)]
            scores.append(q4_of_block(*pixels))
    return math.fsum(scores) / len(scores)


@pytest.mark.parametrize("bands", [1, 3, 4, 8])
def test_an_image_against_itself_is_perfect(bands: int) -> None:
    truth = image(1, bands)
    assert psnr(truth, truth, peak=2047) == math.inf
    assert sam(truth, truth) == pytest.approx(0, abs=1e-5)  # arccos(1 - eps) is 1.2e-6 degrees
    assert ergas(truth, truth, ratio=4) == 0
    assert q2n(truth, truth) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1 / 2047, 1 / 65535, 3.7])
@pytest.mark.parametrize("bands", [1, 4, 6])
def test_a_common_factor_changes_nothing(bands: int, scale: float) -> None:
    truth = image(2, bands)
    truth[:, :32, :32] = truth[:, :1, :1]  # a constant block, whose variance is rounding noise
    truth[0, 32:, :32] = 301.0  # one constant band in an ordinary block
    fused = noisy(truth, 3)
    fused[:, :32, :32] = truth[:, :32, :32]
    fused[0, 32:, :32] = 301.0
    for index in (sam, q2n):
        expected = pytest.approx(index(fused, truth), rel=1e-9, abs=1e-5 if bands == 1 else 0)
        assert index(fused * scale, truth * scale) == expected
    small = ergas(fused * scale, truth * scale, ratio=4)
    assert small == pytest.approx(ergas(fused, truth, ratio=4), rel=1e-9)
    small = psnr(fused * scale, truth * scale, peak=2047 * scale)
    assert small == pytest.approx(psnr(fused, truth, peak=2047), rel=1e-9)


def test_psnr_by_hand() -> None:
    truth = image(4, 2, 8, 8)
    fused = truth.copy()
    fused[0] += 2  # MSE 4 in one of two bands
    # 10 log10(255^2 / 2)
    assert psnr(fused, truth, peak=255) == pytest.approx(45.1205039, abs=1e-6)


def test_sam_by_hand() -> None:
    fused, truth = np.zeros((2, 3, 5)), np.zeros((2, 3, 5))
    truth[0], fused[0], fused[1] = 1, 1, 1
    assert sam(fused, truth) == pytest.approx(45, abs=1e-9)
    assert sam(7 * fused, truth) == pytest.approx(45, abs=1e-9)
    fused[0, 0] = 0  # the first of three rows at 90 degrees
    assert sam(fused, truth) == pytest.approx(60, abs=1e-9)


def test_sam_leaves_zero_spectra_out() -> None:
    fused, truth = np.ones((2, 4, 4)), np.ones((2, 4, 4))
    truth[1] = 0  # 45 degrees everywhere
    truth[:, :2] = 0
    fused[:, 3] = 0
    assert sam(fused, truth) == pytest.approx(45, abs=1e-9)
    with pytest.raises(DataError, match=r"SAM: one of the spectra is zero in every valid pixel"):
        sam(np.zeros((2, 4, 4)), truth)
    with pytest.raises(DataError, match=r"mask: no pixel is left"):
        sam(fused, truth, mask=np.zeros((4, 4)))


def test_ergas_by_hand() -> None:
    truth = np.stack([np.full((4, 4), 100.0), np.full((4, 4), 200.0)])
    # relative MSE 1/100 and 1/400, mean 1/160; 100/4 / sqrt(160)
    assert ergas(truth + 10, truth, ratio=4) == pytest.approx(1.97642354, abs=1e-7)
    assert ergas(truth + 10, truth, ratio=2) == pytest.approx(3.95284708, abs=1e-7)


def test_ergas_refuses_the_inverse_ratio() -> None:
    truth = image(5, 2)
    for ratio in (0.25, 0.999):
        with pytest.raises(OptionError, match=r"ratio: got 0\.\d+; need .* 1 or more; .* h/l"):
            ergas(truth + 1, truth, ratio=ratio)
    with pytest.raises(OptionError, match=r"give its inverse, 4$"):
        ergas(truth, truth, ratio=1 / 4)
    assert ergas(truth + 1, truth, ratio=1) > 0


def test_ergas_of_a_black_band_is_zero_where_met_and_infinite_where_missed() -> None:
    truth = image(5, 2)
    truth[1] = 0
    fused = truth.copy()
    fused[0] *= 1.1
    rms = math.sqrt(np.mean(truth[0] ** 2)) * 0.1
    expected = 25 * rms / truth[0].mean() / math.sqrt(2)
    assert ergas(fused, truth, ratio=4) == pytest.approx(expected, rel=1e-12)
    fused[1, 0, 0] = 1
    assert ergas(fused, truth, ratio=4) == math.inf


@pytest.mark.parametrize("height, width, block", [(24, 8, 8), (8, 24, 8), (11, 6, 8), (32, 33, 32)])
def test_q4_equals_a_loop_over_quaternions(height: int, width: int, block: int) -> None:
    truth = image(6, 4, height, width)
    rng = np.random.default_rng(7)
    # bands mixed into each other, so that the off-diagonal products carry weight
    mixing = np.eye(4) + 0.5 * rng.normal(size=(4, 4))
    fused = noisy(np.tensordot(mixing, noisy(truth, 8), 1), 9)
    expected = q4_by_loop(fused, truth, block)
    assert 0.02 < expected < 0.98
    assert q2n(fused, truth, block=block) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6, 8])
def test_q2n_by_hand(bands: int) -> None:
    truth = image(10, bands, 32, 32)
    mean, std = truth.mean((1, 2), keepdims=True), truth.std((1, 2), ddof=1, keepdims=True)
    # one standard deviation too bright: means 1 and 2 after normalisation, 2*1*2 / (1 + 4)
    assert q2n(truth + std, truth) == pytest.approx(0.8, abs=1e-9)
    # contrast doubled: covariance 2, variances 1 and 4, 2*2 / (1 + 4)
    assert q2n(mean + 2 * (truth - mean), truth) == pytest.approx(0.8, abs=1e-9)


def test_q2n_falls_as_noise_grows() -> None:
    truth = image(11)
    scores = [q2n(noisy(truth, 12, level), truth) for level in (0, 10, 30, 100, 300, 1000)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1, abs=1e-12)
    assert scores[-1] < 0.2


@pytest.mark.parametrize("block", [7, 16, 31, 32])
def test_q2n_of_constant_images(block: int) -> None:
    for value in np.random.default_rng(13).uniform(0.001, 1000, 50):
        truth = np.full((4, block, block), value)  # its computed mean may be one ulp off
        assert q2n(truth, truth, block=block) == pytest.approx(1, abs=1e-12)
        assert q2n(truth * 1.01, truth, block=block) == pytest.approx(0, abs=1e-9)
    black = np.zeros((4, block, block))
    assert q2n(black, black, block=block) == 1


def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cayley-Dickson product of hypercomplex arrays [2^n, ...], by its definition."""
    half = x.shape[0] // 2
    if not half:
        return np.asarray(x * y)
    (a, b), (c, d) = (x[:half], x[half:]), (y[:half], y[half:])
    first = product(a, c) - product(conjugate(d), b)
    return np.concatenate([first, product(d, a) + product(b, conjugate(c))])


def conjugate(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:1], -x[1:]])


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
def test_units_multiply_as_defined(n: int) -> None:
    units, table = np.eye(n), signs(n)
    for a in range(n):
        for b in range(n):
            expected = table[a, b] * units[a ^ b]
            np.testing.assert_array_equal(product(units[a], conjugate(units[b])), expected)


@pytest.mark.parametrize("index", [sam, q2n, lambda f, t: ergas(f, t, ratio=4)])
@pytest.mark.parametrize("shape", [(4, 8), (0, 8, 8), (4, 8, 9), (3, 8, 8)])
def test_shapes_that_do_not_match(index: object, shape: tuple[int, ...]) -> None:
    assert callable(index)
    with pytest.raises(ShapeError, match="need"):
        index(np.ones(shape), np.ones((4, 8, 8) if shape != (4, 8) else shape))
