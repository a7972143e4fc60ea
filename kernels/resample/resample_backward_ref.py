"""Adjoints of the resamplings: the float64 truth. All are linear, so nothing is saved."""

from __future__ import annotations

import numpy as np

from .resample_masked_ref import upsample_plan
from .resample_ref import Taps, taps_matrix


def apply_taps_backward(dout: np.ndarray, rows: Taps, cols: Taps, shape: tuple) -> np.ndarray:
    """dout [..., n, m], image ``shape`` (H, W) -> dimage [..., H, W]."""
    return np.asarray(taps_matrix(rows, shape[0]).T @ dout @ taps_matrix(cols, shape[1]))


def upsample_masked_backward_ref(
    dout: np.ndarray,
    ms_valid: np.ndarray,
    scale: tuple[float, float],
    offset: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Gradient of ``upsample_masked_ref``.

    Parameters
    ----------
    dout : array [K, H, W]
    ms_valid : array [h, w] or [K, h, w] bool
    scale, offset : (float, float)

    Returns
    -------
    array [K, h, w] float64
        0 where a sample is missing.
    """
    plan = upsample_plan(ms_valid, dout.shape[-2:], scale, offset)
    near = np.divide(dout, plan.weight, out=np.zeros(dout.shape), where=plan.some)
    shape = ms_valid.shape[-2:]
    dms = apply_taps_backward(np.where(plan.complete, dout, 0.0), *plan.cubic, shape)
    return np.where(ms_valid, dms + apply_taps_backward(near, *plan.near, shape), 0.0)
