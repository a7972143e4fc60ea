"""Quality indices, one definition each: as functions, as streams, as torchmetrics-style classes.

With truth: ``psnr``, ``rmse``, ``cc``, ``sam``, ``ergas``, ``scc``, ``uqi``, ``ssim``, ``q2n``.
Without: ``d_lambda``, ``d_s``, ``qnr``, ``d_lambda_k``, ``d_s_r``, ``hqnr``, ``rqnr``,
``r_ergas``, ``r_sam``, ``r_q2n``, ``d_rho``. Everything is computed in float64.

Images on a CUDA device are measured there by the indices that have kernels (uqi, ssim, q2n,
d_lambda, d_s, qnr, d_lambda_k, r_q2n, hqnr, d_rho); the others refuse them. See docs/indices.md,
"On a GPU".

Submodules ``streaming`` (scenes in rows) and ``classes`` (means over batches) are imported when
they are used.
"""

from importlib import import_module
from typing import Any

from .full_resolution import d_lambda, d_rho, d_s, d_s_r, hqnr, qnr, rqnr
from .reprojection import d_lambda_k, r_ergas, r_q2n, r_sam
from .with_truth import cc, ergas, psnr, q2n, rmse, sam, scc, ssim, uqi

__all__ = [
    "cc",
    "d_lambda",
    "d_lambda_k",
    "d_rho",
    "d_s",
    "d_s_r",
    "ergas",
    "hqnr",
    "psnr",
    "q2n",
    "qnr",
    "r_ergas",
    "r_q2n",
    "r_sam",
    "rmse",
    "rqnr",
    "sam",
    "scc",
    "ssim",
    "uqi",
]

_MODULES = ("classes", "streaming")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
