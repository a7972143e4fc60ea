"""The project's one Wald protocol: an image pair degraded by its ratio.

MS loses resolution through the sensor's MTF (a Gaussian with the sensor's gain at the
Nyquist frequency of the coarser grid), PAN through an antialiased cubic (a = -0.5).

*Phase.* Sample ``i`` of the coarse grid lies at ``r*i + phase`` of the fine one, in fine
pixels, centres at whole numbers. The default is the centred ``(r-1)/2``: the grids share
their corners. A pair degraded with the phase of its own two grids keeps that phase.

*Edges* are replicated. *Masks*: weights are normalised over the pixels that exist; a sample
exists where they hold at least half of the kernel's weight.

Arrays: `degrade_pair`, `degrade_ms`, `degrade_pan`, and `upsample_ms` for the way back.
GeoTIFF: `degrade_files`, streamed, with the same bits.

Source: Wald, Ranchin, Mangolini, Photogramm. Eng. Remote Sens. 63(6), 1997.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arrays import degrade_ms, degrade_pair, degrade_pan, upsample_ms

if TYPE_CHECKING:
    from .files import degrade_files as degrade_files

__all__ = ["degrade_files", "degrade_ms", "degrade_pair", "degrade_pan", "upsample_ms"]


def __getattr__(name: str) -> Any:
    if name == "degrade_files":  # needs rasterio, which training and metrics do without
        from .files import degrade_files

        return degrade_files
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
