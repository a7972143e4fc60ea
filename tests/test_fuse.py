"""``pantiny.fuse``: what goes in, what comes out, and what must not matter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scenes import textured

import pantiny
from pantiny.bands import band_groups
from pantiny.degrade import degrade_ms
from pantiny.errors import BitDepthWarning, DtypeError, OptionError, ShapeError
from pantiny.kernels.testing import random_weights
from pantiny.sensors import UNKNOWN_GAIN, WORLDVIEW8
from pantiny.variants import Variant
from pantiny.weights import Model, make_model

MINI = Variant("mini", encoder_blocks=1, body_blocks=1)
THREADS = 1


def pair(
    height: int = 12, width: int = 17, *, ratio: int = 4, bands: int = 4, dtype: str = "uint16"
) -> tuple[np.ndarray, np.ndarray]:
    """DN high enough that no fused one is 0, none above 11 bits (7 in uint8)."""
    ms = textured((bands, height, width), dtype, 0)
    pan = textured((height * ratio, width * ratio), dtype, 1)
    floor = np.array(60 if dtype == "uint8" else 1000, dtype)
    return floor + ms // 2, floor + pan // 2


def fuse(ms: Any, pan: Any, **options: Any) -> Any:
    return pantiny.fuse(ms, pan, **{"threads": THREADS, **options})


def mini(contract: Any = "scene") -> Model:
    return make_model(MINI, random_weights(MINI), contract=contract, licence="test")


def same(actual: Any, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(actual), expected)


# Kinds of arrays


class Interface:
    """Only ``__array_interface__``."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._array.__array_interface__


