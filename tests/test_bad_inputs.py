"""Bad arrays, options and model files: what the error says, and that nothing is left."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from failing import BITS, NO_PIXEL, Overrides, check_text, nothing_changes, option
from scenes import make_pair, textured

import pantiny
from pantiny import errors as e

PACKAGED = Path(pantiny.__file__).parent / "weights" / "tiny.safetensors"


# Arrays: overrides of a good call, given its ms [4, 8, 12] and pan [32, 48].


def put(array: np.ndarray, value: float) -> np.ndarray:
    out = array.astype("float32")
    out[..., 3, 5] = value
    return out


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def overlapping(ms: np.ndarray, _: np.ndarray) -> dict[str, Any]:
    out = np.zeros((4, 32, 48), "uint16")
    shared = out.reshape(-1)[: ms.size].reshape(ms.shape)
    shared[:] = ms
    return {"ms": shared, "out": out}


def dtype_of(which: str, dtype: Any) -> Overrides:
    return lambda ms, pan: {which: {"ms": ms, "pan": pan}[which].astype(dtype)}


BAD_DTYPE = r"{}: got dtype {}; need uint8, uint16, int16, float32; convert it"
NO_ARRAY = r"{}: got {}; need a numpy array, a CPU torch tensor .*; wrap it"
WHOLE_RATIO = r"{} give a ratio of {} x {}; need the same whole number from 2 to 8"
STEPS = r"consistency: got {}; need a whole number of steps from 0 .* to 8"
SWAPPED = r"got ms {} and pan {}; PAN is the finer one; they look swapped"
MASK_SHAPE = r"mask: got shape {}; need PAN's \(32, 48\) or MS's \(8, 12\)"

ARRAYS: dict[str, tuple[Overrides, type[Exception], str]] = {
    # element types and things that are no arrays
    "ms float64": (dtype_of("ms", "f8"), e.DtypeError, BAD_DTYPE.format("ms", "float64")),
    "ms int32": (dtype_of("ms", "i4"), e.DtypeError, BAD_DTYPE.format("ms", "int32")),
    "pan complex": (dtype_of("pan", "c8"), e.DtypeError, BAD_DTYPE.format("pan", "complex64")),
    "ms object": (dtype_of("ms", object), e.DtypeError, BAD_DTYPE.format("ms", "object")),
    "pan bool": (dtype_of("pan", bool), e.DtypeError, BAD_DTYPE.format("pan", "bool")),
    "pan float16": (dtype_of("pan", "f2"), e.DtypeError, BAD_DTYPE.format("pan", "float16")),
    "ms text array": (dtype_of("ms", "U5"), e.DtypeError, BAD_DTYPE.format("ms", "<U5")),
    "ms dates": (dtype_of("ms", "M8[s]"), e.DtypeError, r"ms: got dtype datetime64\[s\]; need"),
    "ms list": (lambda m, p: {"ms": m.tolist()}, e.DtypeError, NO_ARRAY.format("ms", "list")),
    "ms None": (option(ms=None), e.DtypeError, NO_ARRAY.format("ms", "NoneType")),
    "ms file name": (option(ms="ms.tif"), e.DtypeError, NO_ARRAY.format("ms", "str")),
    "pan path": (option(pan=Path("p.tif")), e.DtypeError, NO_ARRAY.format("pan", r"\w*Path")),
    "pan number": (option(pan=3.0), e.DtypeError, NO_ARRAY.format("pan", "float")),
    # values
    "ms NaN": (
        lambda m, p: {"ms": put(m, np.nan)},
        e.DataError,
        r"ms: got 4 NaN and 0 infinite values .*; need finite .*nodata=float\('nan'\)",
    ),
    "pan NaN": (
        lambda m, p: {"pan": put(p, np.nan)},
        e.DataError,
        r"pan: got 1 NaN and 0 infinite values among the valid pixels",
    ),
    "pan inf": (
        lambda m, p: {"pan": put(p, np.inf)},
        e.DataError,
        r"pan: got 0 NaN and 1 infinite values .*; replace infinite values",
    ),
    "ms -inf": (
        lambda m, p: {"ms": put(m, -np.inf)},
        e.DataError,
        r"ms: got 0 NaN and 4 infinite values .*; replace infinite values",
    ),
    "inf where nodata is NaN": (
        lambda m, p: {"ms": put(m, np.inf), "pan": put(p, np.nan), "nodata": np.nan},
        e.DataError,
        r"ms: got 0 NaN and 4 infinite values",
    ),
    "all nodata": (lambda m, p: {"ms": m * 0, "nodata": 0}, e.DataError, NO_PIXEL),
    "all masked": (lambda m, p: {"mask": np.zeros(p.shape, bool)}, e.DataError, NO_PIXEL),
    "all masked float": (
        lambda m, p: {"ms": np.ma.masked_all(m.shape, "f4"), "pan": p.astype("f4")},
        e.DataError,
        NO_PIXEL,
    ),
    # shapes
    "no rows": (
        lambda m, p: {"ms": m[:, :0], "pan": p[:0]},
        e.ShapeError,
        r"got ms \(4, 0, 12\) and pan \(0, 48\); need at least one band and one pixel",
    ),
    "no bands": (
        lambda m, p: {"ms": m[:0]},
        e.ShapeError,
        r"got ms \(0, 8, 12\) .*; need at least one band and one pixel",
    ),
    "empty pan": (
        lambda m, p: {"pan": p[:, :0]},
        e.ShapeError,
        r"and pan \(32, 0\); need at least one band and one pixel",
    ),
    "ms one band": (
        lambda m, p: {"ms": m[0]},
        e.ShapeError,
        r"ms: got shape \(8, 12\); need \[K, h, w\] .*; for one band use ms\[None\]",
    ),
    "ms 5-D": (lambda m, p: {"ms": m[None, None]}, e.ShapeError, r"ms: got shape \(1, 1, 4, 8, 12"),
    "ms bands-last": (
        lambda m, p: {"ms": m.transpose(1, 2, 0)},
        e.ShapeError,
        r"ms: got shape \(8, 12, 4\) with 8 bands; it looks bands-last; .*transpose\(2, 0, 1\)",
    ),
    "batch bands-last": (
        lambda m, p: {"ms": m.transpose(1, 2, 0)[None], "pan": p[None]},
        e.ShapeError,
        r"ms: got shape \(1, 8, 12, 4\) .* bands-last; .*ms\.transpose\(0, 3, 1, 2\)",
    ),
    "pan bands-last": (
        lambda m, p: {"pan": p[..., None]},
        e.ShapeError,
        r"pan: got shape \(32, 48, 1\); need \[H, W\]; it looks bands-last; pass pan\[\.\.\., 0\]",
    ),
    "pan three bands": (
        lambda m, p: {"pan": np.stack([p] * 3)},
        e.ShapeError,
        r"pan: got shape \(3, 32, 48\); need \[H, W\], one band; select it",
    ),
    "pan one row": (lambda m, p: {"pan": p[0]}, e.ShapeError, r"pan: got shape \(48,\); need \[H"),
    "batches of two and three": (
        lambda m, p: {"ms": np.stack([m] * 2), "pan": np.stack([p] * 3)},
        e.ShapeError,
        r"pan: got shape \(3, 32, 48\); need \[N, 1, H, W\] or \[N, H, W\] with N = 2",
    ),
    "batch of ms, one pan": (
        lambda m, p: {"ms": np.stack([m] * 2)},
        e.ShapeError,
        r"pan: got shape \(32, 48\); need .*N = 2, .*; .*batches of ms and pan alike",
    ),
    "swapped": (
        lambda m, p: {"ms": p, "pan": m},
        e.SwappedInputsError,
        SWAPPED.format(r"\(32, 48\)", r"\(4, 8, 12\)"),
    ),
    "swapped, pan [1, H, W]": (
        lambda m, p: {"ms": p[None], "pan": m},
        e.SwappedInputsError,
        SWAPPED.format(r"\(1, 32, 48\)", r"\(4, 8, 12\)"),
    ),
    "swapped, one band": (
        lambda m, p: {"ms": p, "pan": m[0]},
        e.SwappedInputsError,
        SWAPPED.format(r"\(32, 48\)", r"\(8, 12\)"),
    ),
    "swapped batch": (
        lambda m, p: {"ms": np.stack([p] * 2)[:, None], "pan": np.stack([m] * 2)},
        e.SwappedInputsError,
        SWAPPED.format(r"\(2, 1, 32, 48\)", r"\(2, 4, 8, 12\)"),
    ),
    "swapped strip": (
        lambda m, p: {"ms": np.tile(p, (1, 4)), "pan": np.tile(m, (1, 1, 4))},
        e.SwappedInputsError,
        SWAPPED.format(r"\(32, 192\)", r"\(4, 8, 48\)"),
    ),
    "swapped bands-last": (
        lambda m, p: {"ms": p, "pan": m.transpose(1, 2, 0)},
        e.SwappedInputsError,
        SWAPPED.format(r"\(32, 48\)", r"\(8, 12, 4\)"),
    ),
    # ratio
    "ratio 3.75": (
        lambda m, p: {"pan": p[:30, :45]},
        e.RatioError,
        WHOLE_RATIO.format("ms 8x12 and pan 30x45", r"3\.75", r"3\.75"),
    ),
    "ratio 1": (
        lambda m, p: {"pan": p[:8, :12]},
        e.RatioError,
        WHOLE_RATIO.format("ms 8x12 and pan 8x12", 1, 1) + ".*; crop both",
    ),
    "ratio 9": (
        lambda m, p: {"pan": np.tile(p, (3, 3))[:72, :108]},
        e.RatioError,
        WHOLE_RATIO.format("pan 72x108", 9, 9) + ".*or use fuse_files",
    ),
    "ratio 4 x 2": (
        lambda m, p: {"pan": p[:, :24]},
        e.RatioError,
        WHOLE_RATIO.format("ms 8x12 and pan 32x24", 4, 2),
    ),
    "one column too many": (
        lambda m, p: {"pan": np.hstack([p, p[:, :1]])},
        e.RatioError,
        WHOLE_RATIO.format("pan 32x49", 4, r"4\.08"),
    ),
    "asserted ratio wrong": (
        option(ratio=2),
        e.RatioError,
        r"ratio: got 2, but ms 8x12 and pan 32x48 give 4; leave ratio out",
    ),
    "asserted ratio text": (option(ratio="4"), e.OptionError, r"ratio: got '4'; need a whole"),
    "asserted ratio array": (option(ratio=np.array([4, 4])), e.OptionError, r"ratio: got array"),
    # bits and sensor
    "bits 0": (option(bits=0), e.OptionError, BITS.format(0)),
    "bits 17": (option(bits=17), e.OptionError, BITS.format(17)),
    "bits 2.5": (option(bits=2.5), e.OptionError, BITS.format(r"2\.5")),
    "bits text": (option(bits="11"), e.OptionError, BITS.format("'11'")),
    "bits True": (option(bits=True), e.OptionError, BITS.format("True")),
    "bits too many for uint8": (
        lambda m, p: {"ms": m.astype("u1"), "pan": p.astype("u1"), "bits": 11},
        e.OptionError,
        r"bits: 11 bits do not fit in uint8 \(largest value 255\); need fewer bits",
    ),
    "bits 16 in int16": (
        lambda m, p: {"ms": m.astype("i2"), "bits": 16},
        e.OptionError,
        r"16 bits do not fit in int16 \(largest value 32767\); need",
    ),
    "sensor too many bits": (
        lambda m, p: {"ms": m.astype("u1"), "bits": None, "sensor": "PL"},
        e.OptionError,
        r"bits: 12 bits do not fit in uint8",
    ),
    "unknown sensor": (
        option(sensor="WorldView9"),
        e.OptionError,
        r"sensor: 'WorldView9' is not in the sensor table; known: WV2.*; use one of these, or",
    ),
    "sensor number": (option(sensor=3), e.OptionError, r"sensor: got int; need a name from the se"),
    # bands
    "bands misspelt": (
        option(bands="red,green,blau,nir"),
        e.OptionError,
        r"bands: 'blau' is not a known band; known: coastal, blue, .*; name the bands in file",
    ),
    "bands too few letters": (
        option(bands="rgb"),
        e.OptionError,
        r"bands: got 3 letters \('rgb'\) for 4 bands; need each band named once",
    ),
    "bands too few names": (
        option(bands=("red", "green")),
        e.OptionError,
        r"bands: got 2 names \(red, green\) for 4 bands; need each band named once",
    ),
    "bands twice": (
        option(bands="red,red,blue,nir"),
        e.OptionError,
        r"bands: got 4 names \(red, red, blue, nir\) for 4 bands; need each band named once",
    ),
    "bands numbers": (option(bands=[1, 2, 3, 4]), e.OptionError, r"got \[1, 2, 3, 4\]; need names"),
    "bands None inside": (option(bands=[None] * 4), e.OptionError, r"got \[None, .*; need names"),
    "bands count": (option(bands=4), e.OptionError, r"bands: got 4; need names, for example"),
    # nodata
    "nodata -9999 in uint16": (
        option(nodata=-9999),
        e.OptionError,
        r"nodata: -9999 does not exist in uint16; need a whole number from 0 to 65535",
    ),
    "nodata half": (option(nodata=0.5), e.OptionError, r"nodata: 0\.5 does not exist in uint16"),
    "nodata NaN in uint16": (option(nodata=np.nan), e.OptionError, r"nodata: nan does not exist i"),
    "nodata inf in uint16": (option(nodata=np.inf), e.OptionError, r"nodata: inf does not exist i"),
    "nodata beyond float32": (
        lambda m, p: {"ms": m.astype("f4"), "nodata": 1e39},
        e.OptionError,
        r"nodata: 1e\+39 does not exist in float32; need a number that float32 can hold",
    ),
    "nodata text": (option(nodata="0"), e.OptionError, r"nodata: got '0'; need a number"),
    "nodata complex": (option(nodata=np.complex64(1)), e.OptionError, r"nodata: got .*a number"),
    # mask
    "mask shape": (
        lambda m, p: {"mask": np.ones((5, 5), bool)},
        e.ShapeError,
        MASK_SHAPE.format(r"\(5, 5\)"),
    ),
    "mask per band": (
        lambda m, p: {"mask": np.ones(m.shape, bool)},
        e.ShapeError,
        MASK_SHAPE.format(r"\(4, 8, 12\)") + r"; merge masks of bands with mask\.all\(axis=0\)",
    ),
    "mask float": (
        lambda m, p: {"mask": np.ones(p.shape)},
        e.OptionError,
        r"mask: got dtype float64; need bool or uint8, nonzero = valid; compare it",
    ),
    "mask ragged": (option(mask=[[1, 1], [1]]), e.OptionError, r"mask: got list that is no array"),
    # out
    "out shape": (
        lambda m, p: {"out": np.empty((4, 32, 47), "u2")},
        e.ShapeError,
        r"out: got shape \(4, 32, 47\); need \(4, 32, 48\); pass numpy\.empty\(\(4, 32, 48\)",
    ),
    "out dtype": (
        lambda m, p: {"out": np.empty((4, 32, 48), "f4")},
        e.DtypeError,
        r"out: got dtype float32; need uint16 as ms",
    ),
    "out byte order": (
        lambda m, p: {"out": np.empty((4, 32, 48), ">u2")},
        e.DtypeError,
        r"out: got dtype >u2; need uint16 as ms, in native byte order",
    ),
    "out read-only": (
        lambda m, p: {"out": read_only(np.empty((4, 32, 48), "u2"))},
        e.OptionError,
        r"out: got a read-only array; need a writable one",
    ),
    "out overlapping": (
        overlapping,
        e.OptionError,
        r"out: got memory that ms or pan lies in; need",
    ),
    "out file name": (option(out="out.tif"), e.DtypeError, NO_ARRAY.format("out", "str")),
    # consistency, threads, memory, tile
    "consistency -1": (option(consistency=-1), e.OptionError, STEPS.format(-1)),
    "consistency 9": (option(consistency=9), e.OptionError, STEPS.format(9)),
    "consistency 1.5": (option(consistency=1.5), e.OptionError, STEPS.format(r"1\.5")),
    "threads 0": (option(threads=0), e.OptionError, r"threads: got 0; need a whole number from 1"),
    "threads text": (option(threads="all"), e.OptionError, r"threads: got 'all'; need a whole .*;"),
    "threads True": (
        option(threads=True),
        e.OptionError,
        r"threads: got True; need a whole",
    ),
    "memory text": (
        option(memory="lots"),
        e.OptionError,
        r"memory: got 'lots'; need bytes or",
    ),
    "memory 0": (option(memory=0), e.OptionError, r"memory: got 0; need bytes or a text such as"),
    "memory NaN": (option(memory=np.nan), e.OptionError, r"memory: got nan; need bytes or a text"),
    "memory endless": (option(memory="9" * 400), e.OptionError, r"memory: got '999.*; need bytes"),
    "memory tiny": (
        option(memory="1KiB"),
        e.MemoryBudgetError,
        r"memory: 1\.0 KiB is too little for a scene 48 pixels wide; the smallest layout .* needs "
        r"[\d.]+ MiB; raise memory=",
    ),
    "tile 0": (option(tile=0), e.OptionError, r"tile: got 0; need a whole number of pixels, 64 or"),
    "tile 64.5": (option(tile=64.5), e.OptionError, r"tile: got 64\.5; need a whole number of pix"),
    # backend and model
    "backend triton": (
        option(backend="triton"),
        e.BackendError,
        r"backend: 'triton' is not in this version; usable: cpu \(.*baseline.*reference; use",
    ),
    "backend unknown": (option(backend="gpu"), e.BackendError, r"backend: 'gpu' is unknown; usabl"),
    "backend None": (option(backend=None), e.BackendError, r"backend: None is unknown; usable: cp"),
    "model unknown": (
        option(model="gigantic"),
        e.ModelMissingError,
        r"model: got 'gigantic', which is no packaged model; available: tiny",
    ),
    "model None": (option(model=None), e.OptionError, r"model: got NoneType; need the name of a"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, kind, pattern = ARRAYS[name]
    ms, pan = textured((4, 8, 12), "uint16", 1), textured((32, 48), "uint16", 2)
    call: dict[str, Any] = {"ms": ms, "pan": pan, "bits": 11, "threads": 1, **make(ms, pan)}
    arrays = {k: v for k, v in call.items() if isinstance(v, np.ndarray) and k != "out"}
    before = {k: v.tobytes() for k, v in arrays.items()}
    if isinstance(call.get("out"), np.ndarray) and name != "out overlapping":
        arrays["out"], before["out"] = call["out"], call["out"].tobytes()
    monkeypatch.chdir(tmp_path)
    with nothing_changes(tmp_path), pytest.raises(kind) as caught:
        pantiny.fuse(**call)
    assert type(caught.value) is kind
    check_text(caught.value, pattern)
    assert {k: v.tobytes() for k, v in arrays.items()} == before


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (e.ShapeError, ValueError),
        (e.SwappedInputsError, e.ShapeError),
        (e.RatioError, e.ShapeError),
        (e.DtypeError, TypeError),
        (e.DataError, ValueError),
        (e.OptionError, ValueError),
        (e.BackendError, RuntimeError),
        (e.MemoryBudgetError, MemoryError),
        (e.ModelMissingError, FileNotFoundError),
        (e.GridError, ValueError),
        (e.SceneMissingError, FileNotFoundError),
        (e.SceneReadError, OSError),
        (e.SceneWriteError, OSError),
        (e.OutputExistsError, FileExistsError),
    ],
)
def test_each_error_is_the_builtin_that_one_would_catch(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin) and issubclass(kind, e.PanTinyError)


# Model files


class Bomb:
    """Unpickling this would make a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def spoiled(at: int) -> bytes:
    data = bytearray(PACKAGED.read_bytes())
    data[at] ^= 1
    return bytes(data)


