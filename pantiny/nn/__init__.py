"""The network, its losses and its differentiable operators in torch.

Importing this needs torch: ``pip install 'pantiny[train]'``.
"""

from __future__ import annotations

from ..errors import DependencyError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised by the wheel test without torch
    raise DependencyError(
        "pantiny.nn: torch is not installed; it is needed for training and for the torch twin; "
        "run: pip install 'pantiny[train]'"
    ) from error

from .losses import DLambdaLoss, DRhoLoss, DSLoss, PanTinyLoss, QNRLoss, SSIMLoss, ssim
from .modules import PanTiny
from .resample import Consistency

__all__ = [
    "Consistency",
    "DLambdaLoss",
    "DRhoLoss",
    "DSLoss",
    "PanTiny",
    "PanTinyLoss",
    "QNRLoss",
    "SSIMLoss",
    "ssim",
]
