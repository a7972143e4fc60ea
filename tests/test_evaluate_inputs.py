"""What ``pantiny evaluate`` says of names, manifests and pixels that it cannot measure."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import command
from products import PEAK, at, images, write
from scenes import write_raster
from test_evaluate_page import pixels

from pantiny.errors import DataError, ManifestError, OptionError
from pantiny.evaluate import (
    Product,
    assess_files,
    compare_files,
    find_products,
    measure_products,
)
from pantiny.evaluate import pictures as drawn


def strict(text: str) -> Any:
    """JSON without the words that only Python knows, and only of characters."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode()
    return found


@pytest.mark.parametrize("part", ["truth", "ms", "pan"])
def test_a_folder_with_two_of_a_part(tmp_path: Path, part: str) -> None:
    files = write(tmp_path)
    shutil.copy(getattr(files, part), tmp_path / f"b_{part}.tiff")  # of no product
    assert [p.name for p in find_products(tmp_path)] == ["a"]
    shutil.copy(getattr(files, part), tmp_path / f"a_{part}.tiff")
    with pytest.raises(ManifestError, match=rf"holds a_{part}\.tif and a_{part}\.tiff; need one"):
        find_products(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "fused,truth,fused\na.tif,b.tif,c.tif\n", "'fused' more than once in a row"),
        ("m.json", '[{"fused": "a.tif", "fused": "b.tif"}]', "'fused' more than once in a row"),
        ("m.json", "[" * 100_000, "cannot be read"),
        ("m.json", '[{"fused": ' + "[" * 100_000, "cannot be read"),
        ("m.json", '[{"fused": {"a": 1, "a": 2}}]', "more than once"),
        ("m.json", '[{"fused": ["a.tif"]}]', "fused is .'a.tif'.; need a text"),
        ("m.json", '[{"fused": "a.tif", "ms": [1]}]', r"ms is \[1\]; need a text"),
    ],
)
def test_manifests_that_say_a_thing_twice(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=said):
        find_products(tmp_path / name)
    ran = command("evaluate", tmp_path / name)
    assert ran.exit_code == 1 and ran.stderr.startswith("pantiny: error: m")


def test_lists_and_addresses_in_a_manifest(tmp_path: Path) -> None:
    files = write(tmp_path)
    row = {"fused": files.fused.name, "ms": [files.ms.name], "pan": files.pan.name}
    far = {"name": "far", "fused": "s3://b/f.tif", "truth": "/vsicurl/https://h/t.tif"}
    (tmp_path / "m.json").write_text(json.dumps([row, far]))
    near, other = find_products(tmp_path / "m.json")
    assert near.ms == [str(files.ms)]
    assert (other.fused, other.truth) == (far["fused"], far["truth"])
    (tmp_path / "one.json").write_text(json.dumps([row]))
    ran = command("evaluate", tmp_path / "one.json", "--sensor", "WV2", "--json", "-")
    assert "full_resolution" in strict(ran.stdout)["products"][0]


def test_products_of_one_name_are_not_merged() -> None:
    with pytest.raises(OptionError, match="a more than once"):
        measure_products([Product("a", "x.tif"), Product("a", "y.tif"), Product("b", "z.tif")])


def test_a_sensor_that_is_not_known(tmp_path: Path) -> None:
    files = write(tmp_path)
    words = ["evaluate", files.fused, "--truth", files.truth, "--peak", PEAK]
    ran = command(*words, "--sensor", "FOO")
    assert ran.exit_code == 2 and "'FOO' is not in the sensor table" in ran.stderr
    with pytest.raises(OptionError, match="FOO"):
        compare_files(files.fused, files.truth, peak=PEAK, sensor="FOO")
    (tmp_path / "m.csv").write_text(f"fused,truth,sensor\n{files.fused},{files.truth},FOO\n")
    ran = command("evaluate", tmp_path / "m.csv", "--peak", PEAK)
    assert ran.exit_code == 1 and "'FOO' is not in the sensor table" in ran.stderr


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    files = write(folder)
    for part in ("fused", "truth"):
        name = os.fsdecode(os.fsencode(folder) + b"/\xff_" + part.encode() + b".tif")
        try:
            shutil.copy(getattr(files, part), name)
        except OSError:
            pytest.skip("the file system takes UTF-8 only")
    page = tmp_path / "x.html"
    for words in (["--json", "-"], ["--html", page]):
        ran = command("evaluate", folder, "--peak", PEAK, *words)
        assert ran.exit_code == 1 and isinstance(ran.exception, SystemExit)
        assert "not UTF-8; need one that is; rename it" in ran.stderr
        assert "1 of 2 products not measured" in ran.stderr
    assert "not UTF-8" in page.read_text()
    ran = command("evaluate", folder, "--peak", PEAK, "--json", "-")
    assert [p["name"] for p in strict(ran.stdout)["products"]] == ["a", "\\udcff"]


