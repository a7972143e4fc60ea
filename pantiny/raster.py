"""GeoTIFF pairs as the streaming driver sees them: windows in, tiles out."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from .arrays import DTYPES
from .errors import (
    DtypeError,
    OptionError,
    OutputExistsError,
    SceneMissingError,
    SceneReadError,
    SceneWriteError,
    ShapeError,
    SwappedInputsError,
)
from .grid import Grid, Pairing
from .pair import equals_nodata
from .paths import check_path, exists_error, is_local

COLOURS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


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


def read_window(dataset: Any, name: str, window: Any) -> np.ndarray:
    try:
        values: np.ndarray = dataset.read(window=window)
    except (RasterioError, OSError) as error:
        raise _damaged(dataset, name, error) from error
    return values


def read_masks(dataset: Any, name: str, window: Any) -> np.ndarray:
    try:
        masks: np.ndarray = dataset.read_masks(window=window)
    except (RasterioError, OSError) as error:
        raise _damaged(dataset, name, error) from error
    return masks


def _damaged(dataset: Any, name: str, error: Exception) -> SceneReadError:
    return SceneReadError(
        f"{name}: {dataset.name} cannot be read to the end ({error.__cause__ or error}); the file "
        "looks truncated or damaged; fetch it again"
    )


@contextlib.contextmanager
def _ignored_options(keys: Iterable[str]) -> Iterator[dict[str, None]]:
    """What GDAL only warns of while a file is created: options that it will not honour."""
    found: dict[str, None] = {}
    assigned = tuple(f"{key.upper()}=" for key in keys)

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage().partition(" in ")[2]  # after the kind of warning
            if "creation option" in text or text.startswith(assigned):
                found[text] = None

    handler = Collect(logging.WARNING)
    logger = logging.getLogger("rasterio._env")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


class RasterSink:
    """A GeoTIFF written beside its final name and renamed when complete.

    Parameters
    ----------
    path : path
    profile : dict
        For ``rasterio.open``.
    overwrite : bool
    """

    def __init__(self, path: Path, profile: dict[str, Any], overwrite: bool) -> None:
        self.path, self._overwrite = path, overwrite
        self.dtype = np.dtype(profile["dtype"])
        self._profile = profile
        # at most 60 characters of the name, so that the whole is no longer than 255 bytes
        self.temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.part")

    def open(self) -> None:
        """Create the file; apart from ``__init__`` so that ``discard`` can follow anything."""
        try:
            with _ignored_options(self._profile) as complaints:
                self._dataset = rasterio.open(self.temporary, "w", **self._profile)
        except (RasterioError, OSError, ValueError, TypeError) as error:
            raise SceneWriteError(
                f"out: {self.path} cannot be created ({error}); need a writable folder, enough "
                "space and creation options GDAL knows"
            ) from error
        if complaints:
            raise OptionError(
                f"creation: GDAL ignores an option ({'; '.join(complaints)}); need options of the "
                "GTiff driver; correct or leave out that option (--co)"
            )

    def describe(self, names: Sequence[str | None], tags: dict[str, str]) -> None:
        """Band descriptions, colour interpretation and tags."""
        self._dataset.colorinterp = [
            COLOURS.get((n or "").lower(), ColorInterp.undefined) for n in names
        ]
        for i, name in enumerate(names, 1):
            if name:
                self._dataset.set_band_description(i, name)
        self._dataset.update_tags(**tags)

    def write(self, row: int, bands: list[int], fused: np.ndarray) -> None:
        window = Window(0, row, fused.shape[2], fused.shape[1])
        try:
            self._dataset.write(fused, [b + 1 for b in bands], window=window)
        except (RasterioError, OSError) as error:
            raise SceneWriteError(
                f"out: {self.path} cannot be written ({error.__cause__ or error}); check the space "
                "left on the device and the creation options"
            ) from error

    def close(self) -> None:
        """Write what GDAL holds back, flush to disk; the name is still temporary."""
        try:
            self._dataset.close()
            with open(self.temporary, "rb+") as file:
                os.fsync(file.fileno())
        except (RasterioError, OSError) as error:
            raise SceneWriteError(
                f"out: {self.path} cannot be completed ({error.__cause__ or error}); check the "
                "space left on the device"
            ) from error

    def finish(self) -> None:
        """Give the closed file its name."""
        try:
            if self._overwrite:
                os.replace(self.temporary, self.path)
                return
            try:  # unlike a rename, a link never replaces a file that came in between
                os.link(self.temporary, self.path)
            except FileExistsError:
                raise exists_error(self.path) from None
            except OSError:  # no hard links on this file system
                if self.path.exists():
                    raise exists_error(self.path) from None
                os.rename(self.temporary, self.path)
                return
            os.unlink(self.temporary)
        except OSError as error:
            if isinstance(error, OutputExistsError):
                raise
            raise SceneWriteError(
                f"out: {self.path} cannot be completed ({error.strerror or error}); choose another "
                "folder"
            ) from error

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(Exception):
            self._dataset.close()
        for path in (self.temporary, Path(f"{self.temporary}.aux.xml")):
            with contextlib.suppress(OSError):
                path.unlink()


def block_row_bytes(pair: RasterPair, block: int) -> int:
    """Bytes of one row of the output's blocks: what is held until they are complete."""
    return block * math.ceil(pair.shape[1] / block) * block * pair.bands * pair.ms_dtype.itemsize


def choose_block(pair: RasterPair, budget: int) -> int:
    """Side of the output's blocks: 512, smaller where a row of them would not fit."""
    longest = max(16, math.ceil(max(pair.shape) / 16) * 16)
    sides = [min(side, longest) for side in (512, 256, 128, 64)]
    return next((s for s in sides if block_row_bytes(pair, s) <= budget // 16), sides[-1])


def output_profile(
    pair: RasterPair,
    pan: Any,
    pairing: Pairing,
    nodata: float | None,
    tile: int,
    threads: int,
    creation: dict[str, str],
) -> dict[str, Any]:
    """Creation options: tiled, compressed, BIGTIFF where needed, never an alpha band."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": pair.ms_dtype.name,
        "count": pair.bands,
        "height": pairing.height,
        "width": pairing.width,
        "crs": pan.crs,
        "transform": pairing.transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": tile,
        "blockysize": tile,
        "interleave": "pixel" if pair.bands <= 4 else "band",
        "compress": "deflate",
        "predictor": 3 if pair.ms_dtype.kind == "f" else 2,
        "zlevel": 1,  # 4 times as fast as 6, files 3 % larger: noise does not compress
        "num_threads": threads,
        "bigtiff": "IF_SAFER",
        "photometric": "MINISBLACK",
        "alpha": "NO",
    }
    return {**profile, **creation}
