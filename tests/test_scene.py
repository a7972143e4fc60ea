"""``fuse_files``: grids, extents, nodata and what the output file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from scenes import ORIGIN, make_pair, textured, write_raster

import pantiny
from pantiny.grid import compose
from pantiny.kernels.testing import random_weights
from pantiny.reference import fuse_ref
from pantiny.scaling import array_scene_scale
from pantiny.sensors import SENSORS, UNKNOWN_GAIN
from pantiny.variants import Variant
from pantiny.weights import make_model

MINI = make_model(
    v := Variant("mini", encoder_blocks=1, body_blocks=1),
    random_weights(v),
    contract="scene",
    licence="test",
    consistency=2,
)


def fuse_files(ms: Any, pan: Any, out: Any, **options: Any) -> np.ndarray:
    options = {"model": MINI, "threads": 1, **options}
    assert pantiny.fuse_files(ms, pan, out, **options) == Path(out)
    with rasterio.open(out) as file:
        return np.asarray(file.read())


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def at(x: float, y: float, gsd_m: float) -> Affine:
    return Affine(gsd_m, 0, x, 0, -gsd_m, y)


# Grids and extents


@pytest.mark.parametrize(
    ("shift", "ratio", "pan_m"),
    [
        ((7.5, -7.5), 2, 15.0),  # Landsat: half a PAN pixel
        ((-7.5, 7.5), 2, 15.0),
        ((-0.31, 0.47), 4, 0.5),
        ((1.0, -13.9), 3, 2.0),
    ],
)
def test_the_exact_phase(
    tmp_path: Path, shift: tuple[float, float], ratio: int, pan_m: float
) -> None:
    height, width, (x, y) = 52, 61, ORIGIN
    ms = textured((4, height // ratio + 1, width // ratio - 1), "float32", 0)
    pan = textured((height, width), "float32", 1)
    write_raster(tmp_path / "ms.tif", ms, transform=at(x + shift[0], y + shift[1], ratio * pan_m))
    write_raster(tmp_path / "pan.tif", pan, transform=at(x, y, pan_m))
    fused = fuse_files(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path / "out.tif")

    # PAN centres in MS pixels, from the maps alone
    ms_m = ratio * pan_m
    rows = (y + shift[1] - (y - (np.arange(height) + 0.5) * pan_m)) / ms_m
    cols = ((x + (np.arange(width) + 0.5) * pan_m) - (x + shift[0])) / ms_m
    inside = [np.flatnonzero((p >= 0) & (p <= n)) for p, n in zip((rows, cols), ms.shape[1:])]
    window = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in inside)
    m = MINI
    expected = fuse_ref(
        m.tensors,
        m.variant,
        ms,
        pan[window],
        scale_dn=array_scene_scale(ms),
        gains=(UNKNOWN_GAIN,) * 4,
        consistency=m.consistency,
        scale=(1 / ratio, 1 / ratio),
        offset=(rows[window[0]][0] - 0.5 / ratio, cols[window[1]][0] - 0.5 / ratio),
    )
    assert fused.shape == expected.shape
    error = np.abs(fused - expected).max() / np.abs(expected).max()
    assert error < 1e-5, error
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.transform.almost_equals(
            at(x + window[1].start * pan_m, y - window[0].start * pan_m, pan_m), 1e-9
        )


numbers = st.one_of(
    st.integers(-9, 9).map(float),
    st.floats(-9, 9, allow_subnormal=False).map(lambda v: round(v, 3)),
)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    shift=st.tuples(numbers, numbers),
    ratio=st.integers(2, 6),
    extent=st.sampled_from(["intersection", "union"]),
    size=st.tuples(st.integers(30, 50), st.integers(30, 50), st.integers(5, 9), st.integers(5, 9)),
)
def test_any_extents_give_pan_s_lattice(
    tmp_path: Path,
    shift: tuple[float, float],
    ratio: int,
    extent: str,
    size: tuple[int, int, int, int],
) -> None:
    pan_m, (x, y) = 0.5, ORIGIN
    height, width, ms_height, ms_width = size[0], size[1], size[2] + 2, size[3] + 2
    ms_at = at(x + shift[0] * pan_m, y + shift[1] * pan_m, ratio * pan_m)
    pan_at = at(x, y, pan_m)
    ms = textured((4, ms_height, ms_width), "uint16", 0)
    write_raster(tmp_path / "ms.tif", ms, transform=ms_at)
    write_raster(tmp_path / "pan.tif", textured((height, width), "uint16", 1), transform=pan_at)
    out = tmp_path / "out.tif"
    fused = fuse_files(
        tmp_path / "ms.tif", tmp_path / "pan.tif", out, extent=extent, overwrite=True
    )
    with rasterio.open(out) as file:
        assert file.crs == "EPSG:32631"
        corner = compose(~pan_at, file.transform)
    assert corner.almost_equals(Affine.translation(round(corner.c), round(corner.f)), 1e-6)
    row, col = round(corner.f), round(corner.c)

    # PAN rows and columns of MS's edges
    top, left = -shift[1], shift[0]
    bottom, right = top + ms_height * ratio, left + ms_width * ratio
    rows, cols = row + np.arange(fused.shape[1]) + 0.5, col + np.arange(fused.shape[2]) + 0.5
    if extent == "union":
        assert row == min(0, np.floor(top + 1e-6)) and col == min(0, np.floor(left + 1e-6))
        assert row + len(rows) == max(height, np.ceil(bottom - 1e-6))
        assert col + len(cols) == max(width, np.ceil(right - 1e-6))
        common = (rows > 0) & (rows < height) & (rows >= top - 1e-6) & (rows <= bottom + 1e-6)
        across = (cols > 0) & (cols < width) & (cols >= left - 1e-6) & (cols <= right + 1e-6)
        np.testing.assert_array_equal((fused != 0).all(axis=0), common[:, None] & across[None])
        return
    every = np.arange(height) + 0.5
    assert list(rows) == list(every[(every >= top - 1e-6) & (every <= bottom + 1e-6)])
    every = np.arange(width) + 0.5
    assert list(cols) == list(every[(every >= left - 1e-6) & (every <= right + 1e-6)])


def test_union_holds_the_intersection(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=76, width=88, ms_offset=(19.0, 11.0), dtype="float32")
    peak = make_model(MINI.variant, MINI.tensors, contract="peak", licence="test")
    for steps, edge in ((0, 0), (2, 26)):  # where PAN ends within MS, its blur ends otherwise
        options: dict[str, Any] = {"model": peak, "bits": 11, "consistency": steps}
        inner = fuse_files(ms, pan, tmp_path / f"{steps}a.tif", **options)
        outer = fuse_files(ms, pan, tmp_path / f"{steps}b.tif", extent="union", **options)
        valid = np.isfinite(outer).all(axis=0)
        assert valid.sum() == inner[0].size < valid.size
        error = np.abs(outer[:, valid].reshape(inner.shape) - inner) / inner.max()
        assert error[:, edge : inner.shape[1] - edge, edge : inner.shape[2] - edge].max() < 1e-5


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -5.0), (1.7, 0.3)])
def test_ms_beyond_the_reach_of_the_cubic_plays_no_part(
    tmp_path: Path, shift: tuple[float, float]
) -> None:
    (x, y), ms = ORIGIN, textured((4, 24, 26), "float32", 0)
    pan = write_raster(
        tmp_path / "pan.tif",
        textured((1, 36, 44), "float32", 1),
        transform=at(x + 40, y - 56, 2.0),
    )
    whole, part, other = (tmp_path / f"{n}.tif" for n in ("whole", "part", "other"))
    at_ms = at(x + shift[0], y + shift[1], 8.0)
    write_raster(whole, ms, transform=at_ms)
    write_raster(part, ms[:, 3:20, 1:20], transform=compose(at_ms, Affine.translation(1, 3)))
    ms[:, :3] = ms[:, 20:] = np.nan
    ms[:, :, :1] = ms[:, :, 20:] = np.inf
    write_raster(other, ms, transform=at_ms)
    expected = fuse_files(whole, pan, tmp_path / "a.tif")
    np.testing.assert_array_equal(fuse_files(part, pan, tmp_path / "b.tif"), expected)
    np.testing.assert_array_equal(fuse_files(other, pan, tmp_path / "c.tif"), expected)


# Nodata


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("int16", -999), ("float32", -9999)])
def test_nodata_out_is_nodata_in(tmp_path: Path, dtype: str, nodata: int) -> None:
    ms, pan = make_pair(tmp_path, dtype=dtype, nodata=nodata)
    fused = fuse_files(ms, pan, tmp_path / "out.tif")
    missing = (read(ms) == nodata).any(axis=0).repeat(4, 0).repeat(4, 1) | (read(pan)[0] == nodata)
    assert missing.any()
    for band in fused:
        np.testing.assert_array_equal(band == nodata, missing)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.nodata == nodata and set(file.nodatavals) == {nodata}
    arrays = pantiny.fuse(read(ms), read(pan), nodata=nodata, model=MINI, threads=1)
    np.testing.assert_array_equal(fused, arrays)


def test_nodata_declared_but_absent_changes_nothing(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, dtype="float32")
    expected = fuse_files(ms, pan, tmp_path / "a.tif")
    for name, bands in (("m.tif", read(ms)), ("p.tif", read(pan))):
        with rasterio.open(ms if name == "m.tif" else pan) as file:
            write_raster(tmp_path / name, bands, transform=file.transform, nodata=-9999)
    np.testing.assert_array_equal(
        fuse_files(tmp_path / "m.tif", tmp_path / "p.tif", tmp_path / "b.tif"), expected
    )
    np.testing.assert_array_equal(fuse_files(ms, pan, tmp_path / "c.tif", nodata=-1.0), expected)


def test_a_mask_band_is_honoured(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    valid = np.ones(read(pan)[0].shape, np.uint8) * 255
    valid[20:31, 40:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(pan, "r+") as file:
        file.write_mask(valid)
    fused = fuse_files(ms, pan, tmp_path / "out.tif")
    np.testing.assert_array_equal((fused == 0).all(axis=0), valid == 0)
    np.testing.assert_array_equal((fused == 0).any(axis=0), valid == 0)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.nodata == 0


def framed(array: np.ndarray, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    out = array.copy()
    out[:, :top] = out[:, :, :left] = 0
    out[:, out.shape[1] - bottom :] = out[:, :, out.shape[2] - right :] = 0
    return out


def test_a_frame_of_nodata_is_the_edge_of_an_image(tmp_path: Path) -> None:
    x, y = ORIGIN
    ms, pan = textured((4, 40, 44), "float32", 0), textured((1, 160, 176), "float32", 1)
    write_raster(tmp_path / "ms.tif", framed(ms, 4, 5, 3, 6), transform=at(x, y, 8.0), nodata=0)
    write_raster(
        tmp_path / "pan.tif", framed(pan, 16, 20, 12, 24), transform=at(x, y, 2.0), nodata=0
    )
    inner_ms, inner_pan = ms[:, 4:-3, 5:-6], pan[0, 16:-12, 20:-24]
    expected = pantiny.fuse(inner_ms, inner_pan, threads=1)
    fused = fuse_files(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path / "o.tif", model="tiny")
    fused = fused[:, 16:-12, 20:-24]
    assert (fused != 0).all()
    scale = expected.max()
    # the nodata mask only changes how the cubic and the MTF end: bilinear and renormalised,
    # not replicated
    error = np.abs(fused - expected) / scale
    assert error[:, 16:-16, 16:-16].max() < 2e-3  # 4e-4: the statistics see the edges
    assert error[:, 8:-8, 8:-8].max() < 0.05 and error.max() < 0.2  # 0.017, 0.08


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_constant_scene_has_no_rim_inside(tmp_path: Path, dtype: str) -> None:
    """Further in than the network reaches past an edge, nodata leaves no trace."""
    x, y = ORIGIN
    colour = np.array([500, 400, 300, 700])[:, None, None]
    ms = np.broadcast_to(colour, (4, 40, 44)).astype(dtype)
    pan = np.full((1, 160, 176), 500, dtype)
    write_raster(tmp_path / "ms.tif", framed(ms, 2, 2, 2, 2), transform=at(x, y, 8.0), nodata=0)
    write_raster(tmp_path / "pan.tif", framed(pan, 8, 8, 20, 9), transform=at(x, y, 2.0), nodata=0)
    fused = fuse_files(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path / "o.tif", model="tiny")
    inner = fused[:, 32:-44, 32:-33].astype(float)
    assert np.abs(inner - colour).max() <= 1
    valid = (fused != 0).all(axis=0)
    assert valid.sum() == (160 - 28) * (176 - 17)
    edge = np.abs(fused[:, valid] - colour[:, 0]) / colour[:, 0]
    assert edge.max() < 0.25  # 0.12: the network's zero padding, as at the edge of any image


# Files in, file out


def test_one_file_per_band(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, nodata=0)
    with rasterio.open(ms, "r+") as file:
        image, transform = file.read(), file.transform
        image[2, 7, 9] = 0  # missing in one band is missing
        file.write(image)
    stacked = fuse_files(ms, pan, tmp_path / "a.tif", bands="rgbn")
    assert (stacked[:, 28:32, 36:40] == 0).all()
    parts = [
        write_raster(tmp_path / f"{i}.tif", band, transform=transform, nodata=0)
        for i, band in enumerate(image)
    ]
    single = fuse_files(parts, pan, tmp_path / "b.tif", bands="rgbn")
    np.testing.assert_array_equal(single, stacked)
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.descriptions == ("red", "green", "blue", "nir")


@pytest.mark.parametrize(("dtype", "bands"), [("uint8", 3), ("uint16", 4), ("float32", 8)])
def test_what_the_file_says(tmp_path: Path, dtype: str, bands: int) -> None:
    _, pan = make_pair(tmp_path, height=128, width=144, dtype=dtype)
    names = {3: ["red", "green", "blue"], 4: ["Blue", "Green", "Red", "NIR"]}.get(bands)
    ms = write_raster(
        tmp_path / "ms.tif",
        textured((bands, 32, 36), dtype, 5),
        transform=at(*ORIGIN, 8.0),
        descriptions=names,
    )
    fuse_files(
        ms,
        pan,
        tmp_path / "out.tif",
        sensor="WV3",
        bits=8 if dtype == "uint8" else None,
        command="c",
    )
    with rasterio.open(tmp_path / "out.tif") as file, rasterio.open(pan) as grid:
        assert (file.crs, file.transform, file.shape) == (grid.crs, grid.transform, grid.shape)
        assert set(file.dtypes) == {dtype} and file.count == bands and file.nodata is None
        assert set(file.block_shapes) == {(144, 144)} and file.compression.name == "deflate"
        assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == ("3" if dtype == "float32" else "2")
        found = [d.lower() for d in file.descriptions]
        assert found == ([n.lower() for n in names] if names else list(SENSORS["WV3-8"].bands))
        colours = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}
        assert list(file.colorinterp) == [colours.get(n, ColorInterp.undefined) for n in found]
        tags = file.tags()
    assert tags["PANTINY_VERSION"] == pantiny.__version__ and tags["PANTINY_COMMAND"] == "c"
    assert tags["PANTINY_MODEL"] == "mini" and tags["PANTINY_MODEL_SHA256"] == MINI.sha256
    assert tags["PANTINY_CONSISTENCY"] == "2"
    assert tags["PANTINY_SENSOR"] == ("WV3-8" if bands == 8 else "WV3")
    assert tags["PANTINY_BITS"] == ("8" if dtype == "uint8" else "11")
    assert len(tags["PANTINY_DN_PER_UNIT"].split()) == (2 if bands == 8 else 1)
    assert {p.name for p in tmp_path.iterdir()} == {"ms.tif", "pan.tif", "out.tif"}


def test_creation_options(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    plain = fuse_files(ms, pan, tmp_path / "a.tif")
    options = {"COMPRESS": "zstd", "Interleave": "band", "BLOCKXSIZE": "32", "blockysize": "64"}
    other = fuse_files(ms, pan, tmp_path / "b.tif", creation=options)
    np.testing.assert_array_equal(other, plain)
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.compression.name == "zstd" and file.interleaving.name == "band"
        assert file.block_shapes == [(64, 32)] * 4
