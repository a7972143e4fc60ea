"""From sums over all pixels to one matrix per block: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..boundary.boundary_ref import Statistics

NORM_FLOOR = 1e-12


def cosines_ref(stats: Statistics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``gram / (|q| |k|^T)`` [heads, c, c] and the norms, [heads, c, 1] and [heads, 1, c]."""
    gram = np.asarray(stats.gram, np.float64)
    heads, c = gram.shape[:2]
    q = np.maximum(np.sqrt(np.asarray(stats.qq, np.float64)), NORM_FLOOR).reshape(heads, c, 1)
    k = np.maximum(np.sqrt(np.asarray(stats.kk, np.float64)), NORM_FLOOR).reshape(heads, 1, c)
    return gram / q / k, q, k


def attention_ref(cosines: np.ndarray, temperature: np.ndarray) -> np.ndarray:
    """``softmax(temperature * cosines)`` [heads, c, c]; rows sum to one."""
    logits = np.asarray(temperature, np.float64) * cosines
    attention = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.asarray(attention / attention.sum(axis=2, keepdims=True))


def block_diagonal(attention: np.ndarray) -> np.ndarray:
    """[heads, c, c] -> [heads c, heads c]."""
    heads, c = attention.shape[:2]
    out = np.zeros((heads * c, heads * c))
    for h in range(heads):
        out[h * c : (h + 1) * c, h * c : (h + 1) * c] = attention[h]
    return out


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
    mixing = block_diagonal(attention_ref(cosines_ref(stats)[0], temperature))
    return np.asarray(project, np.float64)[:, :, 0, 0] @ mixing
