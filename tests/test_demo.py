"""The synthetic scene, its pictures, and the demonstration run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from pantiny.degrade import degrade_ms, upsample_ms
from pantiny.demo import SyntheticScene, make_scene, run_demo, write_scene
from pantiny.demo.font import GLYPHS, draw_text
from pantiny.demo.light import shadow, through_optics
from pantiny.demo.pictures import quicklook, side_by_side, stretch_limits, write_png
from pantiny.demo.scene import draw_canvas
from pantiny.errors import (
    DtypeError,
    OptionError,
    OutputExistsError,
    PanTinyError,
    SceneWriteError,
    ShapeError,
)
from pantiny.sensors import SENSORS

SIZE = 512
BLUE, GREEN, RED, NIR = range(4)


@pytest.fixture(scope="module")
def scene() -> SyntheticScene:
    return make_scene(SIZE, seed=3)


@pytest.fixture(scope="module")
def kind() -> np.ndarray:
    """Kind of material [SIZE, SIZE]; empty where the 8x8 m around a pixel has several."""
    fine = draw_canvas(SIZE, 3).kind()
    pixels: np.ndarray = fine[::2, ::2].copy()
    pure = np.ones(fine.shape, bool)
    for shift in range(-16, 17):
        for axis in (0, 1):
            pure &= np.roll(fine, shift, axis) == fine
    pixels[~pure[::2, ::2]] = ""
    return pixels


def index(scene: SyntheticScene, plus: int, minus: int) -> np.ndarray:
    a, b = scene.truth[plus].astype(float), scene.truth[minus].astype(float)
    ratio: np.ndarray = (a - b) / (a + b)
    return ratio


def test_shapes_types_and_range(scene: SyntheticScene) -> None:
    assert scene.truth.shape == (4, SIZE, SIZE)
    assert scene.ms.shape == (4, SIZE // 4, SIZE // 4)
    assert scene.pan.shape == (SIZE, SIZE)
    assert (scene.bits, scene.sensor, scene.ratio, scene.gsd_m) == (11, "WV2", 4, 0.5)
    for image in (scene.truth, scene.ms, scene.pan):
        assert image.dtype == np.uint16
        assert image.min() > 0
        assert image.max() <= 2047
        # dark but not empty, bright but not saturated
        assert 100 < np.median(image) < 1000
        assert np.mean(image == 2047) < 0.01


def test_the_seed_decides() -> None:
    one, same, other = (make_scene(128, seed=s) for s in (5, 5, 6))
    for name in ("truth", "ms", "pan"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert np.mean(getattr(one, name) != getattr(other, name)) > 0.9


def test_vegetation_is_green_and_bright_in_nir(scene: SyntheticScene, kind: np.ndarray) -> None:
    here = kind == "vegetation"
    assert here.mean() > 0.05
    ndvi = index(scene, NIR, RED)[here]
    assert np.median(ndvi) > 0.3
    assert np.mean(ndvi > 0.2) > 0.9
    assert np.median(index(scene, GREEN, RED)[here]) > 0


def test_water_is_dark_in_nir(scene: SyntheticScene, kind: np.ndarray) -> None:
    here = kind == "water"
    assert here.mean() > 0.01
    assert index(scene, GREEN, NIR)[here].min() > 0.3
    nir = scene.truth[NIR]
    assert np.median(nir[here]) < 0.2 * np.median(nir[kind == "vegetation"])


@pytest.mark.parametrize("name", ["road", "roof"])
def test_built_surfaces_do_not_look_like_plants(
    scene: SyntheticScene, kind: np.ndarray, name: str
) -> None:
    here = kind == name
    assert here.sum() > 50
    assert np.median(index(scene, NIR, RED)[here]) < 0.2


def test_bands_share_most_detail_but_not_all(scene: SyntheticScene, kind: np.ndarray) -> None:
    fine = [np.diff(band.astype(float), axis=1).ravel() for band in scene.truth]
    between = np.corrcoef(fine)
    assert between[BLUE, GREEN] > 0.9
    assert 0.0 < between[RED, NIR] < 0.9
    soil = kind[:, 1:].ravel() == "ground"  # texture alone, no edges
    assert 0.5 < np.corrcoef(fine[BLUE][soil], fine[GREEN][soil])[0, 1] < 0.9


def test_ms_is_the_degraded_truth_within_noise(scene: SyntheticScene) -> None:
    noise = scene.ms - degrade_ms(scene.truth, 4, SENSORS["WV2"].gains)
    # read noise of 1 DN, photon noise of sqrt(0.004 DN), rounding of sqrt(1/12) DN
    sigma = np.sqrt(1 + 0.004 * scene.ms.astype(float) + 1 / 12)
    z = noise / sigma
    assert abs(z.mean()) < 5 / math.sqrt(z.size)
    assert abs(z.std() - 1) < 0.02
    assert np.abs(z).max() < 6
    blurrier = scene.ms - degrade_ms(scene.truth, 4, (0.2,) * 4)
    assert blurrier.std() > 3 * noise.std()


def test_pan_follows_the_truth_and_is_sharper_than_ms(scene: SyntheticScene) -> None:
    mean = scene.truth.mean(0)
    assert np.corrcoef(scene.pan.ravel(), mean.ravel())[0, 1] > 0.8
    weights, *_ = np.linalg.lstsq(
        scene.truth.reshape(4, -1).T.astype(float), scene.pan.ravel().astype(float), rcond=None
    )
    mixed = np.tensordot(weights, scene.truth.astype(float), 1)
    left = np.var(scene.pan - mixed)
    assert left < 0.05 * np.var(scene.pan)
    # read noise of 1.5 DN, photon noise of sqrt(0.004 DN); PAN also sees what no band does
    assert left > 3 * (1.5**2 + 0.004 * scene.pan.mean())
    up = upsample_ms(scene.ms, 4).mean(0)
    assert np.abs(np.diff(scene.pan.astype(float))).mean() > 1.5 * np.abs(np.diff(up)).mean()


@pytest.mark.parametrize(("sensor", "ratio"), [("GF2", 2), ("L8", 3), ("WV3-8", 5), ("L7", 8)])
def test_other_sensors_and_ratios(sensor: str, ratio: int) -> None:
    size = ratio * math.ceil(64 / ratio)
    got = make_scene(size, ratio=ratio, sensor=sensor, seed=1)
    assert got.ms.shape == (4, size // ratio, size // ratio)
    assert got.bits == SENSORS[sensor].bits
    assert 2 ** (got.bits - 5) < np.median(got.truth)
    assert max(got.truth.max(), got.pan.max(), got.ms.max()) < 2**got.bits


@pytest.mark.parametrize("seed", range(20))
def test_any_seed_gives_a_small_scene(seed: int) -> None:
    assert make_scene(64, seed=seed).truth.std() > 5


@pytest.mark.parametrize(
    "options",
    [
        {"size": 60},
        {"size": 130},
        {"size": 4096},
        {"size": 128.0},
        {"size": 128, "ratio": 1},
        {"size": 128, "ratio": 9},
        {"size": 128, "ratio": 4.0},
        {"size": 128, "sensor": "HUBBLE"},
        {"size": 128, "sensor": None},
    ],
    ids=str,
)
def test_bad_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"; .*; "):
        make_scene(**options)  # type: ignore[arg-type]


def test_shadow_falls_away_from_the_sun() -> None:
    height = np.zeros((101, 101), np.float32)
    height[60, 50] = 5.0  # metres; at 45 degrees 5 m of shadow are 20 samples of 0.25 m
    shade = shadow(height, math.pi, math.pi / 4)  # sun below, shadow upwards
    column = np.flatnonzero(shade[:, 50] > 0.5)
    assert column.max() == 59
    assert abs(column.min() - 41) <= 1
    assert (np.diff(column) == 1).all()
    assert shade[:, :50].max() == shade[:, 51:].max() == 0


def test_optics_keep_a_constant_and_damp_nyquist_to_the_gain() -> None:
    flat = through_optics(np.full((1, 32, 48), 3.25), 0.11)
    assert flat.shape == (1, 16, 24)
    np.testing.assert_allclose(flat, 3.25, rtol=1e-12)
    # PAN Nyquist is a quarter of a cycle per sample, its crests on the pixel centres
    wave = np.cos(math.pi / 2 * (np.arange(200) - 0.5))
    for fine in (np.tile(wave, (40, 1)), np.tile(wave[:, None], (1, 40))):
        inner = through_optics(fine[None], 0.11)[0][8:-8, 8:-8]
        # the Gaussian is cut at four deviations, beyond which lies 6.3e-5 of it
        np.testing.assert_allclose(np.abs(inner), 0.11, atol=2 * 6.3e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (33, 20)])
def test_png_reads_back(tmp_path: Path, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    path = tmp_path / "a.png"
    write_png(path, rgb)
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), rgb.transpose(2, 0, 1))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_quicklooks_share_a_stretch() -> None:
    image = np.arange(4 * 50 * 40, dtype=np.uint16).reshape(4, 50, 40) % 700
    limits = stretch_limits(image)
    look = quicklook(image)
    np.testing.assert_array_equal(look, quicklook(image, limits=limits))
    brighter = quicklook(image + 50, limits=limits)
    assert (brighter >= look).all()
    assert brighter.mean() > look.mean()
    one = quicklook(image[:1] * 0 + 5, (0, 0, 0), [(4, 6)] * 3)
    assert np.unique(one).tolist() == [128]
    order = quicklook(np.array([[[0]], [[1]], [[2]]]), limits=[(0, 2)] * 3)
    assert order.ravel().tolist() == [255, 128, 0]


def test_panels_stand_side_by_side() -> None:
    panels = [np.full((10, 60, 3), 10 * k, np.uint8) for k in (1, 2)]
    page = side_by_side(panels, ["pan", "MS"], gap=4, zoom=2)
    assert page.shape == (20 + 24 + 8, 2 * (120 + 4) + 4, 3)
    np.testing.assert_array_equal(page[28:48, 4:124], 10)
    np.testing.assert_array_equal(page[28:48, 128:248], 20)
    dark = page[:28].max(-1) < 100
    assert dark[:, 4:124].sum() == draw_text("PAN", 2).sum()
    assert dark[:, 128:].sum() == draw_text("MS", 2).sum()


def test_glyphs_differ() -> None:
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    np.testing.assert_array_equal(draw_text("ab"), draw_text("AB"))
    np.testing.assert_array_equal(draw_text("\u00e9"), draw_text("?"))
    letter_l = np.zeros((7, 6), bool)
    letter_l[:, 0] = letter_l[6, :5] = True
    np.testing.assert_array_equal(draw_text("L"), letter_l)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: quicklook(np.zeros((5, 5))), ShapeError),
        (lambda p: write_png(p / "a.png", np.zeros((5, 5), np.uint8)), ShapeError),
        (lambda p: write_png(p / "a.png", np.zeros((5, 5, 3))), DtypeError),
        (lambda p: write_png(p / "no" / "a.png", np.zeros((5, 5, 3), np.uint8)), SceneWriteError),
        (lambda p: side_by_side([], []), ShapeError),
        (lambda p: side_by_side([np.zeros((2, 2, 3), np.uint8)], ["A", "B"]), ShapeError),
        (
            lambda p: side_by_side([np.zeros((n, 2, 3), np.uint8) for n in (2, 3)], ["A", "B"]),
            ShapeError,
        ),
    ],
)
def test_picture_errors(tmp_path: Path, call: object, error: type[PanTinyError]) -> None:
    with pytest.raises(error, match=r"; need"):
        call(tmp_path)  # type: ignore[operator]


def test_scene_files_are_georeferenced(tmp_path: Path) -> None:
    scene = make_scene(128, seed=2)
    paths = write_scene(scene, tmp_path / "new" / "folder")
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "demo_ms.tif",
        "demo_pan.tif",
        "demo_truth.tif",
    ]
    with (
        rasterio.open(paths["ms"]) as ms,
        rasterio.open(paths["pan"]) as pan,
        rasterio.open(paths["truth"]) as truth,
    ):
        np.testing.assert_array_equal(ms.read(), scene.ms)
        np.testing.assert_array_equal(pan.read(1), scene.pan)
        np.testing.assert_array_equal(truth.read(), scene.truth)
        assert ms.crs.to_epsg() == pan.crs.to_epsg() == truth.crs.to_epsg() == 32631
        assert ms.bounds == pan.bounds == truth.bounds
        assert (ms.res, pan.res, truth.res) == ((2.0, 2.0), (0.5, 0.5), (0.5, 0.5))
        assert ms.descriptions == truth.descriptions == ("blue", "green", "red", "nir")
        assert ms.compression.value.lower() == "deflate"
    with pytest.raises(OutputExistsError, match=r"demo_ms\.tif"):
        write_scene(scene, tmp_path / "new" / "folder")
    write_scene(scene, tmp_path / "new" / "folder", overwrite=True)


def test_large_scene_files_are_tiled(tmp_path: Path, scene: SyntheticScene) -> None:
    with rasterio.open(write_scene(scene, tmp_path)["pan"]) as pan:
        assert pan.block_shapes == [(256, 256)]


def test_run_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="130"):
        run_demo(tmp_path / "out", size=130)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(SceneWriteError, match="file"):
        run_demo(tmp_path / "file", size=64)
    (tmp_path / "demo.png").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"demo\.png"):
        run_demo(tmp_path, size=64)
    assert (tmp_path / "demo.png").read_text() == "mine"


def test_run_makes_and_scores_a_fusion(tmp_path: Path) -> None:
    pytest.importorskip("pantiny.scene")
    lines: list[str] = []
    scores = run_demo(tmp_path, size=256, seed=1, threads=1, echo=lines.append)
    written = json.loads((tmp_path / "demo_scores.json").read_text())
    assert written["scores"] == scores
    assert written["seed"] == 1
    assert scores["fused"]["psnr_db"] > scores["cubic"]["psnr_db"]
    assert scores["fused"]["q4"] > scores["cubic"]["q4"]
    assert scores["fused"]["ergas"] < scores["cubic"]["ergas"]
    assert any(f"{scores['fused']['psnr_db']:.2f}" in line for line in lines)
    with (
        rasterio.open(tmp_path / "demo_fused.tif") as fused,
        rasterio.open(tmp_path / "demo_truth.tif") as truth,
    ):
        assert (fused.shape, fused.count) == (truth.shape, 4)
        assert fused.transform == truth.transform
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(tmp_path / "demo.png") as png:
        assert png.width == 4 * 256 + 5 * 8
    with pytest.raises(OutputExistsError):
        run_demo(tmp_path, size=256)
    run_demo(tmp_path, size=64, overwrite=True, echo=lines.append)
