"""Make the synthetic scene, fuse it, score it against its truth and show it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine

from ..degrade import upsample_ms
from ..errors import OutputExistsError, SceneWriteError
from ..metrics import ergas, psnr, q2n, sam
from ..sensors import BGRN
from .pictures import quicklook, side_by_side, stretch_limits, write_png
from .scene import SyntheticScene, check_size, make_scene

CRS = "EPSG:32631"
CORNER_M = (450_000.0, 5_410_000.0)  # easting and northing of the upper left corner
OVERVIEW = 512  # pixels along an overview panel, at most
FILES = ("demo_ms.tif", "demo_pan.tif", "demo_truth.tif")
RESULTS = ("demo_fused.tif", "demo.png", "demo_scores.json")
INDICES = (
    ("psnr_db", "PSNR dB", 2),
    ("sam_deg", "SAM deg", 2),
    ("ergas", "ERGAS", 2),
    ("q4", "Q4", 3),
)

Scores = dict[str, dict[str, float]]


def _prepare(folder: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Make the folder and refuse to replace any of ``names`` in it unasked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SceneWriteError(
            f"demo: cannot make the folder {str(folder)!r} ({error.strerror or error}); need a "
            "folder that can be written to; choose another one"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SceneWriteError(
            f"demo: the folder {str(folder)!r} is not writable; need a folder that can be "
            "written to; choose another one or change its permissions"
        )
    present = [name for name in names if (folder / name).exists()]
    if present and not overwrite:
        raise OutputExistsError(
            f"demo: {', '.join(present)} already in {str(folder)!r}; need a folder without them; "
            "choose another one or ask to overwrite"
        )


def _write_tif(path: Path, image: np.ndarray, gsd_m: float, bands: tuple[str, ...]) -> None:
    try:
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=image.shape[0],
            height=image.shape[1],
            width=image.shape[2],
            dtype=image.dtype,
            crs=CRS,
            transform=Affine(gsd_m, 0.0, CORNER_M[0], 0.0, -gsd_m, CORNER_M[1]),
            tiled=True,
            blockxsize=256,
            blockysize=256,
            compress="deflate",
            predictor=2,
        ) as file:
            file.write(image)
            for k, band in enumerate(bands):
                file.set_band_description(k + 1, band)
    except (rasterio.errors.RasterioError, OSError) as error:
        raise SceneWriteError(
            f"demo: cannot write {str(path)!r} ({error}); need a writable folder with free space; "
            "choose another folder"
        ) from error


def write_scene(
    scene: SyntheticScene, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> dict[str, Path]:
    """Write MS, PAN and truth as georeferenced GeoTIFFs.

    Parameters
    ----------
    scene : SyntheticScene
        As :func:`make_scene` gives it.
    folder : path-like
        Made if it does not exist.
    overwrite : bool
        Replace the files if they exist.

    Returns
    -------
    dict
        The paths of ``demo_ms.tif``, ``demo_pan.tif`` and ``demo_truth.tif`` under ``"ms"``,
        ``"pan"`` and ``"truth"``.

    Raises
    ------
    SceneWriteError
        If the folder or a file cannot be written.
    OutputExistsError
        If a file exists and ``overwrite`` is False.
    """
    folder = Path(folder)
    _prepare(folder, FILES, overwrite)
    ms, pan, truth = (folder / name for name in FILES)
    _write_tif(ms, scene.ms, scene.gsd_m * scene.ratio, BGRN)
    _write_tif(pan, scene.pan[None], scene.gsd_m, ("pan",))
    _write_tif(truth, scene.truth, scene.gsd_m, BGRN)
    return {"ms": ms, "pan": pan, "truth": truth}


def _score(image: np.ndarray, scene: SyntheticScene) -> dict[str, float]:
    peak = 2**scene.bits - 1
    return {
        "psnr_db": psnr(image, scene.truth, peak=peak),
        "sam_deg": sam(image, scene.truth),
        "ergas": ergas(image, scene.truth, ratio=scene.ratio),
        "q4": q2n(image, scene.truth),
    }


def _table(scores: Scores) -> list[str]:
    lines = ["      " + "".join(f"{title:>10}" for _, title, _ in INDICES)]
    for name, row in scores.items():
        lines.append(f"{name:<6}" + "".join(f"{row[key]:>10.{n}f}" for key, _, n in INDICES))
    return lines


def _busiest(pan: np.ndarray, side: int) -> tuple[slice, slice]:
    """The window of ``side`` pixels, on a grid of half windows, with most detail in PAN."""
    detail = np.abs(np.diff(pan.astype(np.float32), axis=1))
    step = max(1, side // 2)
    starts = range(0, pan.shape[0] - side + 1, step)
    spots = [(i, j) for i in starts for j in starts]
    i, j = max(spots, key=lambda s: float(detail[s[0] : s[0] + side, s[1] : s[1] + side].mean()))
    return slice(i, i + side), slice(j, j + side)


def _picture(
    scene: SyntheticScene, cubic: np.ndarray, fused: np.ndarray, scores: Scores
) -> np.ndarray:
    """PAN, MS, fused and truth: the whole scene above, a detail below at twice the size."""
    limits = stretch_limits(scene.truth)
    looks = [
        quicklook(scene.pan[None], (0, 0, 0)),
        *(quicklook(image, limits=limits) for image in (cubic, fused, scene.truth)),
    ]
    shrink = -(-scene.pan.shape[0] // OVERVIEW)
    side = scene.pan.shape[0] // shrink // 2 * 2
    tiles = [
        look[: side * shrink, : side * shrink].reshape(side, shrink, side, shrink, 3)
        for look in looks
    ]
    overview = [tile.mean((1, 3)).astype(np.uint8) for tile in tiles]
    psnr_db = {name: f"{row['psnr_db']:.1f} dB" for name, row in scores.items()}
    labels = ["PAN", f"MS cubic {psnr_db['cubic']}", f"fused {psnr_db['fused']}", "truth"]
    window = _busiest(scene.pan, side // 2)
    rows = (
        side_by_side(overview, labels),
        side_by_side([look[window] for look in looks], ["DETAIL"] * len(looks), zoom=2),
    )
    return np.concatenate(rows)


def run_demo(
    outdir: str | os.PathLike[str],
    *,
    size: int = 1024,
    seed: int = 0,
    overwrite: bool = False,
    threads: int | None = None,
    echo: Callable[[str], object] = print,
) -> Scores:
    """Fuse a synthetic WorldView-2 scene and compare the result with its truth.

    Writes ``demo_ms.tif``, ``demo_pan.tif``, ``demo_truth.tif``, ``demo_fused.tif``,
    ``demo.png`` and ``demo_scores.json``.

    Parameters
    ----------
    outdir : path-like
        Folder of the outputs; made if it does not exist.
    size : int
        PAN pixels along each side, a multiple of 4 from 64 to 2048.
    seed : int
        The same seed gives the same scene.
    overwrite : bool
        Replace outputs that exist.
    threads : int, optional
        For the fusion; None leaves the choice to it.
    echo : callable
        Is given each line of the report.

    Returns
    -------
    dict
        ``psnr_db``, ``sam_deg``, ``ergas`` and ``q4`` of ``"cubic"`` and ``"fused"``.

    Raises
    ------
    OptionError
        If ``size`` cannot be honoured.
    SceneWriteError
        If the folder or a file cannot be written.
    OutputExistsError
        If an output exists and ``overwrite`` is False.
    """
    check_size(size, 4)
    folder = Path(outdir)
    _prepare(folder, FILES + RESULTS, overwrite)
    from ..scene import fuse_files  # loads the core, which the scene alone does not need

    fused_path, picture_path, scores_path = (folder / name for name in RESULTS)
    echo(f"making a synthetic scene of {size} x {size} PAN pixels, seed {seed}")
    scene = make_scene(size, seed=seed)
    paths = write_scene(scene, folder, overwrite=overwrite)
    fuse_files(
        paths["ms"],
        paths["pan"],
        fused_path,
        sensor=scene.sensor,
        overwrite=overwrite,
        threads=threads,
    )
    with rasterio.open(fused_path) as file:
        fused = file.read()
    cubic = upsample_ms(scene.ms, scene.ratio)
    scores = {"cubic": _score(cubic, scene), "fused": _score(fused, scene)}
    write_png(picture_path, _picture(scene, cubic, fused, scores))
    settings = {"size": size, "seed": seed, "sensor": scene.sensor, "ratio": scene.ratio}
    try:
        scores_path.write_text(json.dumps({**settings, "scores": scores}, indent=2) + "\n")
    except OSError as error:
        raise SceneWriteError(
            f"demo: cannot write {str(scores_path)!r} ({error.strerror or error}); need a "
            "writable folder with free space; choose another folder"
        ) from error
    for line in _table(scores):
        echo(line)
    echo(f"see {picture_path} (scores against the known truth: {scores_path})")
    return scores
