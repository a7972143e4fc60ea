"""The layers every segment is made of, in numpy float64.

Images are [C, H, W] without a batch axis; a 3x3 reads zeros outside the image.
``valid`` [H, W] bool marks the pixels that exist: nodata and masked pixels are to be
treated exactly like pixels outside the image, so every tensor is re-zeroed there
before a 3x3 reads it (a 1x1 of a normalised pixel is not zero: the norm has a bias).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

Weights = Mapping[str, np.ndarray]

NORM_EPS = 1e-5

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def masked(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """``x`` [..., H, W] in float64 with zeros where ``valid`` [H, W] is False.

    A selection, not a product: what a masked pixel holds may be NaN.
    """
    return np.where(valid, np.asarray(x, np.float64), 0.0)


def tensor(w: Weights, name: str) -> np.ndarray:
    """Tensor ``name`` of the model in float64."""
    return np.asarray(w[name], np.float64)


def conv1x1(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x [C, H, W], weight [O, C, 1, 1] -> [O, H, W]."""
    return np.tensordot(weight[:, :, 0, 0], x, 1)


def conv3x3(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x [C, H, W], weight [O, C, 3, 3] -> [O, H, W]; zero padding 1."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((weight.shape[0], height, width))
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + height, dx : dx + width]
            out += np.tensordot(weight[:, :, dy, dx], window, 1)
    return out


def depthwise3x3(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x [C, H, W], weight [C, 1, 3, 3] -> [C, H, W]; zero padding 1."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros(x.shape)
    for dy in range(3):
        for dx in range(3):
            out += weight[:, :, dy, dx, None] * padded[:, dy : dy + height, dx : dx + width]
    return out


def pointwise_depthwise(
    x: np.ndarray, valid: np.ndarray, pointwise: np.ndarray, depthwise: np.ndarray
) -> np.ndarray:
    """``dw3x3(valid * conv1x1(x))``: x [C, H, W] -> [O, H, W]."""
    return depthwise3x3(masked(conv1x1(x, pointwise), valid), depthwise)


def normalised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [C, H, W] less its mean over the channels, by its deviation; the deviation [H, W].

    Biased variance, eps 1e-5.
    """
    centred = x - x.mean(axis=0)
    deviation = np.sqrt((centred * centred).mean(axis=0) + NORM_EPS)
    return centred / deviation, deviation


def channel_norm(x: np.ndarray, w: Weights, prefix: str) -> np.ndarray:
    """LayerNorm over the channels of every pixel."""
    gain, bias = tensor(w, f"{prefix}.weight"), tensor(w, f"{prefix}.bias")
    return np.asarray(normalised(x)[0] * gain[:, None, None] + bias[:, None, None])


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Phi(x) by erfc, so that the negative tail keeps its relative accuracy."""
    return np.asarray(0.5 * _erfc(-math.sqrt(0.5) * x))


def gelu(x: np.ndarray) -> np.ndarray:
    """x * Phi(x), exact."""
    return np.asarray(x * normal_cdf(x))


def gates(
    x: np.ndarray, valid: np.ndarray, w: Weights, prefix: str
) -> tuple[np.ndarray, np.ndarray]:
    """``a, b = dw3x3(valid * expand(x))``."""
    expand, dw = tensor(w, f"{prefix}.expand.weight"), tensor(w, f"{prefix}.dw.weight")
    a, b = np.split(pointwise_depthwise(x, valid, expand, dw), 2)
    return a, b


def gated_conv(x: np.ndarray, valid: np.ndarray, w: Weights, prefix: str) -> np.ndarray:
    """``project(gelu(a) * b)`` of the ``gates``."""
    a, b = gates(x, valid, w, prefix)
    return conv1x1(gelu(a) * b, tensor(w, f"{prefix}.project.weight"))
