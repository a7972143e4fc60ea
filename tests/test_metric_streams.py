"""Quality indices in rows, on threads, as classes, of torch tensors; and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from failing import check_text
from hypothesis import given, settings
from hypothesis import strategies as st
from indices import PEAK, RATIO, WITH_TRUTH, WITHOUT, Scene, image, noisy, scene

from pantiny import errors as e
from pantiny import metrics as m
from pantiny.metrics import _windows, classes
from pantiny.metrics._rows import RowFeed
from pantiny.metrics.streaming import FullResolution, WithTruth

# what the streams give, under the names of the functions
OF_PAIR = {k: WITH_TRUTH[k] for k in ("psnr rmse cc sam ergas scc uqi ssim q2n".split())}
OF_SCENE = {k.removesuffix("-alparone08"): f for k, f in WITHOUT.items() if "-a" in k}
OF_SCENE |= {k: f for k, f in WITHOUT.items() if "-" not in k}
TALL = noisy(image(30, 3, 300, 40), 31).astype(np.uint16), image(30, 3, 300, 40).astype(np.uint16)
LONG = scene(32, 3, 320, 128)


def mask_of(height: int, width: int) -> np.ndarray:
    mask = np.ones((height, width), bool)
    mask[150:170, 20:31] = False
    mask[-5:] = False
    return mask


PAIR_MASK, SCENE_MASK = mask_of(300, 40), mask_of(320, 128)
PAIR_VALUES = {
    masked: {k: f(*TALL, mask=PAIR_MASK if masked else None) for k, f in OF_PAIR.items()}
    for masked in (False, True)
}
SCENE_VALUES = {
    masked: {k: f(LONG, mask=SCENE_MASK if masked else None) for k, f in OF_SCENE.items()}
    for masked in (False, True)
}


def cuts(rows: int) -> Any:
    """Places where rows are cut, ends included."""
    places = st.lists(st.integers(1, rows - 1), max_size=12, unique=True)
    return places.map(lambda found: [0, *sorted(found), rows])


@settings(max_examples=20, deadline=None)
@given(places=cuts(300), masked=st.booleans())
def test_pieces_change_no_bit(places: list[int], masked: bool) -> None:
    stream = WithTruth((300, 40), 3, ratio=RATIO, peak=PEAK)
    for a, b in pairwise(places):
        rows = np.s_[:, a:b]
        stream.update(TALL[0][rows], TALL[1][rows], PAIR_MASK[a:b] if masked else None)
    assert stream.compute() == PAIR_VALUES[masked]


@settings(max_examples=15, deadline=None)
@given(places=cuts(320), coarse=cuts(80), masked=st.booleans(), first=st.booleans())
def test_pieces_of_scenes_change_no_bit(
    places: list[int], coarse: list[int], masked: bool, first: bool
) -> None:
    stream = FullResolution(3, (320, 128), (80, 32))
    pan = list(pairwise(places))
    ms = list(pairwise(coarse))
    while pan or ms:
        if ms and (first or not pan):
            a, b = ms.pop(0)
            stream.update_ms(LONG.ms[:, a:b])
        else:
            a, b = pan.pop(0)
            valid = SCENE_MASK[a:b] if masked else None
            stream.update(LONG.fused[:, a:b], LONG.pan[a:b], valid)
        first = not first
    assert stream.compute() == SCENE_VALUES[masked]


def test_rows_one_by_one_and_all_at_once() -> None:
    stream = WithTruth((300, 40), 3, ratio=RATIO, peak=PEAK)
    for y in range(300):
        stream.update(TALL[0][:, y : y + 1], TALL[1][:, y : y + 1])
    assert stream.compute() == PAIR_VALUES[False]
    scenes = FullResolution(3, (320, 128), (80, 32))
    scenes.update_ms(LONG.ms)
    for y in range(320):
        scenes.update(LONG.fused[:, y : y + 1], LONG.pan[y : y + 1])
    assert scenes.compute() == SCENE_VALUES[False]


def test_a_mask_of_ms_is_one_of_the_pixels_it_covers() -> None:
    stream = FullResolution(3, (320, 128), (80, 32), window=16, block=8)
    ms_mask = np.ones((80, 32), bool)
    ms_mask[40, 7] = False
    spoilt = np.where(ms_mask, LONG.ms, np.nan)
    stream.update(LONG.fused, LONG.pan)
    stream.update_ms(spoilt, ms_mask)
    found = stream.compute()
    assert all(np.isfinite(v) for v in found.values())
    clean = FullResolution(3, (320, 128), (80, 32), window=16, block=8)
    clean.update(LONG.fused, LONG.pan)
    clean.update_ms(LONG.ms)
    expected = clean.compute()
    assert {k for k in found if found[k] == expected[k]} == {"d_s_r", "d_rho"}


@pytest.mark.parametrize("step", [1, 3, 128])
@pytest.mark.parametrize("overlap", [0, 2, 31])
def test_the_feed_gives_the_same_chunks(step: int, overlap: int) -> None:
    rows = np.arange(200)[:, None]

    def chunks(*places: int) -> list[list[int]]:
        feed = RowFeed(step, overlap)
        found: list[Any] = []
        for a, b in pairwise(places):
            found += [c[0] for c in feed.update([rows[a:b], None])]
        found += [c[0] for c in feed.finish(overlap)]
        return [c.ravel().tolist() for c in found]

    whole = chunks(0, 200)
    assert [c[0] for c in whole] == list(range(0, 200 - overlap, step))
    assert all(c == list(range(c[0], min(c[0] + step + overlap, 200))) for c in whole)
    assert chunks(*range(201)) == whole
    assert chunks(0, 7, 8, 150, 200) == whole


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_change_no_bit(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_windows, "resolve_threads", lambda _: threads)
    assert {k: f(*TALL) for k, f in OF_PAIR.items()} == PAIR_VALUES[False]
    assert {k: f(LONG) for k, f in OF_SCENE.items()} == SCENE_VALUES[False]


# Classes

CLASSES: dict[str, tuple[Any, Callable[..., Any], dict[str, Any]]] = {
    "PSNR": (classes.PSNR, m.psnr, {"peak": PEAK}),
    "RMSE": (classes.RMSE, m.rmse, {}),
    "CC": (classes.CC, m.cc, {}),
    "SAM": (classes.SAM, m.sam, {"units": "radians"}),
    "ERGAS": (classes.ERGAS, m.ergas, {"ratio": 4}),
    "SCC": (classes.SCC, m.scc, {}),
    "UQI": (classes.UQI, m.uqi, {"window": 7}),
    "SSIM": (classes.SSIM, m.ssim, {"peak": PEAK}),
    "Q2n": (classes.Q2n, m.q2n, {"block": 16}),
    "DLambda": (classes.DLambda, m.d_lambda, {"window": 16}),
    "DS": (classes.DS, m.d_s, {"sensor": "WV3"}),
    "QNR": (classes.QNR, m.qnr, {"variant": "toolbox"}),
    "DLambdaK": (classes.DLambdaK, m.d_lambda_k, {}),
    "DSR": (classes.DSR, m.d_s_r, {}),
    "HQNR": (classes.HQNR, m.hqnr, {"window": 16}),
    "RQNR": (classes.RQNR, m.rqnr, {}),
    "RErgas": (classes.RErgas, m.r_ergas, {}),
    "RSam": (classes.RSam, m.r_sam, {}),
    "RQ2n": (classes.RQ2n, m.r_q2n, {"block": 16}),
    "DRho": (classes.DRho, m.d_rho, {"ratio": 4}),
}


def arguments(name: str, seed: int) -> tuple[np.ndarray, ...]:
    """A batch of two."""
    scenes = [scene(seed + i, 4, 192, 192) for i in (0, 9)]
    s = Scene(*(np.stack(arrays) for arrays in zip(*scenes)))
    if name in ("DSR", "DRho"):
        return s.fused, s.pan
    if name in ("DLambda", "DLambdaK", "RErgas", "RSam", "RQ2n"):
        return s.fused, s.ms
    if name in ("DS", "QNR", "HQNR", "RQNR"):
        return s.fused, s.ms, s.pan
    return s.fused, noisy(s.fused, seed)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_means_of_functions(name: str) -> None:
    kind, function, options = CLASSES[name]
    index = kind(**options)
    with pytest.raises(e.DataError) as error:
        index.compute()
    check_text(error.value, "no image yet")
    first, second = arguments(name, 40), arguments(name, 50)
    mask = np.ones(first[0].shape[-2:], bool)
    mask[:, 160:] = False
    a = function(*first, reduction="none", **options)
    b = function(*second, mask=mask, reduction="none", **options)
    assert index(*first) == a.mean()
    index.update(*second, mask=mask)
    assert index.compute() == pytest.approx(np.concatenate([a, b]).mean(), rel=1e-14)
    other = kind(**options)
    other.update(*(x[0] for x in first))
    other.merge_state(index)
    assert other.compute() == pytest.approx(np.concatenate([a[:1], a, b]).mean(), rel=1e-14)
    index.reset()
    index.update(*second, mask=mask)
    assert index.compute() == pytest.approx(b.mean(), rel=1e-14)
    assert repr(index).startswith(f"{name}(") and f"metrics.{function.__name__}`" in kind.__doc__
    best = {"PSNR", "CC", "SCC", "UQI", "SSIM", "Q2n", "QNR", "HQNR", "RQNR", "RQ2n"}
    assert kind.higher_is_better is (name in best)


def test_every_function_has_a_class() -> None:
    assert {f.__name__ for _, f, _ in CLASSES.values()} == set(m.__all__)
    found = {n for n, c in vars(classes).items() if isinstance(c, type) and n != "Index"}
    assert found & set(CLASSES) == set(CLASSES)


# Arrays

DTYPES = ("uint8", "uint16", "int16", "int32", "int64", "float32", "float64", ">u2", ">f4")


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_dtypes_hold_the_same_values(name: str, dtype: str) -> None:
    truth = np.clip(image(60) / 8, 0, 255).astype(np.uint8)
    fused = np.clip(noisy(truth, 61, 9.0), 0, 255)
    expected = WITH_TRUTH[name](fused, truth.astype(np.float64))
    assert WITH_TRUTH[name](fused.astype(dtype), truth.astype(dtype)) == expected
    assert WITH_TRUTH[name](fused.astype(dtype), truth) == expected


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_layout_does_not_matter(name: str) -> None:
    fused, truth = noisy(image(62), 63).astype(np.float32), image(62).astype(np.float32)
    expected = WITH_TRUTH[name](fused, truth)
    interleaved = np.ascontiguousarray(np.moveaxis(fused, 0, -1)).transpose(2, 0, 1)
    upside = truth[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    assert WITH_TRUTH[name](interleaved, upside) == pytest.approx(expected, rel=1e-12)
    packed = np.zeros(fused.shape, [("flag", "u1"), ("value", "f4")])["value"]
    packed[:] = fused
    assert WITH_TRUTH[name](packed, truth) == expected


@pytest.mark.parametrize("name", WITHOUT)
def test_torch_tensors_are_as_good(name: str) -> None:
    torch = pytest.importorskip("torch")
    s = Scene(*(a.astype(np.float32) for a in scene(64, 4, 320, 128)))
    mask = SCENE_MASK
    tensors = Scene(*map(torch.from_numpy, s))
    tensors.fused.requires_grad_()
    found = WITHOUT[name](tensors, mask=torch.from_numpy(mask))
    assert found == WITHOUT[name](s, mask=mask)


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "int16", "int32", "bfloat16"])
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_torch_dtypes(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    truth = np.clip(image(65) / 16, 0, 127)  # whole numbers of 7 bits: bfloat16 holds them
    fused = np.clip(noisy(truth, 66, 9.0), 0, 127)
    a, b = (torch.from_numpy(np.rint(x)).to(getattr(torch, kind)) for x in (fused, truth))
    assert WITH_TRUTH[name](a, b) == WITH_TRUTH[name](np.rint(fused), np.rint(truth))


# Errors

X = image(70, 2, 40, 44)
S = scene(71, 3, 64, 64)
NAN = np.where(np.arange(44) == 9, np.nan, X)
SHAPE, OPTION, DATA, DTYPE = e.ShapeError, e.OptionError, e.DataError, e.DtypeError
REFUSED: dict[str, tuple[Any, str, Callable[[], Any]]] = {
    "2-D": (SHAPE, r"fused: got shape \(40, 44\)", lambda: m.cc(X[0], X)),
    "empty": (SHAPE, "truth: got shape", lambda: m.cc(X, X[:0])),
    "sizes": (SHAPE, "need two of one shape", lambda: m.sam(X, X[:, 1:])),
    "text": (DTYPE, "need real numbers", lambda: m.rmse(X.astype(str), X)),
    "complex": (DTYPE, "need real numbers", lambda: m.rmse(X, X.astype(complex))),
    "peak 0": (OPTION, "peak: got 0", lambda: m.psnr(X, X, peak=0)),
    "peak nan": (OPTION, "peak: got nan", lambda: m.ssim(X, X, peak=float("nan"))),
    "ratio": (OPTION, "ratio: got 'x'", lambda: m.ergas(X, X, ratio="x")),
    "units": (OPTION, "units: got 'deg'", lambda: m.sam(X, X, units="deg")),
    "window 0": (OPTION, "window: got 0", lambda: m.uqi(X, X, window=0)),
    "window 257": (
        OPTION,
        "need a whole number of pixels, 1 to 256",
        lambda: m.uqi(X, X, window=257),
    ),
    "window 41": (SHAPE, "does not fit into 40x44", lambda: m.uqi(X, X, window=41)),
    "stride": (OPTION, "stride: got 3", lambda: m.uqi(X, X, stride=3)),
    "small ssim": (SHAPE, "SSIM: a window of 11", lambda: m.ssim(X[:, :10], X[:, :10], peak=1)),
    "small scc": (SHAPE, "does not fit into 2x44", lambda: m.scc(X[:, :2], X[:, :2])),
    "block 1": (OPTION, "block: got 1", lambda: m.q2n(X, X, block=1)),
    "reduction": (OPTION, "reduction: got 'sum'", lambda: m.cc(X, X, reduction="sum")),
    "mask": (SHAPE, "mask: got shape", lambda: m.cc(X, X, mask=np.ones((40, 43)))),
    "all masked": (DATA, "no pixel is left", lambda: m.cc(X, X, mask=np.zeros((40, 44)))),
    "no window": (DATA, "no window of 8 x 8", lambda: m.uqi(X, X, mask=np.eye(40, 44))),
    "no block": (DATA, "no block of 8 x 8", lambda: m.q2n(X, X, block=8, mask=np.eye(40, 44))),
    "no edge": (DATA, "no pixel is left", lambda: m.scc(X, X, mask=np.eye(40, 44))),
    "grids": (SHAPE, "one whole ratio", lambda: m.d_lambda(S.fused, S.ms[:, 1:])),
    "bands": (SHAPE, "the same bands", lambda: m.d_lambda(S.fused, S.ms[1:])),
    "pan": (SHAPE, "pan: got shape", lambda: m.d_s(S.fused, S.ms, S.pan[1:])),
    "variant": (OPTION, "need one of alparone08", lambda: m.qnr(*S, variant="best")),
    "odd window": (OPTION, "are 7.5 of the MS grid", lambda: m.qnr(*S, window=30)),
    "exponent": (OPTION, "p: got 0", lambda: m.d_lambda(S.fused, S.ms, p=0)),
    "alpha": (OPTION, "alpha: got -1", lambda: m.qnr(*S, alpha=-1)),
    "gains": (SHAPE, "gains: got 2 for 3 bands", lambda: m.r_sam(S.fused, S.ms, gains=(0.3, 0.3))),
    "gain": (OPTION, "need amplitudes", lambda: m.r_sam(S.fused, S.ms, gains=(0.3, 0.3, 1.0))),
    "rho": (OPTION, "ratio: got 0", lambda: m.d_rho(S.fused, S.pan, ratio=0)),
    "rows": (
        SHAPE,
        "fused: got rows",
        lambda: WithTruth((40, 44), 3, ratio=4, peak=1).update(X, X),
    ),
    "early": (SHAPE, "0 came of 40", lambda: WithTruth((40, 44), 2, ratio=4, peak=1).compute()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_say_what_to_do(name: str) -> None:
    kind, pattern, call = REFUSED[name]
    with pytest.raises(kind) as error:
        call()
    check_text(error.value, pattern)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", [*WITH_TRUTH, "q2n-rounded"])
def test_nan_is_never_hidden(name: str, which: int, bad: float) -> None:
    index = {**WITH_TRUTH, "q2n-rounded": partial(m.q2n, round_to_uint16=True)}[name]
    pair = [noisy(image(72), 73), image(72)]
    pair[which][1, 20, 30] = bad
    try:
        value = index(*pair)
    except e.DataError as error:
        check_text(error, "NaN")
    else:  # an error without bound, or saturated
        assert np.isinf(bad)
        assert np.isinf(value) or name == "q2n-rounded"


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", WITHOUT)
def test_nan_in_a_scene_is_never_hidden(name: str, which: int) -> None:
    s = scene(74, 3, 128, 128)
    s[which][..., 7, 9] = np.nan
    blind = {0: (), 1: ("d_rho", "d_s_r"), 2: ("d_lambda", "r_")}[which]
    if name.startswith(blind):  # what the index does not read
        assert np.isfinite(WITHOUT[name](s))
        return
    with pytest.raises(e.DataError) as error:
        WITHOUT[name](s)
    check_text(error.value, "NaN")


def test_masks_come_always_or_never() -> None:
    stream = WithTruth((40, 44), 2, ratio=4, peak=PEAK)
    stream.update(X[:, :9], X[:, :9])
    with pytest.raises(e.OptionError) as error:
        stream.update(X[:, 9:], X[:, 9:], np.ones((31, 44), bool))
    check_text(error.value, "both with and without")
