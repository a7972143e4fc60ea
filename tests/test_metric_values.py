"""Every quality index against a plain computation of its own, window by window."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from indices import RATIO, Scene, image, noisy, scene

from pantiny import metrics as m
from pantiny.degrade import degrade_ms, upsample_ms
from pantiny.sensors import get_sensor

FUSED, TRUTH = noisy(image(80, 2, 21, 26), 81), image(80, 2, 21, 26)
SCENE = scene(82, 3, 64, 96)
EPS32 = 2.0**-23


def moments(x: np.ndarray, y: np.ndarray, w: Any = None) -> tuple[float, ...]:
    """Means, variances, covariance; weights of sum 1, equal ones if left out."""
    w = np.full(x.shape, 1 / x.size) if w is None else w
    mx, my = float((w * x).sum()), float((w * y).sum())
    dx, dy = x - mx, y - my
    return (
        mx,
        my,
        float((w * dx * dx).sum()),
        float((w * dy * dy).sum()),
        float((w * dx * dy).sum()),
    )


def q(x: np.ndarray, y: np.ndarray) -> float:
    mx, my, vx, vy, c = moments(x, y)
    return (2 * mx * my / (mx**2 + my**2)) * (2 * c / (vx + vy))


def windows(x: np.ndarray, side: int, stride: int = 1) -> list[np.ndarray]:
    height, width = x.shape
    return [
        x[y : y + side, z : z + side]
        for y in range(0, height - side + 1, stride)
        for z in range(0, width - side + 1, stride)
    ]


def mean_q(x: np.ndarray, y: np.ndarray, side: int, stride: int = 1) -> float:
    both = zip(windows(x, side, stride), windows(y, side, stride), strict=True)
    return float(np.mean([q(a, b) for a, b in both]))


def gaussian() -> np.ndarray:
    weight = np.array(
        [[math.exp(-(a * a + b * b) / 4.5) for a in range(-5, 6)] for b in range(-5, 6)]
    )
    return weight / weight.sum()


@pytest.mark.parametrize("side", [1, 2, 5, 8, 21])
def test_uqi(side: int) -> None:
    found = m.uqi(FUSED, TRUTH, window=side)
    if side == 1:  # a pixel has no variance: the means alone
        expected = np.mean(2 * FUSED * TRUTH / (FUSED**2 + TRUTH**2))
    else:
        expected = np.mean([mean_q(f, t, side) for f, t in zip(FUSED, TRUTH)])
    assert found == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("side", [2, 5, 8, 13])
def test_uqi_of_distinct_blocks(side: int) -> None:
    expected = np.mean([mean_q(f, t, side, side) for f, t in zip(FUSED, TRUTH)])
    assert m.uqi(FUSED, TRUTH, window=side, stride=side) == pytest.approx(expected, abs=1e-11)


def test_uqi_by_hand() -> None:
    x = np.array([[[1.0, 2], [3, 4]]])
    assert m.uqi(2 * x, x, window=2) == pytest.approx(0.8 * 0.8, abs=1e-15)
    assert m.uqi(x + 1, x, window=2) == pytest.approx(2 * 3.5 * 2.5 / (3.5**2 + 2.5**2), abs=1e-15)
    assert m.uqi(5 - x, x, window=2) == pytest.approx(-1, abs=1e-15)
    flat = np.full((1, 2, 2), 3.0)
    assert m.uqi(flat, flat, window=2) == 1
    assert m.uqi(2 * flat, flat, window=2) == pytest.approx(0.8, abs=1e-15)
    assert m.uqi(x, flat, window=2) == 0
    assert m.uqi(0 * flat, 0 * flat, window=2) == 1
    assert m.uqi(0 * flat, flat, window=2) == 0


def test_ssim() -> None:
    peak, w = 2047.0, gaussian()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    values = []
    for f, t in zip(FUSED, TRUTH):
        for a, b in zip(windows(f, 11), windows(t, 11)):
            mx, my, vx, vy, c = moments(a, b, w)
            bias = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
            values.append(bias * (2 * c + c2) / (vx + vy + c2))
    assert m.ssim(FUSED, TRUTH, peak=peak) == pytest.approx(np.mean(values), abs=1e-12)


def test_cc_and_rmse() -> None:
    expected = np.mean([np.corrcoef(f.ravel(), t.ravel())[0, 1] for f, t in zip(FUSED, TRUTH)])
    assert m.cc(FUSED, TRUTH) == pytest.approx(expected, abs=1e-12)
    assert m.cc(-FUSED, TRUTH) == pytest.approx(-expected, abs=1e-12)
    tall = noisy(image(85, 1, 300, 9), 86), image(85, 1, 300, 9)  # several chunks of 128 rows
    tall[0][:, 128:] += 500
    expected = np.corrcoef(tall[0].ravel(), tall[1].ravel())[0, 1]
    assert m.cc(*tall) == pytest.approx(expected, abs=1e-12)
    flat = np.full((1, 4, 4), 7.0)
    ramp = np.arange(16.0).reshape(1, 4, 4)
    assert (m.cc(flat, flat + 1), m.cc(flat, ramp), m.cc(ramp, flat)) == (1, 0, 0)
    assert m.rmse(FUSED, TRUTH) == pytest.approx(
        np.linalg.norm(FUSED - TRUTH) / 1092**0.5, rel=1e-13
    )
    assert m.rmse(ramp + 3, ramp) == 3


def test_scc() -> None:
    def edges(image: np.ndarray) -> list[float]:
        across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        parts = [p for band in image for p in windows(band, 3)]
        return [math.hypot((p * across).sum(), (p * across.T).sum()) for p in parts]

    f, t = edges(FUSED), edges(TRUTH)
    expected = np.dot(f, t) / (np.linalg.norm(f) * np.linalg.norm(t))
    assert m.scc(FUSED, TRUTH) == pytest.approx(expected, abs=1e-13)
    flat = np.full((2, 21, 26), 7.0)
    assert (m.scc(flat, flat + 1), m.scc(flat, TRUTH), m.scc(FUSED, flat)) == (1, 0, 0)


def test_sam_of_nearly_equal_spectra() -> None:
    """An arccos of nearly 1 would give 0 or 1e-8."""
    truth = np.array([1000.0, 1000]).reshape(2, 1, 1)
    fused = truth + np.array([1e-6, -1e-6]).reshape(2, 1, 1)
    assert m.sam(fused, truth, units="radians") == pytest.approx(1e-9, rel=1e-6)
    assert m.sam(-truth, truth) == 180


def test_q2n_rounded_first() -> None:
    fused, truth = FUSED / 3, TRUTH / 3
    rounded = [np.floor(x + 0.5) for x in (fused, truth)]
    assert m.q2n(fused, truth, round_to_uint16=True) == m.q2n(*rounded)
    assert m.q2n(fused, truth) != m.q2n(*rounded)
    unit = [x / 65535 for x in (fused, truth)]  # all zero once rounded
    assert m.q2n(*unit, round_to_uint16=True) == 1
    negative = [np.array([[[-5.0, 70000], [3, 4]]]), np.array([[[0.0, 65535], [3, 4]]])]
    assert m.q2n(*negative, round_to_uint16=True, block=2) == pytest.approx(1, abs=1e-15)


# Without truth

PAN_LOW = degrade_ms(SCENE.pan[None], RATIO, (0.15,))[0]


def up(low: np.ndarray) -> np.ndarray:
    return upsample_ms(low[None], RATIO)[0]


def box_free_gaussian_at_corners(pan: np.ndarray) -> np.ndarray:
    """PAN through the Gaussian of gain 0.15, sampled at pixel r * i, edges repeated."""
    sigma = RATIO / math.pi * math.sqrt(-2 * math.log(0.15))
    reach = math.ceil(4 * sigma)
    weight = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    weight /= weight.sum()
    wide = np.pad(pan, reach, "edge")
    rows = np.stack([weight @ wide[i : i + 2 * reach + 1] for i in range(0, pan.shape[0], RATIO)])
    return np.stack(
        [rows[:, i : i + 2 * reach + 1] @ weight for i in range(0, pan.shape[1], RATIO)], axis=1
    )


def gaussian_q(x: np.ndarray, y: np.ndarray) -> float:
    values, w = [], gaussian()
    for a, b in zip(windows(x, 11), windows(y, 11)):
        mx, my, vx, vy, c = moments(a, b, w)
        values.append(4 * mx * my * c / ((mx**2 + my**2) * (vx + vy) + EPS32))
    return float(np.mean(values))


def compared(variant: str) -> tuple[Any, list, list]:
    """Mean Q of a pair of planes per scale; planes of the PAN grid and the MS grid, PAN last."""
    fine, coarse = [*SCENE.fused, SCENE.pan], [*SCENE.ms, PAN_LOW]
    if variant == "alparone08":
        return (lambda a, b: mean_q(a, b, 16), lambda a, b: mean_q(a, b, 4)), fine, coarse
    if variant == "toolbox":
        blocks = lambda a, b: mean_q(a, b, 16, 16)  # noqa: E731
        return (blocks, blocks), fine, [up(p) for p in coarse]
    if variant == "pantiny":
        fine, coarse = ([np.floor(np.clip(p / 8, 0, 255)) for p in ps] for ps in (fine, SCENE.ms))
        coarse.append(box_free_gaussian_at_corners(fine[-1]))
        every = lambda a, b: mean_q(a, b, 16)  # noqa: E731
        return (every, every), fine, coarse
    return (gaussian_q, gaussian_q), fine, coarse


@pytest.mark.parametrize("variant", ["alparone08", "toolbox", "pantiny", "torchmetrics"])
def test_distortions(variant: str) -> None:
    (q_fine, q_coarse), fine, coarse = compared(variant)
    s = Scene(*(a / 8 for a in SCENE)) if variant == "pantiny" else SCENE
    options: dict[str, Any] = {"variant": variant, "window": 16}
    given = {**options, "pan_low": PAN_LOW} if variant == "torchmetrics" else options
    spectral = np.array(
        [
            abs(q_fine(fine[i], fine[j]) - q_coarse(coarse[i], coarse[j]))
            for i, j in combinations(range(3), 2)
        ]
    )
    spatial = np.array(
        [abs(q_fine(fine[k], fine[3]) - q_coarse(coarse[k], coarse[3])) for k in range(3)]
    )
    assert spectral.min() > 1e-4 and spatial.min() > 1e-4
    close = {"rel": 1e-9}
    assert m.d_lambda(s.fused, s.ms, **options) == pytest.approx(spectral.mean(), **close)
    assert m.d_s(*s, **given) == pytest.approx(spatial.mean(), **close)
    qnr = (1 - spectral.mean()) * (1 - spatial.mean())
    assert m.qnr(*s, **given) == pytest.approx(qnr, **close)
    assert m.qnr(*s, alpha=2, beta=0.5, **given) == pytest.approx(
        (1 - spectral.mean()) ** 2 * (1 - spatial.mean()) ** 0.5, **close
    )
    cubes = (spectral**3).mean() ** (1 / 3)
    assert m.d_lambda(s.fused, s.ms, p=3, **options) == pytest.approx(cubes, **close)
    roots = (spatial**0.5).mean() ** 2
    assert m.d_s(*s, q=0.5, **given) == pytest.approx(roots, **close)


def test_the_low_pass_of_torchmetrics() -> None:
    """A ramp through a box stays a ramp: what it is at the centres of MS pixels."""
    y, x = np.mgrid[:64, :96] * 1.0
    s = SCENE._replace(pan=900 + 3 * y + 5 * x)
    exact = 900 + 3 * (4 * y[:16, :24] + 1.5) + 5 * (4 * x[:16, :24] + 1.5)
    mask = np.zeros((64, 96), bool)
    mask[4:-4, 4:-4] = True  # the box of the outermost of these MS pixels reaches out of them
    wide = m.d_s(*s, variant="torchmetrics", mask=mask)
    q_fine = [gaussian_q(f[4:-4, 4:-4], s.pan[4:-4, 4:-4]) for f in s.fused]
    q_coarse = [gaussian_q(b[2:-2, 2:-2], exact[2:-2, 2:-2]) for b in s.ms]
    expected = np.abs(np.subtract(q_fine, q_coarse)).mean()
    assert wide == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sensor", ["WV3", "IKONOS"])
def test_the_sensor_gives_the_gains(sensor: str) -> None:
    s = scene(83, 4, 64, 96)
    known = get_sensor(sensor, 4)
    assert known is not None
    low = degrade_ms(s.fused, RATIO, known.gains_for(4))

    def same(value: float) -> Any:  # the core adds the taps in another order
        return pytest.approx(value, rel=1e-12)

    assert m.r_sam(s.fused, s.ms, sensor=sensor) == same(m.sam(low, s.ms))
    assert m.r_ergas(s.fused, s.ms, sensor=sensor) == same(m.ergas(low, s.ms, ratio=RATIO))
    assert m.r_q2n(s.fused, s.ms, sensor=sensor, block=8) == same(m.q2n(low, s.ms, block=8))
    assert m.r_sam(s.fused, s.ms, gains=known.gains_for(4)) == same(m.sam(low, s.ms))
    assert m.r_sam(s.fused, s.ms) == same(m.sam(degrade_ms(s.fused, RATIO, (0.3,) * 4), s.ms))
    pan_low = degrade_ms(s.pan[None], RATIO, (known.pan_gain,))[0]
    assert m.d_s(*s, sensor=sensor) == same(m.d_s(*s, pan_low=pan_low))
    assert m.d_s(*s) != m.d_s(*s, sensor=sensor)


def test_products_of_distortions() -> None:
    khan = 1 - m.r_q2n(SCENE.fused, SCENE.ms)
    assert m.d_lambda_k(SCENE.fused, SCENE.ms) == pytest.approx(khan, rel=1e-12)
    hybrid = (1 - khan) * (1 - m.d_s(*SCENE))
    assert m.hqnr(*SCENE) == pytest.approx(hybrid, rel=1e-12)
    regression = (1 - khan) * (1 - m.d_s_r(SCENE.fused, SCENE.pan))
    assert m.rqnr(*SCENE) == pytest.approx(regression, rel=1e-12)


def test_regression_of_pan() -> None:
    columns = np.stack([np.ones(SCENE.pan.size), *SCENE.fused.reshape(3, -1)], axis=1)
    pan = SCENE.pan.ravel()
    residual = pan - columns @ np.linalg.lstsq(columns, pan, rcond=None)[0]
    expected = residual @ residual / ((pan - pan.mean()) ** 2).sum()
    assert m.d_s_r(SCENE.fused, SCENE.pan) == pytest.approx(expected, rel=1e-10)
    twice = SCENE.fused[[0, 1, 1, 2]]  # a band twice explains no more
    assert m.d_s_r(twice, SCENE.pan) == pytest.approx(expected, rel=1e-8)
    exact = SCENE.fused[0] - 2 * SCENE.fused[1] + 7
    assert m.d_s_r(SCENE.fused, exact) == pytest.approx(0, abs=1e-12)
    assert m.d_s_r(SCENE.fused, np.full(SCENE.pan.shape, 7.0)) == 0
    assert m.d_s_r(np.full(SCENE.fused.shape, 7.0), SCENE.pan) == 1


@pytest.mark.parametrize(("ratio", "side"), [(2, 2), (3, 4), (4, 4), (5, 6)])
def test_local_correlation(ratio: int, side: int) -> None:
    small = Scene(SCENE.fused[:2, :15, :19], SCENE.ms, SCENE.pan[:15, :19])
    values = [
        1 - np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for band in small.fused
        for a, b in zip(windows(band, side), windows(small.pan, side))
    ]
    found = m.d_rho(small.fused, small.pan, ratio=ratio)
    assert found == pytest.approx(np.mean(values), abs=1e-11)
    flat = np.full((1, 15, 19), 7.0)
    assert m.d_rho(flat, small.pan, ratio=ratio) == 1
    assert m.d_rho(flat, flat[0] + 1, ratio=ratio) == 0
    assert m.d_rho(1000 - small.pan[None], small.pan, ratio=ratio) == pytest.approx(2, abs=1e-12)


# What filters reach under a mask


def hole(y: int, x: int) -> np.ndarray:
    mask = np.ones(SCENE.pan.shape, bool)
    mask[y : y + RATIO, x : x + RATIO] = False
    return mask


@pytest.mark.parametrize("name", ["r_ergas", "r_sam", "r_q2n", "d_s"])
def test_filtered_pixels_that_reach_a_masked_one_are_left_out(name: str) -> None:
    """A scene that agrees with itself agrees beside the hole too, to rounding."""
    pan, mask = image(84, 1, 64, 96)[0], hole(20, 28)
    low = degrade_ms(pan[None], RATIO, (0.15,))
    fused, ms = np.stack([pan, pan]), np.concatenate([low, low])
    gains = {"gains": (0.15, 0.15), "mask": mask}
    found = {
        "r_ergas": lambda: m.r_ergas(fused, ms, **gains),
        "r_sam": lambda: m.r_sam(fused * [[[1]], [[2]]], ms * [[[1]], [[2]]], **gains),
        "r_q2n": lambda: 1 - m.r_q2n(fused, ms, block=4, **gains),
        "d_s": lambda: m.d_s(fused, ms, pan, window=16, mask=mask),
    }[name]()
    assert found == pytest.approx(0, abs=1e-11)


def test_upsampled_pixels_that_reach_a_masked_one_are_left_out() -> None:
    mask = hole(20, 36)  # MS pixel (5, 9), the second of a block of four both ways
    low = SCENE.ms.copy()
    low[:, 5, 9] = np.nan
    coarse = [up(p) for p in low]
    good = np.isfinite(coarse[0]) & mask

    def mean(planes: Any, valid: np.ndarray) -> list[float]:
        keep = [w.all() for w in windows(valid, 16, 16)]
        cut = [[w for w, k in zip(windows(p, 16, 16), keep, strict=True) if k] for p in planes]
        return [
            np.mean([q(a, b) for a, b in zip(cut[i], cut[j])]) for i, j in ((0, 1), (0, 2), (1, 2))
        ]

    expected = np.abs(np.subtract(mean(SCENE.fused, mask), mean(coarse, good))).mean()
    found = m.d_lambda(SCENE.fused, SCENE.ms, variant="toolbox", window=16, mask=mask)
    assert found == pytest.approx(expected, rel=1e-9)
