"""Small GeoTIFF pairs for the tests."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

ORIGIN = (500_000.0, 5_400_000.0)


def write_raster(
    path: str | Path,
    array: np.ndarray,
    *,
    transform: Affine | None,
    crs: Any = "EPSG:32631",
    nodata: float | None = None,
    descriptions: Sequence[str] | None = None,
    **profile: Any,
) -> Path:
    """Write [K, H, W] or [H, W] as a GeoTIFF; ``profile`` goes to ``rasterio.open``."""
    bands = array[None] if array.ndim == 2 else array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            **{
                "driver": "GTiff",
                "dtype": bands.dtype.name,
                "count": bands.shape[0],
                "height": bands.shape[1],
                "width": bands.shape[2],
                "crs": crs,
                "transform": transform,
                "nodata": nodata,
                "photometric": "MINISBLACK",
                **profile,
            },
        ) as dataset:
            dataset.write(bands)
            for i, name in enumerate(descriptions or (), 1):
                dataset.set_band_description(i, name)
    return Path(path)


def textured(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Waves, edges and noise; DN of 11 bits (7 bits in uint8), all above 16.

    Parameters
    ----------
    shape : (..., H, W)
    dtype : str
        uint8, uint16, int16 or float32.
    seed : int
    """
    rng = np.random.default_rng(seed)
    *planes, height, width = shape
    y, x = np.mgrid[:height, :width] / 7.0
    out = np.empty((int(np.prod(planes, dtype=int)), height, width))
    for plane in out:
        a, b, c = rng.uniform(0.3, 1.7, 3)
        plane[:] = 0.25 * (2 + np.sin(a * x + b * y + c) + np.sign(np.sin(c * x - a * y)))
        plane += rng.normal(0, 0.05, plane.shape)
    top = 127 if dtype == "uint8" else 2047
    dn = 17 + np.clip(out, 0, 1) * (top - 17)
    return (dn if dtype == "float32" else np.rint(dn)).astype(dtype).reshape(shape)


def make_pair(
    folder: str | Path,
    *,
    height: int = 64,
    width: int = 96,
    ratio: int = 4,
    bands: int = 4,
    dtype: str = "uint16",
    seed: int = 0,
    origin: tuple[float, float] = ORIGIN,
    gsd_m: float = 2.0,
    ms_offset: tuple[float, float] = (0.0, 0.0),
    nodata: float | None = None,
) -> tuple[Path, Path]:
    """Write ``ms.tif`` and ``pan.tif``, north up.

    Parameters
    ----------
    height, width : int
        Of PAN; MS has the same divided by ``ratio``, rounded down.
    origin : (float, float)
        Map x, y of PAN's top left corner.
    gsd_m : float
        PAN pixel size.
    ms_offset : (float, float)
        Metres to add to map x, y of MS's top left corner.
    nodata : float, optional
        Declared in both files; then MS's first 2 x 3 pixels and PAN's last 5 x 7 hold it.

    Returns
    -------
    (Path, Path)
        MS, PAN.
    """
    folder = Path(folder)
    pan = textured((height, width), dtype, seed)
    ms = textured((bands, height // ratio, width // ratio), dtype, seed + 1)
    if nodata is not None:
        ms[:, :2, :3] = nodata
        pan[-5:, -7:] = nodata
    x, y = origin
    ms_m = gsd_m * ratio
    ms_transform = Affine(ms_m, 0, x + ms_offset[0], 0, -ms_m, y + ms_offset[1])
    pan_transform = Affine(gsd_m, 0, x, 0, -gsd_m, y)
    return (
        write_raster(folder / "ms.tif", ms, transform=ms_transform, nodata=nodata),
        write_raster(folder / "pan.tif", pan, transform=pan_transform, nodata=nodata),
    )
