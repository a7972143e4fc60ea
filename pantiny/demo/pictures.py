"""Quicklooks, labelled panels and a PNG writer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DtypeError, SceneWriteError, ShapeError
from ..png import encode_png
from .font import draw_text

Limits = Sequence[tuple[float, float]]
PAPER, INK = 255, 30
LABEL_HEIGHT = 24


def stretch_limits(image: np.ndarray, bands: Sequence[int] = (2, 1, 0)) -> Limits:
    """The 2 % and 98 % quantiles of the shown bands, to share between quicklooks.

    Parameters
    ----------
    image : array [K, H, W]
        Any real dtype.
    bands : sequence of 3 ints
        Bands shown as red, green, blue.
    """
    _check_image(image)
    quantiles = [np.percentile(image[band], (2, 98)) for band in bands]
    return [(float(low), float(high)) for low, high in quantiles]


def quicklook(
    image: np.ndarray, bands: Sequence[int] = (2, 1, 0), limits: Limits | None = None
) -> np.ndarray:
    """An image for the eye, stretched linearly and clipped.

    Parameters
    ----------
    image : array [K, H, W]
        Any real dtype.
    bands : sequence of 3 ints
        Bands shown as red, green, blue; ``(0, 0, 0)`` for grey.
    limits : sequence of 3 (low, high), optional
        Values shown as black and white; :func:`stretch_limits` of ``image`` when None.

    Returns
    -------
    array [H, W, 3] uint8
    """
    _check_image(image)
    out = np.empty((*image.shape[1:], 3), np.uint8)
    for k, (band, (low, high)) in enumerate(zip(bands, limits or stretch_limits(image, bands))):
        scaled = (image[band].astype(np.float32) - low) * (255 / max(high - low, 1e-6))
        out[..., k] = np.rint(np.clip(scaled, 0, 255))
    return out


def write_png(path: str | os.PathLike[str], rgb: np.ndarray) -> None:
    """Write an RGB image as PNG (8 bits, filter type Sub).

    Parameters
    ----------
    path : path-like
        Overwritten if it exists.
    rgb : array [H, W, 3] uint8
        As :func:`quicklook` gives it.

    Raises
    ------
    ShapeError, DtypeError
        If ``rgb`` is something else.
    SceneWriteError
        If the file cannot be written.
    """
    _check_rgb("write_png: rgb", rgb)
    try:
        Path(path).write_bytes(encode_png(rgb))
    except OSError as error:
        raise SceneWriteError(
            f"write_png: cannot write {os.fspath(path)!r} ({error.strerror or error}); need a "
            "writable folder with free space; choose another path"
        ) from error


def side_by_side(
    panels: Sequence[np.ndarray], labels: Sequence[str], gap: int = 8, zoom: int = 1
) -> np.ndarray:
    """Panels in a row on white paper, each under its label.

    Parameters
    ----------
    panels : sequence of arrays [H, W, 3] uint8
        All of one size.
    labels : sequence of str
        One for each panel; shown in capitals and cut to the panel's width.
    gap : int
        White pixels around and between the panels.
    zoom : int
        Every pixel of a panel becomes ``zoom`` x ``zoom`` pixels.

    Returns
    -------
    array [H zoom + 24 + 2 gap, n (W zoom + gap) + gap, 3] uint8
    """
    if not panels or len(panels) != len(labels):
        raise ShapeError(
            f"side_by_side: got {len(panels)} panels and {len(labels)} labels; need as many "
            "labels as panels, at least one"
        )
    for panel in panels:
        _check_rgb("side_by_side: panels", panel)
        if panel.shape != panels[0].shape:
            raise ShapeError(
                f"side_by_side: panels are {panels[0].shape} and {panel.shape}; need one size; "
                "crop or resample them first"
            )
    height, width = panels[0].shape[0] * zoom, panels[0].shape[1] * zoom
    scale = 2 if max(draw_text(label, 2).shape[1] for label in labels) <= width else 1
    top = gap + LABEL_HEIGHT
    page = np.full((top + height + gap, gap + len(panels) * (width + gap), 3), PAPER, np.uint8)
    for k, (panel, label) in enumerate(zip(panels, labels)):
        left = gap + k * (width + gap)
        page[top : top + height, left : left + width] = panel.repeat(zoom, 0).repeat(zoom, 1)
        dots = draw_text(label, scale)[:, :width]
        spot = page[gap : gap + dots.shape[0], left : left + dots.shape[1]]
        spot[dots] = INK
    return page


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or not image.size:
        raise ShapeError(
            f"quicklook: image has shape {image.shape}; need [K, H, W]; show a single band as "
            "band[None] with bands=(0, 0, 0)"
        )


def _check_rgb(where: str, rgb: np.ndarray) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ShapeError(f"{where}: got shape {rgb.shape}; need [H, W, 3]; use quicklook()")
    if rgb.dtype != np.uint8:
        raise DtypeError(f"{where}: got dtype {rgb.dtype}; need uint8; use quicklook()")
