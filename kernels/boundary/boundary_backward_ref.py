"""Gradients of a block, in the three passes of the kernels: the float64 truth.

The forward pass keeps of every block its input x and its statistics; all else is
computed again. B1 goes from the gradient of the block's result through the feed-forward
to dz and the one sum over all pixels, dmatrix. B2 (``kernels.fold``) turns dmatrix into
three small arrays. B3 goes with these from dz through the attention to dx.
"""

from __future__ import annotations

import numpy as np

from ..fold.fold_backward_ref import StatisticsGradient, fold_backward_ref
from ..fold.fold_ref import fold_ref
from ..layers_backward_ref import (
    Gradients,
    channel_norm_backward,
    gated_conv_backward,
    over_pixels,
    pointwise_depthwise_backward,
)
from ..layers_ref import Weights, channel_norm, masked, tensor
from .boundary_ref import Statistics, mix_ref, qkv_ref


def feed_forward_backward_ref(
    dout: np.ndarray,
    x: np.ndarray,
    valid: np.ndarray,
    matrix: np.ndarray,
    w: Weights,
    block: str,
) -> tuple[np.ndarray, np.ndarray, Gradients]:
    """B1: the feed-forward half, and dmatrix.

    Parameters
    ----------
    dout : array [C, H, W]
        Gradient of the block's result; anything where not valid.
    x : array [C, H, W]
        What the block read.
    valid : array [H, W] bool
    matrix : array [C, C]
        Of this block, as in the forward pass.
    w : mapping
    block : str

    Returns
    -------
    dz : array [C, H, W]
        Gradient of ``z = valid * (x + matrix v)``, zero where not valid.
    dmatrix : array [C, C]
        ``sum over pixels of dz v^T``.
    gradients : dict
        Of ``norm2`` and ``ffn``.
    """
    c = x.shape[0]
    x, dout = masked(x, valid), masked(dout, valid)
    v = qkv_ref(x, valid, w, block, slice(2 * c, 3 * c))
    z = x + mix_ref(v, matrix)
    y = channel_norm(z, w, f"{block}.norm2")
    dy, gradients = gated_conv_backward(dout, y, valid, w, f"{block}.ffn")
    of_branch, of_norm = channel_norm_backward(dy, z, w, f"{block}.norm2")
    dz = dout + of_branch
    return dz, over_pixels(dz, v), {**of_norm, **gradients}


def attention_backward_ref(
    dz: np.ndarray,
    x: np.ndarray,
    valid: np.ndarray,
    matrix: np.ndarray,
    gradient: StatisticsGradient,
    w: Weights,
    block: str,
) -> tuple[np.ndarray, Gradients]:
    """B3: the attention half.

    Parameters
    ----------
    dz : array [C, H, W]
        From B1.
    x : array [C, H, W]
    valid : array [H, W] bool
    matrix : array [C, C]
    gradient : StatisticsGradient
        From B2.
    w : mapping
    block : str

    Returns
    -------
    dx : array [C, H, W]
        Zero where not valid.
    gradients : dict
        Of ``norm1``, ``attention.qkv`` and ``attention.qkv_dw``.
    """
    c = x.shape[0]
    x = masked(x, valid)
    qk = qkv_ref(x, valid, w, block, slice(2 * c))
    q, k = qk.reshape(2, *gradient.d.shape[:2], -1)
    alpha, beta = gradient.alpha.reshape(q.shape[:2]), gradient.beta.reshape(q.shape[:2])
    dq = gradient.d @ k - alpha[:, :, None] * q
    dk = gradient.d.transpose(0, 2, 1) @ q - beta[:, :, None] * k
    dv = mix_ref(dz, matrix.T)
    dqkv = np.concatenate([dq.reshape(x.shape), dk.reshape(x.shape), dv])

    name, norm = f"{block}.attention", f"{block}.norm1"
    pointwise, depthwise = tensor(w, f"{name}.qkv.weight"), tensor(w, f"{name}.qkv_dw.weight")
    y = channel_norm(x, w, norm)
    dy, dpointwise, ddepthwise = pointwise_depthwise_backward(dqkv, y, valid, pointwise, depthwise)
    of_branch, of_norm = channel_norm_backward(dy, x, w, norm)
    return dz + of_branch, {
        **of_norm,
        f"{name}.qkv.weight": dpointwise,
        f"{name}.qkv_dw.weight": ddepthwise,
    }


def block_backward_ref(
    dout: np.ndarray, x: np.ndarray, stats: Statistics, valid: np.ndarray, w: Weights, block: str
) -> tuple[np.ndarray, Gradients]:
    """B1, B2 and B3: from the gradient of the block's result to that of its input.

    Parameters
    ----------
    dout, x : array [C, H, W]
    stats : Statistics
        Of this block, as in the forward pass.
    valid : array [H, W] bool
    w : mapping
    block : str

    Returns
    -------
    dx : array [C, H, W]
        Zero where not valid.
    gradients : dict
        Of all tensors of the block.
    """
    name = f"{block}.attention"
    of_fold = stats, tensor(w, f"{name}.temperature"), tensor(w, f"{name}.project.weight")
    matrix = fold_ref(*of_fold)
    dz, dmatrix, of_feed_forward = feed_forward_backward_ref(dout, x, valid, matrix, w, block)
    gradient, dtemperature, dproject = fold_backward_ref(dmatrix, *of_fold)
    dx, of_attention = attention_backward_ref(dz, x, valid, matrix, gradient, w, block)
    return dx, {
        **of_feed_forward,
        f"{name}.temperature": dtemperature,
        f"{name}.project.weight": dproject,
        **of_attention,
    }
