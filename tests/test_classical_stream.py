"""``method=``: the classical methods streamed. Bits, references, masks, files, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from classics import MIB, fuse, pair, read
from rasterio.transform import Affine
from scenes import ORIGIN, make_pair, write_raster

import pantiny
from pantiny import errors as e
from pantiny.classical import METHODS, fuse_classical
from pantiny.classical_fit import Gsa, Moments, classical_method, row_sums
from pantiny.classical_stream import BandLayout, ClassicalRun
from pantiny.degrade import upsample_ms
from pantiny.engine import Settings
from pantiny.kernels.consistency.consistency_ref import degrade_masked_ref
from pantiny.kernels.resample.resample_masked_ref import upsample_masked_ref
from pantiny.kernels.resample.resample_ref import apply_taps, cubic_taps, gaussian_taps
from pantiny.pair import ArraySink, ArraySource
from pantiny.sensors import SENSORS
from pantiny.survey import look

METHOD = pytest.mark.parametrize("method", METHODS)
LAYOUTS: list[dict[str, Any]] = [
    {"tile": 1},
    {"tile": 7, "threads": 3},
    {"tile": 100_000},
    {"threads": 2},
    {"memory": 2 * MIB},
    {"memory": 3 * MIB, "threads": 4},
]


def masks(height: int, width: int, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """Holes, specks and a rim in MS [h, w] and PAN [H, W]."""
    rng = np.random.default_rng(5)
    ms_valid = rng.random((height, width)) < 0.98
    valid = rng.random((height * ratio, width * ratio)) < 0.99
    ms_valid[:3, : width // 2] = False
    valid[-9:, -20:] = False
    return ms_valid, valid


# The reference


@pytest.mark.filterwarnings("ignore::pantiny.errors.GainWarning")
@METHOD
@pytest.mark.parametrize(("ratio", "bands"), [(4, 4), (4, 1), (2, 3), (3, 8), (5, 5), (8, 4)])
def test_the_result_is_the_reference_s(method: str, ratio: int, bands: int) -> None:
    ms, pan = pair(11, 13, ratio=ratio, bands=bands)
    gains = SENSORS["QB"].gains_for(bands)
    expected = fuse_classical(ms, pan, method, gains=gains)
    fused = fuse(ms, pan, method, sensor="QB")
    assert fused.dtype == np.float32
    # half a unit in the last place of float32, and far less of float64
    np.testing.assert_allclose(fused, expected, rtol=6.1e-8, atol=1e-9)


@METHOD
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_are_rounded_and_saturated(method: str, dtype: str) -> None:
    ms, pan = pair(dtype=dtype)
    bits = 6 if dtype == "uint8" else 10
    expected = fuse_classical(ms, pan, method, gains=(0.3,) * 4)
    assert (expected > 2**bits - 1).any()
    np.testing.assert_array_equal(
        fuse(ms, pan, method, bits=bits),
        np.clip(np.rint(expected), np.iinfo(dtype).min, 2**bits - 1),
    )


@METHOD
def test_degenerate_images(method: str) -> None:
    """Constant bands, a constant PAN, zeros, bands that are equal: as the reference."""
    ms, pan = pair()
    twice, constant, zero = ms.copy(), ms.copy(), ms.copy()
    twice[2], constant[1], zero[3] = twice[0], 777.7, 0
    for image in (twice, constant, zero, ms * 0, np.full_like(ms, 0.1)):
        for fine in (pan, np.full_like(pan, 0.1), pan * 0):
            expected = fuse_classical(image, fine, method, gains=(0.3,) * 4)
            np.testing.assert_allclose(
                fuse(image, fine, method), expected, rtol=1e-6, atol=1e-6 * expected.max()
            )


@METHOD
def test_one_pixel(method: str) -> None:
    fused = fuse(np.full((2, 1, 1), 50, "uint8"), np.ones((4, 4), "uint8"), method)
    np.testing.assert_array_equal(fused, 50)


# Bits


@METHOD
@pytest.mark.parametrize("masked", [False, True])
def test_layouts_give_the_same_bits(method: str, masked: bool) -> None:
    ms, pan = pair(40, 31)
    options: dict[str, Any] = {}
    if masked:
        ms_valid, valid = masks(40, 31, 4)
        ms[:, ~ms_valid] = np.nan
        options = {"nodata": np.nan, "mask": valid}
    expected = fuse(ms, pan, method, sensor="WV3", **options)
    for layout in LAYOUTS:
        found = fuse(ms, pan, method, sensor="WV3", **options, **layout)
        np.testing.assert_array_equal(found, expected, str(layout))


@METHOD
@pytest.mark.parametrize("masked", [False, True])
def test_not_even_float64_differs(method: str, masked: bool) -> None:
    """Before rounding to the output's dtype, which would hide the last bits of a statistic."""
    ms, pan = pair(40, 31)
    ms_valid, valid = masks(40, 31, 4) if masked else (None, None)
    gains = SENSORS["QB"].gains
    settings = Settings(
        *((0.25, 0.25), (0.0, 0.0), gains, 0, 1, 1 << 30, None, -np.inf, np.inf, np.nan, False)
    )
    results = []
    for layout in ((160, 160, 160), (64, 9, 32), (23, 23, 1), (1, 1, 1)):
        for threads in (1, 3):
            source = ArraySource(ms, pan, None, ms_valid, valid, 4)
            chosen = classical_method(method, gains)
            found = look(source, [], "scene", layout[0])
            assert found.ms_range is not None and found.pan_range is not None
            chosen.see(found.ms_range, found.pan_range)
            sink = ArraySink(np.empty((4, 160, 124)))
            ClassicalRun(source, chosen, settings, BandLayout(*layout, threads, 0), None).run(sink)
            results.append(sink.fused)
            np.testing.assert_array_equal(results[-1], results[0], f"{layout} {threads}")
    assert (results[0] != results[0].astype(np.float32))[np.isfinite(results[0])].any()


