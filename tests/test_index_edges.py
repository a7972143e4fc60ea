"""Quality indices at their limits: exponents, bands, memory order, magnitudes, bad types."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from failing import check_text
from indices import PEAK, RATIO, WITH_TRUTH, WITHOUT, Scene, image, noisy, scene

import pantiny
from pantiny import errors as e
from pantiny import metrics as m
from pantiny.metrics import classes
from pantiny.metrics.streaming import FullResolution, WithTruth

TRUTH = image(90)
FUSED = noisy(TRUTH, 91)
S = scene(92, 3)


def test_spectra_of_which_nothing_counts() -> None:
    nothing = np.zeros((2, 64, 64), bool)
    nothing[0] = True
    reached = np.arange(128)[:, None] % 8 + np.zeros(256) > 0  # of every MTF kernel
    for call in (
        lambda: m.sam(np.stack([FUSED, FUSED]), np.stack([TRUTH, TRUTH]), mask=nothing),
        lambda: m.r_sam(S.fused, S.ms, mask=reached),
    ):
        with pytest.raises(e.DataError) as error:
            call()
        check_text(error.value, "mask: no pixel is left")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_a_zero_spectrum_does_not_hide_nan(bad: float, which: int) -> None:
    pair = [FUSED.copy(), TRUTH.copy()]
    pair[which][:, 5, 6], pair[1 - which][:, 5, 6] = bad, 0
    with pytest.raises(e.DataError, match="NaN"):
        m.sam(*pair)


@pytest.mark.parametrize("p", [300, 500, 1000, 1e5])
def test_large_exponents_tend_to_the_largest_difference(p: float) -> None:
    for found in (m.d_lambda(S.fused, S.ms, p=p), m.d_s(*S, q=p)):
        assert found > 0
    largest = [m.d_lambda(S.fused, S.ms, p=1e6), m.d_s(*S, q=1e6)]
    assert m.d_lambda(S.fused, S.ms, p=p) == pytest.approx(largest[0], rel=0.01)
    assert m.d_s(*S, q=p) == pytest.approx(largest[1], rel=0.01)


def test_q2n_of_many_bands_is_fast() -> None:
    truth = image(93, 129, 8, 8)
    start = time.perf_counter()
    assert m.q2n(truth, truth, block=8) == pytest.approx(1, abs=1e-9)
    assert 0 < m.q2n(noisy(truth, 94), truth, block=8) < 1
    assert time.perf_counter() - start < 5  # 0.2 s here; recursion takes an hour


def paired(fused: np.ndarray, truth: np.ndarray, step: int) -> dict[str, float]:
    stream = WithTruth(truth.shape[1:], len(truth), ratio=RATIO, peak=PEAK)
    for y in range(0, truth.shape[1], step):
        stream.update(fused[:, y : y + step], truth[:, y : y + step])
    return stream.compute()


def test_memory_order_changes_no_bit() -> None:
    truth = image(95, 4, 150, 70) + 0.1
    fused = noisy(truth, 96) + 0.3
    expected = paired(fused, truth, 150)
    names = [k for k in expected if k in WITH_TRUTH]
    for order in (
        np.asfortranarray,
        lambda x: np.ascontiguousarray(x.transpose(1, 2, 0)).transpose(2, 0, 1),
    ):
        f, t = order(fused), order(truth)
        for step in (150, 40, 7):
            assert paired(f, t, step) == expected
        assert {k: WITH_TRUTH[k](f, t) for k in names} == {k: expected[k] for k in names}


@pytest.mark.parametrize("kinds", [("uint16", "int16"), ("int16", "uint16"), ("float32", "uint16")])
def test_rows_of_several_dtypes(kinds: tuple[str, str]) -> None:
    truth = image(97, 3, 96, 48)
    fused = noisy(truth, 98)
    stream = WithTruth((96, 48), 3, ratio=RATIO, peak=PEAK)
    for kind, rows in zip(kinds, (np.s_[:, :41], np.s_[:, 41:])):
        stream.update(fused[rows].astype(kind), truth[rows].astype(kind))
    assert stream.compute() == paired(fused, truth, 96)
    whole = FullResolution(3, S.pan.shape, S.ms.shape[1:])
    parts = FullResolution(3, S.pan.shape, S.ms.shape[1:])
    whole.update(S.fused, S.pan)
    whole.update_ms(S.ms)
    for kind, a, b in ((kinds[0], 0, 30), (kinds[1], 30, 128)):
        parts.update(S.fused[:, a:b].astype(kind), S.pan[a:b].astype(kind))
    for kind, a, b in ((kinds[0], 0, 9), (kinds[1], 9, 32)):
        parts.update_ms(S.ms[:, a:b].astype(kind))
    assert parts.compute() == whole.compute()


@pytest.mark.parametrize("power", [-199, 199])
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_magnitudes_up_to_1e60(name: str, power: int) -> None:
    """A power of two changes exponents only; 2^199 is 8e59, less the images' own 2^11."""
    scale = 2.0 ** (power - 11 if power > 0 else power)
    index = {
        "psnr": lambda f, t, s: m.psnr(f, t, peak=PEAK * s),
        "ssim": lambda f, t, s: m.ssim(f, t, peak=PEAK * s),
        "rmse": lambda f, t, s: m.rmse(f, t) / s,
    }.get(name, lambda f, t, s: WITH_TRUTH[name](f, t))
    expected = index(FUSED, TRUTH, 1.0)
    assert index(FUSED * scale, TRUTH * scale, scale) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("power", [-199, 188])