MODELS: dict[str, tuple[Callable[[], bytes | None], type[Exception], str]] = {
    "missing": (lambda: None, e.ModelMissingError, r"got nothing there .*; need a model file"),
    "empty": (lambda: b"", e.ModelTruncatedError, r"got 0 bytes; need at least 8"),
    "truncated": (
        lambda: PACKAGED.read_bytes()[:-100],
        e.ModelTruncatedError,
        r"got \d+ bytes of tensor data; need \d+, as its header says; get the file again",
    ),
    "a flipped bit": (
        lambda: spoiled(-5),
        e.ModelHashError,
        r"got tensors with SHA-256 \w{64}; need \w{64}, as its header says",
    ),
    "noise": (lambda: b"garbage " * 9, e.ModelHeaderError, r"got a header of \d+ bytes; need at m"),
    "pickle": (
        lambda: pickle.dumps(Bomb(), protocol=4),
        e.ModelHeaderError,
        r"got a torch checkpoint, which can run code .*; convert it: pantiny convert",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, kind, pattern = MODELS[name]
    path = tmp_path / "bad.safetensors"
    if (data := content()) is not None:
        path.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    ms, pan = make_pair(tmp_path)
    for call in (
        lambda: pantiny.fuse(np.ones((4, 8, 8), "u1"), np.ones((32, 32), "u1"), model=path),
        lambda: pantiny.fuse_files(ms, pan, tmp_path / "out.tif", model=path),
    ):
        with nothing_changes(tmp_path), pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind and not Path("exploded").exists()
        check_text(caught.value, rf"model file {re.escape(str(path))}: {pattern}")


# Odd inputs that are not bad


def test_integers_of_numpy_are_integers() -> None:
    ms, pan = textured((4, 8, 12), "uint16", 1), textured((32, 48), "uint16", 2)
    plain = {"bits": 10, "threads": 1, "consistency": 1, "tile": 64, "ratio": 4, "nodata": 1023}
    numpy: dict[str, Any] = {k: np.int16(v) for k, v in plain.items()}
    numpy["memory"] = np.float32(1e9)
    fused = pantiny.fuse(ms, pan, **numpy)
    assert np.array_equal(fused, pantiny.fuse(ms, pan, **plain))
    assert not np.array_equal(fused, pantiny.fuse(ms, pan))  # so the options did something


def test_an_hyperspectral_image_with_more_bands_than_pixels_is_not_bands_last() -> None:
    ms, pan = textured((40, 2, 3), "uint8", 1), textured((8, 12), "uint8", 2)
    assert pantiny.fuse(ms, pan, threads=1).shape == (40, 8, 12)
