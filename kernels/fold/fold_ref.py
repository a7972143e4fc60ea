"""From sums over all pixels to one matrix per block: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..boundary.boundary_ref import Statistics

NORM_FLOOR = 1e-12


def fold_ref(stats: Statistics, temperature: np.ndarray, project: np.ndarray) -> np.ndarray:
    """``project @ blockdiag(softmax(temperature * gram / (|q| |k|^T)))``.

    The norms are not allowed below 1e-12, so an image without a valid pixel gives the
    uniform softmax and no NaN.

    Parameters
    ----------
    stats : Statistics
    temperature : array [heads, 1, 1]
    project : array [C, C, 1, 1]

    Returns
    -------
    array [C, C] float64
    """
    gram = np.asarray(stats.gram, np.float64)
    heads, c = gram.shape[:2]
    q = np.maximum(np.sqrt(np.asarray(stats.qq, np.float64)), NORM_FLOOR).reshape(heads, c, 1)
    k = np.maximum(np.sqrt(np.asarray(stats.kk, np.float64)), NORM_FLOOR).reshape(heads, 1, c)
    logits = np.asarray(temperature, np.float64) * (gram / q / k)
    attention = np.exp(logits - logits.max(axis=2, keepdims=True))
    attention /= attention.sum(axis=2, keepdims=True)
    mixing = np.zeros((heads * c, heads * c))
    for h in range(heads):
        mixing[h * c : (h + 1) * c, h * c : (h + 1) * c] = attention[h]
    return np.asarray(project, np.float64)[:, :, 0, 0] @ mixing
