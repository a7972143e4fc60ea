"""GeoTIFFs of a product, and how they lie on each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from ..errors import GeotransformError, OptionError, OverlapError, ShapeError
from ..grid import Pairing, compose, pair_grids
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
        self._datasets, self.name, self._nodata = list(datasets), name, nodata
        self.bands = sum(d.count for d in datasets)
        self.height, self.width = first.height, first.width
        self.dtype = np.dtype(first.dtypes[0])
        self.grid = grid_of(first)
        self.masked = nodata is not None or any(has_mask(d) for d in datasets)

    def read(self, window: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """[K, n, W], and [n, W] bool of pixels valid in every band."""
        parts = [read_window(d, self.name, window) for d in self._datasets]
        image = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if not self.masked:
            return image, None
        if self._nodata is not None:
            hit = np.asarray(equals_nodata(image, self._nodata))
            valid: np.ndarray = np.logical_not(np.asarray(hit.any(axis=0)))
        else:
            masks = [read_masks(d, self.name, window) for d in self._datasets]
            valid = np.asarray(np.array([(m != 0).all(axis=0) for m in masks]).all(axis=0))
        return image, np.asarray(valid)

    def shrunk(self, window: Any, shape: tuple[int, int], resampling: Any) -> np.ndarray:
        """[K, *shape] of a window, or of all; read at that size."""
        parts = [read_window(d, self.name, window, shape, resampling) for d in self._datasets]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def valid_shrunk(self, window: Any, shape: tuple[int, int]) -> np.ndarray:
        """[*shape] bool of single pixels that are valid in every band."""
        if self._nodata is not None:
            image = self.shrunk(window, shape, Resampling.nearest)
            return np.logical_not(np.asarray(equals_nodata(image, self._nodata)).any(axis=0))
        masks = [read_masks(d, self.name, window, shape) for d in self._datasets]
        return np.asarray(np.array([(m != 0).all(axis=0) for m in masks]).all(axis=0))

    def check_grid(self, other: Image) -> None:
        """Raise ShapeError or GeotransformError unless ``other`` has the same pixels."""
        same_grid(self._datasets[0], other._datasets[0], self.name, other.name)


def same_grid(first: Any, second: Any, name: str, other: str) -> None:
    """Two datasets of the same pixels.

    Raises
    ------
    ShapeError, GeotransformError
    """
    if first.shape != second.shape:
        raise ShapeError(
            f"{name}, {other}: {first.height}x{first.width} and {second.height}x{second.width} "
            "pixels; need one grid; crop or warp one to the other"
        )
    if first.crs != second.crs:
        raise GeotransformError(f"{name}, {other}: CRS {first.crs} and {second.crs}; need one")
    if first.transform.is_identity and second.transform.is_identity:
        return
    for corner in ((0.0, 0.0), (float(first.width), float(first.height))):
        found = compose(~second.transform, compose(first.transform, corner))
        right, down = (a - b for a, b in zip(found, corner))
        if max(abs(right), abs(down)) > GRID_TOLERANCE:
            raise GeotransformError(
                f"{name}, {other}: a corner lies {right:.2f} columns and {down:.2f} rows apart; "
                "need one grid; warp one to the other with gdalwarp -te -tr"
            )


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


def both_valid(first: np.ndarray | None, second: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    """[n, W] bool, valid in both; None is valid everywhere; ``like`` [K, n, W] gives the shape."""
    valid = np.ones(like.shape[1:], bool)
    for mask in (first, second):
        if mask is not None:
            valid &= mask
    return valid


class Cut:
    """The MS pixels that the product covers whole, and the PAN pixels under them."""

    def __init__(
        self, pairing: Pairing, shape: tuple[int, int], pan_shift: tuple[int, int]
    ) -> None:
        self._pan_shift = pan_shift
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
    """How the three lie on each other.

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
    shift = _offset(pan, fused)
    return Cut(pair_grids(ms.grid, fused.grid), (fused.height, fused.width), shift)


def _offset(pan: Image, fused: Image) -> tuple[int, int]:
    """Rows and columns of PAN above and left of the product's first pixel.

    Raises
    ------
    GeotransformError
        If the product is not on PAN's lattice, or sticks out of it.
    """

    def on_pan(x: float, y: float) -> Any:
        return compose(~pan.grid.transform, compose(fused.grid.transform, (x, y)))

    where = on_pan(0.0, 0.0)
    col, row = (round(v) for v in where)
    size = on_pan(float(fused.width), float(fused.height))
    same = (
        pan.grid.crs == fused.grid.crs
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
