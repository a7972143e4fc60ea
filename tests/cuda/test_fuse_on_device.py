"""fuse() on the CUDA backend, emulated: the CPU's result, from arrays anywhere."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pantiny
from pantiny import cuda
from pantiny.benchmarks.inputs import make_tile
from pantiny.cuda.views import DeviceArray
from pantiny.errors import (
    BackendError,
    CoreError,
    DataError,
    DtypeError,
    MemoryBudgetError,
    OptionError,
    PanTinyError,
    ShapeError,
    SwappedInputsError,
)
from pantiny.weights import load_model

from .emulated import OnDevice

pytestmark = pytest.mark.usefixtures("emulated")
DN = (100, 1500)


def pair(
    shape: tuple[int, ...] = (4, 6, 7), ratio: int = 4, dtype: str = "uint16", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    top = 200 if dtype == "uint8" else DN[1]
    ms = rng.integers(DN[0], top, shape).astype(dtype)
    pan_shape = (*shape[:-3], shape[-2] * ratio, shape[-1] * ratio)
    return ms, rng.integers(DN[0], top, pan_shape).astype(dtype)


def fuse(ms: Any, pan: Any, **options: Any) -> Any:
    """In fp32 unless asked for otherwise."""
    return pantiny.fuse(ms, pan, **{"precision": "fp32", **options})


def assert_same(actual: Any, expected: np.ndarray) -> None:
    """One DN where rounding decides; of floats 2e-6 of the largest."""
    got = actual.to_host() if isinstance(actual, DeviceArray) else np.asarray(actual)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    off = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    if expected.dtype.kind == "f":
        assert off.max() <= 2e-6 * np.abs(expected).max()
    else:
        assert off.max() <= 1 and (off > 0).mean() < 1e-3


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_result_is_that_of_the_cpu(dtype: str, steps: int) -> None:
    ms, pan = pair(dtype=dtype)
    fused = fuse(OnDevice(ms), OnDevice(pan), consistency=steps)
    assert_same(fused, fuse(ms, pan, consistency=steps))


def test_arrays_of_other_streams_are_waited_for(emulated: Any) -> None:
    ms, pan = pair((8, 3, 4))
    mask = np.ones(pan.shape, np.uint8)
    mask[:5] = 0
    expected = fuse(OnDevice(ms), OnDevice(pan), mask=OnDevice(mask), nodata=0).to_host()
    stream, pinned = emulated.Stream(), []

    def late(array: np.ndarray) -> OnDevice:
        pinned.append(emulated.Pinned(array.nbytes))
        np.frombuffer(pinned[-1], np.uint8)[:] = array.reshape(-1).view(np.uint8)
        there = np.zeros_like(array)
        emulated.copy_in(there.ctypes.data, np.frombuffer(pinned[-1], np.uint8), stream.handle)
        return OnDevice(there, stream.handle)

    assert np.array_equal(
        fuse(OnDevice(ms), late(pan), mask=OnDevice(mask), nodata=0).to_host(), expected
    )
    assert np.array_equal(
        fuse(OnDevice(ms), OnDevice(pan), mask=late(mask), nodata=0).to_host(), expected
    )
    out = late(np.zeros_like(expected))
    fuse(OnDevice(ms), OnDevice(pan), mask=OnDevice(mask), nodata=0, out=out)
    emulated.wait(stream.handle)
    assert np.array_equal(out.array, expected)


def test_an_empty_batch() -> None:
    ms, pan = pair((0, 4, 3, 3))
    assert fuse(OnDevice(ms), OnDevice(pan)).shape == (0, 4, 12, 12)


@pytest.mark.parametrize("mask", [[[1], [1, 2]], np.ones((24, 28)), "x"])
def test_masks_in_host_memory_are_checked_alike(mask: Any) -> None:
    ms, pan = pair()
    with pytest.raises(OptionError, match=r"mask: got .*; need bool or uint8") as here:
        fuse(OnDevice(ms), OnDevice(pan), mask=mask)
    with pytest.raises(OptionError) as there:
        fuse(ms, pan, mask=mask)
    assert str(here.value) == str(there.value)


def test_masks_of_too_many_rows() -> None:
    ms, pan = (np.ones(shape, np.uint16) for shape in ((4, 65536, 1), (131072, 2)))
    with pytest.raises(CoreError, match=r"ms: got .*; need at most 65535 rows .*; cut"):
        fuse(OnDevice(ms), OnDevice(pan), nodata=0)


def test_classical_methods_have_no_kernels() -> None:
    ms, pan = (OnDevice(a) for a in pair())
    with pytest.raises(BackendError, match=r"images on a device with method 'gsa'.*copy"):
        pantiny.fuse(ms, pan, method="gsa")


@pytest.mark.parametrize("which", ["ms", "pan"])
def test_out_is_no_input(which: str) -> None:
    ms, pan = pair()
    canvas = np.zeros((4, *pan.shape), ms.dtype)
    images = {"ms": canvas[:, 1::4, 2::4], "pan": canvas[3]}
    images["ms"][:] = ms
    given = {"ms": OnDevice(ms), "pan": OnDevice(pan), which: OnDevice(images[which])}
    with pytest.raises(OptionError, match=r"out: got memory .*; need .*; call"):
        fuse(**given, out=OnDevice(canvas))


def test_out_beside_an_input() -> None:
    ms, pan = pair()
    canvas = np.zeros((4, pan.shape[0], 2 * pan.shape[1]), ms.dtype)
    left, right = np.split(canvas, 2, axis=2)
    left[0] = pan
    fuse(OnDevice(ms), OnDevice(left[0]), out=OnDevice(right))
    assert np.array_equal(right, fuse(OnDevice(ms), OnDevice(pan)).to_host())


@pytest.mark.parametrize("ratio", [2, 3])
def test_other_ratios(ratio: int) -> None:
    ms, pan = pair(ratio=ratio)
    assert_same(fuse(OnDevice(ms), OnDevice(pan)), fuse(ms, pan))


@pytest.mark.parametrize("bands", [3, 8])
def test_groups_of_bands(bands: int) -> None:
    ms, pan = pair((bands, 6, 7))
    options = {"sensor": "WV2"} if bands == 8 else {"bands": "rgb"}
    fused = fuse(OnDevice(ms), OnDevice(pan), **options)
    assert_same(fused, fuse(ms, pan, **options))


@pytest.mark.parametrize("precision", cuda.PRECISIONS)
def test_images_of_a_batch_are_fused_as_alone(precision: str) -> None:
    ms, pan = pair((3, 4, 5, 6))
    ms[1], pan[1] = ms[1] // 7, pan[1] // 7  # every image has its own scale
    together = fuse(OnDevice(ms), OnDevice(pan), precision=precision).to_host()
    for i in range(3):
        alone = fuse(OnDevice(ms[i]), OnDevice(pan[i]), precision=precision).to_host()
        assert np.array_equal(together[i], alone)
    assert_same(fuse(OnDevice(ms), OnDevice(pan)), fuse(ms, pan))


@pytest.mark.parametrize(("precision", "limit"), [("fp16", 1e-2), ("bf16", 6e-2)])
@pytest.mark.parametrize("masked", [False, True])
def test_16_bits_stay_close(precision: str, limit: float, masked: bool) -> None:
    """Of the residual, what the network adds to the upsampled bands."""
    tile = make_tile(36, 68, 5)
    ms, pan = tile.ms.astype(np.float32), tile.pan.astype(np.float32)
    options: dict[str, Any] = {"consistency": 0}
    if masked:
        pan[5:20, 30:], options["nodata"] = 0, 0
    exact = fuse(ms, pan, **options)
    fused = fuse(OnDevice(ms), OnDevice(pan), precision=precision, **options).to_host()
    kept = np.broadcast_to(pan != 0, exact.shape)
    off = np.linalg.norm((fused - exact)[kept]) / np.linalg.norm((exact - tile.ms_up)[kept])
    assert 0 < off < limit
    assert (fused[~kept] == 0).all()


def test_half_precision_is_the_default() -> None:
    ms, pan = (OnDevice(a) for a in pair(dtype="float32"))
    half, single = (fuse(ms, pan, precision=p).to_host() for p in ("fp16", "fp32"))
    assert np.array_equal(pantiny.fuse(ms, pan).to_host(), half)
    assert not np.array_equal(half, single)


def test_host_images_with_backend_cuda() -> None:
    ms, pan = pair()
    fused = fuse(ms, pan, backend="cuda")
    assert isinstance(fused, np.ndarray)
    assert np.array_equal(fused, fuse(OnDevice(ms), OnDevice(pan)).to_host())


def test_strided_images_are_read_where_they_are() -> None:
    ms, pan = pair()
    wide_ms, wide_pan = np.zeros((4, 6, 14), ms.dtype), np.zeros((24, 56), pan.dtype)
    wide_ms[:, :, ::2], wide_pan[:, ::2] = ms, pan
    fused = fuse(OnDevice(wide_ms[:, :, ::2]), OnDevice(wide_pan[:, ::2]))
    assert np.array_equal(fused.to_host(), fuse(OnDevice(ms), OnDevice(pan)).to_host())


def test_the_result_is_put_where_the_caller_wants_it() -> None:
    ms, pan = pair()
    out = np.zeros((4, 24, 28), ms.dtype)
    place = OnDevice(out)
    assert fuse(OnDevice(ms), OnDevice(pan), out=place) is place
    assert np.array_equal(out, fuse(OnDevice(ms), OnDevice(pan)).to_host())
    with pytest.raises(ShapeError, match="out: got uint16"):
        fuse(OnDevice(ms), OnDevice(pan), out=OnDevice(out[:3]))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_nodata(dtype: str) -> None:
    ms, pan = pair(dtype=dtype)
    ms[:, :2, :3], pan[18:, 20:] = 0, 0
    fused = fuse(OnDevice(ms), OnDevice(pan), nodata=0)
    expected = fuse(ms, pan, nodata=0)
    assert_same(fused, expected)
    assert np.array_equal(fused.to_host() == 0, expected == 0)


def test_nan_as_nodata() -> None:
    ms, pan = pair(dtype="float32")
    ms[1, 2:4, 3], pan[:5, :9] = np.nan, np.nan
    fused = fuse(OnDevice(ms), OnDevice(pan), nodata=np.nan).to_host()
    expected = fuse(ms, pan, nodata=np.nan)
    assert np.array_equal(np.isnan(fused), np.isnan(expected))
    assert_same(np.nan_to_num(fused), np.nan_to_num(expected))


@pytest.mark.parametrize("grid", ["ms", "pan"])
@pytest.mark.parametrize("place", [OnDevice, np.asarray])
def test_masks(grid: str, place: Any) -> None:
    ms, pan = pair((2, 4, 6, 7))
    rng = np.random.default_rng(1)
    mask = rng.random((6, 7) if grid == "ms" else (2, 24, 28)) < 0.7
    fused = fuse(OnDevice(ms), OnDevice(pan), mask=place(mask.astype(np.uint8)))
    assert_same(fused, fuse(ms, pan, mask=mask))


def test_a_model_that_scales_by_the_peak() -> None:
    model = replace(load_model("tiny"), contract="peak")
    ms, pan = pair()
    fused = fuse(OnDevice(ms), OnDevice(pan), model=model, bits=11)
    assert_same(fused, fuse(ms, pan, model=model, bits=11))
    with pytest.raises(OptionError, match="bits: not stated"):
        fuse(OnDevice(ms), OnDevice(pan), model=model)


def test_plans_are_kept_and_bounded() -> None:
    ms, pan = pair()
    fuse(OnDevice(ms), OnDevice(pan))
    (first,) = cuda.store.kept()
    fuse(OnDevice(ms), OnDevice(pan))
    assert cuda.store.kept() == [first]
    for width in range(2, 2 + cuda.KEPT_PLANS + 1):
        fuse(*(OnDevice(a) for a in pair((4, 2, width))), consistency=0)
    assert len(cuda.store.kept()) == cuda.KEPT_PLANS
    assert first not in cuda.store.kept()
    cuda.clear()
    assert not cuda.store.kept()


def bad_calls() -> list[tuple[type[PanTinyError], str, Any]]:
    ms, pan = pair()
    floats = ms.astype(np.float32)
    nan = floats.copy()
    nan[0, 0, 0] = np.nan
    nan_pan = pan.astype(np.float32)
    nan_pan[3, 3] = np.inf
    on = OnDevice
    return [
        (BackendError, "pan: got a ndarray in host memory", lambda: fuse(on(ms), pan)),
        (BackendError, "ms: got a ndarray in host memory", lambda: fuse(ms, on(pan))),
        (DtypeError, "float64", lambda: fuse(on(ms.astype(float)), on(pan))),
        (SwappedInputsError, "swapped", lambda: fuse(on(pan), on(ms))),
        (ShapeError, "bands-last", lambda: fuse(on(ms.transpose(1, 2, 0)), on(pan))),
        (DataError, "no pixel is valid", lambda: fuse(on(ms * 0), on(pan), nodata=0)),
        (DataError, "ms: got 1 NaN", lambda: fuse(on(nan), on(pan))),
        (DataError, "pan: got 1 NaN", lambda: fuse(on(ms), on(nan_pan))),
        (BackendError, "gsa", lambda: fuse(on(ms), on(pan), method="gsa")),
        (
            BackendError,
            "which run on the CPU",
            lambda: fuse(on(ms), on(pan), backend="cpu"),
        ),
        (ShapeError, "mask: got shape", lambda: fuse(on(ms), on(pan), mask=np.ones(3, bool))),
        (OptionError, "precision", lambda: fuse(on(ms), on(pan), precision="int8")),
        (BackendError, "no CUDA kernels", lambda: fuse(on(ms), on(pan), model=odd_model())),
    ]


def odd_model() -> Any:
    model = load_model("tiny")
    return replace(model, sha256="odd", variant=replace(model.variant, channels=24))


@pytest.mark.parametrize("index", range(len(bad_calls())))
def test_bad_input(index: int) -> None:
    kind, text, call = bad_calls()[index]
    with pytest.raises(kind, match=text):
        call()


def test_what_a_result_says_of_itself() -> None:
    ms, pan = pair()
    fused = fuse(OnDevice(ms, stream=1), OnDevice(pan))
    about = fused.__cuda_array_interface__
    assert about["shape"] == fused.shape == (4, 24, 28) and about["typestr"] == "<u2"
    again = fuse(OnDevice(ms), OnDevice(pan), out=fused)
    assert again is fused


def test_without_a_device(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Driverless:
        @staticmethod
        def devices() -> list:
            return []

        @staticmethod
        def error() -> str:
            return "CUDA driver version is insufficient"

    monkeypatch.setattr(cuda, "_compiled", lambda: Driverless)
    ms, pan = pair()
    with pytest.raises(BackendError, match=r"no usable device .*driver version"):
        fuse(ms, pan, backend="cuda")
    monkeypatch.setattr(cuda, "_compiled", lambda: None)
    with pytest.raises(BackendError, match="not compiled in"):
        fuse(ms, pan, backend="cuda")
    assert "not compiled in" in cuda.describe()[0]


def test_a_device_without_room(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise RuntimeError("cudaMalloc: out of memory")

    full = SimpleNamespace(**{**vars(emulated), "Memory": refuse})
    monkeypatch.setattr(cuda, "_compiled", lambda: full)
    ms, pan = pair()
    for place in (OnDevice, np.asarray):
        with pytest.raises(MemoryBudgetError, match=r"memory: the device refuses .*out of memory"):
            pantiny.fuse(place(ms), place(pan), backend="cuda", nodata=0)
