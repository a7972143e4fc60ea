"""GeoTIFF pairs of any size, made up: the demo's scene, mirrored at its edges over and over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pantiny.demo import SyntheticScene, make_scene
from pantiny.errors import SceneWriteError
from pantiny.sensors import BGRN

from .macs import RATIO

BASE_SIDE = 512  # of the scene that is repeated
UNIT_SIDE = 1024  # PAN pixels along a scene of "1 Mpx"
BLOCK = 256
STRIP = 512  # rows written at once
CRS = "EPSG:32631"


@dataclass(frozen=True)
class Pair:
    """Two files.

    Attributes
    ----------
    ms, pan : Path
    side : int
        PAN pixels along each side.
    """

    ms: Path
    pan: Path
    side: int

    @property
    def pixels(self) -> int:
        """Of the PAN grid."""
        return self.side**2


def side_of(mpx: float) -> int:
    """Side in PAN pixels of a square scene: 1 is 1024, 16 is 4096; whole MS pixels, 64 or more."""
    return max(64, round(UNIT_SIDE * mpx**0.5 / RATIO) * RATIO)


@lru_cache(maxsize=1)
def base_scene() -> SyntheticScene:
    """The demo's scene."""
    return make_scene(BASE_SIDE, ratio=RATIO, seed=7)


def corner(side: int) -> tuple[np.ndarray, np.ndarray]:
    """MS [4, h, w] and PAN [H, W] of the pair of ``side`` pixels, at most ``BASE_SIDE``."""
    scene = base_scene()
    return scene.ms[:, : side // RATIO, : side // RATIO], scene.pan[:side, :side]


def _mirrored(first: int, count: int, period: int) -> np.ndarray:
    """Indices into ``period`` rows for rows ``first``.. of the repetition."""
    index = np.arange(first, first + count) % (2 * period)
    return np.where(index < period, index, 2 * period - 1 - index)


def _write(path: Path, image: np.ndarray, side: int, gsd_m: float, names: tuple[str, ...]) -> None:
    """``image`` [K, n, n] repeated to [K, side, side], uncompressed as many vendors deliver."""
    period = image.shape[1]
    columns = _mirrored(0, side, period)
    profile = {
        "driver": "GTiff",
        "count": image.shape[0],
        "height": side,
        "width": side,
        "dtype": image.dtype,
        "crs": CRS,
        "transform": Affine(gsd_m, 0.0, 450_000.0, 0.0, -gsd_m, 5_410_000.0),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "bigtiff": "IF_SAFER",
    }
    try:
        with rasterio.open(path, "w", **profile) as file:
            for row in range(0, side, STRIP):
                count = min(STRIP, side - row)
                strip = image[:, _mirrored(row, count, period)][:, :, columns]
                file.write(strip, window=Window(0, row, side, count))
            for k, name in enumerate(names):
                file.set_band_description(k + 1, name)
    except (RasterioError, OSError) as error:
        raise SceneWriteError(
            f"bench: cannot write a scene of {side} x {side} pixels ({error}); need free space "
            "below --output; choose another folder, or a smaller --scene and --growth"
        ) from error


def write_pair(folder: Path, side: int) -> Pair:
    """Write ``ms-SIDE.tif`` and ``pan-SIDE.tif``; those that exist are taken as they are."""
    scene = base_scene()
    pair = Pair(folder / f"ms-{side}.tif", folder / f"pan-{side}.tif", side)
    if not pair.ms.exists():
        _write(pair.pan, scene.pan[None], side, scene.gsd_m, ("pan",))
        _write(pair.ms, scene.ms, side // RATIO, scene.gsd_m * RATIO, BGRN)
    return pair
