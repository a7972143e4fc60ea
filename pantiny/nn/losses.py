"""Losses: the published 3 L1 + 4 (1 - SSIM), SSIM, and the indices without a truth."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import OptionError, ShapeError
from ..metrics._inputs import check_peak
from ._windows import GAUSSIAN
from .ops import window_means
from .quality import (
    DLambdaLoss,
    DRhoLoss,
    DSLoss,
    QNRLoss,
    as_planes,
    d_lambda,
    d_rho,
    d_s,
    qnr,
)

__all__ = [
    "DLambdaLoss",
    "DRhoLoss",
    "DSLoss",
    "PanTinyLoss",
    "QNRLoss",
    "SSIMLoss",
    "d_lambda",
    "d_rho",
    "d_s",
    "qnr",
    "ssim",
]
PADDINGS = ("zero", "valid")


def _check(peak: float, padding: str) -> None:
    if padding not in PADDINGS:
        raise OptionError(f"padding: got {padding!r}; need one of {', '.join(PADDINGS)}")
    check_peak(peak)


def ssim(fused: Tensor, truth: Tensor, peak: float = 1.0, padding: str = "zero") -> Tensor:
    """Mean structural similarity (Wang et al. 2004); higher is better, at most 1.

    11x11 Gaussian window (sigma 1.5), per channel, C1 = (0.01 peak)^2, C2 = (0.03 peak)^2; mean
    over everything. Differentiable once.

    Parameters
    ----------
    fused, truth : Tensor [N, K, H, W]
    peak : float
        The largest possible value.
    padding : {"zero", "valid"}
        Five zeros around, as in the published training loss, or windows inside the image only,
        as ``pantiny.metrics.ssim``.

    Raises
    ------
    ShapeError, DtypeError, OptionError
    """
    _check(peak, padding)
    first = as_planes(fused, "fused")
    second = as_planes(truth, "truth", first)
    if fused.shape != truth.shape:
        raise ShapeError(
            f"fused, truth: got shapes {tuple(fused.shape)} and {tuple(truth.shape)}; need two "
            "of one shape; crop or resample one to the other"
        )
    images = [first, second]
    if padding == "zero":
        images = [F.pad(image, (GAUSSIAN // 2,) * 4) for image in images]
    bands = first.shape[1]
    pairs = [(k, bands + k) for k in range(bands)]
    constants = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    found = window_means(images[0], images[1], pairs, GAUSSIAN, "ssim", *constants)
    return found.mean().to(first.dtype)


class SSIMLoss(nn.Module):
    """``1 - ssim`` as a module."""

    def __init__(self, peak: float = 1.0, padding: str = "zero") -> None:
        super().__init__()
        _check(peak, padding)
        self.peak, self.padding = peak, padding

    def forward(self, fused: Tensor, truth: Tensor) -> Tensor:
        """Scalar of two [N, K, H, W] images."""
        return 1.0 - ssim(fused, truth, self.peak, self.padding)


class PanTinyLoss(nn.Module):
    """``l1 * mean|fused - truth| + ssim * (1 - SSIM(fused, truth))``, 3 and 4 by default."""

    def __init__(self, l1: float = 3.0, ssim: float = 4.0) -> None:
        super().__init__()
        self.l1, self.ssim = l1, ssim

    def forward(self, fused: Tensor, truth: Tensor) -> Tensor:
        """Scalar loss of two [N, K, H, W] images in network values."""
        loss = self.l1 * (fused - truth).abs().mean()
        return loss + self.ssim * (1.0 - ssim(fused, truth))
