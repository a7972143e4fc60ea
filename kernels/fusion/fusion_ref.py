"""The segment in the middle, where PAN joins the features: the float64 truth.

Fusions that look at a small neighbourhood are one segment; ``channel_attention`` and
``deep_fusion`` hold global reductions of their own and live in ``pantiny.reference``.
"""

from __future__ import annotations

import numpy as np

from ...errors import OptionError
from ...variants import Variant, get_variant
from ..boundary.boundary_ref import Statistics, apply_ref, statistics_ref
from ..layers_ref import Weights, conv1x1, conv3x3, gated_conv, masked, tensor

LOCAL_FUSIONS = ("conv1x1", "enhanced_conv", "gated_conv")


def check_local(kind: str) -> None:
    """Raise ``OptionError`` if a fusion is not one segment."""
    if kind not in LOCAL_FUSIONS:
        raise OptionError(
            f"fusion: {kind!r} is not one segment; need one of {', '.join(LOCAL_FUSIONS)}; "
            "run the other fusions through pantiny.reference.network_ref"
        )


def fuse_pan_ref(
    x: np.ndarray, pan: np.ndarray, valid: np.ndarray, w: Weights, kind: str
) -> np.ndarray:
    """The fusion alone.

    Parameters
    ----------
    x : array [C, H, W]
    pan : array [H, W]
        Network values; anything (also NaN) where not valid.
    valid : array [H, W] bool
    w : mapping
        Needs the ``fusion.*`` tensors of ``kind``.
    kind : str
        ``"conv1x1"``, ``"enhanced_conv"`` or ``"gated_conv"``.

    Returns
    -------
    array [C, H, W] float64, zero where not valid

    Raises
    ------
    OptionError
        If ``kind`` is another one.
    """
    check_local(kind)
    xp = masked(np.concatenate([x, pan[None]]), valid)
    if kind == "conv1x1":
        y = conv1x1(xp, tensor(w, "fusion.conv.weight"))
    elif kind == "enhanced_conv":
        y = np.maximum(conv3x3(xp, tensor(w, "fusion.conv1.weight")), 0.0)
        y = conv3x3(masked(y, valid), tensor(w, "fusion.conv2.weight"))
    else:
        y = gated_conv(xp, valid, w, "fusion")
    return masked(y, valid)


def fusion_ref(
    x: np.ndarray,
    pan: np.ndarray,
    valid: np.ndarray,
    matrix: np.ndarray,
    w: Weights,
    variant: str | Variant,
    block: str,
    next_block: str,
) -> tuple[np.ndarray, Statistics]:
    """Apply ``block``, fuse with PAN, take the statistics of ``next_block``.

    Parameters
    ----------
    x : array [C, H, W]
    pan : array [H, W]
    valid : array [H, W] bool
    matrix : array [C, C]
        Of ``block``, the last of the encoder.
    w : mapping
    variant : str or Variant
    block, next_block : str

    Returns
    -------
    x : array [C, H, W] float64
    statistics : Statistics
    """
    x = apply_ref(x, valid, matrix, w, block)
    x = fuse_pan_ref(x, pan, valid, w, get_variant(variant).fusion)
    return x, statistics_ref(x, valid, w, next_block)
