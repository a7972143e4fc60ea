"""The compiled network against float64, and the same bits however it is cut up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import pantiny
from pantiny.engine import core, core_model
from pantiny.kernels.consistency.consistency_ref import consistency_ref
from pantiny.kernels.resample.resample_ref import apply_taps, cubic_taps
from pantiny.kernels.testing import assert_within, random_weights
from pantiny.reference import fuse_ref, network_ref
from pantiny.variants import Variant, get_variant
from pantiny.weights import Model, load_model, make_model

GAINS = (0.355, 0.36, 0.365, 0.22)
EPS = 2.0**-24  # half a unit in the last place of float32, relative
TOLERANCE = 1e-6
PACKAGED = "packaged"
MINI = Variant("mini", encoder_blocks=1, body_blocks=1)  # every segment once, a third of the time
SENTINEL = 171


def image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@lru_cache
def model_of(name: str) -> Model:
    if name == PACKAGED:
        return load_model("tiny")
    variant = MINI if name == "mini" else get_variant(name)
    return make_model(variant, random_weights(variant), contract="peak", licence="test")


@lru_cache
def silent_model() -> Model:
    """All convolutions zero: fused == ms_up."""
    tensors = {k: v * np.float32(v.ndim != 4) for k, v in random_weights(MINI).items()}
    return make_model(MINI, tensors, contract="peak", licence="test")


@pytest.fixture
def choose_isa() -> Iterator[Callable[[str], None]]:
    before = core().isa()
    yield core().isa_choose
    core().isa_choose(before)


def isas() -> list[str]:
    return str(core().isa_usable()).split()


def run_core(
    model: Model,
    ms: np.ndarray,
    pan: np.ndarray,
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    offset: tuple[float, float] = (0.0, 0.0),
    dn_per_unit: float = 1.0,
    steps: int = 0,
    threads: int = 1,
    keep: bool = True,
    tile: tuple[int, int] = (64, 64),
    band: int = 64,
    valid: np.ndarray | None = None,
    ms_valid: np.ndarray | None = None,
    dtype: str = "float32",
    low: float = -np.inf,
    high: float = np.inf,
    fill: float = 0.0,
    reserve: bool = False,
    read: tuple[int, ...] = (0, 1, 2, 3),
    write: tuple[int, ...] = (0, 1, 2, 3),
) -> np.ndarray:
    """All passes; the input has no row more than asked for, the output lies in a guarded block."""
    c, handle = core(), core_model(model)
    height, width = pan.shape
    scene = c.Scene(
        shape=pan.shape,
        ms_shape=ms.shape[1:],
        scale=scale,
        offset=offset,
        dn_per_unit=dn_per_unit,
        consistency=steps,
        gains=list(GAINS),
        threads=threads,
        keep=keep,
        tile=tile,
        band_rows=band,
    )
    plan = c.Plan(handle, scene)
    guard = np.nan if dtype == "float32" else SENTINEL
    result = np.empty((len(write), height, width), dtype)
    for pass_ in range(handle.passes):
        for y0 in range(0, height, band):
            y1 = min(y0 + band, height)
            p0, p1, m0, m1 = plan.input_rows(pass_, y0, y1)
            block = np.full((len(write) + 2, y1 - y0 + 5, width + 11), guard, dtype)
            out = block[1:-1, 2:-3, 5:-6]
            plan.run(
                pass_=pass_,
                y0=y0,
                y1=y1,
                ms=ms[:, m0:m1],
                ms_first=m0,
                ms_bands=list(read),
                pan=pan[p0:p1],
                pan_first=p0,
                valid=None if valid is None else valid[p0:p1].astype(np.uint8),
                ms_valid=None if ms_valid is None else ms_valid[m0:m1].astype(np.uint8),
                out=out if pass_ == handle.passes - 1 else None,
                out_bands=list(write),
                low=low,
                high=high,
                fill=fill,
                reserve=reserve,
            )
            result[:, y0:y1] = out
            out[:] = guard
            np.testing.assert_array_equal(block, guard, "written beyond the output")
    return result


def relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


@lru_cache
def truth(name: str, height: int, width: int) -> np.ndarray:
    m = model_of(name)
    return network_ref(m.tensors, m.variant, image(1, 4, height, width), image(2, height, width))


def float32_tolerance(name: str, height: int, width: int) -> float:
    """What float32 arithmetic may cost this net, from the net itself.

    Every weight and pixel moves by up to half a unit in the last place: the change is
    what one rounding per product costs. The longest sum of the network has 9 (C + 1)
    terms; rounding after each addition grows like a random walk, so the standard
    deviation of the last sum is sqrt(n / 2) times that of one rounding.
    """
    m, rng = model_of(name), np.random.default_rng(5)

    def moved(x: np.ndarray) -> np.ndarray:
        return x * (1 + EPS * rng.uniform(-1, 1, x.shape))

    weights = {k: moved(v.astype(np.float64)) for k, v in m.tensors.items()}
    ms_up, pan = moved(image(1, 4, height, width)), moved(image(2, height, width))
    other = network_ref(weights, m.variant, ms_up, pan)
    change = relative(other, truth(name, height, width))
    return max(TOLERANCE, change * float(np.sqrt(9 * (m.variant.channels + 1) / 2)))


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        *[(PACKAGED, *s) for s in ((1, 1), (1, 64), (64, 1), (37, 53), (128, 128), (257, 129))],
        *[(v, 1, 64) for v in ("tiny", "large", "huge", "tiny-conv1x1", "tiny-gated_conv")],
        *[(v, 37, 53) for v in ("tiny", "large", "huge", "tiny-conv1x1", "tiny-gated_conv")],
    ],
)
def test_error_against_float64(
    name: str, height: int, width: int, choose_isa: Callable[[str], None]
) -> None:
    ms, pan = image(1, 4, height, width), image(2, height, width)
    expected = truth(name, height, width)
    limit = TOLERANCE if name == PACKAGED else float32_tolerance(name, height, width)
    errors = {}
    for isa in isas():
        choose_isa(isa)
        assert core().isa() == isa
        actual = run_core(model_of(name), ms, pan)
        errors[isa] = relative(actual, expected)
        # the norm would hide one bad pixel among many
        rms = np.linalg.norm(expected) / np.sqrt(expected.size)
        assert_within(actual, expected, 20 * limit * rms, f"{name} {isa}")
    print(name, height, width, {k: f"{v:.2e}" for k, v in errors.items()}, f"limit {limit:.2e}")
    assert max(errors.values()) <= limit


# However it is cut up


RATIO_4: dict[str, Any] = {"scale": (0.25, 0.25), "dn_per_unit": 4094.0, "steps": 2}


@lru_cache
def dn_pair(height: int = 132, width: int = 148) -> tuple[np.ndarray, np.ndarray]:
    ms = (image(3, 4, height // 4, width // 4) * 2047).astype(np.uint16)
    return ms, (image(4, height, width) * 2047).astype(np.uint16)


def some_mask(height: int, width: int) -> np.ndarray:
    valid = np.random.default_rng(6).random((height, width)) < 0.9
    valid[height // 3 : height // 2, : width // 2] = False
    return valid


@pytest.mark.parametrize("masked", [False, True])
def test_no_bit_depends_on_the_layout(masked: bool, choose_isa: Callable[[str], None]) -> None:
    ms, pan = dn_pair()
    masks: dict[str, Any] = {}
    if masked:
        ms_valid = some_mask(*ms.shape[1:])
        valid = some_mask(*pan.shape) & ms_valid.repeat(4, 0).repeat(4, 1)
        masks = {"valid": valid, "ms_valid": ms_valid, "fill": -1.0}
    for isa in isas():
        choose_isa(isa)
        first = run_core(model_of("mini"), ms, pan, **RATIO_4, **masks)
        assert np.isfinite(first).all()
        for layout in (
            {"tile": (128, 64), "band": 128},
            {"tile": (256, 256), "band": 256, "threads": 2},
            {"tile": (64, 192), "band": 192, "threads": 3},
            {"keep": False},
            {"keep": False, "tile": (128, 128), "band": 128, "threads": 2},
            {"keep": False, "tile": (256, 128), "band": 256, "threads": 3},
            {"keep": False, "tile": (64, 64), "band": 128, "threads": 3},
        ):
            other = run_core(model_of("mini"), ms, pan, **RATIO_4, **masks, **layout)
            np.testing.assert_array_equal(other, first, f"{isa} {layout}")


@pytest.mark.parametrize("name", ["large", "tiny-conv1x1"])
def test_no_bit_of_other_variants_depends_on_the_layout(name: str) -> None:
    ms, pan = dn_pair(132, 72)
    first = run_core(model_of(name), ms, pan, **RATIO_4)
    other = run_core(model_of(name), ms, pan, **RATIO_4, keep=False, tile=(128, 128), band=128)
    np.testing.assert_array_equal(other, first)


def test_a_batch_is_its_images() -> None:
    ms = (image(7, 3, 4, 10, 12) * 2047).astype(np.uint16)
    pan = (image(8, 3, 40, 48) * 2047).astype(np.uint16)
    both = pantiny.fuse(ms, pan, bits=11, threads=1)
    for i in range(3):
        np.testing.assert_array_equal(both[i], pantiny.fuse(ms[i], pan[i], bits=11, threads=1))
    assert not np.array_equal(both[0], both[1])


# What comes in and what goes out


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_are_the_floats_of_their_value(dtype: str) -> None:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(9)
    ms = rng.integers(info.min, info.max, (4, 9, 11), dtype, endpoint=True)
    pan = rng.integers(info.min, info.max, (36, 44), dtype, endpoint=True)
    options = {**RATIO_4, "dn_per_unit": float(info.max)}
    as_float = run_core(model_of("mini"), ms.astype(np.float32), pan.astype(np.float32), **options)
    np.testing.assert_array_equal(run_core(model_of("mini"), ms, pan, **options), as_float)


def test_strides_of_any_kind() -> None:
    ms, pan = dn_pair(68, 72)
    expected = run_core(model_of("mini"), ms, pan, **RATIO_4)
    wide_ms, wide_pan = np.repeat(ms, 3, axis=2), np.repeat(pan, 2, axis=1)
    views = [
        (np.asfortranarray(ms), np.asfortranarray(pan)),
        (wide_ms[:, :, ::3], wide_pan[:, ::2]),
        (ms[:, ::-1, ::-1].copy()[:, ::-1, ::-1], pan[::-1, ::-1].copy()[::-1, ::-1]),
        (ms[::-1].copy()[::-1], pan),
        (np.moveaxis(np.moveaxis(ms, 0, 2).copy(), 2, 0), pan),
    ]
    for a, b in views:
        np.testing.assert_array_equal(run_core(model_of("mini"), a, b, **RATIO_4), expected)
    flat = np.broadcast_to(pan[:1], pan.shape)  # stride 0
    actual, same = (run_core(model_of("mini"), ms, p, **RATIO_4) for p in (flat, flat.copy()))
    np.testing.assert_array_equal(actual, same)


def test_nothing_beyond_the_input_is_read() -> None:
    ms, pan = (x.astype(np.float32) for x in dn_pair(68, 72))
    expected = run_core(model_of("mini"), ms, pan, **RATIO_4)
    poisoned_ms = np.full((6, ms.shape[1] + 6, ms.shape[2] + 8), np.nan, np.float32)
    poisoned_pan = np.full((pan.shape[0] + 40, pan.shape[1] + 40), np.nan, np.float32)
    poisoned_ms[1:-1, 3:-3, 4:-4], poisoned_pan[20:-20, 20:-20] = ms, pan
    actual = run_core(
        model_of("mini"), poisoned_ms[1:-1, 3:-3, 4:-4], poisoned_pan[20:-20, 20:-20], **RATIO_4
    )
    np.testing.assert_array_equal(actual, expected)


def test_bands_are_picked_and_placed() -> None:
    ms, pan = dn_pair(68, 72)
    straight = run_core(model_of("mini"), ms, pan, **RATIO_4)
    shuffled = run_core(model_of("mini"), ms[[2, 0, 3, 1]], pan, read=(1, 3, 0, 2), **RATIO_4)
    np.testing.assert_array_equal(shuffled, straight)
    placed = run_core(model_of("mini"), ms, pan, write=(3, -1, 0, 2), **RATIO_4)
    np.testing.assert_array_equal(placed[[3, 0, 2]], straight[[0, 2, 3]])
    assert np.isnan(placed[1]).all()  # nobody writes it


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("scale", "offset"), [((0.25, 0.25), (0.0, 0.0)), ((1 / 3, 0.5), (0.31, -0.17))]
)
def test_consistency(steps: int, scale: tuple[float, float], offset: tuple[float, float]) -> None:
    height, width = 66, 71
    ms = image(10, 4, int(height * scale[0]) + 2, int(width * scale[1]) + 1)
    pan = image(11, height, width)
    place: dict[str, Any] = {"scale": scale, "offset": offset}
    rows, cols = (cubic_taps(0, n, scale[i], offset[i]) for i, n in enumerate((height, width)))
    expected = consistency_ref(apply_taps(ms, rows, cols), ms, GAINS, steps, **place)
    actual = run_core(silent_model(), ms, pan, steps=steps, **place)
    # per step 2 * (2 radius + 2) products of the blur and 16 of the cubic, each rounded twice
    assert_within(actual, expected, (16 + steps * 2 * (2 * 20 + 16)) * 2 * EPS * np.abs(ms).max())


def make_mask(kind: str, height: int, width: int) -> np.ndarray:
    valid = np.zeros((height, width), bool)
    if kind == "rectangles":
        valid[2:9, 3:20] = valid[12:, 8:15] = valid[height - 3 :, width - 5 :] = True
    elif kind == "half":
        valid[:, : width // 2] = True
    elif kind == "random rows":
        valid[np.random.default_rng(12).random(height) < 0.5] = True
    else:
        valid[height // 2, width // 3] = True
    return ~valid if kind == "all but one" else valid


@pytest.mark.parametrize("kind", ["rectangles", "half", "random rows", "all but one", "only one"])
@pytest.mark.parametrize("on_ms", [False, True])
def test_masks(kind: str, on_ms: bool) -> None:
    height, width = 28, 36
    ms = (image(13, 4, height // 4, width // 4) * 2047).astype(np.float32)
    pan = (image(14, height, width) * 2047).astype(np.float32)
    valid, ms_valid = make_mask(kind, height, width), None
    if on_ms:
        ms_valid = some_mask(height // 4, width // 4)
        ms_valid[height // 8, width // 12] = True  # the pixel of only one
        valid &= ms_valid.repeat(4, 0).repeat(4, 1)
        ms[:, ~ms_valid] = np.nan
    pan[~valid] = np.nan
    m = model_of("mini")
    expected = fuse_ref(
        m.tensors,
        m.variant,
        ms,
        pan,
        scale_dn=RATIO_4["dn_per_unit"],
        gains=GAINS,
        consistency=2,
        scale=(0.25, 0.25),
        valid=valid,
        ms_valid=ms_valid,
    )
    masks: dict[str, Any] = {"valid": valid, "ms_valid": ms_valid, "fill": -7.0}
    actual = run_core(m, ms, pan, **RATIO_4, **masks)
    assert (actual[:, ~valid] == -7).all()
    error = relative(actual[:, valid], expected[:, valid])
    assert error <= 3 * TOLERANCE, error  # a random net; 1.7e-6 at most were measured
    pan[~valid], ms[np.isnan(ms)] = 1e6, -1e6
    np.testing.assert_array_equal(run_core(m, ms, pan, **RATIO_4, **masks), actual)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_rounding_and_saturation(dtype: str) -> None:
    values = np.array([-40000, -1.5, -0.5, 0.5, 1.5, 2.5, 2.500001, 99.5, 100.5, 254.5, 7e4])
    ms = np.tile(values.astype(np.float32), (4, 2, 1))
    low, high = (-300.0, 300.0) if dtype == "float32" else (np.iinfo(dtype).min, 100)
    out = run_core(silent_model(), ms, ms[0], dtype=dtype, low=float(low), high=float(high))
    expected = np.clip(ms, np.float32(low), np.float32(high))
    if dtype != "float32":
        expected = np.rint(expected)  # half to even
    np.testing.assert_array_equal(out, expected.astype(dtype))


@pytest.mark.parametrize(
    ("dtype", "fill", "moved"),
    [
        ("uint8", 0, 1),
        ("uint16", 65535, 65534),
        ("int16", -32768, -32767),
        ("float32", 0.0, np.nextafter(np.float32(0), np.float32(1))),
        ("float32", -9999.0, np.nextafter(np.float32(-9999), np.float32(0))),
    ],
)
def test_a_valid_pixel_is_never_nodata(dtype: str, fill: float, moved: float) -> None:
    limits = np.finfo(dtype) if dtype == "float32" else np.iinfo(dtype)
    ms = np.full((4, 3, 5), fill, np.float32)
    ms[:, 1] = 50
    valid = np.ones((3, 5), bool)
    valid[2, 2:] = False
    options: dict[str, Any] = {"low": float(limits.min), "high": float(limits.max)}
    options |= {"dtype": dtype, "fill": float(fill), "valid": valid}
    out = run_core(silent_model(), ms, ms[0], reserve=True, **options)
    assert (out[:, 0] == moved).all() and moved != fill
    assert (out[:, 1] == 50).all() and (out[:, 2, 2:] == fill).all()
    assert (run_core(silent_model(), ms, ms[0], **options)[:, 0] == fill).all()