class Dlpack:
    """Only DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_numpy_and_its_relatives(dtype: str) -> None:
    ms, pan = pair(dtype=dtype)
    fused = fuse(ms, pan)
    assert type(fused) is np.ndarray and fused.dtype == dtype
    assert fused.shape == (4, *pan.shape)
    for kind in (Interface, Dlpack):
        other = fuse(kind(ms), kind(pan))
        assert type(other) is np.ndarray
        same(other, fused)
    swapped = ms.dtype.newbyteorder()
    same(fuse(ms.astype(swapped), pan.astype(swapped)), fused)
    same(fuse(ms, pan[None]), fused)
    same(fuse(np.ma.array(ms), np.ma.array(pan)), fused)
    frozen = ms.copy()
    frozen.flags.writeable = False
    same(fuse(frozen, pan), fused)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_torch_in_torch_out(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    ms, pan = pair(dtype=dtype)
    expected = fuse(ms, pan)
    fused = fuse(torch.from_numpy(ms), torch.from_numpy(pan))
    assert isinstance(fused, torch.Tensor) and fused.dtype == getattr(torch, dtype)
    same(fused.numpy(), expected)
    with_gradient = torch.from_numpy(ms.astype(np.float32)).requires_grad_()
    assert not fuse(with_gradient, torch.from_numpy(pan.astype(np.float32))).requires_grad
    out = torch.empty((4, *pan.shape), dtype=getattr(torch, dtype))
    assert fuse(torch.from_numpy(ms), torch.from_numpy(pan), out=out) is out
    same(out.numpy(), expected)
    assert isinstance(fuse(ms, torch.from_numpy(pan)), np.ndarray)  # ms decides


def test_a_batch() -> None:
    ms, pan = pair()
    twice = np.stack([ms, ms[:, ::-1]]), np.stack([pan, pan[::-1]])
    fused = fuse(*twice)
    same(fused[0], fuse(ms, pan))
    same(fused[1], fuse(ms[:, ::-1], pan[::-1]))
    same(fuse(twice[0], twice[1][:, None]), fused)
    assert fuse(twice[0][:0], twice[1][:0]).shape == (0, *fused.shape[1:])


def test_out() -> None:
    ms, pan = pair()
    expected = fuse(ms, pan)
    out = np.full((4, *pan.shape), 9, ms.dtype)
    assert fuse(ms, pan, out=out) is out
    same(out, expected)
    wide = np.full((6, pan.shape[0] + 2, pan.shape[1] * 2 + 3), 9, ms.dtype)
    inner = wide[1:-1, 1:-1, 1:-2:2]
    fuse(ms, pan, out=inner)
    same(inner, expected)
    inner[:] = 9
    assert (wide == 9).all()
    for bad, error in (
        (out[:, :-1], ShapeError),
        (out.astype(np.float32), DtypeError),
        (out.astype(out.dtype.newbyteorder()), DtypeError),
        (np.broadcast_to(out[:1], out.shape), OptionError),
    ):
        with pytest.raises(error, match=r"^out: got .*; need .*; "):
            fuse(ms, pan, out=bad)
    both = np.zeros((5, *pan.shape), ms.dtype)
    both[0] = pan
    with pytest.raises(OptionError, match=r"^out: got memory that ms or pan lies in"):
        fuse(ms, both[0], out=both[:4])


def test_progress() -> None:
    ms, pan = pair(40, 20)
    told: list[float] = []
    fuse(np.stack([ms, ms]), np.stack([pan, pan]), progress=told.append, tile=64)
    assert len(told) >= 14 and told == sorted(set(told))
    assert 0 < told[0] and told[-1] == 1.0


# Masks


def masks(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    ms_valid = np.ones((height, width), bool)
    ms_valid[3:5, 6:11] = ms_valid[-1] = False
    valid = np.random.default_rng(2).random((4 * height, 4 * width)) < 0.97
    valid[:9] = False
    return ms_valid, valid


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_every_way_to_say_missing_is_one(dtype: str) -> None:
    ms, pan = pair(dtype=dtype)
    ms_valid, valid = masks(*ms.shape[1:])
    both = valid & ms_valid.repeat(4, 0).repeat(4, 1)
    expected = fuse(np.ma.array(ms, mask=np.broadcast_to(~ms_valid, ms.shape)), pan, mask=valid)
    assert (expected[:, ~both] == 0).all() if dtype != "float32" else True
    assert np.isnan(expected[:, ~both]).all() if dtype == "float32" else True
    assert (expected[:, both] > 0).all()

    same(fuse(ms, np.ma.array(pan, mask=~valid), mask=ms_valid), expected)
    same(fuse(ms, np.ma.array(pan, mask=~valid), mask=ms_valid.astype(np.uint8) * 255), expected)
    one_band = np.zeros(ms.shape, bool)
    one_band[2] = ~ms_valid  # missing in one band is missing
    same(fuse(np.ma.array(ms, mask=one_band), np.ma.array(pan, mask=~valid)), expected)

    for nodata in (0, -5) if dtype != "uint16" else (0, 65535):
        marked_ms, marked_pan = ms.copy(), pan.copy()
        marked_ms[1, ~ms_valid] = marked_pan[~valid] = nodata
        fused = fuse(marked_ms, marked_pan, nodata=nodata)
        assert (fused[:, ~both] == nodata).all() and (fused[:, both] != nodata).all()
        same(fused[:, both], expected[:, both])
    if dtype == "float32":
        marked_ms[1, ~ms_valid] = marked_pan[~valid] = np.nan
        same(fuse(marked_ms, marked_pan, nodata=float("nan")), expected)


def test_mask_and_nodata_add_up() -> None:
    ms, pan = pair()
    ms_valid, valid = masks(*ms.shape[1:])
    marked = ms.copy()
    marked[:, ~ms_valid] = 0
    everything = fuse(ms, pan, mask=valid & ms_valid.repeat(4, 0).repeat(4, 1))
    fused = fuse(np.ma.array(marked, mask=marked == 0), pan, mask=valid, nodata=0)
    np.testing.assert_array_equal(fused == 0, everything == 0)
    upper = np.ones(pan.shape, bool)
    upper[30:] = False
    same(fuse(ms, np.ma.array(pan, mask=~upper), mask=valid), fuse(ms, pan, mask=valid & upper))


def test_a_mask_without_a_hole_changes_nothing() -> None:
    ms, pan = pair(dtype="float32")
    expected = fuse(ms, pan)
    same(fuse(ms, pan, mask=np.ones(pan.shape, bool)), expected)
    same(fuse(ms, pan, mask=np.ones(ms.shape[1:], np.uint8)), expected)
    same(fuse(ms, pan, nodata=-9999.0), expected)


def test_one_mask_per_image() -> None:
    ms, pan = pair()
    _, valid = masks(*ms.shape[1:])
    two = np.stack([valid, valid[::-1]])
    fused = fuse(np.stack([ms, ms]), np.stack([pan, pan]), mask=two)
    same(fused[0], fuse(ms, pan, mask=valid))
    same(fused[1], fuse(ms, pan, mask=valid[::-1]))


def test_missing_pixels_do_not_matter() -> None:
    ms, pan = pair(dtype="float32")
    ms_valid, valid = masks(*ms.shape[1:])
    expected = fuse(np.ma.array(ms, mask=np.broadcast_to(~ms_valid, ms.shape)), pan, mask=valid)
    for garbage in (np.nan, np.inf, 1e30, -1e30):
        ms[:, ~ms_valid] = pan[~valid] = garbage
        marked = np.ma.array(ms, mask=np.broadcast_to(~ms_valid, ms.shape))
        same(fuse(marked, pan, mask=valid), expected)


# Bands, ratios, bits


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 6, 8, 12])
def test_number_of_bands(bands: int) -> None:
    ms, pan = pair(bands=bands)
    fused = fuse(ms, pan)
    assert fused.shape == (bands, *pan.shape)
    for group in band_groups(bands):
        # each group of four is a scene of its own
        four = fuse(ms[list(group.read)], pan)
        for slot, band in enumerate(group.write):
            if band >= 0:
                same(fused[band], four[slot])
    assert sorted(b for g in band_groups(bands) for b in g.write if b >= 0) == list(range(bands))


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 8])
def test_ratio(ratio: int) -> None:
    ms, pan = pair(11, 13, ratio=ratio, dtype="float32")
    fused = fuse(ms, pan, ratio=ratio)
    assert fused.shape == (4, 11 * ratio, 13 * ratio)
    truth = fuse(ms, pan, backend="reference")
    assert np.linalg.norm(fused - truth) <= 1e-6 * np.linalg.norm(truth)


def test_order_of_bands() -> None:
    ms, pan = pair()
    expected = fuse(ms, pan)
    for order, names in (
        ((2, 1, 0, 3), "rgbn"),
        ((2, 1, 0, 3), "red, green, blue, nir"),
        ((3, 0, 2, 1), ["NIR1", "B", "Red", "green"]),
    ):
        same(fuse(ms[list(order)], pan, bands=names), expected[list(order)])
    assert not np.array_equal(fuse(ms[::-1], pan), expected[::-1])  # the order does matter
    named = fuse(ms[::-1], pan, bands="nir,red,green,blue", sensor="QB")  # gains go with names
    same(named, fuse(ms, pan, sensor="QB")[::-1])
    assert not np.array_equal(fuse(ms, pan, sensor="QB"), fuse(ms, pan, sensor="GE1"))


def test_order_of_eight_bands() -> None:
    ms, pan = pair(bands=8)
    expected = fuse(ms, pan, sensor="WV2")
    order = np.random.default_rng(3).permutation(8)
    names = [WORLDVIEW8[i] for i in order]
    same(fuse(ms[order], pan, bands=names, sensor="WV2"), expected[order])


def test_bits_are_inferred_aloud() -> None:
    ms, pan = pair()
    with pytest.warns(BitDepthWarning, match="11 bits inferred from dtype uint16"):
        warned = fuse(ms, pan, model=mini("peak"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated = fuse(ms, pan, model=mini("peak"), bits=11)
        fuse(ms, pan, model=mini("scene"))
        same(fuse(ms, pan, model=mini("peak"), sensor="WV2", consistency=0), stated)
    same(np.minimum(warned, 2047), stated)  # inferred bits do not saturate the output


def test_output_saturates_at_the_peak() -> None:
    ms, pan = pair()
    free = fuse(ms, pan)
    assert (free > 1023).any()
    same(fuse(ms, pan, bits=10), np.minimum(free, 1023))


# What must not matter, and what must


def test_flips() -> None:
    """Only float rounding differs: sums run over blocks that start at another corner."""
    ms, pan = pair(20, 33, dtype="float32")
    model = pantiny.load_model("tiny")
    fused = fuse(ms, pan, model=model)
    for flip in (np.s_[..., ::-1], np.s_[..., ::-1, :]):
        # the network is not symmetric: a flip is a flip of its kernels
        tensors = {
            k: np.ascontiguousarray(v[flip]) if v.shape[-1] == 3 and v.ndim == 4 else v
            for k, v in model.tensors.items()
        }
        mirrored = make_model("tiny", tensors, contract=model.contract, licence="test")
        other = fuse(ms[flip], pan[flip], model=mirrored, consistency=model.consistency)
        error = np.linalg.norm(other[flip] - fused) / np.linalg.norm(fused)
        assert error < 1e-6, error


def test_exposure() -> None:
    ms, pan = pair(dtype="float32")
    fused = fuse(ms, pan)
    for factor in (2, np.float32(0.37)):
        np.testing.assert_allclose(fuse(ms * factor, pan * factor), fused * factor, rtol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "random"])
def test_consistency_brings_ms_back(name: str) -> None:
    ms, pan = pair(dtype="float32")
    model = mini() if name == "random" else name
    left = []
    for steps in (0, 1, 2, 4, 8):
        fused = fuse(ms, pan, model=model, consistency=steps)
        left.append(float(np.linalg.norm(ms - degrade_ms(fused, 4, (UNKNOWN_GAIN,) * 4))))
    assert left == sorted(left, reverse=True) and left[-1] < 0.2 * left[0]


def test_layouts_give_the_same_bits() -> None:
    ms, pan = pair(40, 50, dtype="float32")
    ms_valid = np.random.default_rng(4).random(ms.shape[1:]) < 0.95
    expected = fuse(ms, pan, mask=ms_valid)
    least = 8 << 20
    for options in (
        {"tile": 64},
        {"tile": 130, "threads": 2},
        {"tile": 100_000},
        {"threads": 3},
        {"memory": least},  # too little to keep the features
        {"memory": "24MiB", "threads": 2, "tile": 128},
    ):
        same(fuse(ms, pan, mask=ms_valid, **options), expected)


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("uint16", 2047), ("float32", -1)])
def test_the_reference_backend_agrees(dtype: str, nodata: float) -> None:
    ms, pan = textured((4, 12, 17), dtype, 0), textured((48, 68), dtype, 1)  # some fuse to 0
    ms_valid, valid = masks(*ms.shape[1:])
    ms[:, ~ms_valid] = nodata
    options = {"mask": valid, "nodata": nodata, "bits": 11}
    fused, truth = fuse(ms, pan, **options), fuse(ms, pan, backend="reference", **options)
    np.testing.assert_array_equal(fused == nodata, truth == nodata)
    off = np.abs(fused.astype(float) - truth.astype(float))
    if dtype == "float32":
        assert off.max() <= 1e-5 * np.abs(truth).max()
    else:
        assert off.max() <= 1 and (off > 0).mean() < 1e-3  # a tie or two
