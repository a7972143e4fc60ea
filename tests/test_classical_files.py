"""``method=``: what files say, the command, memory, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from classics import MIB, fuse, pair, read
from commands import command
from scenes import make_pair

import pantiny
from pantiny import errors as e
from pantiny.classical import METHODS
from pantiny.sensors import SENSORS

# Files


def test_what_the_file_says(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    out = pantiny.fuse_files(ms, pan, tmp_path / "o.tif", method="gsa", sensor="QB", command="c")
    with rasterio.open(out) as file, rasterio.open(pan) as grid:
        assert (file.crs, file.transform, file.shape) == (grid.crs, grid.transform, grid.shape)
        assert file.descriptions == SENSORS["QB"].bands
        tags = file.tags()
    assert tags["PANTINY_METHOD"] == "gsa" and tags["PANTINY_COMMAND"] == "c"
    assert (tags["PANTINY_SENSOR"], tags["PANTINY_BITS"]) == ("QB", "11")
    assert not {t for t in tags if "MODEL" in t or "CONSISTENCY" in t or "PRECISION" in t}
    out = pantiny.fuse_files(ms, pan, tmp_path / "n.tif", threads=1)
    with rasterio.open(out) as file:
        assert file.tags()["PANTINY_METHOD"] == "pantiny" and file.tags()["PANTINY_MODEL"] == "tiny"


def test_the_command(tmp_path: Path) -> None:
    ms, pan = make_pair(tmp_path)
    for method in METHODS:
        out = tmp_path / f"{method}.tif"
        result = command("fuse", ms, pan, out, "--method", method, "-j", 1)
        assert result.exit_code == 0, result.stderr
        assert "network" not in result.stderr and "working memory" in result.stderr
        np.testing.assert_array_equal(read(out), fuse(read(ms), read(pan)[0], method))
    result = command("fuse", ms, pan, tmp_path / "o.tif", "--method", "ihs")
    assert result.exit_code == 2 and "'ihs' is not one of 'pantiny', 'cubic'" in result.stderr
    words = ("fuse", ms, pan, tmp_path / "o.tif", "--method", "gsa", "--consistency", 1)
    result = command(*words)
    assert result.exit_code == 2 and "consistency: got 1 with method 'gsa'" in result.stderr
    assert not (tmp_path / "o.tif").exists()


def test_progress() -> None:
    ms, pan = pair()
    for method in METHODS:
        told: list[float] = []
        fuse(ms, pan, method, tile=16, progress=told.append)
        assert len(told) >= 5 and told == sorted(set(told)) and told[-1] == 1.0


@pytest.mark.parametrize("method", ["gsa", "mtf-glp-hpm"])
def test_the_process_stays_within_its_budget(tmp_path: Path, method: str) -> None:
    from test_streaming import cli_peak

    options = tmp_path / "out.tif", "--threads", 2, "--method", method, "--overwrite"
    code, idle, errors = cli_peak(*make_pair(tmp_path), *options, "--dry-run")
    assert code == 0, errors
    height, width = 3072, 2048
    files = make_pair(tmp_path, height=height, width=width)
    for budget in (idle + 24 * MIB, idle + 96 * MIB):
        assert height * width * 4 * 8 > budget - idle  # of ms_up alone, in float64
        code, peak, errors = cli_peak(*files, *options, "--memory", budget)
        assert code == 0, errors
        print(json.dumps({"budget": budget / MIB, "peak": peak / MIB, "idle": idle / MIB}))
        assert peak <= budget


def test_too_little_memory_says_what_would_do() -> None:
    ms, pan = pair()
    with pytest.raises(e.MemoryBudgetError, match=r"memory: .* is too little .*; raise memory="):
        fuse(ms, pan, "gsa", memory=1000)


# Refusals


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        (
            {"method": "GSA"},
            e.OptionError,
            r"method: got 'GSA'; need one of pantiny, cubic, brovey",
        ),
        ({"method": None}, e.OptionError, r"method: got None; need one of"),
        ({"method": ["gsa"]}, e.OptionError, r"method: got \['gsa'\]; need one of"),
        ({"model": "mine"}, e.OptionError, r"model: got one with method 'gsa', .*leave model out"),
        (
            {"model": pantiny.load_model("tiny")},
            e.OptionError,
            r"model: got one with method 'gsa'",
        ),
        ({"precision": "bf16"}, e.OptionError, r"precision: got 'bf16' with method 'gsa'"),
        ({"consistency": 2}, e.OptionError, r"consistency: got 2 with .*; need 0, .*leave cons"),
        ({"consistency": True}, e.OptionError, r"consistency: got True with method"),
        ({"backend": "reference"}, e.BackendError, r"backend: got 'reference' .*fuse_classical"),
        ({"backend": "cuda"}, e.BackendError, r"backend: .*'cuda'.*cpu"),
    ],
)
def test_options_it_has_not(options: dict[str, Any], kind: type, text: str) -> None:
    ms, pan = pair()
    with pytest.raises(kind, match=text):
        pantiny.fuse(ms, pan, **{"method": "gsa", **options})


def test_options_that_say_the_same() -> None:
    ms, pan = pair()
    options: dict[str, Any] = {"model": "tiny", "precision": "fp32", "consistency": 0}
    found = fuse(ms, pan, "gsa", backend="cpu", **options)
    np.testing.assert_array_equal(found, fuse(ms, pan, "gsa"))
    np.testing.assert_array_equal(fuse(ms, pan, "pantiny"), pantiny.fuse(ms, pan, threads=1))
