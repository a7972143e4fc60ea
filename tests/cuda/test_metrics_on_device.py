"""Quality indices of images on a device, emulated: the CPU's values, from arrays anywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from indices import PEAK, RATIO, Scene, batch, scene

from pantiny import metrics as m
from pantiny.cuda.views import DeviceArray
from pantiny.errors import (
    BackendError,
    DataError,
    DtypeError,
    OptionError,
    PanTinyError,
    ShapeError,
    UnitWarning,
)
from pantiny.kernels.windows.windows_ref import windows_ref
from pantiny.metrics import _device, classes

from .emulated import OnDevice

pytestmark = pytest.mark.usefixtures("emulated")
Call = Callable[..., Any]
# Of integers and in SSIM an index is made in float: the limit of the kernels' own tests. What is
# degraded is double, and so is every other sum.
LIMIT, LIMIT_DOUBLE = 1e-6, 1e-10

# of (fused, truth)
PAIRS: dict[str, Call] = {
    "uqi": m.uqi,
    "uqi-3": partial(m.uqi, window=3),
    "uqi-blocks": partial(m.uqi, stride=8),
    "ssim": partial(m.ssim, peak=PEAK),
    "q2n": m.q2n,
    "q2n-12": partial(m.q2n, block=12),
}
# of (fused, ms, pan)
SCENES: dict[str, Call] = {
    "d_lambda": lambda f, g, p, **o: m.d_lambda(f, g, window=16, **o),
    "d_lambda-p2": lambda f, g, p, **o: m.d_lambda(f, g, window=16, p=2, **o),
    "d_lambda-torchmetrics": lambda f, g, p, **o: m.d_lambda(f, g, variant="torchmetrics", **o),
    "d_s": partial(m.d_s, window=16),
    "d_s-phase": partial(m.d_s, window=16, phase=0.5, q=3),
    "qnr": partial(m.qnr, window=16, sensor="WV2"),
    "d_lambda_k": lambda f, g, p, **o: m.d_lambda_k(f, g, block=5, sensor="GF2", **o),
    "r_q2n": lambda f, g, p, **o: m.r_q2n(f, g, block=6, gains=(0.3, 0.25, 0.2, 0.4), **o),
    "hqnr": partial(m.hqnr, window=16, block=8),
    "d_rho": lambda f, g, p, **o: m.d_rho(f, p, ratio=RATIO, **o),
}


def images(count: int = 2, height: int = 60, width: int = 76, dtype: str = "uint16") -> Scene:
    made = batch([scene(7 + i, height=height, width=width) for i in range(count)])
    top = 255 / 2047 if dtype == "uint8" else 1.0
    return Scene(*((a * top).astype(dtype) for a in made))


def mask_of(shape: tuple[int, ...]) -> np.ndarray:
    """A corner and a few single pixels of the left third are masked."""
    mask = np.random.default_rng(3).random(shape) > 0.002
    mask[..., shape[-1] // 3 :] = True
    mask[..., : shape[-2] // 5, : shape[-1] // 5] = False
    return mask


def on(*arrays: np.ndarray) -> list[OnDevice]:
    return [OnDevice(a) for a in arrays]


def check(call: Call, arrays: tuple[np.ndarray, ...], **options: Any) -> None:
    there = {k: OnDevice(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    expected = call(*arrays, reduction="none", **options)
    found = call(*on(*arrays), reduction="none", **there)
    assert found.shape == expected.shape and found.dtype == np.float64
    rough = "float64" not in [str(a.dtype) for a in arrays]
    assert np.abs(found - expected).max() <= (LIMIT if rough else LIMIT_DOUBLE)
    assert call(*on(*arrays), **there) == pytest.approx(float(found.mean()), abs=1e-15)
    for i in range(len(expected)):  # every image has the bits it has alone
        mask = {"mask": OnDevice(options["mask"][i])} if "mask" in options else {}
        alone = call(*on(*(a[i] for a in arrays)), reduction="none", **mask)
        assert alone.tobytes() == found[i : i + 1].tobytes()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("name", PAIRS)
def test_with_truth(name: str, dtype: str, masked: bool) -> None:
    fused, _, _ = images(2, 44, 52, dtype)
    truth = np.roll(fused, 1, -1)
    mask = mask_of((2, 44, 52))
    if masked and fused.dtype.kind == "f":
        fused[~np.broadcast_to(mask[:, None], fused.shape)] = np.nan
    check(PAIRS[name], (fused, truth), **({"mask": mask} if masked else {}))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "float64"])
@pytest.mark.parametrize("name", SCENES)
def test_without_truth(name: str, dtype: str, masked: bool) -> None:
    s = images(2, dtype=dtype)
    options = {"mask": mask_of((2, 60, 76))} if masked else {}
    check(SCENES[name], tuple(s), **options)


@pytest.mark.parametrize("index", [m.d_lambda, m.d_s, m.qnr])
@pytest.mark.parametrize("masked", [False, True])
def test_variant_pantiny_of_8_bits(index: Call, masked: bool) -> None:
    s = images(2, 48, 56, "uint8")
    arrays = tuple(s) if index is not m.d_lambda else s[:2]
    mask = {"mask": mask_of((2, 48, 56))} if masked else {}
    check(partial(index, variant="pantiny", window=5), arrays, **mask)


def test_pan_low_of_the_caller() -> None:
    fused, ms, pan = images(2)
    low = pan[:, 1::4, 2::4].copy()
    for variant in ("alparone08", "torchmetrics"):
        options = {"window": 16, "variant": variant}
        expected = m.qnr(fused, ms, pan, pan_low=low, **options)
        found = m.qnr(*on(fused, ms, pan), pan_low=OnDevice(low), **options)
        assert abs(found - expected) < LIMIT


def test_rounded_to_uint16() -> None:
    fused, _, _ = images(1, 40, 40)
    both = fused, np.roll(fused, 1, -1)
    found = m.q2n(*on(*both), round_to_uint16=True)
    assert abs(found - m.q2n(*both, round_to_uint16=True)) < LIMIT_DOUBLE


def test_against_the_float64_reference() -> None:
    fused, _, _ = images(1, 40, 44)
    truth = np.roll(fused, 1, -1)
    planes, pairs = [*fused[0], *truth[0]], [(k, 4 + k) for k in range(4)]
    maps = windows_ref(planes, pairs, 8, "uqi")
    assert abs(m.uqi(*on(fused, truth)) - maps.values.mean()) < LIMIT


@pytest.mark.parametrize("bands", [1, 3, 9, 17])
def test_any_number_of_bands(bands: int) -> None:
    made = scene(5, bands=bands, height=32, width=40)
    s = Scene(*(a.astype(np.uint16)[None] for a in made))
    check(partial(m.q2n, block=16), (s.fused, np.roll(s.fused, 1, -1)))
    check(partial(m.qnr, window=16, sensor=None), tuple(s))
    check(partial(m.r_q2n, block=4, gains=np.linspace(0.2, 0.4, bands).tolist()), s[:2])


def test_strided_views_have_the_same_bits() -> None:
    fused, ms, pan = images(2)
    expected = [call(*on(fused, ms, pan), reduction="none") for call in SCENES.values()]
    last = OnDevice(np.ascontiguousarray(fused.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    wide = np.zeros((2, 4, 15, 38), ms.dtype)
    wide[..., ::-2] = ms
    upside = OnDevice(np.ascontiguousarray(pan[::-1, None, ::-1])[::-1, :, ::-1])
    views = last, OnDevice(wide[..., ::-2]), upside
    for call, values in zip(SCENES.values(), expected):
        assert call(*views, reduction="none").tobytes() == values.tobytes()


def test_one_mask_for_all_images_and_one_image_for_none() -> None:
    fused, ms, pan = images(2)
    mask = mask_of((60, 76))
    there = on(fused, ms, pan)
    for call in (SCENES["qnr"], SCENES["hqnr"]):
        one = call(*there, mask=OnDevice(mask), reduction="none")
        each = call(*there, mask=OnDevice(np.stack([mask] * 2)), reduction="none")
        assert one.tobytes() == each.tobytes()


def test_a_batch_is_one_launch_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("windows_run", "moments_run"):
        run = getattr(_device, name)
        monkeypatch.setattr(
            _device, name, lambda *a, n=name, r=run, **k: (calls.append(n), r(*a, **k))[1]
        )
    fused, ms, _ = images(3, 40, 40)
    there = on(fused, np.roll(fused, 1, -1))
    m.uqi(*there)
    m.ssim(*there, peak=PEAK)
    m.q2n(*there)
    assert calls == ["windows_run", "windows_run", "moments_run"]
    calls.clear()
    m.d_lambda(*on(fused, ms), window=16)
    assert calls == ["windows_run"] * 2


def test_classes_take_them() -> None:
    fused, ms, pan = images(2)
    collected = classes.QNR(window=16)
    collected.update(*on(fused, ms, pan))
    assert abs(collected.compute() - m.qnr(fused, ms, pan, window=16)) < LIMIT


@pytest.mark.parametrize("masked", [False, True])
def test_units_that_differ(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pantiny.metrics._scene.SAMPLES", 2000)  # every third row of PAN
    fused, ms, pan = images(1)
    mask = {"mask": OnDevice(mask_of((60, 76)))} if masked else {}
    with pytest.warns(UnitWarning, match="more than 20 times apart"):
        m.d_s(*on(fused, ms, (pan / 2047).astype(np.float32)), window=16, **mask)


def test_streams_of_other_images_are_waited_for(
    emulated: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(emulated, "wait", waits.append)
    fused, _, _ = images(1, 20, 20)
    m.uqi(OnDevice(fused, stream=5), OnDevice(fused, stream=9))
    assert waits == [9]


def test_a_fused_result_is_measured_where_it_is() -> None:
    fused, ms, pan = images(1, 40, 40)
    result = DeviceArray(fused.shape, "uint16", 0)
    result._memory.copy_in(fused)
    there = on(ms, pan)
    assert m.qnr(result, *there, window=16) == m.qnr(*on(fused), *there, window=16)


def bad_calls() -> dict[str, tuple[type[PanTinyError], str, Call]]:
    fused, ms, pan = images(2, 40, 40)
    f, g, p = on(fused, ms, pan)
    floats, t = OnDevice(fused.astype("float32")), OnDevice(np.roll(fused, 1, -1))
    nan = fused.astype("float32")
    nan[1, 0, 9, 9] = np.nan
    none = np.zeros((40, 40), bool)
    half = np.ones((2, 40, 40), bool)
    half[1] = False
    cpu = "host memory.*d_lambda.*d_rho"
    return {
        **{
            name: (BackendError, f"fused: got a OnDevice on a device; need {cpu}", call)
            for name, call in {
                "psnr": lambda: m.psnr(f, t, peak=PEAK),
                "rmse": lambda: m.rmse(f, t),
                "cc": lambda: m.cc(f, t),
                "sam": lambda: m.sam(f, t),
                "ergas": lambda: m.ergas(f, t, ratio=4),
                "scc": lambda: m.scc(f, t),
                "r_ergas": lambda: m.r_ergas(f, g),
                "r_sam": lambda: m.r_sam(f, g),
                "d_s_r": lambda: m.d_s_r(f, p),
                "rqnr": lambda: m.rqnr(f, g, p),
            }.items()
        },
        "toolbox": (
            BackendError,
            r"variant: 'toolbox' .*host memory; pass fused.cpu\(\)",
            lambda: m.d_lambda(f, g, variant="toolbox"),
        ),
        "pantiny": (
            BackendError,
            "ms: got uint16 with variant 'pantiny'.*floor ms where it is",
            lambda: m.d_lambda(OnDevice(fused.astype("u1")), g, variant="pantiny", window=5),
        ),
        "torchmetrics": (
            BackendError,
            "pan_low: got none, and variant 'torchmetrics'.*pass pan_low on the device",
            lambda: m.d_s(*on(*images(1, 60, 60)), variant="torchmetrics"),
        ),
        "rounding": (
            BackendError,
            "fused: got float32; rounded to uint16 on the CPU only.*round fused where it is",
            lambda: m.q2n(floats, t, round_to_uint16=True),
        ),
        "truth in host memory": (
            BackendError,
            "truth: got a ndarray in host memory beside images on a device; need all",
            lambda: m.uqi(f, fused),
        ),
        "fused in host memory": (
            BackendError,
            "truth: got a OnDevice on a device; need host memory",
            lambda: m.uqi(fused, t),
        ),
        "pan in host memory": (
            BackendError,
            "pan: got a ndarray in host memory",
            lambda: m.qnr(f, g, pan),
        ),
        "pan_low in host memory": (
            BackendError,
            "pan_low: got a ndarray in host memory",
            lambda: m.qnr(f, g, p, pan_low=ms[:, 0]),
        ),
        "mask in host memory": (
            BackendError,
            "mask: got a ndarray in host memory",
            lambda: m.uqi(f, t, mask=none),
        ),
        "mask on a device": (
            BackendError,
            "mask: got a OnDevice on a device; need host memory",
            lambda: m.uqi(fused, fused, mask=OnDevice(none)),
        ),
        "dtype": (
            DtypeError,
            "fused: got dtype float16 on the device; need uint8, .*float64",
            lambda: m.uqi(OnDevice(fused.astype("float16")), t),
        ),
        "mask dtype": (
            DtypeError,
            "mask: got dtype int64",
            lambda: m.uqi(f, t, mask=OnDevice(none.astype(int))),
        ),
        "shapes": (
            ShapeError,
            "fused, truth: got shapes",
            lambda: m.uqi(f, OnDevice(fused[:, :3])),
        ),
        "one plane": (
            ShapeError,
            r"fused: got shape \(40, 40\); need \[K, H, W\]",
            lambda: m.uqi(OnDevice(fused[0, 0]), t),
        ),
        "pan shape": (
            ShapeError,
            r"pan: got shape \(40, 40\) for images \(2, 4, 40, 40\)",
            lambda: m.qnr(f, g, OnDevice(pan[0])),
        ),
        "mask shape": (
            ShapeError,
            r"mask: got shape \(39, 40\)",
            lambda: m.uqi(f, t, mask=OnDevice(none[1:])),
        ),
        "mask with gaps": (
            ShapeError,
            "mask: .* rows without gaps",
            lambda: m.uqi(f, t, mask=OnDevice(np.ones((40, 80), bool)[:, ::2])),
        ),
        "ratio": (
            ShapeError,
            "fused, ms: got shapes",
            lambda: m.d_lambda(f, OnDevice(ms[..., 1:])),
        ),
        "window": (OptionError, "window: got 0", lambda: m.uqi(f, t, window=0)),
        "large window": (ShapeError, "does not fit into 40x40", lambda: m.uqi(f, t, window=41)),
        "reduction": (OptionError, "reduction", lambda: m.uqi(f, t, reduction="sum")),
        "all masked": (
            DataError,
            "mask: no window of 8 x 8",
            lambda: m.uqi(f, t, mask=OnDevice(none)),
        ),
        "one image without a window": (
            DataError,
            "mask: no window of 8 x 8",
            lambda: m.uqi(f, t, mask=OnDevice(half)),
        ),
        "one image masked": (
            DataError,
            "mask: no block of 32 x 32",
            lambda: m.q2n(f, t, mask=OnDevice(half)),
        ),
        "NaN": (DataError, "image 1: the index is NaN", lambda: m.uqi(OnDevice(nan), t)),
        "NaN in Q2n": (DataError, "image 1: the index is NaN", lambda: m.q2n(OnDevice(nan), t)),
    }


@pytest.mark.parametrize("name", bad_calls())
def test_bad_input(name: str) -> None:
    kind, text, call = bad_calls()[name]
    with pytest.raises(kind, match=text):
        call()


class Elsewhere(OnDevice):
    """On the second device."""

    class device:
        id = 1


def test_images_on_two_devices() -> None:
    fused, _, _ = images(1, 20, 20)
    with pytest.raises(BackendError, match=r"truth: got an array on cuda:1 .* on cuda:0"):
        m.uqi(OnDevice(fused), Elsewhere(fused))


def test_without_the_extension(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pantiny import cuda

    monkeypatch.setattr(cuda, "_compiled", lambda: None)
    fused, _, _ = images(1, 20, 20)
    with pytest.raises(BackendError, match=r"fused: got a OnDevice .*not compiled in.*pass fused"):
        m.uqi(*on(fused, fused))
