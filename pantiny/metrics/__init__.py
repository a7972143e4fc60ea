"""Quality indices, one definition each."""

from .with_truth import ergas, psnr, q2n, sam

__all__ = ["ergas", "psnr", "q2n", "sam"]
