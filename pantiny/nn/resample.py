"""Resampling between the two grids as matrix products: differentiable and exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..kernels.resample.resample_ref import (
    cubic_taps,
    gaussian_radius,
    gaussian_taps,
    taps_matrix,
)


@lru_cache(maxsize=256)
def _up_matrix(n_ms: int, ratio: int) -> Tensor:
    matrix = taps_matrix(cubic_taps(0, n_ms * ratio, 1.0 / ratio), n_ms)
    return torch.from_numpy(matrix)


@lru_cache(maxsize=256)
def _down_matrix(n_ms: int, ratio: int, gain: float, radius: int) -> Tensor:
    taps = gaussian_taps(0, n_ms, 1.0 / ratio, 0.0, gain, radius)
    return torch.from_numpy(taps_matrix(taps, n_ms * ratio))


@torch.compiler.assume_constant_result
def mtf_matrix(n_ms: int, ratio: int, gain: float) -> Tensor:
    """What takes one axis of a band to the MS grid: [n_ms, n_ms * ratio] float64."""
    return _down_matrix(n_ms, ratio, gain, gaussian_radius(ratio, (gain,)))


def upsample(ms: Tensor, ratio: int) -> Tensor:
    """Cubic upsampling (a = -0.5), pixel-centre aligned: [N,K,h,w] -> [N,K,h*r,w*r]."""
    rows = _up_matrix(ms.shape[-2], ratio).to(ms)
    cols = _up_matrix(ms.shape[-1], ratio).to(ms)
    return rows @ ms @ cols.T


def degrade(fused: Tensor, ratio: int, gains: Tensor) -> Tensor:
    """MTF degradation with per-image, per-band gains [N,K]: [N,K,H,W] -> [N,K,H/r,W/r]."""
    height, width = fused.shape[-2] // ratio, fused.shape[-1] // ratio
    table = [[round(float(g), 6) for g in row] for row in gains]

    def matrices(n: int) -> Tensor:
        return torch.stack(
            [
                torch.stack(
                    [_down_matrix(n, ratio, g, gaussian_radius(ratio, tuple(row))) for g in row]
                )
                for row in table
            ]
        ).to(fused)

    return matrices(height) @ fused @ matrices(width).transpose(-1, -2)


class Consistency(nn.Module):
    """``steps`` back-projections ``fused += up(ms - degrade(fused))``.

    Parameters
    ----------
    steps : int
        0 leaves the image alone.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, fused: Tensor, ms: Tensor, gains: Tensor | Sequence[float]) -> Tensor:
        """fused [N,K,H,W], ms [N,K,h,w], gains [K] or [N,K] -> [N,K,H,W]."""
        ratio = fused.shape[-1] // ms.shape[-1]
        table = torch.as_tensor(gains, dtype=torch.float32)
        if table.dim() == 1:
            table = table.expand(fused.shape[0], -1)
        for _ in range(self.steps):
            fused = fused + upsample(ms - degrade(fused, ratio, table), ratio)
        return fused
