"""``pantiny evaluate`` and ``pantiny assess``: values, gates, folders, manifests, bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from commands import command
from products import PEAK, at, full, images, write
from scenes import write_raster

from pantiny import metrics as m
from pantiny.errors import GeotransformError, ManifestError, OptionError, ShapeError
from pantiny.evaluate import Product, assess_files, compare_files, find_products
from pantiny.evaluate import images as pieces
from pantiny.evaluate.indices import INDICES


@pytest.mark.parametrize("piece", [1 << 24, 20_000])
def test_files_give_the_bits_of_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece)
    files = write(tmp_path)
    a = files.arrays
    assert assess_files(files.ms, files.pan, files.fused, sensor="WV2") == full(a)
    found = compare_files(files.fused, files.truth, ratio=4, sensor="WV2")
    f, t = a["fused"], a["truth"]
    assert found == {
        "psnr": m.psnr(f, t, peak=PEAK), "rmse": m.rmse(f, t), "cc": m.cc(f, t), "sam": m.sam(f, t),
        "ergas": m.ergas(f, t, ratio=4), "scc": m.scc(f, t), "uqi": m.uqi(f, t),
        "ssim": m.ssim(f, t, peak=PEAK), "q2n": m.q2n(f, t),
    }  # fmt: skip


def test_nodata_is_left_out(tmp_path: Path) -> None:
    a = images()
    mask = np.ones(a["pan"].shape, bool)
    mask[:40, :24] = False
    a["fused"][:, ~mask] = 0
    pan = write_raster(tmp_path / "pan.tif", a["pan"], transform=at(1.0))
    ms = write_raster(tmp_path / "ms.tif", a["ms"], transform=at(4.0))
    fused = write_raster(tmp_path / "fused.tif", a["fused"], transform=at(1.0), nodata=0)
    found = assess_files(ms, pan, fused, sensor="WV2")
    expected = full(a, mask=mask)
    assert found == expected != full(a)


def test_a_product_that_covers_a_part_is_measured_there(tmp_path: Path) -> None:
    """PAN goes on beyond the product, MS too, and the product starts within an MS pixel."""
    files = write(tmp_path)
    a = files.arrays
    part = write_raster(
        tmp_path / "part.tif", a["fused"][:, 3:150, 6:130], transform=at(1.0, x=6.0, y=3.0)
    )
    found = assess_files(files.ms, files.pan, part, sensor="WV2")
    rows, cols = slice(4, 148), slice(8, 128)  # whole MS pixels
    cut = {
        "fused": a["fused"][:, rows, cols],
        "pan": a["pan"][rows, cols],
        "ms": a["ms"][:, 1:37, 2:32],
    }
    assert found == full(cut)


def test_the_phase_between_the_grids_counts(tmp_path: Path) -> None:
    """A product and PAN half a pixel off MS, as Landsat's: the grids are paired as they lie."""
    files = write(tmp_path)
    a = files.arrays
    for part in ("pan", "fused"):
        write_raster(tmp_path / f"{part}.tif", a[part], transform=at(1.0, x=0.5, y=-0.25))
    found = assess_files(files.ms, tmp_path / "pan.tif", tmp_path / "fused.tif", sensor="WV2")
    # the centre of MS pixel i lies at row 4 i + 1.75 and column 4 i + 1 of the product
    expected = m.r_sam(a["fused"], a["ms"], sensor="WV2", phase=(1.75, 1.0))
    assert found["r_sam"] == expected
    assert abs(expected - m.r_sam(a["fused"], a["ms"], sensor="WV2")) > 1e-3


def test_the_table_and_the_json(tmp_path: Path) -> None:
    files = write(tmp_path)
    expected = full(files.arrays)
    ran = command("assess", files.ms, files.pan, files.fused, "--sensor", "WV2")
    assert ran.exit_code == 0, ran.stderr
    for key, value in expected.items():
        (line,) = (x for x in ran.stdout.splitlines() if x.split()[:1] == [INDICES[key].label])
        assert INDICES[key].text(value) in line
        assert ("higher" if INDICES[key].higher else "lower") in line
    ran = command("assess", files.ms, files.pan, files.fused, "--sensor", "WV2", "--json", "-")
    (product,) = json.loads(ran.stdout)["products"]
    assert product["full_resolution"] == expected
    target = tmp_path / "out.json"
    words = ["evaluate", files.fused, "--truth", files.fused, "--peak", 2047, "--json", target]
    assert command(*words).exit_code == 0
    assert json.loads(target.read_text())["products"][0]["with_truth"]["psnr"] == "inf"
    again = command(*words)
    assert again.exit_code == 1 and "--overwrite" in again.stderr
    assert command(*words, "--overwrite").exit_code == 0


def test_a_missed_limit_is_exit_code_3(tmp_path: Path) -> None:
    files = write(tmp_path)
    words = ["assess", files.ms, files.pan, files.fused]
    value = assess_files(*words[1:])["d_s"]
    assert command(*words, "--max-d-s", value).exit_code == 0
    missed = command(*words, "--max-d-s", value / 2, "--min-qnr", 0.0)
    assert missed.exit_code == 3 and "d_s is" in missed.stderr and "qnr" not in missed.stderr
    truth = ["evaluate", files.fused, "--truth", files.truth, "--peak", 2047]
    assert command(*truth, "--min-psnr", 99).exit_code == 3
    assert command(*truth, "--min-qnr", 0).exit_code == 3  # not computed: not passed


