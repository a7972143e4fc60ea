"""Gradients of the fusion with PAN, after its block: the float64 truth."""

from __future__ import annotations

import numpy as np

from ..layers_backward_ref import (
    Gradients,
    conv1x1_backward,
    conv3x3_backward,
    gated_conv_backward,
)
from ..layers_ref import Weights, conv3x3, masked, tensor
from .fusion_ref import check_local


def fuse_pan_backward_ref(
    dout: np.ndarray, x: np.ndarray, pan: np.ndarray, valid: np.ndarray, w: Weights, kind: str
) -> tuple[np.ndarray, np.ndarray, Gradients]:
    """Gradients of ``fuse_pan_ref``.

    Parameters
    ----------
    dout : array [C, H, W]
        Gradient of the fused features; anything where not valid.
    x : array [C, H, W]
        Result of the encoder's last block (``apply_ref``).
    pan : array [H, W]
    valid : array [H, W] bool
    w : mapping
    kind : str

    Returns
    -------
    dx : array [C, H, W]
    dpan : array [H, W]
        Both zero where not valid.
    gradients : dict
        Of the ``fusion.*`` tensors.

    Raises
    ------
    OptionError
        If the fusion is not one segment.
    """
    check_local(kind)
    xp = masked(np.concatenate([x, pan[None]]), valid)
    dout = masked(dout, valid)
    if kind == "conv1x1":
        dxp, dweight = conv1x1_backward(dout, xp, tensor(w, "fusion.conv.weight"))
        gradients = {"fusion.conv.weight": dweight}
    elif kind == "enhanced_conv":
        first, second = tensor(w, "fusion.conv1.weight"), tensor(w, "fusion.conv2.weight")
        y = masked(np.maximum(conv3x3(xp, first), 0.0), valid)
        dy, dsecond = conv3x3_backward(dout, y, second)
        dxp, dfirst = conv3x3_backward(np.where(y > 0.0, dy, 0.0), xp, first)
        gradients = {"fusion.conv1.weight": dfirst, "fusion.conv2.weight": dsecond}
    else:
        dxp, gradients = gated_conv_backward(dout, xp, valid, w, "fusion")
    dxp = masked(dxp, valid)
    return dxp[:-1], dxp[-1], gradients
