"""Gradients of the network and of the whole fusion in numpy float64: the truth for training.

Composed of the passes in ``pantiny.kernels``, in reverse order; one image at a time.
Gradients of a batch's tensors are the sums over its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .kernels.boundary.boundary_backward_ref import block_backward_ref
from .kernels.boundary.boundary_ref import apply_ref
from .kernels.consistency.consistency_backward_ref import consistency_backward_ref
from .kernels.fusion.fusion_backward_ref import fuse_pan_backward_ref
from .kernels.head.head_backward_ref import head_backward_ref
from .kernels.layers_backward_ref import Gradients
from .kernels.layers_ref import Weights
from .kernels.resample.resample_backward_ref import upsample_masked_backward_ref
from .kernels.tail.tail_backward_ref import tail_backward_ref
from .reference import network_states_ref, upsampled_ref
from .variants import Variant, get_variant


class NetworkGradient(NamedTuple):
    """Of a loss, by all that the network reads.

    Attributes
    ----------
    tensors : dict of str to array
        Names and shapes as in ``Variant.shapes()``.
    ms_up : array [K, H, W]
    pan : array [H, W]
        Both zero where not valid.
    """

    tensors: Gradients
    ms_up: np.ndarray
    pan: np.ndarray


class FuseGradient(NamedTuple):
    """Of a loss, by all that the fusion reads: ``ms`` [K, h, w], ``pan`` [H, W], per DN."""

    tensors: Gradients
    ms: np.ndarray
    pan: np.ndarray


def network_backward_ref(
    dfused: np.ndarray,
    tensors: Weights,
    variant: str | Variant,
    ms_up: np.ndarray,
    pan: np.ndarray,
    valid: np.ndarray | None = None,
) -> NetworkGradient:
    """Gradients of ``network_ref``, from the blocks' inputs and statistics.

    Parameters
    ----------
    dfused : array [K, H, W]
        Gradient of the loss by ``fused``; anything where not valid.
    tensors, variant, ms_up, pan, valid
        As in the forward pass.

    Returns
    -------
    NetworkGradient

    Raises
    ------
    ShapeError
        If the shapes are not those.
    OptionError
        If the variant's fusion holds global reductions of its own.
    """
    v = get_variant(variant)
    states = network_states_ref(tensors, v, ms_up, pan, valid)[1]
    valid = np.ones(pan.shape, bool) if valid is None else np.asarray(valid, bool)
    out: Gradients = {}
    dpan = np.zeros(pan.shape)
    last = states[-1]
    x = apply_ref(last.x, valid, last.matrix, tensors, last.block)
    dx, dms_up, gradients = tail_backward_ref(dfused, x, valid, tensors)
    out.update(gradients)
    for i in reversed(range(v.blocks)):
        s = states[i]
        if i == v.encoder_blocks - 1:
            x = apply_ref(s.x, valid, s.matrix, tensors, s.block)
            dx, dpan, gradients = fuse_pan_backward_ref(dx, x, pan, valid, tensors, v.fusion)
            out.update(gradients)
        dx, gradients = block_backward_ref(dx, s.x, s.statistics, valid, tensors, s.block)
        out.update(gradients)
    of_head, gradients = head_backward_ref(dx, ms_up, valid, tensors)
    out.update(gradients)
    return NetworkGradient(out, dms_up + of_head, dpan)


def fuse_backward_ref(
    dout: np.ndarray,
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
) -> FuseGradient:
    """Gradients of ``fuse_ref``, through the consistency steps and the upsampling.

    Parameters
    ----------
    dout : array [K, H, W]
        Gradient of the loss by the DN; anything where not valid.
    tensors, variant, ms, pan, scale_dn, gains, consistency, scale, offset, valid, ms_valid
        As in the forward pass.

    Returns
    -------
    FuseGradient
        0 where a sample or pixel does not exist.

    Raises
    ------
    ShapeError, OptionError
    """
    ms, pan = np.asarray(ms, np.float64), np.asarray(pan, np.float64)
    shape = (ms.shape[1], ms.shape[2])
    if scale is None:
        scale = shape[0] / pan.shape[0], shape[1] / pan.shape[1]
    inside = np.ones(pan.shape, bool) if valid is None else np.asarray(valid, bool)
    exists = np.ones(shape, bool) if ms_valid is None else np.asarray(ms_valid, bool)
    dfused, dms = consistency_backward_ref(
        np.where(inside, dout, 0.0),
        shape,
        gains,
        consistency,
        scale=scale,
        offset=offset,
        valid=valid,
        ms_valid=ms_valid,
    )
    ms_up = upsampled_ref(ms, pan.shape, scale, offset, ms_valid) / scale_dn
    of = network_backward_ref(dfused, tensors, variant, ms_up, pan / scale_dn, valid)
    dms += upsample_masked_backward_ref(of.ms_up, exists, scale, offset)
    # fused DN = scale_dn * network values and network values = DN / scale_dn: ms and pan keep
    # their gradient, tensors get scale_dn
    return FuseGradient({k: scale_dn * g for k, g in of.tensors.items()}, dms, of.pan)
