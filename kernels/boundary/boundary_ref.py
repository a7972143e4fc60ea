"""From one global reduction to the next: the float64 truth.

A block's only coupling between distant pixels is its attention matrix, a function of
a few sums over all pixels. ``statistics_ref`` takes those sums, ``fold_ref`` (in
``kernels.fold``) turns them into one matrix [C, C], ``apply_ref`` runs the block with
it. ``boundary_ref`` is the fused pair: apply one block, take the sums of the next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..layers_ref import Weights, channel_norm, gated_conv, masked, pointwise_depthwise, tensor


class Statistics(NamedTuple):
    """Sums over the valid pixels: all that attention needs to know of an image.

    Attributes
    ----------
    gram : array [heads, C/heads, C/heads]
        ``q k^T`` of each head; rows are channels of q.
    qq, kk : array [C]
        Sums of squares of q and of k.
    """

    gram: np.ndarray
    qq: np.ndarray
    kk: np.ndarray


def sums_ref(q: np.ndarray, k: np.ndarray, heads: int) -> Statistics:
    """Statistics of q, k [C, H, W] that are zero where not valid."""
    channels, height, width = q.shape
    split = (heads, channels // heads, height * width)
    gram = q.reshape(split) @ k.reshape(split).transpose(0, 2, 1)
    return Statistics(gram, (q * q).sum(axis=(1, 2)), (k * k).sum(axis=(1, 2)))


def qkv_ref(
    x: np.ndarray, valid: np.ndarray, w: Weights, block: str, channels: slice
) -> np.ndarray:
    """``valid * dw3x3(valid * conv1x1(norm1(x)))``, of the 3 C channels of q, k, v those asked for.

    x [C, H, W] is zero where not valid.
    """
    pointwise = tensor(w, f"{block}.attention.qkv.weight")[channels]
    depthwise = tensor(w, f"{block}.attention.qkv_dw.weight")[channels]
    y = channel_norm(x, w, f"{block}.norm1")
    return masked(pointwise_depthwise(y, valid, pointwise, depthwise), valid)


def statistics_ref(x: np.ndarray, valid: np.ndarray, w: Weights, block: str) -> Statistics:
    """Sums of q, k = valid * dw3x3(valid * conv1x1(norm1(x))) over the valid pixels.

    Parameters
    ----------
    x : array [C, H, W]
    valid : array [H, W] bool
    w : mapping
    block : str
        Prefix of the block's tensors, such as ``"encoder.0"``.
    """
    c = x.shape[0]
    qk = qkv_ref(masked(x, valid), valid, w, block, slice(2 * c))
    return sums_ref(qk[:c], qk[c:], w[f"{block}.attention.temperature"].shape[0])


def mix_ref(v: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The folded attention: v [C, H, W], matrix [C, C] -> [C, H, W]."""
    return np.tensordot(np.asarray(matrix, np.float64), v, 1)


def feed_forward_ref(z: np.ndarray, valid: np.ndarray, w: Weights, block: str) -> np.ndarray:
    """``valid * (z + project(gelu(a) * b))``, a, b = dw3x3(valid * expand(norm2(z)))."""
    return masked(
        z + gated_conv(channel_norm(z, w, f"{block}.norm2"), valid, w, f"{block}.ffn"), valid
    )


def apply_ref(
    x: np.ndarray, valid: np.ndarray, matrix: np.ndarray, w: Weights, block: str
) -> np.ndarray:
    """One block whose attention has been folded into ``matrix``.

    ``v = dw3x3(valid * conv1x1_v(norm1(x)))``, ``z = valid * (x + matrix v)``, then the
    feed-forward of z.

    Parameters
    ----------
    x : array [C, H, W]
    valid : array [H, W] bool
    matrix : array [C, C]
        From ``fold_ref`` of this block's statistics.
    w : mapping
    block : str

    Returns
    -------
    array [C, H, W] float64, zero where not valid
    """
    c = x.shape[0]
    x = masked(x, valid)
    v = qkv_ref(x, valid, w, block, slice(2 * c, 3 * c))
    return feed_forward_ref(masked(x + mix_ref(v, matrix), valid), valid, w, block)


def boundary_ref(
    x: np.ndarray,
    valid: np.ndarray,
    matrix: np.ndarray,
    w: Weights,
    block: str,
    next_block: str,
) -> tuple[np.ndarray, Statistics]:
    """Apply ``block`` and take the statistics of ``next_block``.

    Parameters
    ----------
    x : array [C, H, W]
    valid : array [H, W] bool
    matrix : array [C, C]
    w : mapping
    block, next_block : str

    Returns
    -------
    x : array [C, H, W] float64
    statistics : Statistics
    """
    x = apply_ref(x, valid, matrix, w, block)
    return x, statistics_ref(x, valid, w, next_block)