@METHOD
def test_a_file_gives_the_bits_of_the_arrays(tmp_path: Path, method: str) -> None:
    grid: dict[str, Any] = {"gsd_m": 0.3, "origin": (499_999.7, 5_400_000.1)}
    ms, pan = make_pair(tmp_path, height=200, width=120, dtype="float32", nodata=0, **grid)
    expected = fuse(read(ms), read(pan)[0], method, nodata=0)
    for options in ({"tile": 24}, {"threads": 2}, {"memory": 12 * MIB}):
        out = pantiny.fuse_files(
            ms, pan, tmp_path / "out.tif", method=method, overwrite=True, **options
        )
        np.testing.assert_array_equal(read(out), expected, str(options))


@METHOD
def test_a_batch(method: str) -> None:
    ms, pan = pair()
    both = np.stack([ms, ms[:, ::-1] * 0.7]), np.stack([pan, pan[:, ::-1]])
    fused = fuse(*both, method)
    for i in range(2):
        np.testing.assert_array_equal(fused[i], fuse(both[0][i], both[1][i], method))


# Masks


@METHOD
def test_missing_pixels_do_not_matter(method: str) -> None:
    ms, pan = pair()
    ms[1] = 500  # gets nothing of PAN, nor of what a masked pixel of it holds
    ms_valid, valid = masks(19, 23, 4)
    hidden = np.broadcast_to(~ms_valid, ms.shape)
    expected = fuse(np.ma.array(ms, mask=hidden), pan, method, mask=valid)
    both = valid & ms_valid.repeat(4, 0).repeat(4, 1)
    assert np.isnan(expected[:, ~both]).all() and np.isfinite(expected[:, both]).all()
    for garbage in (np.nan, np.inf, 1e30, -1e30):
        ms[:, ~ms_valid] = pan[~valid] = garbage
        found = fuse(np.ma.array(ms, mask=hidden), pan, method, mask=valid)
        np.testing.assert_array_equal(found, expected)


@METHOD
@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("int16", -999), ("float32", -9999)])
def test_nodata_out_is_nodata_in(tmp_path: Path, method: str, dtype: str, nodata: int) -> None:
    ms, pan = make_pair(tmp_path, dtype=dtype, nodata=nodata)
    out = pantiny.fuse_files(ms, pan, tmp_path / "out.tif", method=method)
    missing = (read(ms) == nodata).any(axis=0).repeat(4, 0).repeat(4, 1) | (read(pan)[0] == nodata)
    for band in read(out):
        np.testing.assert_array_equal(band == nodata, missing)
    with rasterio.open(out) as file:
        assert file.nodata == nodata


@METHOD
def test_nodata_declared_but_absent_changes_nothing(method: str) -> None:
    ms, pan = pair()
    np.testing.assert_array_equal(fuse(ms, pan, method, nodata=-1), fuse(ms, pan, method))


def regressed(
    ms: np.ndarray, pan: np.ndarray, ms_up: np.ndarray, low: np.ndarray, at: Any, both: Any
) -> Any:
    """GSA from its formula: statistics of ``at`` at MS scale, of ``both`` at PAN scale."""
    columns = np.stack([*(band[at] for band in ms), np.ones(at.sum())], 1)
    weights = np.linalg.lstsq(columns, low[at], rcond=None)[0][: len(ms)]
    centred = ms_up - ms_up[:, both].mean(1)[:, None, None]
    intensity = np.tensordot(weights, centred, 1)
    injection = (centred * intensity)[:, both].mean(1) / (intensity[both] ** 2).mean()
    return ms_up + injection[:, None, None] * (pan - pan[both].mean() - intensity)


