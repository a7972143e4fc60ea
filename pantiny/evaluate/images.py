"""GeoTIFFs of a product, and how they lie on each other."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from ..errors import CrsError, GeotransformError, OptionError, OverlapError, ShapeError
from ..grid import Grid, Pairing, compose, pair_grids, whole_ratio
from ..pair import equals_nodata
from ..raster import grid_of, has_mask, open_raster, read_masks, read_window

PIECE_BYTES = 16 << 20  # read at once, about
CACHE_BYTES = 64 << 20  # that GDAL may hold
GRID_TOLERANCE = 0.01  # pixels that two products of one grid may differ by
DRIFT = 0.25  # PAN pixels that the ratio of the grids may be off a whole number, at the ends


class Image:
    """One or more open rasters of one grid, their bands stacked.

    Parameters
    ----------
    datasets : sequence of open datasets
    name : str
        For messages.
    nodata : float, optional
        Wins over what the files say.
    """

    def __init__(self, datasets: Sequence[Any], name: str, nodata: float | None) -> None:
        first = datasets[0]
        for other in datasets[1:]:
            same_grid(other, first, name, name)
        self._datasets, self.name, self.nodata = list(datasets), name, nodata
        self.bands = sum(d.count for d in datasets)
        self.height, self.width = first.height, first.width
        self.dtype = np.dtype(first.dtypes[0])
        self.grid = grid_of(first)
        self.tags: dict[str, str] = first.tags()
        self.masked = nodata is not None or any(has_mask(d) for d in datasets)

    def read(self, window: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """[K, n, W], and [n, W] bool of pixels valid in every band."""
        parts = [read_window(d, self.name, window) for d in self._datasets]
        image = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return image, self.valid(window, image)

    def valid(self, window: Any, image: np.ndarray | None = None) -> np.ndarray | None:
        """[n, W] bool of pixels valid in every band; None: all are. ``image`` saves a reading."""
        if not self.masked:
            return None
        if self.nodata is None:
            masks = [read_masks(d, self.name, window) for d in self._datasets]
            return np.asarray(np.array([(m != 0).all(axis=0) for m in masks]).all(axis=0))
        parts = [image] if image is not None else []
        parts = parts or [read_window(d, self.name, window) for d in self._datasets]
        hits = [np.asarray(equals_nodata(part, self.nodata)).any(axis=0) for part in parts]
        return np.logical_not(np.any(hits, axis=0))

    def shrunk(self, window: Any, shape: tuple[int, int], resampling: Any) -> np.ndarray:
        """[K, *shape] of a window, or of all; read at that size."""
        parts = [read_window(d, self.name, window, shape, resampling) for d in self._datasets]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def valid_shrunk(self, window: Any, shape: tuple[int, int]) -> np.ndarray:
        """[*shape] bool of single pixels that are valid in every band."""
        if self.nodata is not None:
            image = self.shrunk(window, shape, Resampling.nearest)
            return np.logical_not(np.asarray(equals_nodata(image, self.nodata)).any(axis=0))
        masks = [read_masks(d, self.name, window, shape) for d in self._datasets]
        return np.asarray(np.array([(m != 0).all(axis=0) for m in masks]).all(axis=0))


def same_grid(first: Any, second: Any, name: str, other: str) -> None:
    """Two datasets of the same pixels.

    Raises
    ------
    ShapeError, GeotransformError
    """
    area = _shared(grid_of(first), grid_of(second), name, other)
    if (area.row, area.col) != (0, 0) or first.shape != second.shape or not area.whole:
        raise ShapeError(
            f"{name}, {other}: {first.height}x{first.width} and {second.height}x{second.width} "
            f"pixels that lie {area.other_row - area.row} rows and {area.other_col - area.col} "
            "columns apart; need one grid; crop or warp one to the other"
        )


@dataclass(frozen=True)
class Area:
    """The pixels that two images of one lattice share.

    Attributes
    ----------
    row, col, other_row, other_col : int
        Its first pixel in the one image, and in the other.
    height, width : int
    whole : bool
        Whether it is all of both.
    """

    row: int
    col: int
    other_row: int
    other_col: int
    height: int
    width: int
    whole: bool

    def rows(self, first: int, count: int) -> Window:
        """Window of the one image."""
        return Window(self.col, self.row + first, self.width, count)

    def rows_of_other(self, first: int, count: int) -> Window:
        """Window of the other."""
        return Window(self.other_col, self.other_row + first, self.width, count)


def shared(first: Image, second: Image) -> Area:
    """Where two images of one lattice both lie.

    Raises
    ------
    ShapeError, CrsError, GeotransformError, OverlapError
    """
    return _shared(first.grid, second.grid, first.name, second.name)


def _shared(a: Grid, b: Grid, name: str, other: str) -> Area:
    where, same = f"{name}, {other}", (a.height, a.width) == (b.height, b.width)
    sizes = f"{a.height}x{a.width} and {b.height}x{b.width} pixels"
    if a.crs != b.crs:
        raise CrsError(
            f"{where}: CRS {a.crs} and {b.crs}; need one; reproject one of the two with "
            "gdalwarp -t_srs, or state it with gdal_edit.py -a_srs"
        )
    down = right = 0
    if a.transform.is_identity and b.transform.is_identity:
        if not same:
            raise ShapeError(
                f"{where}: {sizes} and no geotransform; need one grid; crop one to the other, or "
                "give both a geotransform, which says where they overlap"
            )
    else:
        ends = [(0, 0), (a.width, 0), (0, a.height), (a.width, a.height)]
        steps = [(x - c, y - r) for (c, r) in ends for x, y in [on_grid(b, a, c, r)]]
        right, down = (round(v) for v in steps[0])
        worst = max(steps, key=lambda s: max(abs(s[0] - right), abs(s[1] - down)))
        if max(abs(worst[0] - right), abs(worst[1] - down)) > GRID_TOLERANCE:
            if not same:
                raise ShapeError(
                    f"{where}: {sizes}, not of one lattice; need one grid; crop or warp one to "
                    "the other with gdalwarp -te -tr"
                )
            raise GeotransformError(
                f"{where}: a corner lies {worst[0]:.2f} columns and {worst[1]:.2f} rows apart; "
                "need pixels of one lattice; warp one to the other with gdalwarp -te -tr"
            )
    row, col = max(0, -down), max(0, -right)
    height = min(a.height, b.height - down) - row
    width = min(a.width, b.width - right) - col
    if height < 1 or width < 1:
        raise OverlapError(f"{where}: no common pixel; check that both show the same place")
    whole = same and (height, width) == (a.height, a.width)
    return Area(row, col, row + down, col + right, height, width, whole)


def on_grid(grid: Grid, other: Grid, col: float, row: float) -> tuple[float, float]:
    """Column and row in ``grid`` of a pixel corner of ``other``.

    Raises
    ------
    GeotransformError
    """
    if not 0 < abs(grid.transform.determinant) < math.inf:
        raise GeotransformError(
            f"{grid.name}: its geotransform {tuple(grid.transform)[:6]} is singular; need pixels "
            "of some size; set it with gdal_edit.py -a_ullr"
        )
    x, y = compose(~grid.transform, compose(other.transform, (float(col), float(row))))
    return float(x), float(y)


@contextlib.contextmanager
def opened(paths: Any, name: str, nodata: float | None) -> Iterator[Image]:
    """A path, or several whose bands are stacked, open for reading."""
    single = isinstance(paths, (str, bytes)) or not isinstance(paths, Iterable)
    listed = [paths] if single else list(paths)
    if not listed:
        raise OptionError(f"{name}: got no file; need at least one")
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES))
        datasets = [stack.enter_context(open_raster(p, name)) for p in listed]
        yield Image(datasets, name, nodata)


def pieces_of(rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each piece."""
    step = max(1, PIECE_BYTES // max(1, row_bytes))
    for row in range(0, rows, step):
        yield row, min(step, rows - row)


def both_valid(
    first: np.ndarray | None, second: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray:
    """[n, W] bool of that shape, valid in both; None is valid everywhere."""
    valid = np.ones(shape, bool)
    for mask in (first, second):
        if mask is not None:
            valid &= mask
    return valid


class Cut:
    """The MS pixels that the product covers whole, and the PAN pixels under them."""

    def __init__(
        self,
        pairing: Pairing,
        shape: tuple[int, int],
        pan_shift: tuple[int, int],
        of_pan: Pairing,
    ) -> None:
        self._pan_shift = pan_shift
        # PAN's pixels with MS under them, and those of the product among them
        top, left = max(of_pan.row, pan_shift[0]), max(of_pan.col, pan_shift[1])
        bottom = min(of_pan.row + of_pan.height, pan_shift[0] + shape[0])
        right = min(of_pan.col + of_pan.width, pan_shift[1] + shape[1])
        self.fusible = Window(of_pan.col, of_pan.row, of_pan.width, of_pan.height)
        self.on_pan = Area(
            top - pan_shift[0], left - pan_shift[1], top, left, bottom - top, right - left, False
        )
        r = self.ratio = pairing.ratio
        found = []
        for scale, offset, first, ms_first, ms_count, size in zip(
            pairing.scale,
            pairing.offset,
            (pairing.row, pairing.col),
            (pairing.ms_row, pairing.ms_col),
            (pairing.ms_height, pairing.ms_width),
            shape,
        ):
            drift = abs(1 / scale - r) * ms_count / 2  # PAN pixels, from the middle to the ends
            if drift > DRIFT:
                raise GeotransformError(
                    f"fused, ms: {1 / scale:.6g} PAN pixels per MS pixel, which is {drift:.2f} off "
                    f"{r} at the ends; need a whole number; warp one of the two"
                )
            # PAN pixel under the first of the r x r pixels of MS pixel 0 of the pairing
            middle = ms_count // 2
            centre = first + (middle + 0.5 - offset) / scale - 0.5
            exact = centre - (r - 1) / 2 - r * middle
            begin = round(exact)
            skip = max(0, -(begin // r)) if begin < 0 else 0
            count = min(ms_count - skip, (size - begin) // r - skip)
            found.append((begin + skip * r, ms_first + skip, count, exact - begin + (r - 1) / 2))
        rows, cols = found
        self.row, self.ms_row, self.ms_height, y = rows
        self.col, self.ms_col, self.ms_width, x = cols
        self.phase = (y, x)
        self.height, self.width = self.ms_height * r, self.ms_width * r
        if self.ms_height < 1 or self.ms_width < 1:
            raise OverlapError("fused, ms: the product covers no whole MS pixel; check the files")

    def rows_of_fused(self, first: int, count: int) -> Window:
        """Window of the product."""
        return Window(self.col, self.row + first, self.width, count)

    def rows_of_pan(self, first: int, count: int) -> Window:
        """Window of PAN."""
        down, right = self._pan_shift
        return Window(self.col + right, self.row + down + first, self.width, count)

    def rows_of_ms(self, first: int, count: int) -> Window:
        """Window of MS."""
        return Window(self.ms_col, self.ms_row + first, self.ms_width, count)

    @property
    def fused(self) -> Window:
        return self.rows_of_fused(0, self.height)

    @property
    def pan(self) -> Window:
        return self.rows_of_pan(0, self.height)

    @property
    def ms(self) -> Window:
        return self.rows_of_ms(0, self.ms_height)


def aligned(ms: Image, pan: Image, fused: Image) -> Cut:
    """How the three lie on each other; without geotransforms by their sizes, corners shared.

    Raises
    ------
    ShapeError, CrsError, GeotransformError, RatioError, OverlapError, SwappedInputsError
    """
    if pan.bands != 1:
        raise ShapeError(f"pan: has {pan.bands} bands; need one; give MS, PAN, FUSED in this order")
    if fused.bands != ms.bands:
        raise ShapeError(
            f"fused, ms: {fused.bands} and {ms.bands} bands; need the same; give MS, PAN, FUSED in "
            "this order"
        )
    on_ms, on_pan, on_fused = _placed(ms.grid, pan.grid, fused.grid)
    shift = _offset(on_pan, on_fused)
    size = fused.height, fused.width
    return Cut(pair_grids(on_ms, on_fused), size, shift, pair_grids(on_ms, on_pan))


def _placed(ms: Grid, pan: Grid, fused: Grid) -> tuple[Grid, Grid, Grid]:
    """The grids; if none has a geotransform, with one that says what their sizes say."""
    if not all(grid.transform.is_identity for grid in (ms, pan, fused)):
        return ms, pan, fused
    if (pan.height, pan.width) != (fused.height, fused.width):
        raise ShapeError(
            f"fused, pan: {fused.height}x{fused.width} and {pan.height}x{pan.width} pixels and no "
            "geotransform; need one size; crop one to the other, or give the files geotransforms"
        )
    ratio = whole_ratio(pan.height / ms.height, pan.width / ms.width, "ms, pan, by their sizes")
    if (pan.height, pan.width) != (ratio * ms.height, ratio * ms.width):
        raise ShapeError(
            f"ms, pan: {ms.height}x{ms.width} and {pan.height}x{pan.width} pixels and no "
            f"geotransform; need {ratio} times as many both ways; crop one of the two"
        )
    fine = pan.transform.scale(1 / (2 * ratio))  # any pair of scales that are not the identity
    coarse = pan.transform.scale(0.5)
    return (
        replace(ms, transform=coarse),
        replace(pan, transform=fine),
        replace(fused, transform=fine),
    )


def _offset(pan: Grid, fused: Grid) -> tuple[int, int]:
    """Rows and columns of PAN above and left of the product's first pixel.

    Raises
    ------
    GeotransformError
        If the product is not on PAN's lattice, or sticks out of it.
    """
    where = on_grid(pan, fused, 0, 0)
    col, row = (round(v) for v in where)
    size = on_grid(pan, fused, fused.width, fused.height)
    same = (
        pan.crs == fused.crs
        and max(abs(where[0] - col), abs(where[1] - row)) < GRID_TOLERANCE
        and max(abs(size[0] - col - fused.width), abs(size[1] - row - fused.height)) < 0.5
    )
    inside = row >= 0 and col >= 0
    inside = inside and row + fused.height <= pan.height and col + fused.width <= pan.width
    if not same or not inside:
        raise GeotransformError(
            "fused, pan: the product is not on PAN's grid; need pixels that fall on PAN's, all of "
            "them within PAN; give the PAN that was fused, or warp the product to its grid"
        )
    return row, col
