"""The training loss: 3 L1 + 4 (1 - SSIM)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 11
SIGMA = 1.5


def _gaussian(like: Tensor) -> Tensor:
    offset = torch.arange(WINDOW, dtype=like.dtype, device=like.device) - WINDOW // 2
    weight = torch.exp(-0.5 * (offset / SIGMA) ** 2)
    return weight / weight.sum()


def ssim(fused: Tensor, truth: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004).

    11x11 Gaussian window (sigma 1.5), per channel, zero padding 5, C1 = 0.01^2,
    C2 = 0.03^2, data range 1; mean over everything. Higher is better, at most 1.

    Parameters
    ----------
    fused, truth : Tensor [N, K, H, W]
    """
    k = fused.shape[1]
    weight = _gaussian(fused)
    rows = weight.view(1, 1, -1, 1).expand(5 * k, 1, -1, -1)
    cols = weight.view(1, 1, 1, -1).expand(5 * k, 1, -1, -1)
    moments = torch.cat([fused, truth, fused * fused, truth * truth, fused * truth], 1)
    moments = F.conv2d(moments, rows, padding=(WINDOW // 2, 0), groups=5 * k)
    moments = F.conv2d(moments, cols, padding=(0, WINDOW // 2), groups=5 * k)
    mf, mt, ff, tt, ft = moments.chunk(5, 1)
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mf * mt + c1) * (2 * (ft - mf * mt) + c2)
    denominator = (mf * mf + mt * mt + c1) * ((ff - mf * mf) + (tt - mt * mt) + c2)
    return (numerator / denominator).mean()


class PanTinyLoss(nn.Module):
    """``l1 * mean|fused - truth| + ssim * (1 - SSIM(fused, truth))``, 3 and 4 by default."""

    def __init__(self, l1: float = 3.0, ssim: float = 4.0) -> None:
        super().__init__()
        self.l1, self.ssim = l1, ssim

    def forward(self, fused: Tensor, truth: Tensor) -> Tensor:
        """Scalar loss of two [N, K, H, W] images in network values."""
        loss = self.l1 * (fused - truth).abs().mean()
        return loss + self.ssim * (1.0 - ssim(fused, truth))