def masked_truth(ms: np.ndarray, pan: np.ndarray, ms_valid: np.ndarray, valid: np.ndarray) -> Any:
    """``ms_up``, ``pan_low``, where it is, valid pixels; for a ratio of 4 and gains of 0.3."""
    valid = valid & ms_valid.repeat(4, 0).repeat(4, 1)
    quarter = (0.25, 0.25)
    ms_up = upsample_masked_ref(ms, ms_valid, valid.shape, quarter)
    low, exists = degrade_masked_ref(pan[None], valid, ms_valid.shape, (0.3,), quarter)
    return ms_up, low[0], exists[0], valid


def fuse_masked(pair: Any, method: str, ms_valid: np.ndarray, valid: np.ndarray) -> Any:
    hidden = np.broadcast_to(~ms_valid, pair[0].shape)
    return fuse(np.ma.array(pair[0], mask=hidden), pair[1], method, mask=valid)


def test_masked_brovey() -> None:
    stored = pair()
    ms, pan = (image.astype(float) for image in stored)
    ms_valid, valid = masks(19, 23, 4)
    ms_up, low, exists, both = masked_truth(ms, pan, ms_valid, valid)
    at = exists & ms_valid
    intensity = ms.mean(0)[at]
    gain = intensity.std() / low[at].std()
    equalised = (pan - low[at].mean()) * gain + intensity.mean()
    expected = ms_up * equalised / np.where(both, ms_up.mean(0), 1)
    fused = fuse_masked(stored, "brovey", ms_valid, valid)
    np.testing.assert_allclose(fused[:, both], expected[:, both], rtol=2e-7)


def test_masked_gsa() -> None:
    stored = pair()
    ms, pan = (image.astype(float) for image in stored)
    ms_valid, valid = masks(19, 23, 4)
    ms_up, low, exists, both = masked_truth(ms, pan, ms_valid, valid)
    expected = regressed(ms, pan, ms_up, low, exists & ms_valid, both)
    fused = fuse_masked(stored, "gsa", ms_valid, valid)
    np.testing.assert_allclose(fused[:, both], expected[:, both], rtol=2e-7)


@pytest.mark.parametrize("method", ["mtf-glp-hpm", "mtf-glp-hpm-r"])
def test_masked_hpm(method: str) -> None:
    stored = pair()
    ms, pan = (image.astype(float) for image in stored)
    ms_valid, valid = masks(19, 23, 4)
    ms_up, low, exists, both = masked_truth(ms, pan, ms_valid, valid)
    smooth = upsample_masked_ref(low[None], exists, pan.shape, (0.25, 0.25))[0]
    expected, at = ms_up.copy(), exists & ms_valid
    for band, up in zip(ms, expected):
        if method == "mtf-glp-hpm":
            gain = up[both].std() / pan[both].std()
            offset = up[both].mean() - gain * pan[both].mean()
        else:
            gain, offset = np.polyfit(low[at], band[at], 1)
        up *= (gain * pan + offset) / (gain * smooth + offset)
    fused = fuse_masked(stored, method, ms_valid, valid)
    np.testing.assert_allclose(fused[:, both], expected[:, both], rtol=2e-7)


@METHOD
def test_a_lonely_pixel(method: str) -> None:
    """Nowhere half of a neighbourhood: statistics at MS scale are refused, others do."""
    ms, pan = pair()
    valid = np.zeros(pan.shape, bool)
    valid[40, 41] = True
    if method in ("brovey", "gsa", "mtf-glp-hpm-r"):
        with pytest.raises(e.DataError, match=r"statistics of .*; need some whole area .*cubic"):
            fuse(ms, pan, method, mask=valid)
        return
    fused = fuse(ms, pan, method, mask=valid)[:, 40, 41]
    np.testing.assert_allclose(fused, upsample_ms(ms, 4)[:, 40, 41], rtol=1e-7)


@pytest.mark.parametrize("method", ["mtf-glp-hpm", "mtf-glp-hpm-r"])
def test_a_pixel_without_a_low_pass_is_left_alone(method: str) -> None:
    """Far from other valid pixels: nothing to divide PAN by."""
    ms, pan = pair()
    valid = np.ones(pan.shape, bool)
    valid[:, 40:] = False
    valid[41, 77] = True
    fused = fuse(ms, pan, method, mask=valid)
    ms_up = upsample_ms(ms, 4)
    np.testing.assert_allclose(fused[:, 41, 77], ms_up[:, 41, 77], rtol=1e-7)
    assert np.abs(fused - ms_up)[:, :, :30].max() > 50


