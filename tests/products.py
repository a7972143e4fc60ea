"""Products as GeoTIFFs for the tests of ``pantiny evaluate``, and what their indices are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.transform import Affine
from scenes import ORIGIN, textured, write_raster

from pantiny import metrics as m

R = 4
PEAK = 2047.0


def at(gsd: float, x: float = 0.0, y: float = 0.0) -> Affine:
    """A transform whose corner lies x and y metres right of and below the origin."""
    return Affine(gsd, 0.0, ORIGIN[0] + x, 0.0, -gsd, ORIGIN[1] - y)


class Files(NamedTuple):
    ms: Path
    pan: Path
    fused: Path
    truth: Path
    arrays: dict[str, np.ndarray]


def images(height: int = 160, width: int = 136) -> dict[str, np.ndarray]:
    truth = textured((4, height, width), "uint16", 1)
    noise = np.random.default_rng(2).integers(-40, 40, truth.shape)
    fused = np.clip(truth.astype(int) + noise, 1, 2047).astype(np.uint16)
    ms = truth.reshape(4, height // R, R, width // R, R).mean((2, 4)).astype(np.uint16)
    pan = textured((height, width), "uint16", 3)
    return {"ms": ms, "pan": pan, "fused": fused, "truth": truth}


def write(folder: Path, name: str = "a", **changes: Any) -> Files:
    arrays = images()
    gsd = {"ms": 4.0, "pan": 1.0, "fused": 1.0, "truth": 1.0}
    paths = {
        part: write_raster(
            folder / f"{name}_{part}.tif", arrays[part], transform=at(gsd[part]), **changes
        )
        for part in arrays
    }
    return Files(**paths, arrays=arrays)


def full(a: dict[str, np.ndarray], **options: Any) -> dict[str, float]:
    """What the functions make of whole arrays."""
    f, ms, pan = a["fused"], a["ms"], a["pan"]
    return {
        "d_lambda": m.d_lambda(f, ms, **options),
        "d_s": m.d_s(f, ms, pan, sensor="WV2", **options),
        "qnr": m.qnr(f, ms, pan, sensor="WV2", **options),
        "d_lambda_k": m.d_lambda_k(f, ms, sensor="WV2", **options),
        "hqnr": m.hqnr(f, ms, pan, sensor="WV2", **options),
        "d_s_r": m.d_s_r(f, pan, **options),
        "rqnr": m.rqnr(f, ms, pan, sensor="WV2", **options),
        "r_ergas": m.r_ergas(f, ms, sensor="WV2", **options),
        "r_sam": m.r_sam(f, ms, sensor="WV2", **options),
        "r_q2n": m.r_q2n(f, ms, sensor="WV2", **options),
        "d_rho": m.d_rho(f, pan, ratio=R, **options),
    }
