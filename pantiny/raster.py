"""GeoTIFF pairs as the streaming driver sees them: windows in, tiles out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from .arrays import DTYPES
from .errors import (
    DtypeError,
    SceneMissingError,
    SceneReadError,
    ShapeError,
    SwappedInputsError,
)
from .grid import Grid, Pairing
from .pair import equals_nodata
from .paths import check_path, is_local, printable


def open_raster(path: Any, name: str) -> Any:
    """Open for reading.

    Raises
    ------
    OptionError, SceneMissingError, SceneReadError
    """
    text = check_path(path, name)
    if is_local(text) and not os.path.exists(text):
        raise SceneMissingError(f"{name}: {text} does not exist; check the path")
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a name that Python keeps as lone surrogates
        raise SceneReadError(
            f"{name}: {printable(text)} has a name that is not UTF-8; need one that is; rename it"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(text)
    except RasterioError as error:
        raise SceneReadError(
            f"{name}: {text} cannot be opened as a raster ({error}); need a GeoTIFF or another "
            "format GDAL reads; check it with gdalinfo"
        ) from error


def grid_of(dataset: Any) -> Grid:
    """The grid of an open dataset."""
    return Grid(
        dataset.crs, dataset.transform, dataset.height, dataset.width, Path(dataset.name).name
    )


class RasterPair:
    """MS (one or more files) and PAN, in rows of the output.

    Parameters
    ----------
    ms : sequence of open datasets
        Their bands are stacked in this order; all on one grid, of one dtype.
    pan : open dataset
        One band.
    nodata : float, optional
        Wins over what the files say.

    Raises
    ------
    ShapeError, DtypeError
    """

    def __init__(self, ms: Sequence[Any], pan: Any, nodata: float | None) -> None:
        if pan.count != 1 and len(ms) == ms[0].count == 1:
            raise SwappedInputsError(
                f"{Path(pan.name).name}: PAN has {pan.count} bands and MS has one; they look "
                "swapped: give MS first, PAN after it"
            )
        if pan.count != 1:
            raise ShapeError(
                f"{Path(pan.name).name}: PAN has {pan.count} bands; need one; is it the MS file? "
                "give MS first, PAN after it"
            )
        first = ms[0]
        for other in ms[1:]:
            same = (other.crs, other.shape) == (first.crs, first.shape)
            if not same or not other.transform.almost_equals(first.transform, 1e-6):
                raise ShapeError(
                    f"{Path(other.name).name}: is on another grid than {Path(first.name).name}; "
                    "need all MS files on one grid; warp them to it with gdalwarp"
                )
        known = [str(d) for d in DTYPES]
        for dataset in (*ms, pan):
            kinds = set(dataset.dtypes)
            if dataset is not pan:
                kinds |= set(first.dtypes)
            if len(kinds) != 1 or not kinds <= set(known):
                raise DtypeError(
                    f"{Path(dataset.name).name}: got dtype {' and '.join(sorted(kinds))}; need one "
                    f"of {', '.join(known)}, the same in all bands of MS; convert it, for example "
                    "with gdal_translate -ot Float32"
                )
        self._ms, self._pan = list(ms), pan
        self.nodata = nodata
        self.bands = sum(d.count for d in ms)
        self.ms_dtype, self.pan_dtype = np.dtype(first.dtypes[0]), np.dtype(pan.dtypes[0])
        self.ms_masked = nodata is not None or any(has_mask(d) for d in ms)
        self.pan_masked = nodata is not None or has_mask(pan)

    def place(self, pairing: Pairing) -> None:
        """Fix the output window; rows and columns count from its corner from here on."""
        self._at = p = pairing
        self.shape = (p.height, p.width)
        self.ms_shape = (self.bands, p.ms_height, p.ms_width)
        inside = (
            p.row >= 0
            and p.col >= 0
            and p.row + p.height <= self._pan.height
            and p.col + p.width <= self._pan.width
        )
        self._inside = inside
        rows = _containing(p.height, p.scale[0], p.offset[0], p.ms_height)
        self._ms_row_of, rows_covered = rows
        self._ms_col_of, cols_covered = _containing(p.width, p.scale[1], p.offset[1], p.ms_width)
        self._covered = (rows_covered, cols_covered)
        uncovered = not (rows_covered.all() and cols_covered.all())
        self.masked = self.ms_masked or self.pan_masked or not inside or uncovered

    def ms(self, first: int, last: int) -> np.ndarray:
        """[K, rows, w]"""
        p = self._at
        window = Window(p.ms_col, p.ms_row + first, p.ms_width, last - first)
        parts = [read_window(d, "ms", window=window) for d in self._ms]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def ms_valid(self, first: int, last: int) -> np.ndarray | None:
        """[rows, w]"""
        if not self.ms_masked:
            return None
        p = self._at
        window = Window(p.ms_col, p.ms_row + first, p.ms_width, last - first)
        good = np.ones((last - first, p.ms_width), bool)
        for dataset in self._ms:
            good &= self.good(dataset, "ms", window)
        return good.astype(np.uint8)

    def pan(self, first: int, last: int) -> np.ndarray:
        """[rows, W]; zero beyond PAN's edges, where ``valid`` is 0."""
        window, place = self._pan_window(first, last)
        if self._inside:
            return read_window(self._pan, "pan", window=window)[0]
        out = np.zeros((last - first, self.shape[1]), self.pan_dtype)
        if window is not None:
            out[place] = read_window(self._pan, "pan", window=window)[0]
        return out

    def valid(self, first: int, last: int) -> np.ndarray | None:
        """[rows, W]: PAN is valid, and so is the MS pixel that covers it."""
        if not self.masked:
            return None
        good = np.zeros((last - first, self.shape[1]), bool)
        window, place = self._pan_window(first, last)
        if window is not None:
            good[place] = self.good(self._pan, "pan", window) if self.pan_masked else True
        good &= self._covered[0][first:last, None] & self._covered[1][None, :]
        if self.ms_masked:
            rows = self._ms_row_of[first:last]
            low = int(rows[0])
            ms_valid = self.ms_valid(low, int(rows[-1]) + 1)
            assert ms_valid is not None
            good &= ms_valid[rows - low][:, self._ms_col_of] != 0
        return good.astype(np.uint8)

    def _pan_window(self, first: int, last: int) -> tuple[Any, Any]:
        """What of output rows PAN has, and where it lies among them."""
        p = self._at
        y0, y1 = max(0, p.row + first), min(self._pan.height, p.row + last)
        x0, x1 = max(0, p.col), min(self._pan.width, p.col + p.width)
        if y1 <= y0 or x1 <= x0:
            return None, None
        place = np.s_[y0 - p.row - first : y1 - p.row - first, x0 - p.col : x1 - p.col]
        return Window(x0, y0, x1 - x0, y1 - y0), place

    def good(self, dataset: Any, name: str, window: Any) -> np.ndarray:
        """Pixels valid in every band: not nodata, not masked, not transparent."""
        if self.nodata is not None:
            values = read_window(dataset, name, window=window)
            return np.logical_not(equals_nodata(values, self.nodata).any(axis=0))
        good: np.ndarray = (read_masks(dataset, name, window) != 0).all(axis=0)
        return good


