"""Indices that collect over batches, in the manner of torchmetrics, without needing it.

``update`` takes one batch, ``compute`` gives the mean over all images so far, ``reset`` forgets
them, calling the object does both for one batch. Memory is constant: a sum and a count.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..errors import DataError, OptionError
from ..sensors import get_sensor
from . import full_resolution, reprojection, with_truth
from ._grids import check_gains
from ._inputs import check_peak, pan_per_ms, positive
from ._variants import get_variant
from ._windows import check_side
from .with_truth import check_block, check_units

# What tells whether an option is possible before there is an image.
_CHECKS: dict[str, Callable[[Any], object]] = {
    "block": check_block,
    "peak": check_peak,
    "gains": lambda gains: None if gains is None else check_gains(gains),
    "sensor": get_sensor,
    "units": check_units,
    "variant": get_variant,
    "window": check_side,
    **{name: partial(positive, name=name) for name in ("alpha", "beta", "p", "q")},
}


class Index:
    """Mean of an index over images; the base of the classes below.

    Parameters
    ----------
    **options
        Those of the function of the same name, except ``mask``, which goes to ``update``, and
        ``reduction``.

    Raises
    ------
    TypeError
        At once, for an option that the function does not have or one that is missing.
    OptionError
        At once, for one that cannot be honoured whatever the images.

    Attributes
    ----------
    higher_is_better : bool
    is_differentiable : bool
        False: see ``pantiny.nn.losses`` for indices with a gradient.
    """

    function: Callable[..., Any]
    higher_is_better: bool
    __signature__: inspect.Signature
    is_differentiable = False
    _ratio: Callable[[Any], object] = staticmethod(pan_per_ms)

    def __init_subclass__(cls) -> None:
        """The signature: options of the function by keyword."""
        own = inspect.signature(cls.function).parameters.values()
        cls.__signature__ = inspect.Signature(
            [p for p in own if p.kind is p.KEYWORD_ONLY and p.name not in ("mask", "reduction")]
        )

    def __init__(self, **options: Any) -> None:
        self._check(options)
        self._options = options
        self.reset()

    @classmethod
    def _check(cls, options: dict[str, Any]) -> None:
        signature = inspect.signature(cls)
        try:
            signature.bind(**options)
        except TypeError as error:
            takes = ", ".join(signature.parameters) or "none"
            raise TypeError(
                f"{cls.__name__}: {error}; options are those of "
                f"pantiny.metrics.{cls.function.__name__}: {takes}; "
                "a mask goes to update"
            ) from None
        for name, value in options.items():
            check = cls._ratio if name == "ratio" else _CHECKS.get(name)
            if check is not None:
                check(value)

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
            Before the first image, or over both infinities.
        """
        if not self._count:
            raise DataError(f"{type(self).__name__}: no image yet; call update first")
        if math.isnan(self._total):
            raise DataError(
                f"{type(self).__name__}: the values of some images are +inf, of others -inf; need "
                "images whose mean exists; leave out those that are equal or hold infinity"
            )
        return self._total / self._count

    def __call__(self, *images: Any, mask: Any = None) -> float:
        """The mean of this batch, which is collected too."""
        values = self._values(*images, mask=mask)
        self._total += float(values.sum())
        self._count += len(values)
        return float(values.mean())

    forward = __call__

    def merge_state(self, other: Index) -> None:
        """Take in what another object has collected, e.g. that of another process.

        Raises
        ------
        OptionError
            If it is another index or has other options.
        """
        if type(other) is not type(self) or other._options != self._options:
            raise OptionError(
                f"merge_state: got {other!r} for {self!r}; need the same index with the same "
                "options; merge like with like"
            )
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
DRho._ratio = staticmethod(full_resolution.rho_window)
