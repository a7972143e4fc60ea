"""What the tests of the streamed classical methods share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from scenes import textured

import pantiny
from pantiny.degrade import upsample_ms

MIB = 1 << 20


def pair(
    height: int = 19, width: int = 23, *, ratio: int = 4, bands: int = 4, dtype: str = "float32"
) -> tuple[np.ndarray, np.ndarray]:
    """PAN sees the bands and texture of its own; DN from some 40 % of the largest up."""
    top = 127 if dtype == "uint8" else 2047
    ms = 0.4 * top + 0.5 * textured((bands, height, width), dtype, 0)
    own = textured((height * ratio, width * ratio), dtype, 1)
    pan = 0.7 * upsample_ms(ms, ratio).mean(0) + 0.3 * own
    if dtype != "float32":
        ms, pan = np.rint(ms), np.rint(pan)
    return ms.astype(dtype), pan.astype(dtype)


def fuse(ms: Any, pan: Any, method: str, **options: Any) -> Any:
    return pantiny.fuse(ms, pan, method=method, **{"threads": 1, **options})


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())
