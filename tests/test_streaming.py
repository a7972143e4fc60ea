"""Streaming: the bits of the whole image, the memory allowed, all or nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from scenes import make_pair

import pantiny
from pantiny import fusers, raster_out
from pantiny.engine import Layout
from pantiny.errors import (
    MemoryBudgetError,
    OptionError,
    OutputExistsError,
    SceneReadError,
    SceneWriteError,
)
from pantiny.grid import Grid, pair_grids
from pantiny.kernels.testing import random_weights
from pantiny.variants import Variant
from pantiny.weights import make_model, save_model

MIB = 1 << 20
FEATURE_BYTES = 28 * 4  # per PAN pixel
MINI = make_model(
    v := Variant("mini", encoder_blocks=1, body_blocks=1),
    random_weights(v),
    contract="scene",
    licence="test",
    consistency=2,
)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def fuse_files(ms: Any, pan: Any, out: Any, **options: Any) -> Path:
    return pantiny.fuse_files(ms, pan, out, **{"model": MINI, "threads": 1, **options})


@pytest.fixture
def layouts(monkeypatch: pytest.MonkeyPatch) -> list[Layout]:
    """The layouts that were chosen."""
    chosen: list[Layout] = []
    choose = fusers.choose_layout

    def spy(*args: Any) -> Layout:
        chosen.append(choose(*args))
        return chosen[-1]

    monkeypatch.setattr(fusers, "choose_layout", spy)
    return chosen


# Bits


def test_a_file_gives_the_bits_of_the_arrays(tmp_path: Path, layouts: list[Layout]) -> None:
    # decimal pixels and corners: the geotransform is only nearly that of a ratio of 4
    grid: dict[str, Any] = {"gsd_m": 0.3, "origin": (499_999.7, 5_400_000.1)}
    ms, pan = make_pair(tmp_path, height=520, width=456, dtype="float32", nodata=0, **grid)
    expected = pantiny.fuse(read(ms), read(pan)[0], model=MINI, nodata=0, threads=1)
    layouts.clear()
    several: list[dict[str, Any]] = [
        {"tile": 64},
        {"tile": 200, "threads": 2},
        {"tile": 512},
        {"tile": 100_000},
        {"threads": 2},
        {"memory": 40 * MIB},
        {"memory": 46 * MIB, "threads": 2},
    ]
    for options in several:
        out = fuse_files(ms, pan, tmp_path / "out.tif", overwrite=True, **options)
        np.testing.assert_array_equal(read(out), expected, str(options))
    assert [found.keep for found in layouts] == [True] * 5 + [False] * 2
    assert {found.tile[0] for found in layouts} >= {64, 192, 512}


@pytest.mark.parametrize("halves", [0, 1, -3])
def test_aligned_grids_get_the_exact_phase(halves: int) -> None:
    """Rounding in the geotransforms must not move a tap: arrays have none."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        ratio, gsd_m = int(rng.integers(2, 9)), float(rng.choice([0.3, 0.31, 0.46, 0.7, 15.0]))
        x, y = np.round(rng.uniform(1e5, 9e6, 2), 2)
        shift = halves / 2 * gsd_m
        pan_at = Affine(gsd_m, 0, x + shift, 0, -gsd_m, y - shift)
        ms_at = Affine(ratio * gsd_m, 0, x, 0, -ratio * gsd_m, y)
        pan, ms = Grid(None, pan_at, 9 * ratio, 8 * ratio, ""), Grid(None, ms_at, 9, 8, "")
        p = pair_grids(ms, pan)
        assert p.scale == (1 / ratio, 1 / ratio)
        if not halves:
            assert p.offset == (0.0, 0.0)
        assert all((2 * ratio * (o + 64)) % 1 == 0 for o in p.offset) or ratio & (ratio - 1)


def test_the_packaged_model(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=136, width=200)
    expected = pantiny.fuse(read(ms), read(pan)[0], sensor="WV2", threads=1)
    out = fuse_files(ms, pan, tmp_path / "out.tif", sensor="WV2", model="tiny", tile=128)
    np.testing.assert_array_equal(read(out), expected)


@pytest.mark.parametrize("bands", [3, 5, 8])
def test_other_numbers_of_bands(tmp_path: Path, bands: int) -> None:
    ms, pan = make_pair(tmp_path, bands=bands, dtype="float32")
    expected = pantiny.fuse(read(ms), read(pan)[0], model=MINI, threads=1)
    np.testing.assert_array_equal(read(fuse_files(ms, pan, tmp_path / "out.tif")), expected)


def test_progress(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path, height=200, bands=8)
    told: list[float] = []
    fuse_files(ms, pan, tmp_path / "out.tif", tile=64, progress=told.append)
    assert len(told) >= 2 * 3 and told == sorted(set(told)) and told[-1] == 1.0


# Memory


PEAK = """
import json, resource, subprocess, sys
run = subprocess.run([sys.executable, "-m", "pantiny.cli", "fuse", *sys.argv[1:]],
                     capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps([run.returncode, peak, run.stderr]))
"""


def cli_peak(*arguments: object) -> tuple[int, int, str]:
    """Exit code, largest resident size in bytes and stderr of ``pantiny fuse``.

    Its parent must be small: a child counts what its parent held when it was started.
    """
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    code, peak, errors = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return code, peak, errors


