"""What the quality indices are measured on: a scene with everything an index needs, and the truth.

The truth is plain numpy in float64, window by window and in two passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pantiny.degrade import degrade_ms
from pantiny.sensors import UNKNOWN_PAN_GAIN

from .inputs import GATE_SEED, PEAK
from .macs import RATIO

BANDS = 4
GATE_SIDE = 132  # more than a block of windows, no multiple of a vector on the MS grid
WINDOW = 32  # of D_lambda and D_s on the PAN grid
GAUSSIAN, SIGMA = 11, 1.5
FLOAT32_EPS = float(np.finfo(np.float32).eps)  # torchmetrics adds it, also to float64


@dataclass(frozen=True)
class Images:
    """uint16 DN: fused and truth [4, H, W], ms [4, h, w], pan [H, W]; pan_low [h, w] float64."""

    fused: np.ndarray
    truth: np.ndarray
    ms: np.ndarray
    pan: np.ndarray
    pan_low: np.ndarray


def _dn(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 1, PEAK).astype(np.uint16)


def make_images(side: int, seed: int) -> Images:
    """Large shapes and noise; ``side`` is a multiple of 4."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    waves = sum(np.sin(x * fx + y * fy) for fx, fy in rng.uniform(0.01, 0.4, (4, 2)))
    levels, gains = rng.uniform(500, 1100, BANDS), rng.uniform(60, 140, BANDS)
    bands = levels[:, None, None] + gains[:, None, None] * waves
    truth = bands + 20 * rng.standard_normal(bands.shape)
    pan = truth.mean(0) + 10 * rng.standard_normal((side, side))
    coarse = truth.reshape(BANDS, side // RATIO, RATIO, side // RATIO, RATIO).mean((2, 4))
    fused = truth + 30 * rng.standard_normal(bands.shape)
    low = degrade_ms(_dn(pan)[None], RATIO, (UNKNOWN_PAN_GAIN,))[0]
    return Images(_dn(fused), _dn(truth), _dn(coarse), _dn(pan), low)


def gate_images() -> Images:
    """What candidates are checked on."""
    return make_images(GATE_SIDE, GATE_SEED)


def _windows(plane: np.ndarray, side: int) -> np.ndarray:
    view = np.lib.stride_tricks.sliding_window_view(plane.astype(np.float64), (side, side))
    return view.reshape(*view.shape[:2], -1)


def _moments(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    mx, my = x @ weights, y @ weights
    dx, dy = x - mx[..., None], y - my[..., None]
    return mx, my, (dx * dx) @ weights, (dy * dy) @ weights, (dx * dy) @ weights


def _gaussian() -> np.ndarray:
    taps = np.exp(-0.5 * ((np.arange(GAUSSIAN) - GAUSSIAN // 2) / SIGMA) ** 2)
    weights = np.outer(taps, taps).ravel()
    return weights / weights.sum()


def uqi_truth(x: np.ndarray, y: np.ndarray, side: int) -> float:
    """Mean Q of all windows; no window of these images is flat."""
    weights = np.full(side * side, 1 / side**2)
    mx, my, vx, vy, cov = _moments(_windows(x, side), _windows(y, side), weights)
    return float((4 * cov * mx * my / ((vx + vy) * (mx**2 + my**2))).mean())


def gaussian_uqi_truth(x: np.ndarray, y: np.ndarray) -> float:
    """The same with Gaussian windows, as torchmetrics defines it."""
    found = _moments(_windows(x, GAUSSIAN), _windows(y, GAUSSIAN), _gaussian())
    mx, my, vx, vy, cov = found
    return float((4 * cov * mx * my / ((vx + vy) * (mx**2 + my**2) + FLOAT32_EPS)).mean())


def ssim_truth(x: np.ndarray, y: np.ndarray, peak: float) -> float:
    """Mean SSIM of one band."""
    found = _moments(_windows(x, GAUSSIAN), _windows(y, GAUSSIAN), _gaussian())
    mx, my, vx, vy, cov = found
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    index = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(index.mean())


def distortions_truth(images: Images, *, gaussian: bool) -> np.ndarray:
    """[D_lambda, D_s]."""

    def q(x: np.ndarray, y: np.ndarray, side: int) -> float:
        return gaussian_uqi_truth(x, y) if gaussian else uqi_truth(x, y, side)

    def gap(fine: Sequence[np.ndarray], coarse: Sequence[np.ndarray]) -> float:
        return abs(q(*fine, WINDOW) - q(*coarse, WINDOW // RATIO))

    f, m = images.fused, images.ms
    pairs = [(i, j) for i in range(BANDS) for j in range(i)]
    spectral = [gap((f[i], f[j]), (m[i], m[j])) for i, j in pairs]
    spatial = [gap((f[k], images.pan), (m[k], images.pan_low)) for k in range(BANDS)]
    return np.array([np.mean(spectral), np.mean(spatial)])


def _product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of quaternions [4, ...]."""
    a, b, c, d = x
    e, f, g, h = y
    return np.stack(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ]
    )


def q4_numpy(fused: np.ndarray, truth: np.ndarray, block: int = 32) -> float:
    """Q4 over whole arrays, vectorised; sides are mirrored up to a multiple of the block."""
    edge = ((0, 0), *((0, -n % block) for n in truth.shape[1:]))

    def blocks(image: np.ndarray) -> np.ndarray:
        wide = np.pad(image.astype(np.float64), edge, "symmetric")
        rows, cols = (n // block for n in wide.shape[1:])
        cut = wide.reshape(BANDS, rows, block, cols, block).transpose(0, 1, 3, 2, 4)
        return cut.reshape(BANDS, rows * cols, block * block)

    x, y = blocks(truth), blocks(fused)
    mean, std = x.mean(-1, keepdims=True), x.std(-1, ddof=1, keepdims=True)
    x, y = (x - mean) / std + 1, (y - mean) / std + 1
    y[1:] *= -1
    mx, my = x.mean(-1), y.mean(-1)
    x, y = x - mx[..., None], y - my[..., None]
    unbiased = block**2 / (block**2 - 1)
    spread = unbiased * ((x**2).sum(0) + (y**2).sum(0)).mean(-1)
    cross = np.sqrt(((unbiased * _product(x, y).mean(-1)) ** 2).sum(0))
    px, py = (mx**2).sum(0), (my**2).sum(0)
    return float((2 * cross / spread * 2 * np.sqrt(px * py) / (px + py)).mean())


def sam_truth(fused: np.ndarray, truth: np.ndarray) -> float:
    """Radians."""
    f, t = fused.astype(np.float64), truth.astype(np.float64)
    cosine = (f * t).sum(0) / np.sqrt((f**2).sum(0) * (t**2).sum(0))
    return float(np.arccos(np.clip(cosine, -1, 1)).mean())