@pytest.mark.parametrize("name", [n for n in WITHOUT if "pantiny" not in n and "torchm" not in n])
def test_magnitudes_of_a_scene_up_to_1e60(name: str, power: int) -> None:
    scaled = Scene(*(a * 2.0**power for a in S))
    assert WITHOUT[name](scaled) == pytest.approx(WITHOUT[name](S), rel=1e-9, abs=1e-12)


def test_merging_takes_the_same_index_only() -> None:
    psnr, other = classes.PSNR(peak=PEAK), classes.PSNR(peak=255)
    for wrong in (classes.SAM(), other, object()):
        with pytest.raises(e.OptionError) as error:
            psnr.merge_state(wrong)  # type: ignore[arg-type]
        check_text(error.value, "merge_state: got .* same index with the same options")
    same = classes.PSNR(peak=PEAK)
    same.update(FUSED, TRUTH)
    psnr.merge_state(same)
    assert psnr.compute() == m.psnr(FUSED, TRUTH, peak=PEAK)


def test_a_mean_of_both_infinities_is_an_error() -> None:
    index, spoilt = classes.PSNR(peak=PEAK), FUSED.copy()
    spoilt[0, 0, 0] = np.inf
    index.update(TRUTH, TRUTH)
    assert index.compute() == np.inf
    index.update(spoilt, TRUTH)
    with pytest.raises(e.DataError) as error:
        index.compute()
    check_text(error.value, r"PSNR: the values of some images are \+inf, of others -inf")


def full() -> FullResolution:
    return FullResolution(3, S.pan.shape, S.ms.shape[1:])


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no rows": (lambda: full().update(S.fused[:, :0], S.pan[:0]), e.ShapeError, "one at least"),
    "no ms rows": (lambda: full().update_ms(S.ms[:, :0]), e.ShapeError, "one at least"),
    "no pair rows": (
        lambda: WithTruth((64, 64), 4, ratio=4, peak=9).update(TRUTH[:, :0], TRUTH[:, :0]),
        e.ShapeError,
        "one at least",
    ),
    "no bands": (
        lambda: FullResolution(0, (64, 64), (16, 16)), e.OptionError, "bands: got 0; need"
    ),
    "bands": (
        lambda: WithTruth((64, 64), -1, ratio=4, peak=9), e.OptionError, "bands: got -1; need"
    ),
    "gain": (lambda: m.r_sam(S.fused, S.ms, gains=0.3), e.OptionError, "gains: got 0.3; need one"),
    "gains": (lambda: m.r_sam(S.fused, S.ms, gains="abc"), e.OptionError, "gains: got 'abc'"),
    "variant": (lambda: m.qnr(*S, variant=[]), e.OptionError, r"variant: got \[\]; need one of"),
    "ragged": (lambda: m.rmse([[[1, 2], [3]]], TRUTH), e.ShapeError, "fused: got a list"),
    "low peak": (lambda: m.psnr(FUSED, TRUTH, peak=1e-300), e.OptionError, "peak: got 1e-300;"),
    "peak": (lambda: m.ssim(FUSED, TRUTH, peak=1e300), e.OptionError, r"peak: got 1e\+300;"),
    "class": (lambda: classes.SSIM(peak=1e300), e.OptionError, r"peak: got 1e\+300;"),
    "ratio": (lambda: m.d_rho(S.fused, S.pan, ratio=65), e.OptionError, "1 to 64"),
    "fuse": (
        lambda: pantiny.fuse(
            (S.ms[:, :16, :16] * 1e30).astype("float32"),
            (S.pan[:64, :64] * 1e30).astype("float32"),
        ),
        e.DataError,
        "ms: 99 % of the values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_needed(name: str) -> None:
    call, kind, text = REFUSED[name]
    with pytest.raises(kind) as error:
        call()
    check_text(error.value, text)


@pytest.mark.parametrize("name", ["sparse", "meta", "float8"])
def test_tensors_without_an_array(name: str) -> None:
    torch = pytest.importorskip("torch")
    dense = torch.ones(4, 64, 64)
    tensor = {
        "sparse": lambda: dense.to_sparse(),
        "meta": lambda: dense.to("meta"),
        "float8": lambda: dense.to(torch.float8_e4m3fn),
    }[name]()
    with pytest.raises(e.DtypeError) as error:
        m.rmse(tensor, TRUTH)
    check_text(error.value, "fused: got a tensor of .*; need a dense one")