def test_bands_that_say_the_same_share_their_weight() -> None:
    rng = np.random.default_rng(3)
    band, other = rng.normal(size=(2, 9, 50))
    low = 2 * band + other
    method = Gsa("gsa", (0.3,) * 4)
    constant = np.full(band.shape, 7.0)
    ms = np.stack([band, 10 * other, band, constant])
    method.see(np.stack([ms.min((1, 2)), ms.max((1, 2))]), np.array([low.min(), low.max()]))
    found = Moments(method.coarse_pivots(), method.coarse_pairs)
    found.add(row_sums(method.coarse(ms, low[None]), method.coarse_pairs, None))
    method.fit_coarse(found)
    np.testing.assert_allclose(method._weights, [1, 0.1, 1, 0], atol=1e-12)


# Grids


@pytest.mark.parametrize("method", ["cubic", "gsa", "mtf-glp-hpm"])
@pytest.mark.parametrize("shift", [(4.0, 8.0), (5.5, 2.5), (3.3, 6.8)])
def test_the_exact_phase(tmp_path: Path, method: str, shift: tuple[float, float]) -> None:
    """PAN begins ``shift`` of its pixels below and right of MS, and ends within MS."""
    (x, y), shape, scale = ORIGIN, (68, 74), (0.25, 0.25)
    ms, pan = pair(30, 28)
    pan = pan[: shape[0], : shape[1]]
    write_raster(tmp_path / "ms.tif", ms, transform=Affine(8, 0, x, 0, -8, y))
    at = Affine(2, 0, x + 2 * shift[1], 0, -2, y - 2 * shift[0])
    write_raster(tmp_path / "pan.tif", pan, transform=at)
    files = tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path / "o.tif"
    fused = read(pantiny.fuse_files(*files, method=method, tile=16))

    ms, pan = ms.astype(float), pan.astype(float)
    offset = shift[0] / 4, shift[1] / 4
    ms_up = apply_taps(ms, *(cubic_taps(0, shape[i], scale[i], offset[i]) for i in range(2)))
    tables = (gaussian_taps(0, ms.shape[1 + i], 0.25, offset[i], 0.3, 8) for i in range(2))
    low = apply_taps(pan, *tables)
    if method == "cubic":
        expected = ms_up
    elif method == "gsa":
        centres = [(np.arange(ms.shape[1 + i]) + 0.5) * 4 - shift[i] for i in range(2)]
        rows, cols = ((0 <= c) & (c <= n) for c, n in zip(centres, shape))
        inside, every = rows[:, None] & cols, np.ones(shape, bool)
        expected = regressed(ms, pan, ms_up, low, inside, every)
    else:
        smooth = apply_taps(low, *(cubic_taps(0, shape[i], scale[i], offset[i]) for i in range(2)))
        gain = ms_up.std((1, 2), keepdims=True) / pan.std()
        mean = ms_up.mean((1, 2), keepdims=True)
        expected = ms_up * ((pan - pan.mean()) * gain + mean)
        expected /= (smooth - pan.mean()) * gain + mean
    np.testing.assert_allclose(fused, expected, rtol=2e-7)


@METHOD
def test_a_union(tmp_path: Path, method: str) -> None:
    """Nodata beyond PAN; within it what the intersection gives, but for edges of the mask."""
    ms, pan = make_pair(tmp_path, height=76, width=88, ms_offset=(-19.0, 11.0), dtype="float32")
    inner = read(pantiny.fuse_files(ms, pan, tmp_path / "a.tif", method=method))
    outer = read(pantiny.fuse_files(ms, pan, tmp_path / "b.tif", method=method, extent="union"))
    valid = np.isfinite(outer).all(axis=0)
    assert valid.sum() == inner[0].size < valid.size
    if method == "cubic":
        np.testing.assert_array_equal(outer[:, valid].reshape(inner.shape), inner)


def test_statistics_see_no_ms_beyond_pan(tmp_path: Path) -> None:
    """MS that PAN does not cover has no PAN to be compared with."""
    ms, pan = pair(30, 28, dtype="float32")
    (x, y) = ORIGIN
    b = write_raster(
        tmp_path / "p.tif", pan[32:88, 24:80], transform=Affine(2, 0, x + 48, 0, -2, y - 64)
    )
    fused = []
    for factor in (1, 3):  # of the two rows and columns that the cubic needs beyond PAN
        scene = ms.copy()
        scene[:, :8] *= factor
        scene[:, 22:] *= factor
        a = write_raster(tmp_path / "m.tif", scene, transform=Affine(8, 0, x, 0, -8, y))
        out = pantiny.fuse_files(a, b, tmp_path / "o.tif", method="brovey", overwrite=True)
        fused.append(read(out))
    inner = np.s_[:, 8:-8]
    np.testing.assert_array_equal(fused[0][inner], fused[1][inner])
