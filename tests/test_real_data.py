"""Real pairs of WorldView-2 and Landsat 8, where they are at hand (``PANTINY_DATA``)."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import pantiny
from pantiny.grid import compose
from pantiny.kernels.consistency.consistency_ref import degrade_masked_ref
from pantiny.sensors import SENSORS

DATA = Path(os.environ.get("PANTINY_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
GEOREF = DATA / "georef"
PAIRS = {"wv2_sn6_1": "WV2", "wv2_sn6_2": "WV2", "landsat8_utm35": "L8"}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not GEOREF.is_dir(), reason=f"no real data: {GEOREF} (set PANTINY_DATA)"),
]


def fuse_pair(name: str, out: Path, **options: Any) -> Path:
    ms, pan = (GEOREF / f"{name}_{kind}.tif" for kind in ("ms", "pan"))
    return pantiny.fuse_files(ms, pan, out, **{"sensor": PAIRS[name], "threads": 1, **options})


@pytest.fixture(scope="module", params=PAIRS)
def fused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name = request.param
    return fuse_pair(name, tmp_path_factory.mktemp("real") / f"{name}.tif")


@lru_cache
def read(path: Path) -> tuple[np.ndarray, rasterio.profiles.Profile]:
    with rasterio.open(path) as file:
        return file.read(), file.profile


def inputs(fused: Path) -> list[tuple[np.ndarray, rasterio.profiles.Profile]]:
    return [read(GEOREF / f"{fused.stem}_{kind}.tif") for kind in ("ms", "pan")]


def test_the_output_lies_on_pan_s_grid(fused: Path) -> None:
    (_, ms), (_, pan) = inputs(fused)
    image, out = read(fused)
    assert out["crs"] == pan["crs"]
    assert (out["transform"].a, out["transform"].e) == (pan["transform"].a, pan["transform"].e)
    col = (out["transform"].c - pan["transform"].c) / pan["transform"].a
    row = (out["transform"].f - pan["transform"].f) / pan["transform"].e
    assert abs(col - round(col)) < 1e-6 and abs(row - round(row)) < 1e-6
    assert image.shape[0] == ms["count"] and image.dtype == ms["dtype"]
    if fused.stem == "landsat8_utm35":
        # PAN begins 7.5 m right of and below MS: its last column ends 7.5 m beyond MS with its
        # centre on the edge, the last of its 375 rows has its centre 15 m beyond
        assert (pan["width"], pan["height"]) == (558, 375)
        assert image.shape[1:] == (374, 558) and (row, col) == (0, 0)
    else:
        assert out["transform"] == pan["transform"]
        assert image.shape[1:] == (pan["height"], pan["width"])


def test_nodata_stays_nodata(fused: Path) -> None:
    (ms, ms_profile), _ = inputs(fused)
    image, out = read(fused)
    if fused.stem == "landsat8_utm35":  # 0 in PAN, nothing in MS, which is float32
        assert np.isnan(out["nodata"]) and np.isfinite(image).all()
        return
    assert out["nodata"] == ms_profile["nodata"] == 0
    missing = (ms == 0).any(axis=0).repeat(4, 0).repeat(4, 1)  # nowhere said of PAN
    for band in image:
        np.testing.assert_array_equal(band == 0, missing)
    if fused.stem == "wv2_sn6_2":
        assert 0.30 < missing.mean() < 0.36  # as shipped: 32 %


def edges(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Length of the gradient, without its mean; 0 beside missing pixels."""
    down, right = np.gradient(image.astype(float))
    inner = valid.copy()
    for axis in (0, 1):
        inner &= np.roll(valid, 1, axis) & np.roll(valid, -1, axis)
    inner[0] = inner[-1] = inner[:, 0] = inner[:, -1] = False
    length = np.hypot(down, right)
    length = np.minimum(length, np.percentile(length[inner], 99))  # no single edge decides
    return np.where(inner, length - length[inner].mean(), 0.0)


def peak(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Shift of ``a`` against ``b``, from the peak of their cross-correlation."""
    both = np.fft.irfft2(np.fft.rfft2(a) * np.conj(np.fft.rfft2(b)), a.shape)
    row, col = np.unravel_index(int(both.argmax()), both.shape)
    return tuple(int((i + n // 2) % n - n // 2) for i, n in zip((row, col), a.shape))  # type: ignore[return-value]


def test_nothing_is_shifted(fused: Path) -> None:
    _, (pan, _) = inputs(fused)
    image, out = read(fused)
    valid = known(image, out)
    image = np.where(valid, image, 0)
    of_pan, of_fused = edges(pan[0, : len(valid)], valid), edges(image.mean(axis=0), valid)
    assert peak(of_fused, of_pan) == (0, 0)
    assert peak(np.roll(of_fused, (1, -2), (0, 1)), of_pan) == (1, -2)  # it would be seen


def known(image: np.ndarray, profile: rasterio.profiles.Profile) -> np.ndarray:
    nodata = profile["nodata"]
    return np.isfinite(image).all(axis=0) if nodata != nodata else (image != nodata).all(axis=0)


def test_the_colours_are_those_of_ms(fused: Path) -> None:
    (ms, ms_profile), _ = inputs(fused)
    image, out = read(fused)
    t = compose(~ms_profile["transform"], out["transform"])
    gains = SENSORS[PAIRS[fused.stem]].gains
    low, exists = degrade_masked_ref(
        image, known(image, out), ms.shape[1:], gains, (t.e, t.a), (t.f, t.c)
    )
    exists &= (ms != 0).all(axis=0)
    assert exists.mean() > 0.6
    error = np.linalg.norm((low - ms)[exists]) / np.linalg.norm(ms[exists])
    print(fused.stem, error)
    assert error < 0.12  # half of what the plain network leaves


def test_tiles_give_the_same_bits(tmp_path: Path) -> None:
    name = "wv2_sn6_2"
    first = read(fuse_pair(name, tmp_path / f"{name}.tif"))[0]
    layouts: list[dict[str, Any]] = [{"tile": 320, "threads": 2}, {"memory": "48MiB"}]
    for i, options in enumerate(layouts):
        other = read(fuse_pair(name, tmp_path / f"{i}.tif", **options))[0]
        np.testing.assert_array_equal(other, first, str(options))
