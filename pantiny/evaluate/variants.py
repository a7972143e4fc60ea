"""Variants of D_lambda and D_s of files. Only ``alparone08`` streams; the others take all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import OptionError
from ..sensors import Sensor
from .images import Cut, Image, both_valid
from .indices import VARIANTS

DEFAULT = VARIANTS[0]
MAX_SAMPLES = 1 << 26  # PAN pixels times bands held in memory, 16 Mpx of four bands
SHARED_CORNERS = 1e-6  # PAN pixels

Values = dict[str, float]


def replace_variant(
    ms: Image,
    pan: Image,
    fused: Image,
    cut: Cut,
    variant: str,
    window: int,
    sensor: Sensor | None,
) -> Callable[[Values], Values]:
    """Puts the variant's D_lambda, D_s, QNR and HQNR in the place of the streamed ones.

    Raises
    ------
    OptionError, ShapeError, DataError
    """
    if variant == DEFAULT:
        return lambda values: values
    if variant not in VARIANTS:
        raise OptionError(f"variant: got {variant!r}; need one of {', '.join(VARIANTS)}")
    samples = cut.height * cut.width * fused.bands
    if samples > MAX_SAMPLES:
        raise OptionError(
            f"variant: {variant} does not stream and the product has {cut.height} x {cut.width} "
            f"pixels in {fused.bands} bands; need at most {MAX_SAMPLES / 1e6:.0f} million samples; "
            f"take {DEFAULT}, or measure crops"
        )
    middle = (cut.ratio - 1) / 2
    if variant == "toolbox" and max(abs(p - middle) for p in cut.phase) > SHARED_CORNERS:
        raise OptionError(
            f"variant: toolbox upsamples MS with shared corners, but MS lies at phase "
            f"{cut.phase[0]:g}, {cut.phase[1]:g}; need {middle:g}; take {DEFAULT}"
        )
    from ..metrics.full_resolution import d_lambda, d_s, qnr_of

    found, mask = _whole(ms, pan, fused, cut)
    place: Any = cut.phase
    options: Any = {"variant": variant, "window": window, "mask": mask}
    spectral = d_lambda(found[0], found[1], **options)
    spatial = d_s(*found, **options, sensor=sensor, phase=place)

    def replaced(values: Values) -> Values:
        put = {"d_lambda": spectral, "d_s": spatial, "qnr": qnr_of(spectral, spatial)}
        if "d_lambda_k" in values:
            put["hqnr"] = qnr_of(values["d_lambda_k"], spatial)
        return {**values, **put}

    return replaced


def _whole(
    ms: Image, pan: Image, fused: Image, cut: Cut
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray | None]:
    """Product, MS and PAN, and which pixels count: those under a missing MS pixel do not."""
    fused_rows, fused_valid = fused.read(cut.fused)
    pan_rows, pan_valid = pan.read(cut.pan)
    ms_rows, ms_valid = ms.read(cut.ms)
    images = fused_rows, ms_rows, pan_rows[0]
    if fused_valid is None and pan_valid is None and ms_valid is None:
        return images, None
    valid = both_valid(fused_valid, pan_valid, fused_rows.shape[1:])
    if ms_valid is not None:
        valid &= ms_valid.repeat(cut.ratio, 0).repeat(cut.ratio, 1)
    return images, valid
