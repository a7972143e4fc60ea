"""The command line: exit codes, what goes to which stream, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from commands import command
from scenes import make_pair, textured, write_raster

import pantiny
from pantiny.cli import rio_command
from pantiny.weights import load_model, save_model

INSTALLED_RIO = Path(sys.executable).with_name("rio")


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def process(*words: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """``pantiny WORDS`` in a process of its own, warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pantiny.cli", *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Path]:
    """MS, PAN and the path of the output."""
    return (*make_pair(tmp_path), tmp_path / "out.tif")


Pair = tuple[Path, Path, Path]


def test_fuse(pair: Pair) -> None:
    ms, pan, out = pair
    result = command("fuse", *pair, "--threads", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert f"pantiny: wrote {out}" in result.stderr and "ratio 4" in result.stderr
    with rasterio.open(out) as file, rasterio.open(pan) as pan_file:
        assert (file.crs, file.transform) == (pan_file.crs, pan_file.transform)
        assert file.shape == pan_file.shape and file.dtypes == ("uint16",) * 4
        assert file.tags()["PANTINY_COMMAND"].startswith("pantiny")
        fused = file.read()
    with rasterio.open(ms) as ms_file:
        np.testing.assert_array_equal(fused, pantiny.fuse(ms_file.read(), read(pan)[0], threads=1))
    assert names(out.parent) == ["ms.tif", "out.tif", "pan.tif"]


def test_quiet_is_silent(pair: Pair) -> None:
    result = command("fuse", *pair, "-q", "-j", 1)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert pair[2].exists()


def test_quiet_is_not_silent_about_errors(pair: Pair) -> None:
    result = command("fuse", "no.tif", *pair[1:], "-q")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "pantiny: error: ms: no.tif does not exist; check the path\n"


def test_dry_run_checks_everything_and_writes_nothing(pair: Pair) -> None:
    result = command("fuse", *pair, "--dry-run", "-j", 1)
    assert result.exit_code == 0 and result.stdout == ""
    assert "96 x 64 pixels, 4 bands, ratio 4" in result.stderr and "wrote" not in result.stderr
    assert "working memory" in result.stderr and "saturates at 65535" in result.stderr
    assert names(pair[2].parent) == ["ms.tif", "pan.tif"]
    for bad, code in ((("--bands", "rgb"), 2), (("--memory", "1KiB"), 1), (("--co", "TFW=YES"), 2)):
        assert command("fuse", *pair, "--dry-run", *bad).exit_code == code


def test_every_option_arrives(pair: Pair) -> None:
    ms, pan, out = pair
    write_raster(
        pan,
        textured((70, 90), "uint16", 3),
        transform=rasterio.Affine(2, 0, 500_003, 0, -2, 5_399_999),
    )
    given = ["--bit-depth", 10, "--bands", "r,g,b,n", "--nodata", 17, "--extent", "union"]
    given += ["--consistency", 1, "-j", 1, "--tile", 64, "--model", "tiny"]
    given += ["--co", "COMPRESS=LZW", "--co", "PREDICTOR=1", "--memory", "900MiB"]
    result = command("fuse", *pair, *given)
    assert result.exit_code == 0, result.stderr
    api = out.with_name("api.tif")
    options: dict[str, Any] = {"bits": 10, "bands": "rgbn", "nodata": 17, "extent": "union"}
    pantiny.fuse_files(ms, pan, api, **options, consistency=1, threads=1)
    np.testing.assert_array_equal(read(out), read(api))
    with rasterio.open(out) as file:
        assert file.compression.name == "lzw" and file.nodata == 17
        assert file.descriptions == ("red", "green", "blue", "nir")
    for name in options:
        fewer = {k: v for k, v in options.items() if k != name}
        pantiny.fuse_files(ms, pan, api, **fewer, consistency=1, threads=1, overwrite=True)
        assert not np.array_equal(read(out), read(api)), f"{name} changes nothing here"
    result = command("fuse", *pair, "--sensor", "wv3", "--overwrite", "-j", 1)
    assert result.exit_code == 0
    with rasterio.open(out) as file:
        assert (file.tags()["PANTINY_SENSOR"], file.tags()["PANTINY_BITS"]) == ("WV3", "11")


def test_several_ms_files_in_the_order_given(pair: Pair, tmp_path: Path) -> None:
    ms, pan, out = pair
    with rasterio.open(ms) as file:
        bands, transform = file.read(), file.transform
    singles = [write_raster(tmp_path / f"{i}.tif", bands[i], transform=transform) for i in range(4)]
    assert command("fuse", *singles, pan, out, "-q").exit_code == 0
    pantiny.fuse_files(ms, pan, tmp_path / "whole.tif", threads=1)
    np.testing.assert_array_equal(read(out), read(tmp_path / "whole.tif"))


def test_overwrite_only_when_asked(pair: Pair) -> None:
    out = pair[2]
    out.write_text("precious")
    assert command("fuse", *pair).exit_code == 1 and out.read_text() == "precious"
    assert command("fuse", *pair, "--overwrite", "-j", 1).exit_code == 0
    assert read(out).shape == (4, 64, 96)


@pytest.mark.parametrize("words", [["fuse"], ["fuse", "-h"], ["--help"], ["--version"]])
def test_help_and_version(words: list[str]) -> None:
    result = command(*words)
    if words == ["fuse"]:
        assert result.exit_code == 2 and "Missing argument" in result.stderr
        return
    assert result.exit_code == 0 and result.stderr == ""
    need = {"-h": "--bit-depth", "--help": "Pan-sharpen", "--version": pantiny.__version__}
    assert need[words[-1]] in result.stdout


def test_unknown_command() -> None:
    result = command("sharpen")
    assert result.exit_code == 2 and "No such command 'sharpen'" in result.stderr


def test_info() -> None:
    result = command("info")
    assert result.exit_code == 0 and result.stderr == ""
    tiny = load_model("tiny")
    for need in (
        f"pantiny {pantiny.__version__}, Python ",
        "backend cpu: usable, instruction set ",
        "backend cuda: ",
        f"model tiny: {tiny.variant.parameter_count():,} parameters",
        f"sha256 {tiny.sha256[:12]}",
        "rasterio: ",
        "sensors: WV2, ",
    ):
        assert need in result.stdout


def test_info_says_why_the_core_is_not_usable() -> None:
    result = process("info", PANTINY_ISA="quantum")
    assert result.returncode == 0 and result.stderr == ""
    assert (
        "backend cpu: not usable: PANTINY_ISA=quantum: cannot run here; usable: " in result.stdout
    )


def test_a_chosen_instruction_set_is_used(pair: Pair) -> None:
    result = process("info", PANTINY_ISA="baseline")
    assert "instruction set baseline " in result.stdout
    assert process("fuse", *pair, "-q", PANTINY_ISA="baseline").returncode == 0 and pair[2].exists()


def test_in_96_mib(pair: Pair) -> None:
    result = process("fuse", *pair, "--memory", "96MiB", "-j", 1)
    assert result.returncode == 0 and result.stdout == "", result.stderr
    assert "memory: 96.0 MiB allowed, the program itself holds " in result.stderr
    small = read(pair[2])
    assert process("fuse", *pair, "--overwrite", "-j", 1).returncode == 0
    np.testing.assert_array_equal(small, read(pair[2]))


def test_a_warning_is_a_line_on_stderr(pair: Pair, tmp_path: Path) -> None:
    """Of a peak model without bits; no source line, no file name of ours."""
    tiny = load_model("tiny")
    fields = {"variant": tiny.variant, "tensors": tiny.tensors, "licence": "test"}
    model = tmp_path / "peak.safetensors"
    save_model({**fields, "contract": "peak"}, model)
    words = [sys.executable, "-m", "pantiny.cli", "fuse", *pair, "--model", model]
    result = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if "bits: not stated; 11 bits" in line]
    assert len(lines) == 1 and lines[0].startswith("pantiny: bits: ")
    assert all(line.startswith("pantiny: ") for line in result.stderr.splitlines())
    again = subprocess.run(
        [*map(str, words), "-q", "--overwrite"], capture_output=True, text=True, check=True
    )
    assert again.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    ms, pan = make_pair(tmp_path, height=768, width=768)
    words = [sys.executable, "-m", "pantiny.cli", "fuse", ms, pan, tmp_path / "out.tif", "-j", "1"]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while len(names(tmp_path)) == 2:
            assert run.poll() is None and time.monotonic() < until
            time.sleep(0.002)
        assert [n for n in names(tmp_path) if n.endswith(".part")]
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130 and stdout == ""
    last = stderr.splitlines()[-1]
    assert last == "pantiny: interrupted; nothing was left under the output's name"
    assert "Traceback" not in stderr and names(tmp_path) == ["ms.tif", "pan.tif"]


