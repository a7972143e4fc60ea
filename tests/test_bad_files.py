"""Bad rasters, targets and command lines: what the error says, and that nothing is left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from commands import command
from failing import BITS, NO_PIXEL, Overrides, check_text, nothing_changes, option
from rasterio.transform import Affine
from scenes import ORIGIN, make_pair, textured, write_raster

import pantiny
from pantiny import errors as e
from pantiny.weights import load_model, make_model

# Files: each builder gets a folder with a good ms.tif and pan.tif and overrides the call.


def grid(gsd_m: float, dx: float = 0.0, dy: float = 0.0) -> Affine:
    return Affine(gsd_m, 0, ORIGIN[0] + dx, 0, -gsd_m, ORIGIN[1] + dy)


PAN, MS = grid(2.0), grid(8.0)
GOOD_PAN = textured((64, 96), "uint16", 0)
GOOD_MS = textured((4, 16, 24), "uint16", 1)


def ms_file(array: np.ndarray = GOOD_MS, transform: Affine | None = MS, **how: Any) -> Overrides:
    return lambda d: {"ms": write_raster(d / "m.tif", array, transform=transform, **how)}


def pan_file(array: np.ndarray = GOOD_PAN, transform: Affine | None = PAN, **how: Any) -> Overrides:
    return lambda d: {"pan": write_raster(d / "p.tif", array, transform=transform, **how)}


def two_ms(second: np.ndarray, transform: Affine = MS, crs: str = "EPSG:32631") -> Overrides:
    def build(d: Path) -> dict[str, Any]:
        a = write_raster(d / "m1.tif", GOOD_MS[:2], transform=MS)
        return {"ms": [a, write_raster(d / "m2.tif", second, transform=transform, crs=crs)]}

    return build


def damaged(which: str, share: float, **how: Any) -> Overrides:
    """The first ``share`` of a file."""

    def build(d: Path) -> dict[str, Any]:
        array, transform = (GOOD_MS, MS) if which == "ms" else (GOOD_PAN, PAN)
        whole = write_raster(d / "whole.tif", array, transform=transform, **how)
        path = d / "cut.tif"
        path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        return {which: path}

    return build


def spoiled_tile(d: Path) -> dict[str, Any]:
    path = write_raster(d / "spoiled.tif", GOOD_PAN, transform=PAN, **TILED)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = b"\xff" * 500
    path.write_bytes(data)
    return {"pan": path}


def text_file(d: Path) -> dict[str, Any]:
    (d / "notes.tif").write_text("hello")
    return {"ms": d / "notes.tif"}


def existing(d: Path) -> dict[str, Any]:
    (d / "out.tif").write_text("precious")
    return {}


def both(**how: Any) -> Overrides:
    return lambda d: {**ms_file(**how)(d), **pan_file(**how)(d)}


def set_nan(value: float) -> np.ndarray:
    array = GOOD_MS.astype("float32")
    array[1, 2, 3] = value
    return array


TILED = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
NO_PATH = r"{}: got {}; need the path of a file"
NOT_ON_ONE_GRID = r"m2\.tif: is on another grid than m1\.tif; need all MS files on one grid"
RATIO = r"the ratio of MS to PAN pixel size is {} x {}; need the same whole number from 2 to 8"
FILE_DTYPE = r"{}\.tif: got dtype {}; need one of uint8, uint16, int16, float32, the same in all"
TO_THE_END = r"{} cannot be read to the end \(.*\); the file looks truncated or damaged"
OURS = r"creation: got {}, which pantiny sets itself; need options of the GTiff driver"

FILES: dict[str, tuple[Overrides, type[Exception], str]] = {
    # paths
    "ms missing": (
        lambda d: {"ms": d / "no.tif"},
        e.SceneMissingError,
        r"ms: \S*no\.tif does not exist; check the path",
    ),
    "pan missing": (lambda d: {"pan": d / "no.tif"}, e.SceneMissingError, r"pan: \S*no\.tif does"),
    "second ms missing": (
        lambda d: {"ms": [d / "ms.tif", str(d / "no.tif")]},
        e.SceneMissingError,
        r"ms: \S*no\.tif does not exist",
    ),
    "no ms": (option(ms=[]), e.OptionError, r"ms: got no file; need at least one"),
    "ms None": (option(ms=None), e.OptionError, NO_PATH.format("ms", "NoneType")),
    "ms empty name": (option(ms=""), e.OptionError, NO_PATH.format("ms", "''")),
    "ms array": (option(ms=GOOD_MS), e.OptionError, NO_PATH.format("ms", "ndarray") + "; for arra"),
    "pan list": (lambda d: {"pan": [d / "pan.tif"]}, e.OptionError, NO_PATH.format("pan", "list")),
    "out None": (option(out=None), e.OptionError, NO_PATH.format("out", "NoneType")),
    "out with zero byte": (
        option(out="a\0b.tif"),
        e.OptionError,
        r"out: got 'a\\x00b\.tif'; need t",
    ),
    "not a raster": (
        text_file,
        e.SceneReadError,
        r"ms: \S*notes\.tif cannot be opened as a raster .*; need a GeoTIFF .*gdalinfo",
    ),
    "ms is a folder": (
        lambda d: {"ms": d},
        e.SceneReadError,
        r"ms: \S* cannot be opened as a rast",
    ),
    "ms truncated": (damaged("ms", 0.6), e.SceneReadError, TO_THE_END.format(r"ms: \S*cut\.tif")),
    "pan truncated": (
        damaged("pan", 0.6),
        e.SceneReadError,
        TO_THE_END.format(r"pan: \S*cut\.tif"),
    ),
    "tiled pan truncated": (
        damaged("pan", 0.8, **TILED),
        e.SceneReadError,
        TO_THE_END.format("pan: .*"),
    ),
    "only a header": (
        damaged("ms", 0.02),
        e.SceneReadError,
        r"cut\.tif cannot be opened as a",
    ),
    "spoiled tile": (spoiled_tile, e.SceneReadError, TO_THE_END.format(r"pan: \S*spoiled\.tif")),
    # grids
    "other CRS": (
        pan_file(crs="EPSG:32632"),
        e.CrsError,
        r"ms\.tif, p\.tif: CRS EPSG:32631 and EPSG:32632; need the same; .*gdalwarp -t_srs",
    ),
    "pan without CRS": (
        pan_file(crs=None),
        e.CrsError,
        r"p\.tif: has no CRS, but ms\.tif has EPSG:32631; .*gdal_edit.py -a_srs 'EPSG:32631' p\.t",
    ),
    "ms without CRS": (ms_file(crs=None), e.CrsError, r"m\.tif: has no CRS, but pan\.tif has EPSG"),
    "ms without geotransform": (
        ms_file(transform=None),
        e.GeotransformError,
        r"m\.tif: has no geotransform; need one .*; set it with gdal_edit.py",
    ),
    "plain images": (
        both(transform=None, crs=None),
        e.GeotransformError,
        r"m\.tif: has no geotransform; .*or fuse the arrays with pantiny\.fuse",
    ),
    "rotated": (
        ms_file(transform=Affine(8, 1, ORIGIN[0], 1, -8, ORIGIN[1])),
        e.GeotransformError,
        r"m\.tif, pan\.tif: the grids are rotated against each other; need parallel",
    ),
    "upside down": (
        ms_file(transform=Affine(8, 0, ORIGIN[0], 0, 8, ORIGIN[1] - 128)),
        e.GeotransformError,
        r"one grid is flipped against the other; need the same row and column directions",
    ),
    "mirrored": (
        pan_file(transform=Affine(-2, 0, ORIGIN[0] + 192, 0, -2, ORIGIN[1])),
        e.GeotransformError,
        r"ms\.tif, p\.tif: one grid is flipped",
    ),
    "swapped": (
        lambda d: {"ms": d / "pan.tif", "pan": d / "ms.tif"},
        e.SwappedInputsError,
        r"ms\.tif: PAN has 4 bands and MS has one; they look swapped: give MS first",
    ),
    "swapped, one band": (
        lambda d: {"ms": d / "pan.tif", **pan_file(GOOD_MS[0], MS)(d)},
        e.SwappedInputsError,
        r"pan\.tif, p\.tif: the pixels given as PAN are 4 x 4 times those given as MS; .*swapped",
    ),
    "pan with three bands": (
        pan_file(np.stack([GOOD_PAN] * 3)),
        e.ShapeError,
        r"p\.tif: PAN has 3 bands; need one",
    ),
    "ratio 3.7": (pan_file(transform=grid(8 / 3.7)), e.RatioError, RATIO.format(r"3\.7", r"3\.7")),
    "ratio 1": (pan_file(transform=MS), e.RatioError, RATIO.format(1, 1) + ".*gdalwarp -tr"),
    "ratio 9": (pan_file(transform=grid(8 / 9)), e.RatioError, RATIO.format(9, 9)),
    "ratio 2 x 4": (
        pan_file(transform=Affine(2, 0, ORIGIN[0], 0, -4, ORIGIN[1])),
        e.RatioError,
        RATIO.format(2, 4),
    ),
    "other place": (
        pan_file(transform=grid(2, dx=10_000)),
        e.OverlapError,
        r"no common area \(MS covers x 500000\.\.500192, y 5399872\.\.5400000, PAN x 510000\.\.",
    ),
    "next door": (pan_file(transform=grid(2, dx=192)), e.OverlapError, r"p\.tif: no common area"),
    "extent error": (
        lambda d: {"extent": "error", **pan_file(transform=grid(2, dx=6))(d)},
        e.ExtentError,
        r"the left edges differ by 0\.75 MS pixels; need at most 0\.5 with extent='error'; use",
    ),
    "extent unknown": (option(extent="all"), e.OptionError, r"extent: got 'all'; need one of inte"),
    # content
    "ms all nodata": (ms_file(GOOD_MS * 0, nodata=0), e.DataError, NO_PIXEL),
    "pan all nodata": (pan_file(GOOD_PAN * 0, nodata=0), e.DataError, NO_PIXEL),
    "all nodata by option": (
        lambda d: {**ms_file(GOOD_MS * 0 + 7)(d), "nodata": 7},
        e.DataError,
        NO_PIXEL,
    ),
    "ms on two grids": (
        two_ms(GOOD_MS[2:], grid(8, dx=8)),
        e.ShapeError,
        NOT_ON_ONE_GRID + "; warp them",
    ),
    "ms of two sizes": (two_ms(GOOD_MS[2:, :-1]), e.ShapeError, NOT_ON_ONE_GRID),
    "ms in two CRS": (two_ms(GOOD_MS[2:], crs="EPSG:32632"), e.ShapeError, NOT_ON_ONE_GRID),
    "ms of two dtypes": (
        two_ms(GOOD_MS[2:].astype("f4")),
        e.DtypeError,
        FILE_DTYPE.format("m2", "float32 and uint16"),
    ),
    "float64": (ms_file(GOOD_MS.astype("f8")), e.DtypeError, FILE_DTYPE.format("m", "float64")),
    "int32 pan": (pan_file(GOOD_PAN.astype("i4")), e.DtypeError, FILE_DTYPE.format("p", "int32")),
    "complex integers": (
        ms_file(GOOD_MS.astype("c8"), dtype="complex_int16"),
        e.DtypeError,
        FILE_DTYPE.format("m", "complex_int16") + ".*gdal_translate",
    ),
    "NaN without nodata": (
        ms_file(set_nan(np.nan)),
        e.DataError,
        r"ms: got 1 NaN and 0 infinite values among the valid pixels; .*--nodata nan",
    ),
    "infinity": (
        ms_file(set_nan(np.inf), nodata=np.nan),
        e.DataError,
        r"ms: got 0 NaN and 1 infinite values",
    ),
    "nodata unrepresentable": (option(nodata=-1), e.OptionError, r"nodata: -1 does not exist in u"),
    # output
    "out exists": (
        existing,
        e.OutputExistsError,
        r"out: \S*out\.tif exists; need a new name, or overwrite=True \(--overwrite\)",
    ),
    "out is ms": (
        lambda d: {"out": d / "ms.tif", "overwrite": True},
        e.OptionError,
        r"out: \S*ms\.tif is one of the inputs; need another name",
    ),
    "out is pan by another name": (
        lambda d: {"out": str(d / ".." / d.name / "pan.tif")},
        e.OptionError,
        r"pan\.tif is one of the inputs",
    ),
    "out folder missing": (
        lambda d: {"out": d / "new" / "out.tif"},
        e.SceneWriteError,
        r"out: folder \S*new does not exist; create it first",
    ),
    "out in a file": (
        lambda d: {"out": d / "ms.tif" / "out.tif"},
        e.SceneWriteError,
        r"out: folder \S*ms\.tif is not a folder; choose another",
    ),
    "out is a folder": (
        lambda d: {"out": d, "overwrite": True},
        e.SceneWriteError,
        r"out: \S* is a folder; need a file name such as sharp\.tif",
    ),
    "out not writable": (
        option(out="/proc/out.tif"),
        e.SceneWriteError,
        r"out: (/proc/out\.tif cannot be created \(.*\); need a writable folder|folder /proc is not"
        r" writable; choose another)",
    ),
    "out name too long": (
        lambda d: {"out": d / ("x" * 300 + ".tif")},
        e.SceneWriteError,
        r"x\.tif cannot be created \(File name too long\); choose another name",
    ),
    "out in the cloud": (
        option(out="s3://bucket/out.tif"),
        e.OptionError,
        r"out: got s3://bucket/out\.tif; need a local file; write to one and copy it",
    ),
    "creation value": (
        option(creation={"compress": "zipp"}),
        e.OptionError,
        r"creation: GDAL ignores an option \('zipp' is an unexpected value for COMPRESS",
    ),
    "creation range": (
        option(creation={"ZLEVEL": "99"}),
        e.OptionError,
        r"creation: GDAL ignores an option \(ZLEVEL=99 value not recognised",
    ),
    "creation key": (
        option(creation={"COMPRES": "zstd"}),
        e.OptionError,
        r"GDAL ignores an option \(.*does not support creation option COMPRES\)",
    ),
    "creation block": (
        option(creation={"blockxsize": 17}),
        e.SceneWriteError,
        r"out\.tif cannot be created \(.*multiples of 16\); need .*creation options GDAL knows",
    ),
    "creation jpeg of 16 bits": (  # found when the first pixels are compressed
        option(creation={"compress": "jpeg"}),
        e.SceneWriteError,
        r"out\.tif cannot be written \(.*not allowed for JPEG\); .*creation options",
    ),
    "creation driver": (
        option(creation={"DRIVER": "PNG"}),
        e.OptionError,
        OURS.format("DR.*"),
    ),
    "creation dtype": (option(creation={"dtype": "f4"}), e.OptionError, OURS.format("DTYPE")),
    "creation size": (option(creation={"Width": "9"}), e.OptionError, OURS.format("WIDTH")),
    "creation second file": (
        option(creation={"tfw": "yes"}),
        e.OptionError,
        OURS.format("TFW"),
    ),
    "creation text": (
        option(creation="a=b"),
        e.OptionError,
        r"creation: got 'a=b'; need a dict",
    ),
    # the rest
    "memory tiny": (
        option(memory="1MiB"),
        e.MemoryBudgetError,
        r"memory: .* is too little for a scene 96 pixels wide; .* needs [\d.]+ MiB; raise",
    ),
    "backend reference": (
        option(backend="reference"),
        e.BackendError,
        r"backend: 'reference' does not stream; usable for files: cpu",
    ),
    "unknown sensor": (
        option(sensor="X"),
        e.OptionError,
        r"sensor: 'X' is not in the sensor table",
    ),
    "bands": (option(bands="rgb"), e.OptionError, r"bands: got 3 letters \('rgb'\) for 4 bands"),
    "bits": (option(bits=0), e.OptionError, BITS.format(0)),
}


def build(make: Overrides, folder: Path) -> dict[str, Any]:
    ms, pan = make_pair(folder)
    out = folder / "out.tif"
    return {"ms": ms, "pan": pan, "out": out, "bits": 11, "threads": 1, **make(folder)}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, kind, pattern = FILES[name]
    call = build(make, tmp_path)
    monkeypatch.chdir(tmp_path)
    with nothing_changes(tmp_path), pytest.raises(kind) as caught:
        pantiny.fuse_files(**call)
    assert type(caught.value) is kind
    check_text(caught.value, pattern)


# The command line


CLI: dict[str, tuple[str, int, str]] = {
    "missing file": ("no.tif {pan} {out}", 1, r"pantiny: error: ms: no\.tif does not exist; check"),
    "swapped": ("{pan} {ms} {out}", 1, r"pantiny: error: ms\.tif: PAN has 4 bands .*swapped"),
    "existing target": ("{ms} {pan} {ms2}", 1, r"out: \S*ms2\.tif exists; .*--overwrite"),
    "memory tiny": (
        "{ms} {pan} {out} --memory 1KiB",
        1,
        r"memory: 1\.0 KiB is less than .*; give",
    ),
    "memory text": (
        "{ms} {pan} {out} --memory lots",
        2,
        r"memory: got 'lots'; need bytes or a text",
    ),
    "unknown sensor": (
        "{ms} {pan} {out} --sensor X9",
        2,
        r"sensor: 'X9' is not in the sensor",
    ),
    "target is input": ("{ms} {pan} {pan}", 2, r"out: \S*pan\.tif is one of the inputs"),
    "bits": ("{ms} {pan} {out} --bit-depth 17", 2, r"bits: got 17; need a whole number"),
    "half a bit": (
        "{ms} {pan} {out} --bit-depth 2.5",
        2,
        r"'--bit-depth'.*'2\.5' is not a valid",
    ),
    "threads": ("{ms} {pan} {out} -j 0", 2, r"threads: got 0; need a whole number"),
    "tile": ("{ms} {pan} {out} --tile 0", 2, r"tile: got 0; need a whole number"),
    "consistency": ("{ms} {pan} {out} --consistency 9", 2, r"consistency: got 9; need a whole"),
    "bands": ("{ms} {pan} {out} --bands rgb", 2, r"bands: got 3 letters \('rgb'\) for 4 bands"),
    "nodata": ("{ms} {pan} {out} --nodata -1", 2, r"nodata: -1\.0 does not exist in uint16"),
    "extent": ("{ms} {pan} {out} --extent all", 2, r"'--extent'.*'all' is not one of"),
    "co without value": (
        "{ms} {pan} {out} --co COMPRESS",
        2,
        r"'--co'.*need KEY=VALUE, for",
    ),
    "co value": (
        "{ms} {pan} {out} --co COMPRESS=zipp",
        2,
        r"GDAL ignores an option \('zipp' is",
    ),
    "co driver": (
        "{ms} {pan} {out} --co DRIVER=PNG",
        2,
        r"creation: got DRIVER, which pantiny s",
    ),
    "model": ("{ms} {pan} {out} --model nix", 1, r"model: got 'nix', which is no packaged model"),
    "two files": ("{ms} {pan}", 2, r"need at least MS\.tif, PAN\.tif and OUT\.tif"),
    "unknown option": ("{ms} {pan} {out} --frobnicate", 2, r"No such option.*--frobnicate"),
}


@pytest.mark.parametrize("name", CLI)
def test_command_line(name: str, tmp_path: Path) -> None:
    line, code, pattern = CLI[name]
    ms, pan = make_pair(tmp_path)
    (tmp_path / "ms2.tif").write_bytes(ms.read_bytes())
    at = {"ms": ms, "pan": pan, "ms2": tmp_path / "ms2.tif", "out": tmp_path / "out.tif"}
    with nothing_changes(tmp_path):
        result = command("fuse", *(word.format(**at) for word in line.split()))
    assert result.exit_code == code, result.stderr
    assert re.search(pattern, result.stderr), result.stderr
    assert "Traceback" not in result.stderr and not result.stdout


def test_unknown_instruction_set(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    words = [sys.executable, "-m", "pantiny.cli", "fuse", ms, pan, tmp_path / "out.tif"]
    environment = {**os.environ, "PANTINY_ISA": "unknown"}
    with nothing_changes(tmp_path):
        result = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert result.returncode == 1 and not result.stdout
    pattern = r"error: PANTINY_ISA=unknown: cannot run here; usable: .*baseline; set one of these"
    assert re.search(pattern, result.stderr) and "Traceback" not in result.stderr


# Odd inputs that are not bad


@pytest.mark.parametrize("declared", [b"-9999\0", b"nan\0\0\0", b"1e9\0\0\0"])
def test_a_declared_nodata_that_cannot_occur_marks_nothing(tmp_path: Path, declared: bytes) -> None:
    ms, pan = make_pair(tmp_path)
    pantiny.fuse_files(ms, pan, tmp_path / "plain.tif", threads=1)
    for path, array, transform in ((ms, GOOD_MS, MS), (pan, GOOD_PAN, PAN)):
        write_raster(path, array, transform=transform, nodata=65535)
        data = path.read_bytes()
        assert data.count(b"65535\0") == 1
        path.write_bytes(data.replace(b"65535\0", declared))
    pantiny.fuse_files(ms, pan, tmp_path / "odd.tif", threads=1)
    with rasterio.open(tmp_path / "plain.tif") as plain, rasterio.open(tmp_path / "odd.tif") as odd:
        assert odd.nodata is None
        assert np.array_equal(odd.read(), plain.read())


def test_the_longest_name_a_file_can_have(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    out = tmp_path / ("\u00e4" * 125 + ".tif")  # 254 bytes
    pantiny.fuse_files(ms, pan, out, threads=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ms.tif", "pan.tif", out.name]


def test_paths_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = make_pair(tmp_path)
    bands = [write_raster(tmp_path / f"b{i}.tif", GOOD_MS[i], transform=MS) for i in range(4)]
    monkeypatch.chdir(tmp_path)
    for i, (given_ms, given_pan) in enumerate(
        [
            (ms, pan),
            ("ms.tif", "pan.tif"),
            ([str(ms)], pan),
            (tuple(bands), pan),
            ((b for b in bands), pan),
        ]
    ):
        assert pantiny.fuse_files(given_ms, given_pan, f"{i}.tif", threads=1) == Path(f"{i}.tif")
        with rasterio.open("0.tif") as first, rasterio.open(f"{i}.tif") as this:
            assert np.array_equal(this.read(), first.read()), i


def test_the_warning_of_inferred_bits_points_at_the_caller(tmp_path: Path) -> None:
    tiny = load_model("tiny")
    peak = make_model(tiny.variant, tiny.tensors, contract="peak", licence="test")
    ms, pan = make_pair(tmp_path)
    out = tmp_path / "out.tif"
    text = r"bits: not stated; 11 bits inferred .*; pass bits="
    for call in (
        lambda **o: pantiny.fuse(GOOD_MS, GOOD_PAN, model=peak, threads=1, **o),
        lambda **o: pantiny.fuse_files(ms, pan, out, model=peak, dry_run=True, **o),
    ):
        with pytest.warns(e.BitDepthWarning, match=text) as w:
            call()
        assert [Path(one.filename).name for one in w] == [Path(__file__).name]
        call(bits=11)  # warnings are errors: this must not warn
        call(sensor="WV3")
