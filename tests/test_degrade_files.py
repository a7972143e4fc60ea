"""``degrade_files``: the bits of the arrays, grids, nodata, all or nothing, the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from commands import command
from failing import check_text, nothing_changes
from rasterio.transform import Affine
from scenes import ORIGIN, make_pair, textured, write_raster

import pantiny
from pantiny import errors as e
from pantiny import raster_out
from pantiny.degrade import degrade_files, degrade_pair
from pantiny.grid import Grid, compose, pair_grids
from pantiny.sensors import SENSORS

MIB = 1 << 20
LAYOUTS: list[dict[str, Any]] = [{}, {"threads": 3}, {"memory": 12 * MIB}, {"memory": "1GiB"}]


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def degrade(ms: Any, pan: Any, folder: Path, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """[K, h/r, w/r] and [h, w] as written."""
    targets = folder / "low_ms.tif", folder / "low_pan.tif"
    options = {"threads": 1, "overwrite": True, **options}
    assert degrade_files(ms, pan, *targets, **options) == targets
    return read(targets[0]), read(targets[1])[0]


def rounded(values: np.ndarray, dtype: Any, high: float | None = None) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values), info.min, high or info.max).astype(dtype)


def at(x: float, y: float, gsd_m: float) -> Affine:
    return Affine(gsd_m, 0, ORIGIN[0] + x, 0, -gsd_m, ORIGIN[1] - y)


@pytest.mark.filterwarnings("ignore::pantiny.errors.GainWarning")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("ratio", [2, 4])
def test_the_bits_of_the_arrays(tmp_path: Path, dtype: str, ratio: int) -> None:
    height, width = 76 * ratio * ratio, 11 * ratio * ratio  # more than two bands of rows
    ms, pan = make_pair(tmp_path, height=height, width=width, ratio=ratio, dtype=dtype)
    bits = 7 if dtype == "uint8" else 10  # some are cut off
    expected = degrade_pair(read(ms), read(pan)[0], ratio, sensor="QB")
    high = None if dtype == "float32" else 2**bits - 1
    for options in LAYOUTS:
        found = degrade(ms, pan, tmp_path, sensor="QB", bits=bits, **options)
        for low, truth in zip(found, expected):
            np.testing.assert_array_equal(low, rounded(truth, dtype, high), str(options))
    assert dtype == "float32" or (expected[1] > 2**bits - 1).any()


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("int16", -999), ("float32", -9.0)])
def test_nodata(tmp_path: Path, dtype: str, nodata: float) -> None:
    ms, pan = make_pair(tmp_path, height=400, width=176, dtype=dtype, nodata=nodata)
    with rasterio.open(ms, "r+") as file:
        image = file.read()
        image[1, 40:52, 9:24] = nodata  # missing in one band is missing
        image[:, 70:, 30:] = 1 if nodata == 0 else nodata + 1  # and what is next to it is not
        file.write(image)
    image, fine = read(ms), read(pan)[0]
    expected = degrade_pair(
        image, fine, 4, ms_valid=(image != nodata).all(axis=0), valid=fine != nodata
    )
    for options in LAYOUTS:
        found = degrade(ms, pan, tmp_path, **options)
        for low, truth in zip(found, expected):
            missing = np.isnan(truth)
            assert missing.any() and not missing.all()
            np.testing.assert_array_equal(low == nodata, missing)
            dn = rounded(truth[~missing], dtype)
            dn[dn == nodata] += 1  # kept apart
            np.testing.assert_array_equal(low[~missing], dn)
    for name in ("low_ms.tif", "low_pan.tif"):
        with rasterio.open(tmp_path / name) as file:
            assert file.nodata == nodata


def test_a_valid_pixel_is_not_made_nodata(tmp_path: Path) -> None:
    ms, pan = textured((1, 16, 16), "uint16", 0) * 0 + 5, textured((64, 64), "uint16", 1)
    ms[:, :4, :4] = 9
    write_raster(tmp_path / "ms.tif", ms, transform=at(0, 0, 8), nodata=9)
    ms[:, :8] = 10  # the result has 9s of its own where 5 and 10 meet
    ms[:, :4, :4] = 9
    write_raster(tmp_path / "ms.tif", ms, transform=at(0, 0, 8), nodata=9)
    write_raster(tmp_path / "pan.tif", pan, transform=at(0, 0, 2))
    low, _ = degrade(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path)
    truth = degrade_pair(ms, pan, 4, ms_valid=ms[0] != 9)[0]
    np.testing.assert_array_equal(low == 9, np.isnan(truth))
    assert (np.rint(truth) == 9).any() and (low[np.rint(truth) == 9] == 10).all()


def test_a_mask_band(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=128, width=128)
    valid = np.ones((32, 32), bool)
    valid[3:12, 20:] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(ms, "r+") as file:
        file.write_mask(valid.astype(np.uint8) * 255)
    low, _ = degrade(ms, pan, tmp_path)
    truth = degrade_pair(read(ms), read(pan)[0], 4, ms_valid=valid)[0]
    np.testing.assert_array_equal(low == 0, np.isnan(truth))
    with rasterio.open(tmp_path / "low_ms.tif") as file:
        assert file.nodata == 0
    with rasterio.open(tmp_path / "low_pan.tif") as file:
        assert file.nodata is None


def test_nan_must_be_declared(tmp_path: Path) -> None:
    ms, pan = textured((2, 16, 16), "float32", 0), textured((64, 64), "float32", 1)
    ms[1, 5, 6] = pan[60, 60] = np.nan
    files = tmp_path / "ms.tif", tmp_path / "pan.tif"
    write_raster(files[0], ms, transform=at(0, 0, 8))
    write_raster(files[1], pan, transform=at(0, 0, 2))
    with nothing_changes(tmp_path), pytest.raises(e.DataError, match=r"ms: got 1 NaN .*nodata="):
        degrade(*files, tmp_path)
    found = degrade(*files, tmp_path, nodata=np.nan)
    expected = degrade_pair(
        ms, pan, 4, ms_valid=np.isfinite(ms).all(axis=0), valid=np.isfinite(pan)
    )
    for low, truth in zip(found, expected):
        np.testing.assert_array_equal(low, truth.astype("float32"))


# Grids


def test_grids_of_an_aligned_pair(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=104, width=152)  # MS 26 x 38: 6 x 9 coarse pixels
    low, low_pan = degrade(ms, pan, tmp_path)
    assert low.shape == (4, 6, 9) and low_pan.shape == (24, 36)
    with rasterio.open(ms) as truth, rasterio.open(tmp_path / "low_pan.tif") as file:
        assert file.transform == truth.transform and file.crs == truth.crs
    with rasterio.open(tmp_path / "low_ms.tif") as file:
        assert file.transform == at(0, 0, 32.0) and file.crs == "EPSG:32631"
    with rasterio.open(tmp_path / "low_ms.tif") as a, rasterio.open(tmp_path / "low_pan.tif") as b:
        grids = [Grid(f.crs, f.transform, *f.shape, "") for f in (a, b)]
    paired = pair_grids(*grids)
    assert (paired.ratio, paired.offset, paired.height) == (4, (0.0, 0.0), 24)


@pytest.mark.parametrize("half", [(0.5, 0.0), (-0.5, 0.5)])
def test_a_phase_of_half_a_pixel_as_landsat_has(tmp_path: Path, half: tuple[float, float]) -> None:
    """MS's corner ``half`` PAN pixels below and right of PAN's: arrays call it a phase."""
    ms, pan = textured((3, 24, 20), "float32", 0), textured((48, 40), "float32", 1)
    write_raster(tmp_path / "ms.tif", ms, transform=at(half[1] * 15, half[0] * 15, 30.0))
    write_raster(tmp_path / "pan.tif", pan, transform=at(0, 0, 15.0))
    found = degrade(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path)
    expected = degrade_pair(ms, pan, 2, phase=(0.5 + half[0], 0.5 + half[1]))
    for low, truth in zip(found, expected):
        np.testing.assert_array_equal(low, truth.astype("float32"))
    with rasterio.open(tmp_path / "low_ms.tif") as a, rasterio.open(tmp_path / "low_pan.tif") as b:
        grids = [Grid(f.crs, f.transform, *f.shape, "") for f in (a, b)]
        assert a.tags()["PANTINY_PHASE"] == f"{0.5 + half[0]:g} {0.5 + half[1]:g}"
    assert pair_grids(*grids).ratio == 2
    corner = compose(~grids[1].transform, (grids[0].transform.c, grids[0].transform.f))
    np.testing.assert_allclose(corner, (half[1], half[0]), atol=1e-9)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (13.0, 6.0), (-9.4, 3.7)])
def test_a_ramp_stays_where_it_is_on_the_map(tmp_path: Path, shift: tuple[float, float]) -> None:
    """MS and PAN cover different ground; both show one ramp in map coordinates."""

    def ramp(transform: Affine, height: int, width: int) -> np.ndarray:
        x = transform.c + (np.arange(width) + 0.5) * transform.a - ORIGIN[0]
        y = transform.f + (np.arange(height) + 0.5) * transform.e - ORIGIN[1]
        return (3 * x[None, :] - 2 * y[:, None] + 5000).astype("float32")

    ms_at, pan_at = at(shift[1] * 2, shift[0] * 2, 8.0), at(0, 0, 2.0)
    write_raster(tmp_path / "ms.tif", ramp(ms_at, 50, 60)[None], transform=ms_at)
    write_raster(tmp_path / "pan.tif", ramp(pan_at, 230, 210), transform=pan_at)
    low, low_pan = degrade(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path)
    for image, name, edge in ((low[0], "low_ms.tif", 3), (low_pan, "low_pan.tif", 3)):
        with rasterio.open(tmp_path / name) as file:
            truth = ramp(file.transform, *image.shape)
        inner = np.s_[edge:-edge, edge:-edge]
        np.testing.assert_allclose(image[inner], truth[inner], atol=0.4)  # of 24 a coarse pixel
    with rasterio.open(tmp_path / "low_pan.tif") as file:
        corner = compose(~ms_at, (file.transform.c, file.transform.f))
        np.testing.assert_allclose(corner, np.rint(corner), atol=1e-6)  # on MS's lattice


def test_fusing_the_pair_gives_ms_s_grid(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=128, width=160)
    degrade(ms, pan, tmp_path, sensor="WV2")
    files = tmp_path / "low_ms.tif", tmp_path / "low_pan.tif", tmp_path / "fused.tif"
    pantiny.fuse_files(*files, method="gsa", sensor="WV2")
    with rasterio.open(files[2]) as fused, rasterio.open(ms) as truth:
        assert (fused.transform, fused.shape, fused.crs) == (
            truth.transform,
            truth.shape,
            truth.crs,
        )


# What the files say, all or nothing


def test_what_the_files_say(tmp_path: Path) -> None:
    _, pan = make_pair(tmp_path, height=128, width=128, dtype="uint8")
    names = ["red", "green", "blue", "nir"]
    image = textured((4, 32, 32), "uint16", 3)
    parts = [
        write_raster(
            tmp_path / f"{i}.tif", band, transform=at(0, 0, 8.0), descriptions=names[i : i + 1]
        )
        for i, band in enumerate(image)
    ]
    low, _ = degrade(parts, pan, tmp_path, gains=(0.3, 0.32, 0.34, 0.2), command="c")
    assert low.dtype == "uint16"
    np.testing.assert_array_equal(
        low, np.rint(degrade_pair(image, read(pan)[0], 4, gains=(0.3, 0.32, 0.34, 0.2))[0])
    )
    with rasterio.open(tmp_path / "low_ms.tif") as file:
        assert file.descriptions == tuple(names) and file.count == 4
        tags = file.tags()
        assert file.nodata is None and file.compression.name == "deflate"
    assert tags["PANTINY_GAINS"] == "0.3 0.32 0.34 0.2" and tags["PANTINY_DEGRADED"] == "4"
    assert tags["PANTINY_COMMAND"] == "c" and tags["PANTINY_PHASE"] == "1.5 1.5"
    with rasterio.open(tmp_path / "low_pan.tif") as file:
        assert file.dtypes == ("uint8",)
    before = {p.name for p in tmp_path.iterdir()}
    assert not any(name.endswith(".part") for name in before)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(("name", "at"), [("write", 1), ("write", 2), ("open", 2), ("close", 2)])
def test_a_failure_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool, name: str, at: int
) -> None:
    ms, pan = make_pair(tmp_path, height=512, width=128)
    if old:
        for low in ("low_ms.tif", "low_pan.tif"):
            (tmp_path / low).write_text("mine")
    original, calls = getattr(raster_out.RasterSink, name), []

    def broken(self: Any, *args: Any) -> None:
        original(self, *args)
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(raster_out.RasterSink, name, broken)
    with nothing_changes(tmp_path), pytest.raises(KeyboardInterrupt):
        degrade(ms, pan, tmp_path, memory=12 * MIB)


def test_progress(tmp_path: Path) -> None:
    told: list[float] = []
    degrade(*make_pair(tmp_path, height=400), tmp_path, progress=told.append, memory=12 * MIB)
    assert len(told) >= 2 and told == sorted(set(told)) and told[-1] == 1.0


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    """The process keeps its bound on a scene of four times the rows."""
    import subprocess
    import sys

    from test_streaming import PEAK

    script = PEAK.replace('"fuse"', '"degrade"')

    def peak(*words: object) -> tuple[int, int, str]:
        import json

        run = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True)
        return tuple(json.loads(run.stdout))  # type: ignore[return-value]

    outs = tmp_path / "a.tif", tmp_path / "b.tif"
    code, idle, errors = peak(*make_pair(tmp_path), *outs)
    assert code == 0, errors
    for height in (1024, 4096):
        files = make_pair(tmp_path, height=height, width=1536)
        budget = idle + 20 * MIB
        code, used, errors = peak(*files, *outs, "--overwrite", "-j", 2, "--memory", budget)
        assert code == 0, errors
        print(f"{height} rows: budget {budget / MIB:.1f} MiB, peak {used / MIB:.1f}")
        assert used <= budget
    assert 4096 * 1536 * 8 > 20 * MIB  # PAN in float64 would not fit


@pytest.mark.filterwarnings("ignore::pantiny.errors.GainWarning")
def test_the_command(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, nodata=0)
    outs = tmp_path / "a.tif", tmp_path / "b.tif"
    result = command("degrade", ms, pan, *outs, "--sensor", "qb", "-j", 1)
    assert result.exit_code == 0 and result.stdout == "", result.stderr
    assert f"wrote {outs[0]} and {outs[1]}" in result.stderr
    for out, expected in zip(outs, degrade(ms, pan, tmp_path, sensor="QB")):
        np.testing.assert_array_equal(read(out).squeeze(), expected)
    with rasterio.open(outs[0]) as file:
        assert file.tags()["PANTINY_COMMAND"].startswith("pantiny")
    assert command("degrade", ms, pan, *outs, "-q").exit_code == 1  # they exist
    gains = ",".join(map(str, SENSORS["QB"].gains))
    words = ("--gains", gains, "--bit-depth", 11, "--ratio", 4, "--overwrite", "-q")
    result = command("degrade", ms, pan, *outs, *words, "--co", "COMPRESS=LZW", "--nodata", 0)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    for out, expected in zip(outs, degrade(ms, pan, tmp_path, sensor="QB")):
        np.testing.assert_array_equal(read(out).squeeze(), expected)
        with rasterio.open(out) as file:
            assert file.compression.name == "lzw"
    result = command("degrade", ms, pan, outs[0])
    assert result.exit_code == 2 and "need at least MS.tif, PAN.tif, OUT_MS.tif" in result.stderr


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "ratio": ({"ratio": 2}, e.RatioError, r"ratio: got 2, but the geotransforms give 4; need"),
    "ratio kind": ({"ratio": 2.5}, e.OptionError, r"ratio: got 2\.5; need a whole number"),
    "both": (
        {"sensor": "QB", "gains": (0.3,) * 4},
        e.OptionError,
        r"sensor, gains: got both; need one of them",
    ),
    "gains": ({"gains": (0.3,)}, e.ShapeError, r"gains: got 1 gains for 4 bands; need one per"),
    "sensor": ({"sensor": "X"}, e.OptionError, r"sensor: 'X' is not in the sensor table"),
    "one output": ({"out_pan": "a.tif"}, e.OptionError, r"out: got \S*a\.tif for both MS and PAN"),
    "output is input": ({"out_pan": "ms.tif"}, e.OptionError, r"out: \S*ms\.tif is one of the"),
    "missing": ({"ms": "no.tif"}, e.SceneMissingError, r"ms: no\.tif does not exist; check"),
    "swapped": ({"ms": "pan.tif", "pan": "ms.tif"}, e.SwappedInputsError, r"look swapped"),
    "memory": ({"memory": "4MiB"}, e.MemoryBudgetError, r"memory: .* is too little for ms .*; ra"),
    "bits": ({"bits": 17}, e.OptionError, r"bits: got 17; need a whole number from 1 to 16"),
    "nodata": ({"nodata": -1}, e.OptionError, r"nodata: -1 does not exist in uint16; need"),
    "creation": ({"creation": {"TFW": "YES"}}, e.OptionError, r"creation: got TFW, which pantiny"),
    "no file": ({"ms": []}, e.OptionError, r"ms: got no file; need at least one; check"),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, kind, pattern = BAD[name]
    make_pair(tmp_path)
    monkeypatch.chdir(tmp_path)
    call = {"ms": "ms.tif", "pan": "pan.tif", "out_ms": "a.tif", "out_pan": "b.tif", **changes}
    call = {"overwrite": name == "output is input", **call}
    with nothing_changes(tmp_path), pytest.raises(kind) as caught:
        degrade_files(**call)
    check_text(caught.value, pattern)


def test_too_small_a_pair(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=12, width=96)
    with nothing_changes(tmp_path), pytest.raises(e.OverlapError) as caught:
        degrade(ms, pan, tmp_path)
    check_text(caught.value, r"ms, pan: PAN covers too little of MS .*; need at least 4 x 4 MS")