def test_convert_round_trip(pair: Pair, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tiny = load_model("tiny")
    state = {name: torch.from_numpy(array.copy()) for name, array in tiny.tensors.items()}
    torch.save(state, tmp_path / "net.pth")
    target = tmp_path / "mine.safetensors"
    words = ["convert", tmp_path / "net.pth", target, "--consistency", tiny.consistency]
    result = command(*words)
    assert result.exit_code == 2 and "need contract='peak' or 'scene'" in result.stderr
    assert not target.exists()
    words += ["--contract", tiny.contract, "--licence", "CC0-1.0"]
    result = command(*words)
    assert result.exit_code == 0 and result.stdout == "", result.stderr
    assert f"wrote {target}: tiny, sha256 {tiny.sha256}" in result.stderr
    mine = load_model(target)
    assert (mine.licence, mine.contract, mine.sha256) == ("CC0-1.0", tiny.contract, tiny.sha256)
    assert command("fuse", *pair, "-q", "--model", target).exit_code == 0
    by_file = read(pair[2])
    assert command("fuse", *pair, "-q", "--overwrite").exit_code == 0
    np.testing.assert_array_equal(by_file, read(pair[2]))
    result = command(*words)
    assert result.exit_code == 1 and "exists" in result.stderr
    assert command(*words, "--overwrite").exit_code == 0


def test_convert_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.pth").write_bytes(b"not a checkpoint")
    result = command("convert", tmp_path / "net.pth", tmp_path / "out.safetensors")
    assert result.exit_code == 1 and result.stderr.startswith("pantiny: error: ")
    assert "net.pth" in result.stderr and names(tmp_path) == ["net.pth"]
    result = command("convert", tmp_path / "none.pth", tmp_path / "out.safetensors")
    assert result.exit_code == 1 and "no such file" in result.stderr
    assert names(tmp_path) == ["net.pth"]


def test_demo(tmp_path: Path) -> None:
    words = ["demo", tmp_path / "demo", "--size", 256, "-j", 1]
    result = command(*words)
    assert result.exit_code == 0 and "256 x 256 PAN pixels" in result.stdout, result.stderr
    assert command(*words).exit_code != 0  # an earlier demo is kept
    result = command(*words, "--overwrite", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_the_rio_command_is_the_fuse_command(pair: Pair) -> None:
    assert rio_command.name == "pantiny"
    assert command("fuse", *pair, "-q").exit_code == 0
    fused = read(pair[2])
    words = [str(path) for path in pair]
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        result = CliRunner().invoke(rio_command, [*words, "-q", "--overwrite"])
    finally:
        signal.signal(signal.SIGTERM, terminate)
    assert result.exit_code == 0
    np.testing.assert_array_equal(fused, read(pair[2]))


def test_rio_lists_and_runs_the_plugin(pair: Pair) -> None:
    from importlib.metadata import entry_points

    if not INSTALLED_RIO.exists() or not entry_points(group="rasterio.rio_plugins", name="pantiny"):
        pytest.skip("pantiny is not installed beside rio")
    shown = subprocess.run([INSTALLED_RIO, "--help"], capture_output=True, text=True, check=True)
    assert "pantiny" in shown.stdout
    words = [INSTALLED_RIO, "pantiny", *pair, "-q"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert read(pair[2]).shape == (4, 64, 96)