def check_budget(folder: Path, height: int, width: int, times: float) -> None:
    """The process stays within a budget of which the scene's features take ``times``."""
    save_model(MINI, folder / "mini.safetensors")
    options = folder / "out.tif", "--threads", 1, "--model", folder / "mini.safetensors"
    code, idle, errors = cli_peak(*make_pair(folder), *options, "--dry-run")
    assert code == 0, errors
    budget = max(96 * MIB, idle + 28 * MIB)  # the libraries take more on some machines
    assert height * width * FEATURE_BYTES > times * budget
    pair = make_pair(folder, height=height, width=width)
    code, peak, errors = cli_peak(*pair, *options, "--memory", budget)
    assert code == 0, errors
    print(f"budget {budget / MIB:.1f} MiB, peak {peak / MIB:.1f}, before {idle / MIB:.1f}")
    assert "features recomputed" in errors
    assert peak <= budget
    raw = height * width * 8
    assert (folder / "out.tif").stat().st_size < raw  # no block written twice


def test_the_process_stays_within_its_budget(tmp_path: Path) -> None:
    check_budget(tmp_path, 896, 2048, 1.7)


@pytest.mark.slow
def test_a_scene_ten_times_the_budget(tmp_path: Path) -> None:
    check_budget(tmp_path, 5376, 2048, 10)


def test_a_small_budget_does_not_bloat_the_file(tmp_path: Path) -> None:
    """Blocks of a wide scene are written once: each time costs its room again."""
    ms, pan = make_pair(tmp_path, height=256, width=3072)
    sizes = [
        fuse_files(ms, pan, tmp_path / f"{m}.tif", memory=m * MIB, consistency=0).stat().st_size
        for m in (48, 1024)
    ]
    assert sizes[0] < 1.15 * sizes[1]


def test_too_little_memory_says_what_would_do(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    with pytest.raises(MemoryBudgetError, match=r"memory: .* is too little .* needs [0-9.]+ MiB"):
        fuse_files(ms, pan, tmp_path / "out.tif", memory="1MiB")
    assert not (tmp_path / "out.tif").exists()


# All or nothing


def left(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} - {"ms.tif", "pan.tif"}


def test_overwriting(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    out = tmp_path / "out.tif"
    out.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"out\.tif exists; .*overwrite=True"):
        fuse_files(ms, pan, out)
    assert out.read_text() == "mine" and left(tmp_path) == {"out.tif"}
    fuse_files(ms, pan, out, overwrite=True)
    assert read(out).shape == (4, 64, 96) and left(tmp_path) == {"out.tif"}
    for source in (ms, pan):
        with pytest.raises(OptionError, match="is one of the inputs"):
            fuse_files(ms, pan, source, overwrite=True)
        assert read(source).any()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    fuse_files(ms, pan, tmp_path / "out.tif", dry_run=True)
    assert left(tmp_path) == set()


def test_a_file_that_comes_in_between_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ms, pan = make_pair(tmp_path)
    out = tmp_path / "out.tif"
    with pytest.raises(OutputExistsError):
        fuse_files(ms, pan, out, progress=lambda _: out.write_text("mine"))
    assert out.read_text() == "mine" and left(tmp_path) == {"out.tif"}
    out.unlink()
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no hard links")))
    with pytest.raises(OutputExistsError):
        fuse_files(ms, pan, out, progress=lambda _: out.write_text("mine"))
    assert out.read_text() == "mine" and left(tmp_path) == {"out.tif"}
    out.unlink()
    fuse_files(ms, pan, out)
    assert read(out).any() and left(tmp_path) == {"out.tif"}


def breaking(method: str, at: int, error: BaseException) -> Callable[[pytest.MonkeyPatch], None]:
    """Make call number ``at`` of a method of the sink fail, after its work is done."""

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        original, calls = getattr(raster_out.RasterSink, method), []

        def broken(self: Any, *args: Any) -> None:
            original(self, *args)
            calls.append(1)
            if len(calls) == at:
                raise error

        monkeypatch.setattr(raster_out.RasterSink, method, broken)

    return apply


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    ("method", "at", "error"),
    [
        ("write", 1, SceneWriteError("disk full")),
        ("write", 3, RuntimeError("anything")),
        ("write", 2, KeyboardInterrupt()),
        ("open", 1, KeyboardInterrupt()),
        ("describe", 1, MemoryError()),
    ],
)
def test_a_failure_midway_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: bool,
    method: str,
    at: int,
    error: BaseException,
) -> None:
    ms, pan = make_pair(tmp_path, height=768, width=200)  # three bands
    out = tmp_path / "out.tif"
    if old:
        out.write_text("mine")
    breaking(method, at, error)(monkeypatch)
    with pytest.raises(type(error)):
        fuse_files(ms, pan, out, overwrite=old, tile=64, threads=1, consistency=0)
    assert left(tmp_path) == ({"out.tif"} if old else set())
    assert not old or out.read_text() == "mine"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    ms, pan = make_pair(tmp_path)
    out = tmp_path / "out.tif"
    out.write_text("mine")

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(raster_out.os, function, fail)
    with pytest.raises(
        SceneWriteError, match=r"out\.tif cannot be completed \(.*input/output error"
    ):
        fuse_files(ms, pan, out, overwrite=True)
    assert out.read_text() == "mine" and left(tmp_path) == {"out.tif"}


def test_bad_creation_options_leave_nothing(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    with pytest.raises(SceneWriteError, match=r"out\.tif cannot be created"):
        fuse_files(ms, pan, tmp_path / "out.tif", creation={"BLOCKXSIZE": "17"})
    assert left(tmp_path) == set()


@pytest.mark.parametrize("which", ["ms", "pan"])
def test_a_truncated_input_leaves_nothing(tmp_path: Path, which: str) -> None:
    ms, pan = make_pair(tmp_path, height=256, width=256)
    victim = ms if which == "ms" else pan
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size * 2 // 3])
    with pytest.raises(SceneReadError, match=rf"{which}: .*damaged"):
        fuse_files(ms, pan, tmp_path / "out.tif")
    assert left(tmp_path) == set()
