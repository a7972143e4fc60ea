"""The float64 truth of ``shrink``: a sum over taps per sample."""

from __future__ import annotations

import numpy as np


def shrink_ref(
    plane: np.ndarray,
    row_weights: np.ndarray,
    col_weights: np.ndarray,
    first: tuple[int, int],
    step: int,
    shape: tuple[int, int],
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """``plane`` [rows, width] on a grid of ``shape``; see the README.

    Parameters
    ----------
    first : (int, int)
        Row and column under the first taps of sample (0, 0); may lie outside.
    valid : array [rows, width], optional
        Samples under a zero count as 0.

    Returns
    -------
    array ``shape`` float64
    """
    values = np.where(True if valid is None else valid != 0, plane, 0).astype(np.float64)
    taps = np.arange(len(row_weights))
    rows = np.clip(first[0] + step * np.arange(shape[0])[:, None] + taps, 0, plane.shape[0] - 1)
    cols = np.clip(first[1] + step * np.arange(shape[1])[:, None] + taps, 0, plane.shape[1] - 1)
    window = values[rows[:, None, :, None], cols[None, :, None, :]]
    return np.einsum("ijtu,t,u->ij", window, row_weights, col_weights)