def nan_pair(tmp_path: Path, value: float = np.nan, **changes: Any) -> tuple[list[Path], Any]:
    """Product with a pixel of that value, truth, MS and PAN, float32."""
    a = {k: v.astype(np.float32) for k, v in images().items()}
    a["fused"][1, 100, 70] = value
    gsd = {"fused": 1.0, "truth": 1.0, "ms": 4.0, "pan": 1.0}
    paths = [
        write_raster(tmp_path / f"n_{p}.tif", a[p], transform=at(g), **changes)
        for p, g in gsd.items()
    ]
    return paths, a


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    (fused, truth, ms, pan), _ = nan_pair(tmp_path, value)
    option = f"--nodata={value:g}"
    for words in (
        ["evaluate", fused, "--truth", truth, "--peak", PEAK],
        ["assess", ms, pan, fused, "--block", 8],
        ["assess", ms, pan, fused, "--block", 8, "--variant", "toolbox"],
    ):
        ran = command(*words)
        assert ran.exit_code == 1 and "mask=" not in ran.stderr
        assert f"fused: holds {value:g} in pixels that count as valid" in ran.stderr
        assert f"with --nodata {value:g} " in ran.stderr
        assert command(*words, option).exit_code == 0  # the advice helps
    with pytest.raises(DataError, match=r"ms: holds .*nodata=float"):
        bad = np.full((4, 40, 34), value, np.float32)
        assess_files(write_raster(ms, bad, transform=at(4.0)), pan, truth)


def test_all_nodata(tmp_path: Path) -> None:
    files = write(tmp_path)
    empty = tmp_path / "e.tif"
    write_raster(empty, np.zeros((4, 160, 136), np.uint16), transform=at(1.0), nodata=0)
    for words, said in (
        (["evaluate", empty, "--truth", files.truth, "--peak", PEAK], "fused, truth: no pixel"),
        (["assess", files.ms, files.pan, empty], "fused, pan: no pixel is left"),
    ):
        ran = command(*words)
        assert ran.exit_code == 1 and said in ran.stderr and "--nodata" in ran.stderr
        assert "mask:" not in ran.stderr and "smaller window" not in ran.stderr
    none = np.zeros((4, 40, 34), np.uint16)
    write_raster(files.ms, none, transform=at(4.0), nodata=0)
    with pytest.raises(DataError, match="ms: no pixel is left, all are"):
        assess_files(files.ms, files.pan, files.fused)


def test_scattered_pixels_keep_the_words_of_the_index(tmp_path: Path) -> None:
    """Valid numbers, but no window free of nodata: what the index says is right."""
    a = images()
    a["fused"][:, ::4, ::4] = 0
    fused = write_raster(tmp_path / "f.tif", a["fused"], transform=at(1.0), nodata=0)
    truth = write_raster(tmp_path / "t.tif", a["truth"], transform=at(1.0))
    found = compare_files(fused, truth, peak=PEAK)
    assert "rmse" in found and "q2n" not in found
    ran = command("evaluate", fused, "--truth", truth, "--peak", PEAK, "--json", "-")
    (product,) = strict(ran.stdout)["products"]
    assert "free of masked" in product["left_out"]["q2n"]


def test_nodata_is_valid_json(tmp_path: Path) -> None:
    paths, _ = nan_pair(tmp_path)
    words = ["evaluate", paths[0], "--truth", paths[1], "--peak", PEAK, "--nodata", "nan"]
    found = strict(command(*words, "--json", "-").stdout)
    assert found["options"]["nodata"] == found["products"][0]["settings"]["nodata"] == "nan"


def shown(files: list[Path], nodata: float | None = None) -> dict[str, np.ndarray]:
    """Pictures of a product [3, H, W]."""
    fused, truth, ms, pan = map(str, files)
    found = drawn.draw(Product("a", fused, truth, ms, pan), nodata)
    return {p.key: pixels(p.png) for p in found if p.png}


@pytest.mark.parametrize("side", [720, 40])
@pytest.mark.parametrize("nodata", [np.nan, -9999.0])
@pytest.mark.parametrize("stated", [True, False])
def test_previews_leave_out_missing_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, nodata: float, stated: bool
) -> None:
    """The others are shown as if nothing were missing, by a stretch that knows only them."""
    monkeypatch.setattr(drawn, "SIDE", side)
    a = {k: v.astype(np.float32) for k, v in images().items()}
    gsd = {"fused": 1.0, "truth": 1.0, "ms": 4.0, "pan": 1.0}
    change: dict[str, Any] = {"nodata": nodata} if stated else {}

    def make() -> dict[str, np.ndarray]:
        files = [
            write_raster(tmp_path / f"{p}.tif", a[p], transform=at(g), **change)
            for p, g in gsd.items()
        ]
        return shown(files, None if stated else nodata)

    plain = make()
    for part in a:
        rows = np.s_[..., : 4 if part == "ms" else 16, :]  # a tenth
        a[part][rows] = nodata
    found = make()
    assert set(found) == {"fused", "truth", "ms", "pan"}
    for key, picture in found.items():
        top = picture.shape[1] // 10
        assert not picture[:, :top].any(), key
        below = np.s_[:, top + 8 * picture.shape[1] // 160 :]  # beyond what cubic mixes
        gap = np.abs(picture[below].astype(int) - plain[key][below])
        assert gap.max() <= 25, (key, gap.max())  # of 255: the stretch is of fewer pixels
        assert picture[below].std() > 40, key


def test_one_missing_pixel_does_not_empty_the_previews(tmp_path: Path) -> None:
    files, _ = nan_pair(tmp_path, nodata=np.nan)
    picture = shown(files)["fused"]
    assert not picture[:, 100, 70].any() and picture.std() > 40
    words = ["evaluate", files[0], "--truth", files[1], "--peak", PEAK, "--html"]
    ran = command(*words, tmp_path / "x.html")
    assert ran.exit_code == 0 and "invalid value" not in ran.stderr