def _containing(
    count: int, scale: float, offset: float, ms_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """MS index that covers each output sample's centre (clamped), and whether one does."""
    corner = (np.arange(count) + 0.5) * scale + offset
    covered = (corner >= -1e-6) & (corner <= ms_size + 1e-6)
    return np.clip(np.floor(corner), 0, ms_size - 1).astype(np.int64), covered


def has_mask(dataset: Any) -> bool:
    """Whether anything (nodata value, mask band, alpha) can make a pixel invalid."""
    return any(flags != [rasterio.enums.MaskFlags.all_valid] for flags in dataset.mask_flag_enums)


def read_window(
    dataset: Any,
    name: str,
    window: Any,
    shape: tuple[int, int] | None = None,
    resampling: Any = Resampling.nearest,
) -> np.ndarray:
    """All bands [K, rows, cols] of a window, or resampled to ``shape``.

    Raises
    ------
    SceneReadError
    """
    out = None if shape is None else (dataset.count, *shape)
    try:
        values: np.ndarray = dataset.read(window=window, out_shape=out, resampling=resampling)
    except (RasterioError, OSError) as error:
        raise _damaged(dataset, name, error) from error
    return values


def read_masks(
    dataset: Any, name: str, window: Any, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """GDAL's masks [K, rows, cols] of a window, 0 where a pixel is invalid.

    Raises
    ------
    SceneReadError
    """
    out = None if shape is None else (dataset.count, *shape)
    try:
        masks: np.ndarray = dataset.read_masks(window=window, out_shape=out)
    except (RasterioError, OSError) as error:
        raise _damaged(dataset, name, error) from error
    return masks


def _damaged(dataset: Any, name: str, error: Exception) -> SceneReadError:
    return SceneReadError(
        f"{name}: {dataset.name} cannot be read to the end ({error.__cause__ or error}); the file "
        "looks truncated or damaged; fetch it again"
    )
