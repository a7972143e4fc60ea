"""Indices that collect over batches, in the manner of torchmetrics, without needing it.

``update`` takes one batch, ``compute`` gives the mean over all images so far, ``reset`` forgets
them, calling the object does both for one batch. Memory is constant: a sum and a count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DataError
from . import full_resolution, reprojection, with_truth


class Index:
    """Mean of an index over images; the base of the classes below.

    Parameters
    ----------
    **options
        Those of the function of the same name, except ``mask`` and ``reduction``.

    Attributes
    ----------
    higher_is_better : bool
    is_differentiable : bool
        False: see ``pantiny.nn.losses`` for indices with a gradient.
    """

    function: Callable[..., Any]
    higher_is_better: bool
    is_differentiable = False

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._total, self._count = 0.0, 0

    def _values(self, *images: Any, mask: Any = None) -> np.ndarray:
        found = type(self).function(*images, mask=mask, reduction="none", **self._options)
        return np.asarray(found)

    def update(self, *images: Any, mask: Any = None) -> None:
        """A batch, the arguments of the function: [N, K, H, W] or one image each."""
        values = self._values(*images, mask=mask)
        self._total += float(values.sum())
        self._count += len(values)

    def compute(self) -> float:
        """Mean over all images.

        Raises
        ------
        DataError
            Before the first image.
        """
        if not self._count:
            raise DataError(f"{type(self).__name__}: no image yet; call update first")
        return self._total / self._count

    def __call__(self, *images: Any, mask: Any = None) -> float:
        """The mean of this batch, which is collected too."""
        values = self._values(*images, mask=mask)
        self._total += float(values.sum())
        self._count += len(values)
        return float(values.mean())

    forward = __call__

    def merge_state(self, other: Index) -> None:
        """Take in what another object has collected, e.g. that of another process."""
        self._total += other._total
        self._count += other._count

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self._options.items())
        return f"{type(self).__name__}({options})"


def _class(name: str, function: Callable[..., Any], *, higher_is_better: bool) -> type[Index]:
    summary = (function.__doc__ or "").partition("\n")[0]
    return type(
        name,
        (Index,),
        {
            "__doc__": f"{summary}\n\nMean over images of `pantiny.metrics.{function.__name__}`.",
            "__module__": __name__,
            "function": staticmethod(function),
            "higher_is_better": higher_is_better,
        },
    )


PSNR = _class("PSNR", with_truth.psnr, higher_is_better=True)
RMSE = _class("RMSE", with_truth.rmse, higher_is_better=False)
CC = _class("CC", with_truth.cc, higher_is_better=True)
SAM = _class("SAM", with_truth.sam, higher_is_better=False)
ERGAS = _class("ERGAS", with_truth.ergas, higher_is_better=False)
SCC = _class("SCC", with_truth.scc, higher_is_better=True)
UQI = _class("UQI", with_truth.uqi, higher_is_better=True)
SSIM = _class("SSIM", with_truth.ssim, higher_is_better=True)
Q2n = _class("Q2n", with_truth.q2n, higher_is_better=True)
DLambda = _class("DLambda", full_resolution.d_lambda, higher_is_better=False)
DS = _class("DS", full_resolution.d_s, higher_is_better=False)
QNR = _class("QNR", full_resolution.qnr, higher_is_better=True)
DLambdaK = _class("DLambdaK", reprojection.d_lambda_k, higher_is_better=False)
DSR = _class("DSR", full_resolution.d_s_r, higher_is_better=False)
HQNR = _class("HQNR", full_resolution.hqnr, higher_is_better=True)
RQNR = _class("RQNR", full_resolution.rqnr, higher_is_better=True)
RErgas = _class("RErgas", reprojection.r_ergas, higher_is_better=False)
RSam = _class("RSam", reprojection.r_sam, higher_is_better=False)
RQ2n = _class("RQ2n", reprojection.r_q2n, higher_is_better=True)
DRho = _class("DRho", full_resolution.d_rho, higher_is_better=False)
