"""Pictures of a product for the report: previews, error maps; memory as for the indices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rasterio.enums import Resampling
from rasterio.windows import Window

from ..bands import default_names
from ..demo.pictures import Limits, quicklook, stretch_limits
from ..metrics._grids import Degrade, ms_gains
from ..png import encode_png
from ..sensors import get_sensor
from .images import Area, Cut, Image, aligned, opened, pieces_of
from .measure import with_truth_area
from .products import Product

SIDE = 720  # of a preview, at most
MAP_QUANTILE = 99.0  # shown as the brightest


@dataclass(frozen=True)
class Picture:
    """One image of the report.

    Attributes
    ----------
    key, title, note : str
    png : bytes
    values : array [H, W] float32 or None
        Of a map, whose ``png`` comes when its scale is known: ``on_one_scale``.
    top : float or None
        DN of a map's lightest colour.
    """

    key: str
    title: str
    note: str
    png: bytes = b""
    values: np.ndarray | None = None
    top: float | None = None


# Black over purple and orange to a light yellow: brightness rises all the way.
_STOPS = np.array([(4, 4, 20), (80, 18, 110), (180, 54, 90), (245, 140, 40), (252, 250, 190)])
PALETTE = np.stack(
    [np.interp(np.linspace(0, 4, 255), range(5), _STOPS[:, c]) for c in range(3)], axis=1
).round()


def heat_png(values: np.ndarray, top: float) -> bytes:
    """A map [H, W], 0 to ``top``; NaN is transparent."""
    scaled = np.clip(np.nan_to_num(values) * (254 / max(top, 1e-30)), 0, 254)
    codes = np.where(np.isfinite(values), scaled, 255).astype(np.uint8)
    palette = np.vstack([PALETTE, [0, 0, 0]]).astype(np.uint8)
    return encode_png(codes, palette, clear=255)


def _size(height: int, width: int) -> tuple[int, int]:
    step = max(1, math.ceil(max(height, width) / SIDE))
    return math.ceil(height / step), math.ceil(width / step)


def _bands_shown(bands: int) -> tuple[int, int, int]:
    names = default_names(bands)
    if names is None:
        return (min(2, bands - 1), min(1, bands - 1), 0)
    return tuple(names.index(c) for c in ("red", "green", "blue"))  # type: ignore[return-value]


def _look(image: Image, window: Any, shape: tuple[int, int]) -> np.ndarray:
    """[K, *shape] of a window: means of the valid pixels, NaN where there is none."""
    if not image.masked:
        return image.shrunk(window, shape, Resampling.average)
    down, across = (
        ((np.arange(size) + 0.5) * (cells / size)).astype(int)
        for size, cells in zip((window.height, window.width), shape)
    )
    cells = shape[0] * shape[1]
    total, count = np.zeros((image.bands, cells)), np.zeros(cells)
    for row, n in pieces_of(window.height, image.bands * window.width * 8):
        part = Window(window.col_off, window.row_off + row, window.width, n)
        values, valid = image.read(part)
        assert valid is not None
        cell = (down[row : row + n, None] * shape[1] + across)[valid]
        count += np.bincount(cell, minlength=cells)
        for k, band in enumerate(values):
            total[k] += np.bincount(cell, band[valid], cells)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(-1, *shape)


def _enlarged(image: Image, window: Any, shape: tuple[int, int]) -> np.ndarray:
    """[K, *shape] of a window, NaN where the nearest pixel is missing."""
    if not image.masked:
        return image.shrunk(window, shape, Resampling.cubic)
    # GDAL leaves out what the file calls missing, but does not know of another nodata value
    smooth = image.nodata is None
    values = image.shrunk(window, shape, Resampling.cubic if smooth else Resampling.nearest)
    return np.where(image.valid_shrunk(window, shape), values.astype(np.float64), np.nan)


def _limits(image: np.ndarray, bands: tuple[int, int, int]) -> Limits:
    """The stretch of an image's valid pixels."""
    valid = np.isfinite(image).all(axis=0)
    return stretch_limits(image[:, None, valid], bands) if valid.any() else [(0.0, 1.0)] * 3


def _shown(image: np.ndarray, bands: tuple[int, int, int], limits: Limits) -> bytes:
    """Missing pixels are black."""
    valid = np.isfinite(image).all(axis=0)
    rgb = quicklook(np.where(valid, image, 0), bands, limits)
    rgb[~valid] = 0
    return encode_png(rgb)


def _colour(image: np.ndarray, limits: Limits) -> bytes:
    return _shown(image, _bands_shown(len(image)), limits)


def _grey(image: np.ndarray) -> bytes:
    return _shown(image[:1], (0, 0, 0), _limits(image[:1], (0, 0, 0)))


def _map(key: str, title: str, values: np.ndarray, what: str) -> Picture:
    return Picture(key, title, what, values=values.astype(np.float32))


def colour_bar() -> bytes:
    """The colours of the maps, from 0 to the top."""
    return heat_png(np.linspace(0, 1, 255)[None], 1.0)


def on_one_scale(drawn: Mapping[str, Sequence[Picture]]) -> dict[str, list[Picture]]:
    """The same, with maps drawn: those of a kind by one scale, so that they can be compared.

    The lightest colour is the largest of the products' 99th percentiles.
    """
    tops: dict[str, float] = {}
    for picture in (p for pictures in drawn.values() for p in pictures):
        if picture.values is not None:
            finite = picture.values[np.isfinite(picture.values)]
            top = float(np.percentile(finite, MAP_QUANTILE)) if len(finite) else 0.0
            tops[picture.key] = max(top, tops.get(picture.key, 0.0))
    done: dict[str, list[Picture]] = {}
    for name, pictures in drawn.items():
        done[name] = []
        for p in pictures:
            if p.values is not None:
                top = tops[p.key] or 1.0  # no error anywhere
                p = replace(p, png=heat_png(p.values, top), values=None, top=top)
            done[name].append(p)
    return done


