"""Gradients of the layers in ``layers_ref``: explicit, in numpy float64.

``dx`` is the gradient of the loss by ``x`` and has its shape. Every function takes the
gradient of its layer's result and what the layer read, and computes again what lies
between. Where not valid, the caller hands in a gradient that is zero.
"""

from __future__ import annotations

import math

import numpy as np

from .layers_ref import (
    Weights,
    conv1x1,
    conv3x3,
    depthwise3x3,
    gates,
    gelu,
    masked,
    normal_cdf,
    normalised,
    tensor,
)

Gradients = dict[str, np.ndarray]


def over_pixels(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``sum over pixels of dy x^T``: [O, H, W], [C, H, W] -> [O, C]."""
    return np.tensordot(dy, x, ((1, 2), (1, 2)))


def conv1x1_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """dy [O, H, W], x [C, H, W] -> dx, dweight."""
    dx = np.tensordot(weight[:, :, 0, 0], dy, (0, 0))
    return dx, over_pixels(dy, x)[:, :, None, None]


def _windows(x: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """What each of the nine taps of a 3x3 reads."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return {(i, j): padded[:, i : i + height, j : j + width] for i, j in np.ndindex(3, 3)}


def conv3x3_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """dy [O, H, W], x [C, H, W] -> dx, dweight; dx is a 3x3 with its taps reversed."""
    dweight = np.empty(weight.shape)
    for (i, j), window in _windows(x).items():
        dweight[:, :, i, j] = over_pixels(dy, window)
    return conv3x3(dy, weight[:, :, ::-1, ::-1].swapaxes(0, 1)), dweight


def depthwise3x3_backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """dy, x [C, H, W] -> dx, dweight."""
    dweight = np.empty(weight.shape)
    for (i, j), window in _windows(x).items():
        dweight[:, 0, i, j] = (dy * window).sum(axis=(1, 2))
    return depthwise3x3(dy, weight[:, :, ::-1, ::-1]), dweight


def pointwise_depthwise_backward(
    dy: np.ndarray, x: np.ndarray, valid: np.ndarray, pointwise: np.ndarray, depthwise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dy [O, H, W], x [C, H, W] -> dx, dpointwise, ddepthwise."""
    dt, ddepthwise = depthwise3x3_backward(dy, masked(conv1x1(x, pointwise), valid), depthwise)
    dx, dpointwise = conv1x1_backward(masked(dt, valid), x, pointwise)
    return dx, dpointwise, ddepthwise


def channel_norm_backward(
    dy: np.ndarray, x: np.ndarray, w: Weights, prefix: str
) -> tuple[np.ndarray, Gradients]:
    """dy, x [C, H, W] -> dx, the gradients of gain and bias.

    ``dx = (g - mean g - n mean(g n)) / deviation`` with ``g = gain dy``, n the normalised x,
    means over the channels.
    """
    n, deviation = normalised(x)
    g = tensor(w, f"{prefix}.weight")[:, None, None] * dy
    dx = (g - g.mean(axis=0) - n * (g * n).mean(axis=0)) / deviation
    dgain, dbias = (dy * n).sum(axis=(1, 2)), dy.sum(axis=(1, 2))
    return dx, {f"{prefix}.weight": dgain, f"{prefix}.bias": dbias}


def unfold_norm_backward(
    dfolded: np.ndarray, weight: np.ndarray, gain: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a 1x1 and its norm from that of the two folded, [O, C + 1].

    Kernels multiply the normalised x by ``[weight diag(gain), weight bias]``. -> dweight, dgain,
    dbias.
    """
    matrix, dmatrix, doffset = weight[:, :, 0, 0], dfolded[:, :-1], dfolded[:, -1]
    dweight = dmatrix * gain + np.outer(doffset, bias)
    return dweight[:, :, None, None], (matrix * dmatrix).sum(axis=0), matrix.T @ doffset


def gelu_derivative(x: np.ndarray) -> np.ndarray:
    """``Phi(x) + x phi(x)``."""
    return np.asarray(normal_cdf(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))


def gated_conv_backward(
    dy: np.ndarray, x: np.ndarray, valid: np.ndarray, w: Weights, prefix: str
) -> tuple[np.ndarray, Gradients]:
    """dy [O, H, W], x [C, H, W] -> dx, the gradients of ``expand``, ``dw``, ``project``."""
    a, b = gates(x, valid, w, prefix)
    dgated, dproject = conv1x1_backward(dy, gelu(a) * b, tensor(w, f"{prefix}.project.weight"))
    dab = np.concatenate([dgated * b * gelu_derivative(a), dgated * gelu(a)])
    expand, dw = tensor(w, f"{prefix}.expand.weight"), tensor(w, f"{prefix}.dw.weight")
    dx, dexpand, ddw = pointwise_depthwise_backward(dab, x, valid, expand, dw)
    return dx, {
        f"{prefix}.expand.weight": dexpand,
        f"{prefix}.dw.weight": ddw,
        f"{prefix}.project.weight": dproject,
    }
