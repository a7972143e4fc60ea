"""The whole network and the whole fusion in numpy float64: the truth for every backend.

For reading and for tests, not for speed. ``network_ref`` is composed of the segments
that the kernels compute (``pantiny.kernels``), ``fuse_ref`` of everything between the
DN that come in and the DN that go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .errors import ShapeError
from .kernels.boundary.boundary_ref import (
    Statistics,
    apply_ref,
    boundary_ref,
    feed_forward_ref,
    mix_ref,
    statistics_ref,
    sums_ref,
)
from .kernels.consistency.consistency_ref import consistency_ref
from .kernels.fold.fold_ref import fold_ref
from .kernels.fusion.fusion_ref import LOCAL_FUSIONS, fusion_ref
from .kernels.head.head_ref import head_ref
from .kernels.layers_ref import (
    Weights,
    channel_norm,
    conv1x1,
    depthwise3x3,
    masked,
    tensor,
)
from .kernels.resample.resample_masked_ref import upsample_masked_ref
from .kernels.resample.resample_ref import apply_taps, cubic_taps
from .kernels.tail.tail_ref import tail_ref
from .variants import DEEP_FUSION_LAYERS, Variant, get_variant


def _fold(w: Weights, attention: str, q: np.ndarray, k: np.ndarray) -> np.ndarray:
    temperature = tensor(w, f"{attention}.temperature")
    stats = sums_ref(q, k, temperature.shape[0])
    return fold_ref(stats, temperature, tensor(w, f"{attention}.project.weight"))


def _channel_attention(x: np.ndarray, pan: np.ndarray, valid: np.ndarray, w: Weights) -> np.ndarray:
    """x + attention with queries from x and keys, values from the embedded PAN."""
    c = x.shape[0]
    qkv = tensor(w, "fusion.attention.qkv.weight")
    source = conv1x1(masked(pan[None], valid), tensor(w, "fusion.embed.weight"))
    q = conv1x1(channel_norm(x, w, "fusion.norm"), qkv[:c])
    mixed = masked(np.concatenate([q, conv1x1(source, qkv[c:])]), valid)
    mixed = masked(depthwise3x3(mixed, tensor(w, "fusion.attention.qkv_dw.weight")), valid)
    q, k, v = np.split(mixed, 3)
    return np.asarray(x + mix_ref(v, _fold(w, "fusion.attention", q, k)))


def _deep_fusion(x: np.ndarray, pan: np.ndarray, valid: np.ndarray, w: Weights) -> np.ndarray:
    """Blocks whose keys and values are 1x1 convolutions of the embedded PAN."""
    for i in range(DEEP_FUSION_LAYERS):
        p = f"fusion.{i}"
        source = conv1x1(masked(pan[None], valid), tensor(w, f"{p}.embed.weight"))
        q = conv1x1(channel_norm(x, w, f"{p}.norm1"), tensor(w, f"{p}.attention.q.weight"))
        q = depthwise3x3(masked(q, valid), tensor(w, f"{p}.attention.q_dw.weight"))
        k, v = np.split(conv1x1(source, tensor(w, f"{p}.attention.kv.weight")), 2)
        x = x + mix_ref(v, _fold(w, f"{p}.attention", masked(q, valid), k))
        x = feed_forward_ref(x, valid, w, p)
    return x


class BlockState(NamedTuple):
    """What the forward pass keeps of a block for the backward pass.

    Attributes
    ----------
    block : str
        Prefix of its tensors.
    x : array [C, H, W]
        What it read.
    statistics : Statistics
    matrix : array [C, C]
        From the statistics, by ``fold_ref``.
    """

    block: str
    x: np.ndarray
    statistics: Statistics
    matrix: np.ndarray


def network_ref(
    tensors: Weights,
    variant: str | Variant,
    ms_up: np.ndarray,
    pan: np.ndarray,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """The network on one image: the result of ``network_states_ref``."""
    return network_states_ref(tensors, variant, ms_up, pan, valid)[0]


def network_states_ref(
    tensors: Weights,
    variant: str | Variant,
    ms_up: np.ndarray,
    pan: np.ndarray,
    valid: np.ndarray | None = None,
) -> tuple[np.ndarray, list[BlockState]]:
    """The network on one image, segment by segment.

    Parameters
    ----------
    tensors : mapping of str to array
        Names and shapes as in ``Variant.shapes()``.
    variant : str or Variant
        At least one block on either side of the fusion.
    ms_up : array [K, H, W]
        MS on the PAN grid, network values; anything (also NaN) where not valid.
    pan : array [H, W]
        PAN, network values; anything (also NaN) where not valid.
    valid : array [H, W] bool, optional
        Pixels that exist; the others are treated exactly like pixels outside the image.

    Returns
    -------
    fused : array [K, H, W] float64
        Network values, zero where not valid.
    states : list of BlockState
        Of every block, in order.

    Raises
    ------
    ShapeError
        If the shapes are not those.
    """
    v = get_variant(variant)
    ms_up, pan = np.asarray(ms_up, np.float64), np.asarray(pan, np.float64)
    if ms_up.ndim != 3 or ms_up.shape[0] != v.bands:
        raise ShapeError(f"ms_up: got shape {ms_up.shape}; need [{v.bands}, H, W]")
    valid = np.ones(ms_up.shape[1:], bool) if valid is None else np.asarray(valid, bool)
    for name, array in (("pan", pan), ("valid", valid)):
        if array.shape != ms_up.shape[1:]:
            raise ShapeError(
                f"{name}: got shape {array.shape}; need {ms_up.shape[1:]} "
                f"to match ms_up {ms_up.shape}"
            )
    blocks = [f"encoder.{i}" for i in range(v.encoder_blocks)]
    blocks += [f"body.{i}" for i in range(v.body_blocks)]

    x = head_ref(ms_up, valid, tensors)
    stats = statistics_ref(x, valid, tensors, blocks[0])
    states = []
    for i, block in enumerate(blocks):
        matrix = fold_ref(
            stats,
            tensors[f"{block}.attention.temperature"],
            tensors[f"{block}.attention.project.weight"],
        )
        states.append(BlockState(block, x, stats, matrix))
        if i == v.blocks - 1:
            break
        following = blocks[i + 1]
        if i != v.encoder_blocks - 1:
            x, stats = boundary_ref(x, valid, matrix, tensors, block, following)
        elif v.fusion in LOCAL_FUSIONS:
            x, stats = fusion_ref(x, pan, valid, matrix, tensors, v, block, following)
        else:
            fuse = _channel_attention if v.fusion == "channel_attention" else _deep_fusion
            x = fuse(apply_ref(x, valid, matrix, tensors, block), pan, valid, tensors)
            stats = statistics_ref(x, valid, tensors, following)
    return tail_ref(x, ms_up, valid, matrix, tensors, block), states


def upsampled_ref(
    ms: np.ndarray,
    shape: tuple[int, ...],
    scale: tuple[float, float],
    offset: tuple[float, float],
    ms_valid: np.ndarray | None,
) -> np.ndarray:
    """``ms`` [K, h, w] on the PAN grid of ``shape`` (H, W)."""
    if ms_valid is None:
        rows, cols = (cubic_taps(0, shape[i], scale[i], offset[i]) for i in range(2))
        return apply_taps(ms, rows, cols)
    return upsample_masked_ref(ms, ms_valid, (shape[0], shape[1]), scale, offset)


def fuse_ref(
    tensors: Weights,
    variant: str | Variant,
    ms: np.ndarray,
    pan: np.ndarray,
    *,
    scale_dn: float,
    gains: Sequence[float],
    consistency: int,
    scale: tuple[float, float] | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    valid: np.ndarray | None = None,
    ms_valid: np.ndarray | None = None,
) -> np.ndarray:
    """From DN to DN: upsample, network, consistency; neither rounded nor clipped.

    Parameters
    ----------
    tensors : mapping of str to array
    variant : str or Variant
    ms : array [K, h, w]
        DN; anything (also NaN) where not valid. K is the variant's number of bands.
    pan : array [H, W]
        DN; anything (also NaN) where not valid.
    scale_dn : float
        DN per network value.
    gains : sequence of K floats
        MTF gain of each band at the Nyquist frequency of the MS grid.
    consistency : int
        Number of back-projection steps.
    scale, offset : (float, float), optional
        Place of the PAN grid in MS pixels, rows and columns, as in ``cubic_taps``.
        Default: the grids share their corners, ``scale = (h / H, w / W)``.
    valid : array [H, W] bool, optional
        PAN pixels that exist. A pixel with no MS sample nearby gets ``ms_up`` 0: whether
        it is valid is for the caller to say.
    ms_valid : array [h, w] bool, optional
        MS samples that exist.

    Returns
    -------
    array [K, H, W] float64
        DN, zero where not valid.
    """
    ms, pan = np.asarray(ms, np.float64), np.asarray(pan, np.float64)
    if scale is None:
        scale = ms.shape[1] / pan.shape[0], ms.shape[2] / pan.shape[1]
    ms_up = upsampled_ref(ms, pan.shape, scale, offset, ms_valid)
    fused = network_ref(tensors, variant, ms_up / scale_dn, pan / scale_dn, valid)
    fused = consistency_ref(
        fused,
        ms / scale_dn,
        gains,
        consistency,
        scale=scale,
        offset=offset,
        valid=valid,
        ms_valid=ms_valid,
    )
    return fused * scale_dn
