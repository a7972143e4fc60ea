"""The classical methods: cases with a known answer, invariances, degenerate images."""

from __future__ import annotations

import numpy as np
import pytest

from pantiny.classical import METHODS, fuse_classical
from pantiny.degrade import degrade_ms, upsample_ms
from pantiny.errors import DataError, OptionError, RatioError, ShapeError, SwappedInputsError
from pantiny.metrics import ergas, sam

SHARPENERS = [name for name in METHODS if name != "cubic"]
WEIGHTS = np.array([0.1, 0.3, 0.4, 0.25])
GAINS = (0.34, 0.32, 0.30, 0.22)


def scene(seed: int, bands: int = 4, side: int = 96) -> np.ndarray:
    """Positive bands [K, side, side]: shared edges, smooth colour of their own, texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    shared = np.kron(rng.uniform(0, 1, (side // 6, side // 6)), np.ones((6, 6)))
    shared = shared + 0.1 * rng.normal(size=shared.shape)
    out = []
    for _ in range(bands):
        fx, fy, phase = rng.uniform(1, 3), rng.uniform(1, 3), rng.uniform(0, 6)
        colour = np.sin(2 * np.pi * (fx * x + fy * y) + phase)
        out.append(rng.uniform(300, 500) + rng.uniform(80, 150) * shared + 40 * colour)
    return np.stack(out)


def pair(seed: int, ratio: int = 4, gains: tuple[float, ...] = GAINS) -> tuple[np.ndarray, ...]:
    """truth [K, H, W], ms [K, h, w], pan [H, W] with PAN a mean of the bands and noise."""
    truth = scene(seed, len(gains))
    noise = np.random.default_rng(seed + 1).normal(size=truth.shape[1:])
    return truth, degrade_ms(truth, ratio, gains), 1.7 * truth.mean(0) - 60 + noise


@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
def test_gsa_of_one_band_seen_by_pan_is_the_band(ratio: int) -> None:
    truth = scene(1, 1)
    ms = degrade_ms(truth, ratio, (0.3,))
    fused = fuse_classical(ms, 2.5 * truth[0] + 40, "gsa", gains=(0.3,))
    offset = upsample_ms(ms, ratio).mean() - truth.mean()  # means are the MS's own
    np.testing.assert_allclose(fused - offset, truth, rtol=1e-10)


@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
def test_hpm_r_of_one_band_seen_by_pan_is_the_band(ratio: int) -> None:
    truth = scene(2, 1)
    ms = degrade_ms(truth, ratio, (0.3,))
    fused = fuse_classical(ms, 2.5 * truth[0] + 40, "mtf-glp-hpm-r", gains=(0.3,))
    np.testing.assert_allclose(fused, truth, rtol=1e-10)


def test_gsa_finds_the_weights_of_pan() -> None:
    """If PAN is a weighted sum of the bands, the same sum of the fused bands is PAN."""
    truth = scene(3)
    gains = (0.3,) * 4
    pan = np.tensordot(WEIGHTS, truth, 1) + 25
    fused = fuse_classical(degrade_ms(truth, 4, gains), pan, "gsa", gains=gains)
    synthetic = np.tensordot(WEIGHTS, fused, 1)
    np.testing.assert_allclose(synthetic - synthetic.mean(), pan - pan.mean(), atol=1e-8)


def test_gsa_keeps_the_mean_of_every_band() -> None:
    _, ms, pan = pair(4)
    fused = fuse_classical(ms, pan, "gsa", gains=GAINS)
    np.testing.assert_allclose(fused.mean((1, 2)), upsample_ms(ms, 4).mean((1, 2)), rtol=1e-12)


def test_brovey_keeps_every_spectral_angle() -> None:
    _, ms, pan = pair(5)
    fused, ms_up = fuse_classical(ms, pan, "brovey", gains=GAINS), upsample_ms(ms, 4)
    assert sam(fused, ms_up) == pytest.approx(0, abs=1e-5)
    assert np.abs(fused - ms_up).max() > 50  # and is not just ms_up


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_brovey_of_one_band_seen_again_at_ms_scale_has_its_mean_and_spread(ratio: int) -> None:
    _, ms, pan = pair(6, ratio, (0.3,))
    again = degrade_ms(fuse_classical(ms, pan, "brovey", gains=(0.3,)), ratio, (0.3,))
    assert again.mean() == pytest.approx(ms.mean(), rel=1e-10)
    assert again.std() == pytest.approx(ms.std(), rel=1e-10)


def test_hpm_equalises_pan_to_the_band() -> None:
    """A PAN that has the band's mean and spread is used as it is, in whatever unit it comes."""
    _, ms, pan = pair(6, 4, (0.3,))
    ms_up = upsample_ms(ms, 4)[0]
    pan = (pan - pan.mean()) / pan.std() * ms_up.std() + ms_up.mean()
    low = upsample_ms(degrade_ms(pan[None], 4, (0.3,)), 4)[0]
    fused = fuse_classical(ms, 3 * pan + 7, "mtf-glp-hpm", gains=(0.3,))[0]
    np.testing.assert_allclose(fused / ms_up, pan / low, rtol=1e-10)


