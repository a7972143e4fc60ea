"""Indices that need the truth (reduced resolution), plain numpy in float64."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ShapeError


def _pair(fused: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fused, truth = np.asarray(fused, np.float64), np.asarray(truth, np.float64)
    if fused.ndim != 3 or fused.shape != truth.shape or not fused.size:
        raise ShapeError(
            f"fused, truth: got shapes {fused.shape} and {truth.shape}; need two equal [K, H, W]"
        )
    return fused, truth


def psnr(fused: np.ndarray, truth: np.ndarray, *, peak: float) -> float:
    """Peak signal-to-noise ratio in dB over all bands and pixels; higher is better.

    ``10 log10(peak^2 / MSE)``; infinite for equal images.
    """
    fused, truth = _pair(fused, truth)
    mse = float(np.mean((fused - truth) ** 2))
    return math.inf if mse == 0 else 10 * math.log10(peak * peak / mse)


def sam(fused: np.ndarray, truth: np.ndarray) -> float:
    """Spectral angle in degrees, mean over pixels; lower is better, 0 is perfect.

    Pixels where either spectrum is zero are left out.
    """
    fused, truth = _pair(fused, truth)
    norms = np.sqrt((fused**2).sum(0) * (truth**2).sum(0))
    keep = norms > 0
    if not keep.any():
        return 0.0
    cosine = (fused * truth).sum(0)[keep] / norms[keep]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)).mean()))


def ergas(fused: np.ndarray, truth: np.ndarray, *, ratio: float) -> float:
    """Relative dimensionless global error (Wald 2000); lower is better.

    ``100 / ratio * sqrt(mean_k MSE_k / mean(truth_k)^2)``. A band of zero mean counts 0
    where it is met exactly and makes the index infinite where it is not.
    """
    fused, truth = _pair(fused, truth)
    mse, mean = ((fused - truth) ** 2).mean((1, 2)), truth.mean((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(mse == 0, 0.0, mse / mean**2)
    return float(100.0 / ratio * np.sqrt(relative.mean()))


def _conjugate(x: np.ndarray) -> np.ndarray:
    out = -x
    out[0] = x[0]
    return out


def _product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cayley-Dickson product of hypercomplex arrays [2^n, ...]."""
    n = x.shape[0]
    if n == 1:
        return x * y
    a, b, c, d = x[: n // 2], x[n // 2 :], y[: n // 2], y[n // 2 :]
    return np.concatenate(
        [
            _product(a, c) - _product(_conjugate(d), b),
            _product(d, a) + _product(b, _conjugate(c)),
        ]
    )


def q2n(fused: np.ndarray, truth: np.ndarray, *, block: int = 32) -> float:
    """Q2n (Garzelli and Nencini 2009): Q4 for 4 bands, Q8 for 8; in [0, 1], 1 is perfect.

    Distinct blocks of ``block``; sizes that are not multiples are mirrored on the right
    and the bottom; both images normalised by the truth's block statistics.
    """
    fused, truth = _pair(fused, truth)
    bands, height, width = truth.shape
    n = 1 << max(0, bands - 1).bit_length()
    pad = ((0, n - bands), (0, 0), (0, 0))
    mirror = ((0, 0), (0, -height % block), (0, -width % block))
    x = np.pad(np.pad(truth, mirror, "symmetric"), pad)
    y = np.pad(np.pad(fused, mirror, "symmetric"), pad)
    rows, cols = x.shape[1] // block, x.shape[2] // block
    m = block * block

    def blocks(z: np.ndarray) -> np.ndarray:
        z = z.reshape(n, rows, block, cols, block).transpose(0, 1, 3, 2, 4)
        return z.reshape(n, rows * cols, m)

    x, y = blocks(x), blocks(y)
    mean = x.mean(-1, keepdims=True)
    std = x.std(-1, ddof=1, keepdims=True)
    # The mean of m equal values may miss them by m*eps: such a block is constant, and its
    # first pixel is its exact mean.
    eps = np.finfo(np.float64).eps
    flat = std <= m * eps * np.abs(mean)
    mean = np.where(flat, x[..., :1], mean)
    std = np.where(flat, eps, std)
    real = np.zeros((n, 1, 1))
    real[:bands] = 1.0
    x = ((x - mean) / std + 1) * real
    y = _conjugate(((y - mean) / std + 1) * real)
    mx, my = x.mean(-1), y.mean(-1)
    mx2, my2 = (mx**2).sum(0), (my**2).sum(0)
    scale = m / (m - 1)
    x, y = x - mx[..., None], y - my[..., None]
    var = scale * ((x**2).sum(0).mean(-1) + (y**2).sum(0).mean(-1))
    cov = scale * _product(x, y).mean(-1)
    bias = 2 * np.sqrt(mx2 * my2) / (mx2 + my2)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.sqrt((cov**2).sum(0)) * 2 / var * bias
    return float(np.where(var == 0, bias, q).mean())
