"""Gradients of the head: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..layers_backward_ref import Gradients, conv3x3_backward
from ..layers_ref import Weights, masked, tensor


def head_backward_ref(
    dx: np.ndarray, ms_up: np.ndarray, valid: np.ndarray, w: Weights
) -> tuple[np.ndarray, Gradients]:
    """Gradients of ``head_ref``.

    Parameters
    ----------
    dx : array [C, H, W]
        Gradient of the features; anything where not valid.
    ms_up : array [K, H, W]
    valid : array [H, W] bool
    w : mapping

    Returns
    -------
    dms_up : array [K, H, W]
        Zero where not valid.
    gradients : dict
        Of ``head.weight``.
    """
    dms_up, dweight = conv3x3_backward(
        masked(dx, valid), masked(ms_up, valid), tensor(w, "head.weight")
    )
    return masked(dms_up, valid), {"head.weight": dweight}