def test_brovey_mean_of_bands_is_the_equalised_pan() -> None:
    _, ms, pan = pair(6)
    intensity = fuse_classical(ms, pan, "brovey", gains=GAINS).mean(0)
    assert np.corrcoef(intensity.ravel(), pan.ravel())[0, 1] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("method", SHARPENERS)
@pytest.mark.parametrize("ratio", [2, 4])
def test_beats_cubic_where_pan_sees_the_bands(method: str, ratio: int) -> None:
    truth, ms, pan = pair(7, ratio)
    plain = ergas(fuse_classical(ms, pan, "cubic", gains=GAINS), truth, ratio=ratio)
    assert ergas(fuse_classical(ms, pan, method, gains=GAINS), truth, ratio=ratio) < 0.6 * plain


@pytest.mark.parametrize("method", METHODS)
def test_the_unit_of_pan_does_not_matter(method: str) -> None:
    _, ms, pan = pair(8)
    expected = fuse_classical(ms, pan, method, gains=GAINS)
    for other in (0.001 * pan + 3, 40 * pan - 9000):
        np.testing.assert_allclose(
            fuse_classical(ms, other, method, gains=GAINS), expected, rtol=1e-8
        )


@pytest.mark.parametrize("method", METHODS)
def test_the_unit_of_ms_is_the_unit_of_the_result(method: str) -> None:
    _, ms, pan = pair(9)
    expected = fuse_classical(ms, pan, method, gains=GAINS)
    for scale in (1 / 65535, 100.0):
        fused = fuse_classical(scale * ms, pan, method, gains=GAINS)
        np.testing.assert_allclose(fused, scale * expected, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_order_of_bands_and_flips(method: str) -> None:
    _, ms, pan = pair(10)
    expected = fuse_classical(ms, pan, method, gains=GAINS)
    order = [2, 0, 3, 1]
    permuted = fuse_classical(ms[order], pan, method, gains=[GAINS[k] for k in order])
    np.testing.assert_allclose(permuted, expected[order], rtol=1e-9)
    flipped = fuse_classical(ms[:, ::-1], pan[::-1], method, gains=GAINS)
    np.testing.assert_allclose(flipped[:, ::-1], expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["mtf-glp-hpm", "mtf-glp-hpm-r"])
def test_each_band_has_its_own_filter(method: str) -> None:
    """A lower gain smooths more, so more of PAN's detail goes in."""
    ms, pan = pair(11)[1:]
    ms[1] = ms[0]
    fused = fuse_classical(ms, pan, method, gains=(0.2, 0.4, 0.3, 0.3))
    plain = upsample_ms(ms, 4)
    assert (fused[0] - plain[0]).std() > 1.05 * (fused[1] - plain[1]).std()


def test_brovey_of_a_constant_pan_has_a_constant_mean_of_bands() -> None:
    _, ms, _ = pair(6)
    fused = fuse_classical(ms, np.full((96, 96), 0.1), "brovey", gains=GAINS)
    np.testing.assert_allclose(fused.mean(0), ms.mean(), rtol=1e-9)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "brovey"])
def test_a_constant_pan_adds_nothing(method: str) -> None:
    _, ms, _ = pair(12)
    for value in (0.0, 0.1, 777.7):
        fused = fuse_classical(ms, np.full((96, 96), value), method, gains=GAINS)
        np.testing.assert_allclose(fused, upsample_ms(ms, 4), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.1, 777.7])
