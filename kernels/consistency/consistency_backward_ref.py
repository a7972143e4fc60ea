"""Adjoint of back-projection: the float64 truth. Linear, so nothing is saved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..resample.resample_backward_ref import apply_taps_backward, upsample_masked_backward_ref
from .consistency_ref import MIN_COVERAGE, coverage_ref, mtf_taps


def consistency_backward_ref(
    dout: np.ndarray,
    shape: tuple[int, int],
    gains: Sequence[float],
    steps: int,
    *,
    scale: tuple[float, float] | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    valid: np.ndarray | None = None,
    ms_valid: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of ``consistency_ref``: per step ``dms += up^T g``, ``g -= degrade^T up^T g``.

    Parameters
    ----------
    dout : array [K, H, W]
    shape : (int, int)
        h, w of the MS grid.
    gains, steps, scale, offset, valid, ms_valid
        As in the forward pass.

    Returns
    -------
    dfused : array [K, H, W]
    dms : array [K, h, w]
        0 where a sample is missing.
    """
    dfused = np.array(dout, np.float64)
    dms = np.zeros((len(dfused), *shape))
    if not dfused.size:
        return dfused, dms
    fine = dfused.shape[1:]
    if scale is None:
        scale = shape[0] / fine[0], shape[1] / fine[1]
    valid = np.ones(fine, bool) if valid is None else valid
    known = np.ones(shape, bool) if ms_valid is None else ms_valid
    coverage = coverage_ref(valid, shape, gains, scale, offset)
    exists = (coverage >= MIN_COVERAGE) & known
    for _ in range(steps):
        update = np.where(valid, dfused, 0.0)
        dresidual = upsample_masked_backward_ref(update, exists, scale, offset)
        dms += dresidual
        dtotal = np.divide(dresidual, coverage, out=np.zeros(dms.shape), where=exists)
        for k, taps in enumerate(mtf_taps(shape, gains, scale, offset)):
            dfused[k] -= np.where(valid, apply_taps_backward(dtotal[k], *taps, fine), 0.0)
    return dfused, dms
