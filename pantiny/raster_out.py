"""GeoTIFFs written: beside their final names, renamed when complete."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from .errors import OptionError, OutputExistsError, SceneWriteError
from .grid import Pairing
from .paths import exists_error
from .raster import RasterPair

COLOURS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


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

    ordered = True

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
