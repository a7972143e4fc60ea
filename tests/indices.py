"""The quality indices by name, and images to measure: what the tests of them share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pantiny import metrics as m
from pantiny.degrade import degrade_ms

RATIO, PEAK = 4, 2047.0
Call = Callable[..., Any]

# (fused, truth); PEAK scales with the data
WITH_TRUTH: dict[str, Call] = {
    "psnr": partial(m.psnr, peak=PEAK),
    "rmse": m.rmse,
    "cc": m.cc,
    "sam": m.sam,
    "ergas": partial(m.ergas, ratio=RATIO),
    "scc": m.scc,
    "uqi": m.uqi,
    "uqi-7": partial(m.uqi, window=7),
    "uqi-blocks": partial(m.uqi, stride=8),
    "ssim": partial(m.ssim, peak=PEAK),
    "q2n": m.q2n,
    "q2n-8": partial(m.q2n, block=8),
}
PERFECT = {"psnr": np.inf, "rmse": 0.0, "sam": 0.0, "ergas": 0.0}  # the others: 1
VARIANTS = ("alparone08", "toolbox", "pantiny", "torchmetrics")


def _without(index: Call, **options: Any) -> Call:
    return lambda s, **more: index(s.fused, s.ms, **options, **more)


def _with_pan(index: Call, **options: Any) -> Call:
    return lambda s, **more: index(s.fused, s.ms, s.pan, **options, **more)


def _pan_only(index: Call, **options: Any) -> Call:
    return lambda s, **more: index(s.fused, s.pan, **options, **more)


def _eight_bits(index: Call) -> Call:
    def call(s: Scene, **more: Any) -> Any:
        if "pan_low" in more:
            more["pan_low"] = more["pan_low"] / 8
        return index(Scene(*(a / 8 for a in s)), **more)

    return call


# (scene); the variant pantiny knows 8 bits only
WITHOUT: dict[str, Call] = {
    **{f"d_lambda-{v}": _without(m.d_lambda, variant=v) for v in VARIANTS},
    **{f"d_s-{v}": _with_pan(m.d_s, variant=v) for v in VARIANTS},
    **{f"qnr-{v}": _with_pan(m.qnr, variant=v) for v in VARIANTS},
    "d_lambda-pantiny": _eight_bits(_without(m.d_lambda, variant="pantiny")),
    "d_s-pantiny": _eight_bits(_with_pan(m.d_s, variant="pantiny")),
    "qnr-pantiny": _eight_bits(_with_pan(m.qnr, variant="pantiny")),
    "d_lambda_k": _without(m.d_lambda_k),
    "hqnr": _with_pan(m.hqnr),
    "rqnr": _with_pan(m.rqnr),
    "r_ergas": _without(m.r_ergas),
    "r_sam": _without(m.r_sam),
    "r_q2n": _without(m.r_q2n),
    "d_s_r": _pan_only(m.d_s_r),
    "d_rho": _pan_only(m.d_rho, ratio=RATIO),
}


class Scene(NamedTuple):
    """fused [K, H, W], ms [K, h, w], pan [H, W], float64 DN; or a batch of them."""

    fused: np.ndarray
    ms: np.ndarray
    pan: np.ndarray


def image(seed: int, bands: int = 4, height: int = 64, width: int = 64) -> np.ndarray:
    """Whole 11-bit DN, smooth and rough, the bands half alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = rng.uniform(0, 6, (bands, 1, 1))
    waves = np.sin(x / 9 + phase) + np.cos(y / 7 + 2 * phase)
    shared = rng.standard_normal((height, width))
    own = rng.standard_normal((bands, height, width))
    level = rng.uniform(400, 1100, (bands, 1, 1))
    return np.rint(np.clip(level + 60 * waves + 40 * (shared + own), 1, PEAK))


def noisy(truth: np.ndarray, seed: int, level: float = 40.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(truth.shape)
    return np.clip(np.rint(truth + level * noise), 1, PEAK)


def scene(seed: int, bands: int = 4, height: int = 128, width: int = 256) -> Scene:
    truth = image(seed, bands, height, width)
    ms = np.rint(degrade_ms(truth, RATIO, (0.3,) * bands))
    return Scene(noisy(truth, seed + 2, 15.0), ms, noisy(truth.mean(0), seed + 3, 10.0))


def batch(scenes: list[Scene]) -> Scene:
    return Scene(*(np.stack(arrays) for arrays in zip(*scenes)))
