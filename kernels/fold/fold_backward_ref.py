"""Pass B2, from the gradient of the matrix to that of the statistics: the float64 truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..boundary.boundary_ref import Statistics
from .fold_ref import NORM_FLOOR, attention_ref, block_diagonal, cosines_ref


class StatisticsGradient(NamedTuple):
    """What ``dq = D k - alpha q`` and ``dk = D^T q - beta k`` need, at every pixel.

    Attributes
    ----------
    d : array [heads, C/heads, C/heads]
        Gradient of ``gram``.
    alpha, beta : array [C]
        -2 times the gradients of ``qq`` and ``kk``.
    """

    d: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray


def fold_backward_ref(
    dmatrix: np.ndarray, stats: Statistics, temperature: np.ndarray, project: np.ndarray
) -> tuple[StatisticsGradient, np.ndarray, np.ndarray]:
    """Gradients of ``fold_ref``: of one image, and no pixel is looked at.

    Parameters
    ----------
    dmatrix : array [C, C]
    stats : Statistics
    temperature : array [heads, 1, 1]
    project : array [C, C, 1, 1]

    Returns
    -------
    StatisticsGradient
    dtemperature : array [heads, 1, 1]
    dproject : array [C, C, 1, 1]

    Notes
    -----
    A norm at the floor does not depend on q or k: its alpha or beta is 0.
    """
    cosines, q, k = cosines_ref(stats)
    attention = attention_ref(cosines, temperature)
    heads, c = attention.shape[:2]
    dmixing = np.asarray(project, np.float64)[:, :, 0, 0].T @ dmatrix
    dproject = dmatrix @ block_diagonal(attention).T
    blocks = [slice(h * c, (h + 1) * c) for h in range(heads)]
    dattention = np.stack([dmixing[b, b] for b in blocks])

    inner = (dattention * attention).sum(axis=2, keepdims=True)
    dlogits = attention * (dattention - inner)
    dtemperature = (dlogits * cosines).sum(axis=(1, 2), keepdims=True)
    dcosines = np.asarray(temperature, np.float64) * dlogits
    along = dcosines * cosines
    alpha = np.where(q > NORM_FLOOR, along.sum(axis=2, keepdims=True) / q / q, 0.0)
    beta = np.where(k > NORM_FLOOR, along.sum(axis=1, keepdims=True) / k / k, 0.0)
    gradient = StatisticsGradient(dcosines / q / k, alpha.ravel(), beta.ravel())
    return gradient, dtemperature, dproject[:, :, None, None]
