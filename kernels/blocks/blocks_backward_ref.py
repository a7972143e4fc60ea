"""Gradients of the moments of distinct blocks: the float64 truth, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .blocks_ref import block_at


def blocks_backward_ref(
    dmoments: np.ndarray,
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    block: int,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient of ``sum(dmoments * moments)`` over the blocks whose samples are all valid.

    Parameters
    ----------
    dmoments : array [rows of blocks, columns of blocks, 2 planes + pairs]
    planes, pairs, block, valid
        As in ``blocks_ref``.

    Returns
    -------
    array [planes, H, W] float64
        0 where not valid and below the last whole block.

    Notes
    -----
    A sample gets ``(dmean + 2 dvariance d + sum over pairs of dcovariance d') / S^2``, d and d'
    the deviations of its plane and of the other; mirrored ones add to those they mirror.
    """
    height, width = planes[0].shape
    good = np.ones((height, width), bool) if valid is None else valid != 0
    data = [np.where(good, p, 0).astype(np.float64) for p in planes]
    n = len(data)
    out = np.zeros((n, height, width))
    for row, column in np.ndindex(*dmoments.shape[:2]):
        at = block_at(row, column, block, width)
        if not good[at].all():
            continue
        d = [x - x.mean() for x in (p[at] for p in data)]
        by = dmoments[row, column] / block**2
        dx = [by[k] + 2 * by[n + k] * d[k] for k in range(n)]
        for g, (i, j) in zip(by[2 * n :], pairs, strict=True):
            dx[i] = dx[i] + g * d[j]
            dx[j] = dx[j] + g * d[i]
        for k in range(n):
            np.add.at(out[k], at, dx[k])
    return out