def test_folders_and_manifests(tmp_path: Path) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    one, two = write(folder, "one"), write(folder, "two")
    two.truth.unlink()
    found = find_products(folder)
    assert [p.name for p in found] == ["one", "two"]
    assert found[0].truth == str(one.truth) and found[1].truth is None
    ran = command("evaluate", folder, "--sensor", "WV2", "--json", "-")
    products = json.loads(ran.stdout)["products"]
    assert ["with_truth" in p for p in products] == [True, False]
    assert products[0]["full_resolution"] == full(one.arrays)
    table = command("evaluate", folder, "--sensor", "WV2").stdout
    of_truth, _, of_pan = table.partition("Without truth")
    assert "mean of 1 of 2" in of_truth and "mean of 2" in of_pan
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "name,fused,truth,sensor\nmine,products/one_fused.tif,products/one_truth.tif,WV2\n"
    )
    ran = command("evaluate", manifest, "--json", "-")
    (product,) = json.loads(ran.stdout)["products"]
    assert product["name"] == "mine"
    assert product["with_truth"] == compare_files(one.fused, one.truth, sensor="WV2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no product"),
        ("name,fused\n", "names no product"),
        ("name,truth\na,b.tif\n", "row 1: no fused image"),
        ("fused,trooth\na.tif,b.tif\n", "unknown column 'trooth'"),
        ("fused,truth\na.tif,b.tif,c.tif\n", "unknown column"),
        ("fused,truth\na.tif,b.tif\nx/a.tif,c.tif\n", "names a more than once"),
        ("fused,truth,ratio\na.tif,b.tif,four\n", "row 1: ratio is 'four'"),
        ("fused,truth,ratio\na.tif,b.tif,-2\n", "row 1: ratio is '-2'"),
    ],
)
def test_manifests_that_cannot_be_understood(tmp_path: Path, text: str, said: str) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(text)
    with pytest.raises(ManifestError, match=said):
        find_products(manifest)


def test_other_bad_input(tmp_path: Path) -> None:
    files = write(tmp_path)
    swapped = command("assess", files.pan, files.ms, files.fused)
    assert swapped.exit_code == 1 and "MS, PAN, FUSED in this order" in swapped.stderr
    assert command("assess", files.ms, files.pan).exit_code == 2
    missing = command("assess", files.ms, files.pan, tmp_path / "none.tif")
    assert missing.exit_code == 1 and "does not exist" in missing.stderr
    with pytest.raises(OptionError, match="peak"):
        compare_files(files.fused, files.truth, peak=-1)
    with pytest.raises(OptionError, match="window: 30 pixels"):
        assess_files(files.ms, files.pan, files.fused, window=30)
    with pytest.raises(ShapeError, match="bands"):
        assess_files(files.ms, files.pan, files.pan)
    with pytest.raises(ShapeError, match="need one grid"):
        compare_files(files.fused, files.ms, peak=PEAK)
    away = write_raster(tmp_path / "away.tif", files.arrays["fused"], transform=at(1.0, x=0.3))
    with pytest.raises(GeotransformError, match="not on PAN's grid"):
        assess_files(files.ms, files.pan, away)
    with pytest.raises(GeotransformError, match="apart"):
        compare_files(away, files.truth, peak=PEAK)
    coarse = write_raster(tmp_path / "coarse.tif", files.arrays["fused"], transform=at(1.01))
    with pytest.raises(GeotransformError, match="apart"):  # one corner, other pixels
        compare_files(coarse, files.truth, peak=PEAK)
    with pytest.raises(OptionError, match="nothing to measure"):
        Product("a", str(files.fused)).check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"NAME_fused\.tif"):
        find_products(tmp_path / "empty")
    alone = command("evaluate", files.fused, "--ms", files.ms, "--truth", files.truth)
    assert alone.exit_code == 2 and "has ms alone" in alone.stderr
    typed = command("evaluate", tmp_path / "list.cvs")
    assert typed.exit_code == 1 and "list.cvs does not exist" in typed.stderr
    assert ".csv or .json" in typed.stderr
    single = command("evaluate", files.fused)
    assert single.exit_code == 2 and ".csv or .json" in single.stderr
    with rasterio.open(files.fused, "r+") as dataset:
        dataset.write(np.zeros((4, 160, 136), np.uint16))
        dataset.nodata = 0
    nothing = command("evaluate", files.fused, "--truth", files.truth, "--peak", 2047)
    assert nothing.exit_code == 1 and "no pixel is left" in nothing.stderr


def test_limits_know_their_direction() -> None:
    assert INDICES["qnr"].misses(0.8, 0.9) and not INDICES["qnr"].misses(0.9, 0.9)
    assert INDICES["d_s"].misses(0.2, 0.1) and not INDICES["d_s"].misses(0.1, 0.1)
    assert INDICES["d_s"].misses(math.nan, 1.0) and INDICES["qnr"].misses(math.nan, 0.0)
