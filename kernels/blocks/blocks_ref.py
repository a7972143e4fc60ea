"""Moments of distinct blocks: the float64 truth, block by block, two passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..windows.windows_ref import U


class Moments(NamedTuple):
    """Of every block.

    Attributes
    ----------
    moments : array [rows of blocks, columns of blocks, 2 planes + pairs] float64
        Means, variances, covariances; 0 where a sample is not valid.
    valid : array [rows of blocks, columns of blocks] int64
        How many samples are valid.
    bound : array like moments
        Largest error of a computation in double about a sample of the block.
    """

    moments: np.ndarray
    valid: np.ndarray
    bound: np.ndarray


def block_at(row: int, column: int, block: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a block's samples lie, an index [block, 1], [block]; mirrored at the right edge."""
    columns = np.arange(column * block, (column + 1) * block) % (2 * width)
    rows = np.arange(row * block, (row + 1) * block)
    return rows[:, None], np.where(columns < width, columns, 2 * width - 1 - columns)


def blocks_ref(
    planes: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    block: int,
    valid: np.ndarray | None = None,
) -> Moments:
    """Means, variances and covariances (population) of distinct blocks from the top left.

    Parameters
    ----------
    planes : sequence of array [H, W]
    pairs : sequence of (int, int)
    block : int
    valid : array [H, W], optional

    Returns
    -------
    Moments

    Notes
    -----
    The bound: a sum of n = block^2 samples less one of the block passes through n + 16 roundings
    at most, so with R the range within the block a mean is off by ``(n + 16) u R``, a variance by
    ``4 (n + 16) u R^2``. A constant block has no variance, exactly.
    """
    height, width = planes[0].shape
    good = np.ones((height, width), bool) if valid is None else valid != 0
    data = [np.where(good, p, 0).astype(np.float64) for p in planes]
    shape = height // block, -(-width // block)
    moments, bound = np.zeros((2, *shape, 2 * len(planes) + len(pairs)))
    count = np.zeros(shape, np.int64)
    step = (block * block + 16) * U
    for row, column in np.ndindex(*shape):
        at = block_at(row, column, block, width)
        count[row, column] = good[at].sum()
        if count[row, column] < block * block:
            continue
        x = [p[at] for p in data]
        shifted = [v - v[0, 0] for v in x]
        mean = [v.mean() for v in shifted]
        deviation = [v - m for v, m in zip(shifted, mean, strict=True)]
        reach = [float(np.ptp(v)) for v in x]
        products = [(k, k) for k in range(len(x))] + list(pairs)
        moments[row, column] = [v[0, 0] + m for v, m in zip(x, mean, strict=True)] + [
            (deviation[i] * deviation[j]).mean() for i, j in products
        ]
        bound[row, column] = [
            step * r + 4 * U * np.abs(v).max() for r, v in zip(reach, x, strict=True)
        ] + [4 * step * reach[i] * reach[j] for i, j in products]
    return Moments(moments, count, bound)
