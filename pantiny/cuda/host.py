"""Pairs in host memory on one or several devices: whole where they fit, else in bands."""

from __future__ import annotations

from ..bands import Group
from ..engine import Progress, Settings, Sink, Source
from ..weights import Model
from .bands import run_bands
from .layout import DeviceLayout
from .whole import run_whole


def run_source(
    source: Source,
    sink: Sink,
    model: Model,
    groups: list[Group],
    scales: list[float],
    settings: Settings,
    layout: DeviceLayout,
    precision: str,
    progress: Progress | None = None,
) -> None:
    """Fuse a pair; see ``engine.run``."""
    if layout.whole:
        run_whole(
            [source], [sink], model, groups, [scales], settings, precision, layout.devices[0],
            progress,
        )  # fmt: skip
    else:
        run_bands(source, sink, model, groups, scales, settings, layout, precision, progress)
