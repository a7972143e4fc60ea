"""Gradients of the last segment, after its block: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..layers_backward_ref import Gradients, conv3x3_backward
from ..layers_ref import Weights, conv3x3, masked, tensor


def tail_backward_ref(
    dfused: np.ndarray, x: np.ndarray, valid: np.ndarray, w: Weights
) -> tuple[np.ndarray, np.ndarray, Gradients]:
    """Gradients of ``valid * (output3x3(valid * refine3x3(x)) + ms_up)``.

    Parameters
    ----------
    dfused : array [K, H, W]
        Anything where not valid.
    x : array [C, H, W]
        Result of the last block (``apply_ref``).
    valid : array [H, W] bool
    w : mapping

    Returns
    -------
    dx : array [C, H, W]
    dms_up : array [K, H, W]
        What reaches ``ms_up`` here; the head adds its share. Both zero where not valid.
    gradients : dict
        Of ``refine.weight`` and ``output.weight``.
    """
    dfused = masked(dfused, valid)
    refine, output = tensor(w, "refine.weight"), tensor(w, "output.weight")
    dy, doutput = conv3x3_backward(dfused, masked(conv3x3(x, refine), valid), output)
    dx, drefine = conv3x3_backward(masked(dy, valid), x, refine)
    return masked(dx, valid), dfused, {"refine.weight": drefine, "output.weight": doutput}
