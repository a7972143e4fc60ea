"""From the upsampled bands to features: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..layers_ref import Weights, conv3x3, masked, tensor


def head_ref(ms_up: np.ndarray, valid: np.ndarray, w: Weights) -> np.ndarray:
    """``valid * conv3x3(valid * ms_up)``.

    Parameters
    ----------
    ms_up : array [K, H, W]
        MS on the PAN grid, network values; anything (also NaN) where not valid.
    valid : array [H, W] bool
    w : mapping
        Needs ``head.weight`` [C, K, 3, 3].

    Returns
    -------
    array [C, H, W] float64
        The features x, zero where not valid.
    """
    return masked(conv3x3(masked(ms_up, valid), tensor(w, "head.weight")), valid)
