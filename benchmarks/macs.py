"""Multiply-adds and bytes per pixel of a network, from its sizes.

Counted as in ``kernels/*/README.md``: products of the network itself, without LayerNorm, GELU,
the upsampling of MS and what halos compute twice. A FLOP is half a multiply-add.
"""

from __future__ import annotations

from pantiny.errors import OptionError
from pantiny.variants import Variant

RATIO = 4  # of the benchmarks' scenes


def statistics_macs(v: Variant) -> int:
    """q, k 1x1; depthwise 3x3; gram matrix; squared norms."""
    c = v.channels
    return 2 * c * c + 2 * c * 9 + c * (c // v.heads) + 2 * c


def apply_macs(v: Variant) -> int:
    """v 1x1 and depthwise; folded matrix; expand, depthwise, project."""
    c = v.channels
    return c * c + 9 * c + c * c + 4 * c * c + 9 * 4 * c + 2 * c * c


def fusion_macs(v: Variant) -> int:
    """The convolutions that bring PAN in.

    Raises
    ------
    OptionError
        For a fusion that the core does not run.
    """
    c = v.channels
    if v.fusion == "conv1x1":
        return (c + 1) * c
    if v.fusion == "enhanced_conv":
        return 9 * (c + 1) * c + 9 * c * c
    if v.fusion == "gated_conv":
        return (c + 1) * 2 * c + 9 * 2 * c + c * c
    raise OptionError(
        f"macs: fusion {v.fusion!r} is not counted; need one that the core runs; use 'tiny'"
    )


def pass_names(v: Variant) -> list[str]:
    """What each pass of a plan computes, in order."""
    names = ["head, statistics 1"]
    for i in range(1, v.blocks):
        fusion = "fusion, " if i == v.encoder_blocks else ""
        names.append(f"block {i}, {fusion}statistics {i + 1}")
    return [*names, f"block {v.blocks}, tail"]


def pass_macs(v: Variant) -> list[int]:
    """Multiply-adds per pixel of each pass."""
    c, k = v.channels, v.bands
    macs = [9 * k * c + statistics_macs(v)]
    for i in range(1, v.blocks):
        fusion = fusion_macs(v) if i == v.encoder_blocks else 0
        macs.append(apply_macs(v) + fusion + statistics_macs(v))
    return [*macs, apply_macs(v) + 9 * c * c + 9 * c * k]


def network_macs(v: Variant) -> int:
    """Multiply-adds per pixel of the whole network."""
    return sum(pass_macs(v))


def pass_bytes(v: Variant) -> list[float]:
    """Bytes per pixel that each pass must move with features kept in memory as float32.

    MS and PAN are uint16, the result is float32; masks, halos and weights are left out.
    """
    features, ms, pan, out = 4.0 * v.channels, 2.0 * v.bands / RATIO**2, 2.0, 4.0 * v.bands
    inner = [2 * features + (pan if i == v.encoder_blocks else 0.0) for i in range(1, v.blocks)]
    return [ms + features, *inner, features + ms + out]


def consistency_macs(bands: int, steps: int, radius: int) -> int:
    """Of back-projection: degrade and upsample, separable (``kernels/consistency``)."""
    taps = 2 * radius
    degrade = taps / RATIO + taps / RATIO**2
    return round(bands * steps * (degrade + 4 / RATIO + 4))
