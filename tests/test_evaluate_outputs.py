"""Where ``pantiny evaluate`` writes: never onto what it reads, names for complete files only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from commands import command
from products import PEAK, write
from rasterio.shutil import copy

from pantiny.evaluate import outputs, run, table


def held(folder: Path) -> dict[str, bytes]:
    """What every file holds."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("measured before the outputs were checked")


@pytest.mark.parametrize("part", ["fused", "truth", "ms", "pan"])
@pytest.mark.parametrize("option", ["--json", "--html"])
def test_no_input_is_replaced(tmp_path: Path, part: str, option: str) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    files = write(folder)
    path = {p: str(getattr(files, p)) for p in ("fused", "truth", "ms", "pan")}
    manifest, rows = tmp_path / "list.json", [{**path, "ms": [path["ms"]]}]
    manifest.write_text(json.dumps(rows))
    single = [files.fused, "--truth", files.truth, "--ms", files.ms, "--pan", files.pan]
    before = held(tmp_path)
    for words in ([folder], [manifest], single):
        ran = command("evaluate", *words, "--peak", PEAK, option, path[part], "--overwrite")
        assert ran.exit_code == 2 and f"{path[part]} is one of the inputs" in ran.stderr
    if part != "truth":
        images = [path[p] for p in ("ms", "pan", "fused")]
        assert command("assess", *images, option, path[part], "--overwrite").exit_code == 2
    ran = command("evaluate", manifest, "--peak", PEAK, option, manifest, "--overwrite")
    assert ran.exit_code == 2
    assert held(tmp_path) == before


def test_nor_is_a_file_behind_a_vrt(tmp_path: Path) -> None:
    files = write(tmp_path)
    vrt = tmp_path / "v.vrt"
    copy(files.fused, vrt, driver="VRT")
    before = held(tmp_path)
    words = ["evaluate", vrt, "--truth", files.truth, "--peak", PEAK, "--json", files.fused]
    ran = command(*words, "--overwrite")
    assert ran.exit_code == 2 and "is one of the inputs" in ran.stderr
    assert held(tmp_path) == before


def test_an_older_result_is_replaced(tmp_path: Path) -> None:
    files = write(tmp_path)
    result = tmp_path / "r.json"
    result.write_text("old")
    words = ["evaluate", files.fused, "--truth", files.truth, "--peak", PEAK, "--json", result]
    assert command(*words).exit_code == 1 and result.read_text() == "old"
    assert command(*words, "--overwrite").exit_code == 0
    assert json.loads(result.read_text())["products"][0]["name"] == "a_fused"


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_devices_and_pipes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: list[str]
) -> None:
    monkeypatch.setattr(run, "measure_product", never)
    files = write(tmp_path)
    pipe, null, out = tmp_path / "pipe", tmp_path / "null", tmp_path / "out"
    os.mkfifo(pipe)
    null.symlink_to("/dev/null")
    out.symlink_to("/proc/self/fd/1")  # as /dev/stdout is
    words = ["evaluate", files.fused, "--truth", files.truth, *overwrite]
    for path in (pipe, null, out, Path("/proc/self/fd/1")):
        ran = command(*words, "--json", path)
        assert ran.exit_code == 1 and "give --json -" in ran.stderr
        assert "--overwrite" not in ran.stderr
        ran = command(*words, "--html", path)
        assert ran.exit_code == 1 and "is a device, a pipe or a socket" in ran.stderr
    assert pipe.is_fifo() and null.is_char_device() and out.is_symlink()
    fuse = command("fuse", files.ms, files.pan, pipe, "--method", "cubic", *overwrite)
    assert fuse.exit_code == 1 and "is a device" in fuse.stderr and pipe.is_fifo()


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_two_results_need_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: list[str]
) -> None:
    monkeypatch.setattr(run, "measure_product", never)
    files = write(tmp_path)
    words = ["evaluate", files.fused, "--truth", files.truth, *overwrite]
    same, link = tmp_path / "x", tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    for other in (same, link / "x", tmp_path / "link" / ".." / tmp_path.name / "x"):
        ran = command(*words, "--html", same, "--json", other)
        assert ran.exit_code == 2 and "one file; need two" in ran.stderr
    ran = command(*words, "--html", "-")
    assert ran.exit_code == 2 and "html: got -" in ran.stderr
    assert not same.exists() and not (Path.cwd() / "-").exists()


def both(tmp_path: Path) -> list[Any]:
    """Words for a page and JSON, q.html and q.json."""
    files = write(tmp_path)
    words = ["evaluate", files.fused, "--truth", files.truth, "--peak", PEAK]
    return [*words, "--html", tmp_path / "q.html", "--json", tmp_path / "q.json"]


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_interrupted_before_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = both(tmp_path)
    before = held(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(table, "json_of", interrupt)
        ran = command(*words)
    assert ran.exit_code == 130 and "nothing was left" in ran.stderr and held(tmp_path) == before
    write_text, written = Path.write_text, []

    def second(self: Path, *args: Any, **kwargs: Any) -> int:
        written.append(self)
        return interrupt() if len(written) == 2 else write_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", second)
    ran = command(*words)
    assert len(written) == 2
    assert ran.exit_code == 130 and "nothing was left" in ran.stderr and held(tmp_path) == before


def test_interrupted_afterwards_names_what_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = both(tmp_path)
    before = set(held(tmp_path))
    replace, calls = os.replace, []

    def second(*args: Any) -> None:
        calls.append(args)
        return interrupt() if len(calls) == 2 else replace(*args)

    with monkeypatch.context() as patched:
        patched.setattr(outputs.os, "replace", second)
        ran = command(*words)
    assert ran.exit_code == 130 and ran.stderr.endswith(
        f"pantiny: interrupted; complete: {tmp_path / 'q.html'}\n"
    )
    assert set(held(tmp_path)) == before | {"q.html"}
    with monkeypatch.context() as patched:
        patched.setattr(table, "text_of", lambda _: "x")
        patched.setattr("click.echo", lambda *_, err=False, **__: None if err else interrupt())
        ran = command(*words, "--overwrite")
    assert ran.exit_code == 130 and set(held(tmp_path)) == before | {"q.html", "q.json"}


def test_a_folder_of_the_name_of_a_temporary_file(tmp_path: Path) -> None:
    words = both(tmp_path)
    for name in (".q.json.part", ".q.html.part"):
        (tmp_path / name).mkdir()
    assert command(*words).exit_code == 0
    assert json.loads((tmp_path / "q.json").read_text())["products"]
    assert (tmp_path / ".q.json.part").is_dir()


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = both(tmp_path)
    before = held(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.os, "replace", full)
    ran = command(*words)
    assert ran.exit_code == 1 and "q.html cannot be written (No space left" in ran.stderr
    assert held(tmp_path) == before
    replace, calls = os.rename, []

    def full_later(*args: Any) -> None:
        calls.append(args)
        return full() if len(calls) == 2 else replace(*args)

    monkeypatch.setattr(outputs.os, "replace", full_later)
    ran = command(*words)
    assert ran.exit_code == 1 and f"folder; complete: {tmp_path / 'q.html'}" in ran.stderr
    assert set(held(tmp_path)) == set(before) | {"q.html"}