def test_constant_bands_stay_constant(method: str, value: float) -> None:
    _, _, pan = pair(13)
    fused = fuse_classical(np.full((4, 24, 24), value), pan, method, gains=GAINS)
    np.testing.assert_allclose(fused, value, rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 777.7])
@pytest.mark.parametrize("method", ["gsa", "mtf-glp-hpm", "mtf-glp-hpm-r"])
def test_one_constant_band_stays_and_disturbs_no_other(method: str, value: float) -> None:
    _, ms, pan = pair(14)
    rest = [0, 1, 3]
    expected = fuse_classical(ms[rest], pan, method, gains=(0.3,) * 3)
    ms[2] = value
    fused = fuse_classical(ms, pan, method, gains=(0.3,) * 4)
    np.testing.assert_allclose(fused[2], value, rtol=1e-9)
    np.testing.assert_allclose(fused[rest], expected, rtol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_zeros_make_neither_nan_nor_warnings(method: str) -> None:
    _, ms, pan = pair(15)
    zeros = fuse_classical(np.zeros_like(ms), np.zeros_like(pan), method, gains=GAINS)
    assert not zeros.any()
    ms[:, :8], pan[:32] = 0, 0  # a nodata rim
    ms[1] = 0
    fused = fuse_classical(ms, pan, method, gains=GAINS)
    assert np.isfinite(fused).all()
    assert not fused[1].any()


def test_a_band_is_left_alone_where_the_divisor_is_not_positive() -> None:
    _, ms, pan = pair(17)
    ms[:, :8] = -5
    fused = fuse_classical(ms, pan, "brovey", gains=GAINS)
    np.testing.assert_array_equal(fused[:, :24], upsample_ms(ms, 4)[:, :24])
    assert np.abs(fused - upsample_ms(ms, 4)).max() > 50


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bands", [1, 3, 8])
@pytest.mark.parametrize("ratio", range(2, 9))
def test_any_number_of_bands_and_ratio(method: str, bands: int, ratio: int) -> None:
    rng = np.random.default_rng(16)
    ms = rng.integers(100, 2000, (bands, 5, 3)).astype(np.uint16)
    pan = rng.integers(100, 2000, (5 * ratio, 3 * ratio)).astype(np.uint16)
    kept = ms.copy(), pan.copy()
    fused = fuse_classical(ms, pan, method, gains=(0.3,) * bands)
    assert fused.shape == (bands, 5 * ratio, 3 * ratio)
    assert fused.dtype == np.float64
    assert np.isfinite(fused).all()
    np.testing.assert_array_equal(ms, kept[0])
    np.testing.assert_array_equal(pan, kept[1])


@pytest.mark.parametrize("method", METHODS)
def test_one_pixel(method: str) -> None:
    fused = fuse_classical(np.full((2, 1, 1), 50.0), np.ones((4, 4)), method, gains=(0.3, 0.3))
    np.testing.assert_allclose(fused, 50)


def test_refusals() -> None:
    ms, pan, gains = np.ones((2, 4, 4)), np.ones((16, 16)), (0.3, 0.3)
    with pytest.raises(OptionError, match="need one of cubic, brovey, gsa, mtf-glp-hpm"):
        fuse_classical(ms, pan, "GSA", gains=gains)
    with pytest.raises(SwappedInputsError, match="exchange the two"):
        fuse_classical(pan, ms, gains=gains)
    with pytest.raises(ShapeError, match="put the bands first"):
        fuse_classical(ms[0], pan, gains=gains)
    with pytest.raises(ShapeError, match="none of them empty"):
        fuse_classical(ms[:0], pan, gains=())
    for shape in ((16, 12), (4, 4), (18, 18), (36, 36), (2, 2)):
        with pytest.raises(RatioError, match="2 to 8 times"):
            fuse_classical(ms, np.ones(shape), gains=gains)
    with pytest.raises(ShapeError, match="got 1 for 2 bands"):
        fuse_classical(ms, pan, gains=(0.3,))
    for bad in (0.0, 1.0, -0.3, float("nan")):
        with pytest.raises(OptionError, match="between 0 and 1"):
            fuse_classical(ms, pan, gains=(0.3, bad))
    for name, images in (("ms", (ms * np.nan, pan)), ("pan", (ms, pan * np.inf))):
        with pytest.raises(DataError, match=f"{name}: holds NaN"):
            fuse_classical(*images, gains=gains)