def draw(
    product: Product, nodata: float | None = None, gains: Sequence[float] | None = None
) -> list[Picture]:
    """Previews of every image of a product, and maps of what differs, without their scale.

    Raises
    ------
    As ``compare_files`` and ``assess_files``.
    """
    made: list[Picture] = []
    if product.ms is None:
        with opened(product.fused, "fused", nodata) as fused:
            shape = _size(fused.height, fused.width)
            look = _look(fused, Window(0, 0, fused.width, fused.height), shape)
            limits = _limits(look, _bands_shown(fused.bands))
            made.append(Picture("fused", "fused", "", _colour(look, limits)))
            made += _against_truth(product, fused, None, shape, limits, nodata)
        return made
    with (
        opened(product.ms, "ms", nodata) as ms,
        opened(product.pan, "pan", nodata) as pan,
        opened(product.fused, "fused", nodata) as fused,
    ):
        cut = aligned(ms, pan, fused)
        shape = _size(cut.height, cut.width)
        look = _look(fused, cut.fused, shape)
        limits = _limits(look, _bands_shown(fused.bands))
        coarse = _enlarged(ms, cut.ms, shape)
        made.append(Picture("ms", "MS", "upsampled", _colour(coarse, limits)))
        made.append(Picture("fused", "fused", "", _colour(look, limits)))
        made.append(Picture("pan", "PAN", "", _grey(_look(pan, cut.pan, shape))))
        made += _against_truth(product, fused, cut.fused, shape, limits, nodata)
        values = _against_ms(product, ms, fused, cut, gains)
        what = "mean over bands of |fused degraded to the MS grid - MS|"
        made.append(_map("consistency", "disagreement with MS", values, what))
    return made


def _against_truth(
    product: Product,
    fused: Image,
    window: Any,
    shape: tuple[int, int],
    limits: Limits,
    nodata: float | None,
) -> list[Picture]:
    if product.truth is None:
        return []
    with opened(product.truth, "truth", nodata) as truth:
        if window is None:
            window = Window(0, 0, fused.width, fused.height)
        place, on_fused, on_truth = _within(window, shape, with_truth_area(fused, truth))
        look = np.full((truth.bands, *shape), np.nan)
        error = np.full(shape, np.nan)
        part = error[place].shape
        if part[0] and part[1]:
            look[:, place[0], place[1]] = _look(truth, on_truth, part)
            # single pixels: a mean of pixels would hide errors that cancel
            f = fused.shrunk(on_fused, part, Resampling.nearest).astype(np.float64)
            t = truth.shrunk(on_truth, part, Resampling.nearest)
            valid = fused.valid_shrunk(on_fused, part) & truth.valid_shrunk(on_truth, part)
            error[place] = np.where(valid, np.abs(f - t).mean(axis=0), np.nan)
        what = "mean over bands of |fused - truth|, single pixels where the picture is smaller"
        return [
            Picture("truth", "truth", "", _colour(look, limits)),
            _map("error", "error", error, what),
        ]


def _within(
    window: Any, shape: tuple[int, int], area: Area
) -> tuple[tuple[slice, slice], Window, Window]:
    """Where the truth lies in a picture of a window, and both images' windows of that part."""
    found = []
    for begin, size, picture, first, other, count in (
        (window.row_off, window.height, shape[0], area.row, area.other_row, area.height),
        (window.col_off, window.width, shape[1], area.col, area.other_col, area.width),
    ):
        low, high = max(begin, first), max(begin, first, min(begin + size, first + count))
        ends = [round((at - begin) * picture / size) for at in (low, high)]
        found.append((slice(*ends), low, low - first + other, high - low))
    (rows, top, other_top, height), (cols, left, other_left, width) = found
    return (
        (rows, cols),
        Window(left, top, width, height),
        Window(other_left, other_top, width, height),
    )


def _against_ms(
    product: Product, ms: Image, fused: Image, cut: Cut, gains: Sequence[float] | None
) -> np.ndarray:
    """Means over cells of MS pixels, at most ``SIDE`` along each side."""
    step = max(1, math.ceil(max(cut.ms_height, cut.ms_width) / SIDE))
    rows, cols = math.ceil(cut.ms_height / step), math.ceil(cut.ms_width / step)
    total, count = np.zeros((rows, cols)), np.zeros((rows, cols))
    amplitudes = ms_gains(get_sensor(product.sensor, fused.bands), gains, fused.bands)
    degrade = Degrade((cut.height, cut.width), cut.ratio, amplitudes, cut.phase)
    done = 0
    across = np.arange(cut.ms_width) // step
    masked = fused.masked
    for first, n in pieces_of(cut.height, fused.bands * cut.width * 8):
        image, valid = fused.read(cut.rows_of_fused(first, n))
        mask = None if not masked or valid is None else valid.astype(np.uint8)
        low, reached = degrade.update(image, mask)
        if not low.shape[1]:
            continue
        coarse, ms_valid = ms.read(cut.rows_of_ms(done, low.shape[1]))
        gap = np.abs(low - coarse).mean(axis=0)
        keep = np.ones(gap.shape, bool) if reached is None else reached != 0
        if ms_valid is not None:
            keep &= ms_valid
        down = (done + np.arange(low.shape[1])) // step
        cells = down[:, None] * cols + across
        total += np.bincount(cells[keep], gap[keep], rows * cols).reshape(rows, cols)
        count += np.bincount(cells[keep], minlength=rows * cols).reshape(rows, cols)
        done += low.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)
