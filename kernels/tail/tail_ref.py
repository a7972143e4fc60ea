"""The last segment, from features to bands: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..boundary.boundary_ref import apply_ref
from ..layers_ref import Weights, conv3x3, masked, tensor


def tail_ref(
    x: np.ndarray,
    ms_up: np.ndarray,
    valid: np.ndarray,
    matrix: np.ndarray,
    w: Weights,
    block: str,
) -> np.ndarray:
    """``valid * (output3x3(valid * refine3x3(apply(x))) + ms_up)``.

    Parameters
    ----------
    x : array [C, H, W]
    ms_up : array [K, H, W]
        Network values; anything (also NaN) where not valid.
    valid : array [H, W] bool
    matrix : array [C, C]
        Of ``block``, the last of the body.
    w : mapping
    block : str

    Returns
    -------
    array [K, H, W] float64, zero where not valid
    """
    x = apply_ref(x, valid, matrix, w, block)
    x = masked(conv3x3(x, tensor(w, "refine.weight")), valid)
    return masked(conv3x3(x, tensor(w, "output.weight")) + ms_up, valid)
