"""What the quality indices say of their inputs: units, gains, options, what cannot be measured."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from failing import check_text
from indices import PEAK, RATIO, Scene, image, noisy, scene

import pantiny
from pantiny import metrics as m
from pantiny.errors import DataError, GainWarning, OptionError, PanTinyWarning, UnitWarning
from pantiny.metrics import classes
from pantiny.metrics.streaming import FullResolution, WithTruth
from pantiny.sensors import SENSORS

S = scene(80)


def streamed(s: Scene, mask: np.ndarray | None = None, **options: Any) -> FullResolution:
    stream = FullResolution(len(s.ms), s.pan.shape, s.ms.shape[1:], **options)
    stream.update_ms(s.ms)
    stream.update(s.fused, s.pan, mask)
    return stream


# Units

MEASURES: dict[str, Callable[[Scene], Any]] = {
    "d_s": lambda s: m.d_s(*s),
    "toolbox": lambda s: m.d_s(*s, variant="toolbox"),
    "qnr": lambda s: m.qnr(*s),
    "hqnr": lambda s: m.hqnr(*s),
    "stream": lambda s: streamed(s).compute(),
    "class": lambda s: classes.DS()(*s),
    "masked": lambda s: m.d_s(*s, mask=np.arange(s.pan.shape[1])[None] + 0 * s.pan > 3),
}


@pytest.mark.parametrize("factor", [1 / 2047, 1 / 25, 25.0, 1e4])
@pytest.mark.parametrize("name", MEASURES)
def test_pan_in_another_unit_is_told(name: str, factor: float) -> None:
    with pytest.warns(UnitWarning, match=r"ms, pan: got root mean squares .* one unit") as found:
        MEASURES[name](S._replace(pan=S.pan * factor))
    assert len(found) == 1 and found[0].filename == __file__
    check_text(DataError(str(found[0].message)), "convert them")


@pytest.mark.parametrize("name", MEASURES)
def test_pan_in_a_like_unit_is_not_told(name: str) -> None:
    for factor in (1 / 15, 1.0, 15.0):  # a warning is an error
        MEASURES[name](S._replace(pan=S.pan * factor))
    MEASURES[name](S._replace(pan=0 * S.pan))  # says nothing about units
    MEASURES[name](Scene(*(a - a.mean() for a in S)))  # nor do means about 0


def test_what_is_masked_says_nothing_about_units() -> None:
    pan, mask = S.pan.copy(), np.ones(S.pan.shape, bool)
    mask[:, :40] = False
    pan[~mask] = 1e9
    m.d_s(S.fused, S.ms, pan, mask=mask)
    streamed(S._replace(pan=pan), mask).compute()


# Gains


def test_three_bands_are_blue_green_red() -> None:
    fused, ms = S.fused[:3], S.ms[:3]
    assert m.r_ergas(fused, ms, sensor="QB") == m.r_ergas(fused, ms, gains=SENSORS["QB"].gains[:3])
    assert m.r_ergas(fused, ms, sensor="QB") != m.r_ergas(fused, ms, gains=(0.295,) * 3)
    low, same = (
        pantiny.degrade_pair(S.fused[:3], np.tile(S.pan, (4, 4)), 4, **options)[0]
        for options in ({"sensor": "QB"}, {"gains": SENSORS["QB"].gains[:3]})
    )
    assert np.array_equal(low, same)
    assert SENSORS["WV3-8"].gains_for(3) == SENSORS["WV3"].gains[:3]
    assert SENSORS["WV3-8"].gains_for(4) == SENSORS["WV3"].gains


def test_arrays_and_named_bands_of_three_are_fused_alike() -> None:
    ms, pan = S.ms[:3, :16, :16].astype(np.uint16), S.pan[:64, :64].astype(np.uint16)
    options: dict[str, Any] = {"method": "mtf-glp-hpm", "sensor": "QB"}
    named = pantiny.fuse(ms, pan, bands="blue,green,red", **options)
    assert np.array_equal(pantiny.fuse(ms, pan, **options), named)
    assert not np.array_equal(pantiny.fuse(ms, pan, bands="red,green,blue", **options), named)


@pytest.mark.parametrize("bands", [1, 2, 5, 8])
def test_a_count_the_table_lacks_is_told(bands: int) -> None:
    s = scene(81, bands)
    with pytest.warns(GainWarning, match=rf"QB has MTF gains .* {bands} bands") as found:
        value = m.r_sam(s.fused, s.ms, sensor="QB")
    assert len(found) == 1 and found[0].filename == __file__
    check_text(DataError(str(found[0].message)), "give gains=")
    assert value == m.r_sam(s.fused, s.ms, gains=(0.295,) * bands)
    with pytest.warns(GainWarning):
        streamed(s, sensor="QB")
    # no gain is used, or there is no other
    m.d_s(*s, sensor="QB")
    assert m.r_sam(s.fused, s.ms, sensor="GE1") == m.r_sam(s.fused, s.ms, gains=(0.23,) * bands)


def test_warnings_have_one_base() -> None:
    for kind in (UnitWarning, GainWarning, pantiny.errors.BitDepthWarning):
        assert issubclass(kind, PanTinyWarning) and issubclass(kind, UserWarning)


# Options of classes

LATE: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "missing": (lambda: classes.PSNR(), TypeError, r"PSNR: missing .* 'peak'.*options .* peak;"),
    "misspelt": (lambda: classes.PSNR(pek=3), TypeError, r"PSNR: .*peak"),
    "extra": (lambda: classes.RMSE(peak=3), TypeError, r"RMSE: .*'peak'.*none;"),
    "mask": (lambda: classes.PSNR(peak=9, mask=1), TypeError, r"'mask'.*a mask goes to update"),
    "reduction": (lambda: classes.CC(reduction="none"), TypeError, r"'reduction'"),
    "sensor": (lambda: classes.QNR(sensor="nope"), OptionError, r"'nope' is not in the sensor"),
    "peak": (lambda: classes.PSNR(peak=0), OptionError, r"peak: got 0"),
    "variant": (lambda: classes.DS(variant="best"), OptionError, r"variant: got 'best'"),
    "window": (lambda: classes.DLambda(window=0), OptionError, r"window: got 0"),
    "block": (lambda: classes.Q2n(block=1), OptionError, r"block: got 1"),
    "units": (lambda: classes.SAM(units="deg"), OptionError, r"units: got 'deg'"),
    "gains": (lambda: classes.RSam(gains=(0.3, 2)), OptionError, r"gains: got .* amplitudes"),
    "exponent": (lambda: classes.QNR(alpha=0), OptionError, r"alpha: got 0"),
    "h/l": (lambda: classes.ERGAS(ratio=0.25), OptionError, r"ratio: got 0.25.*h/l"),
    "rho": (lambda: classes.DRho(ratio=2.5), OptionError, r"ratio: got 2.5; need a whole number"),
}


@pytest.mark.parametrize("name", LATE)
def test_classes_refuse_options_at_once(name: str) -> None:
    make, kind, text = LATE[name]
    with pytest.raises(kind, match=text):
        make()


def test_classes_have_the_signature_of_their_function() -> None:
    kinds = [c for c in vars(classes).values() if isinstance(c, type) and c.__bases__[0] is Base]
    assert len(kinds) == len(m.__all__)
    for kind in kinds:
        options = inspect.signature(kind).parameters
        of_function = inspect.signature(kind.function).parameters
        keyword = {k: p for k, p in of_function.items() if p.kind is p.KEYWORD_ONLY}
        assert dict(options) == {k: p for k, p in keyword.items() if k not in ("mask", "reduction")}
    assert str(inspect.signature(classes.ERGAS)) == "(*, ratio: 'float')"


Base = classes.Index

# What cannot be measured


def test_a_scene_without_a_block_keeps_the_other_indices() -> None:
    mask = np.ones(S.pan.shape, bool)
    mask[:, 60] = mask[:, 150] = mask[:, 230] = False  # no 32 MS pixels in a row
    stream = streamed(S, mask)
    assert stream.missing == {}
    found = stream.compute()
    assert set(stream.missing) == {"d_lambda_k", "hqnr", "rqnr", "r_q2n"}
    check_text(DataError(stream.missing["r_q2n"]), "no block of 32 x 32")
    assert not found.keys() & stream.missing.keys() and len(found) == 7
    assert found["d_lambda"] == m.d_lambda(S.fused, S.ms, mask=mask)
    assert found["qnr"] == m.qnr(*S, mask=mask)
    assert found["r_ergas"] == m.r_ergas(S.fused, S.ms, mask=mask)
    assert found["d_s_r"] == m.d_s_r(S.fused, S.pan, mask=mask)
    with pytest.raises(DataError, match="no block of 32 x 32"):
        m.r_q2n(S.fused, S.ms, mask=mask)


def paired(fused: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> WithTruth:
    stream = WithTruth(truth.shape[1:], len(truth), ratio=RATIO, peak=PEAK)
    stream.update(fused, truth, mask)
    return stream


def test_a_pair_without_a_block_or_window_keeps_the_other_indices() -> None:
    truth = image(82)
    fused, mask = noisy(truth, 83), np.ones((64, 64), bool)
    mask[::9] = False  # windows of 8 pixels fit, those of 11 do not
    stream = paired(fused, truth, mask)
    found = stream.compute()
    assert set(stream.missing) == {"ssim", "q2n"}
    assert set(found) == {"psnr", "rmse", "cc", "sam", "ergas", "scc", "uqi"}
    assert found["uqi"] == m.uqi(fused, truth, mask=mask)


def test_a_pair_without_settings_keeps_the_other_indices() -> None:
    truth = image(87)
    fused = noisy(truth, 88)
    whole = paired(fused, truth).compute()
    for options, lost in (
        ({"ratio": None, "peak": PEAK}, {"ergas"}),
        ({"ratio": RATIO, "peak": None}, {"psnr", "ssim"}),
    ):
        stream = WithTruth((64, 64), 4, **options)  # type: ignore[arg-type]
        stream.update(fused, truth)
        assert stream.compute() == {k: v for k, v in whole.items() if k not in lost}
        assert set(stream.missing) == lost
        for reason in stream.missing.values():
            check_text(DataError(reason), "got none")
    small = WithTruth((9, 9), 4, ratio=4, peak=None)  # smaller than a window of SSIM
    small.update(fused[:, :9, :9], truth[:, :9, :9])
    assert "uqi" in small.compute()


def test_a_black_product_has_no_angle_anywhere() -> None:
    truth = image(84)
    black = 0 * truth
    stream = paired(black, truth)
    found = stream.compute()
    assert set(stream.missing) == {"sam"} and found["rmse"] == m.rmse(black, truth)
    check_text(DataError(stream.missing["sam"]), "a zero spectrum has no angle")
    for call in (
        lambda: m.sam(black, truth),
        lambda: classes.SAM()(black, truth),
        lambda: m.r_sam(0 * S.fused, S.ms),
        lambda: m.sam(np.stack([truth, black]), np.stack([truth, truth])),
    ):
        with pytest.raises(DataError) as error:
            call()
        check_text(error.value, "SAM: one of the spectra is zero in every valid pixel")
    scenes = streamed(S._replace(fused=0 * S.fused))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scenes.compute()
    assert set(scenes.missing) == {"r_sam"}


@pytest.mark.parametrize("bands", [1, 3])
def test_where_all_is_masked_nothing_is_left(bands: int) -> None:
    s = scene(85, bands)
    nothing = np.zeros(s.pan.shape, bool)
    for stream in (streamed(s, nothing), paired(s.fused, s.fused, nothing)):
        with pytest.raises(DataError, match="mask: no"):
            stream.compute()


def test_nan_is_still_an_error() -> None:
    truth = image(86)
    spoilt = truth.copy()
    spoilt[0, 3, 4] = np.nan
    with pytest.raises(DataError, match=r"psnr, .* is NaN"):
        paired(spoilt, truth).compute()
