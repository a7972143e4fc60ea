"""What ``pantiny evaluate`` measures with, over how much, and what one bad product does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from commands import command
from products import PEAK, at, full, images, write
from scenes import ORIGIN, make_pair, write_raster

from pantiny import metrics as m
from pantiny.errors import (
    CrsError,
    GeotransformError,
    OptionError,
    OverlapError,
    RatioError,
    ShapeError,
)
from pantiny.evaluate import Product, assess_files, compare_files, find_products, measure_product
from pantiny.evaluate import variants as whole


def report(*words: Any, code: int = 0) -> Any:
    """The JSON of a run."""
    ran = command("evaluate", *words, "--json", "-")
    assert ran.exit_code == code, ran.stderr
    return json.loads(ran.stdout)


def half(folder: Path, *, georeferenced: bool = True) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Words for a product of ratio 2, and its arrays."""
    a = images()
    a["ms"] = a["truth"].reshape(4, 80, 2, 68, 2).mean((2, 4)).astype(np.uint16)
    gsd = {"ms": 2.0, "pan": 1.0, "fused": 1.0, "truth": 1.0}
    paths = {
        part: write_raster(
            folder / f"h_{part}.tif",
            a[part],
            transform=at(gsd[part]) if georeferenced else None,
            crs="EPSG:32631" if georeferenced else None,
        )
        for part in a
    }
    words = [paths["fused"], "--truth", paths["truth"], "--peak", PEAK]
    return [*words, "--ms", paths["ms"], "--pan", paths["pan"]], a


@pytest.mark.parametrize("georeferenced", [True, False])
def test_the_ratio_is_that_of_ms_and_pan(tmp_path: Path, georeferenced: bool) -> None:
    words, a = half(tmp_path, georeferenced=georeferenced)
    (product,) = report(*words)["products"]
    assert product["with_truth"]["ergas"] == m.ergas(a["fused"], a["truth"], ratio=2)
    assert product["settings"]["ratio"] == 2 and product["settings"]["ratio_from"] == "MS and PAN"
    assert product["full_resolution"]["r_ergas"] == m.r_ergas(a["fused"], a["ms"])
    assert report(*words, "--ratio", 2)["products"][0]["with_truth"] == product["with_truth"]
    wrong = command("evaluate", *words, "--ratio", 4)
    assert wrong.exit_code == 1 and "got 4, but MS and PAN give 2" in wrong.stderr
    fused, ms, pan = (str(words[i]) for i in (0, 6, 8))
    with pytest.raises(RatioError, match="MS and PAN give 2"):
        measure_product(Product("a", fused, None, ms, pan, ratio=4))


def test_without_geotransforms_sizes_must_fit(tmp_path: Path) -> None:
    words, a = half(tmp_path, georeferenced=False)
    fused, ms, pan = (str(words[i]) for i in (0, 6, 8))
    write_raster(pan, a["pan"][:159], transform=None, crs=None)
    with pytest.raises(ShapeError, match="160x136 and 159x136 pixels and no geotransform"):
        assess_files(ms, pan, fused)
    write_raster(fused, a["fused"][:, :159], transform=None, crs=None)
    with pytest.raises(ShapeError, match="need 2 times as many"):
        assess_files(ms, pan, fused)


def test_no_ratio_is_no_ergas(tmp_path: Path) -> None:
    files = write(tmp_path)
    a = files.arrays
    words = [files.fused, "--truth", files.truth, "--peak", PEAK]
    (product,) = report(*words)["products"]
    assert "ergas" not in product["with_truth"] and "--ratio" in product["left_out"]["ergas"]
    assert "ratio" not in product["settings"]
    text = command("evaluate", *words).stdout
    (line,) = (x for x in text.splitlines() if x.startswith("ERGAS"))
    assert line.split()[1] == "-" and "give --ratio, or --ms and --pan" in line
    limit = command("evaluate", *words, "--max-ergas", 100)
    assert limit.exit_code == 3 and "ergas was not computed (ERGAS needs the ratio" in limit.stderr
    (product,) = report(*words, "--ratio", 3)["products"]
    assert product["with_truth"]["ergas"] == m.ergas(a["fused"], a["truth"], ratio=3)
    for bad in ("0", "nan", "-4", "inf"):
        assert command("evaluate", *words, "--ratio", bad).exit_code == 2
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"fused,truth,ratio\n{files.fused},{files.truth},2\n")
    (product,) = report(manifest, "--peak", PEAK, "--ratio", 3)["products"]
    assert product["with_truth"]["ergas"] == m.ergas(a["fused"], a["truth"], ratio=2)


def test_no_peak_is_no_psnr_and_no_ssim(tmp_path: Path) -> None:
    files = write(tmp_path)
    (product,) = report(files.fused, "--truth", files.truth)["products"]
    known = compare_files(files.fused, files.truth, peak=PEAK)
    assert set(known) - set(product["with_truth"]) == {"psnr", "ssim"}
    assert product["with_truth"] == {k: v for k, v in known.items() if k not in ("psnr", "ssim")}
    assert "--peak" in product["left_out"]["psnr"] and "--peak" in product["left_out"]["ssim"]


@pytest.mark.parametrize(
    ("bits", "words", "peak", "source"),
    [
        ("11", [], 2047, "tag PANTINY_BITS"),
        ("12", ["--sensor", "WV2"], 4095, "tag PANTINY_BITS"),
        ("12", ["--peak", "1000"], 1000, "the option"),
        ("not stated", ["--sensor", "WV2"], 2047, "the sensor"),
        ("99", [], None, None),
        ("9" * 5000, [], None, None),
        ("-3", [], None, None),
    ],
)
def test_the_peak_of_the_tag(
    tmp_path: Path, bits: str, words: list[str], peak: float | None, source: str | None
) -> None:
    files = write(tmp_path)
    with rasterio.open(files.fused, "r+") as dataset:
        dataset.update_tags(PANTINY_BITS=bits)
    (product,) = report(files.fused, "--truth", files.truth, *words)["products"]
    settings = product["settings"]
    assert (settings.get("peak"), settings.get("peak_from")) == (peak, source)
    f, t = files.arrays["fused"], files.arrays["truth"]
    expected = None if peak is None else m.psnr(f, t, peak=peak)
    assert product["with_truth"].get("psnr") == expected


def test_gains(tmp_path: Path) -> None:
    files = write(tmp_path)
    gains = (0.34, 0.32, 0.3, 0.22)
    words = ["--gains", "0.34,0.32,0.3,0.22"]
    expected = m.r_ergas(files.arrays["fused"], files.arrays["ms"], gains=gains)
    assert expected != m.r_ergas(files.arrays["fused"], files.arrays["ms"])
    for ran in (
        command("assess", files.ms, files.pan, files.fused, *words, "--json", "-"),
        command("evaluate", files.fused, "--ms", files.ms, "--pan", files.pan, *words, "--json",
                "-"),
    ):  # fmt: skip
        (product,) = json.loads(ran.stdout)["products"]
        assert product["full_resolution"]["r_ergas"] == expected
        assert product["settings"]["gains"] == list(gains)
    few = command("assess", files.ms, files.pan, files.fused, "--gains", "0.3")
    assert few.exit_code == 1 and "got 1 for 4 bands" in few.stderr


def test_an_empty_product_is_not_perfect(tmp_path: Path) -> None:
    """Nodata over most of the truth: the indices see what is left, the coverage says how much."""
    a = images()
    a["fused"] = a["truth"].copy()
    a["fused"][:, 32:] = 0
    a["truth"][:, :, :6] = 0
    fused = write_raster(tmp_path / "f.tif", a["fused"], transform=at(1.0), nodata=0)
    truth = write_raster(tmp_path / "t.tif", a["truth"], transform=at(1.0), nodata=0)
    words = ["evaluate", fused, "--truth", truth, "--peak", PEAK]
    ran = command(*words)
    assert ran.exit_code == 0 and "warning" in ran.stderr and "lacks 80.0 %" in ran.stderr
    assert f"coverage 0.2000: {32 * 130} of {160 * 130} valid pixels of truth" in ran.stdout
    coverage = report(*words[1:])["products"][0]["coverage"]
    assert coverage == {
        "against": "truth", "share": 0.2, "lacking_share": 0.8, "needed_pixels": 160 * 130,
        "covered_pixels": 32 * 130, "product_pixels": 160 * 136, "product_valid_pixels": 32 * 136,
    }  # fmt: skip
    assert command(*words, "--min-coverage", 0.2).exit_code == 0
    missed = command(*words, "--min-coverage", 0.21, "--min-psnr", 1)
    assert missed.exit_code == 3 and "coverage is 0.2; need at least 0.21" in missed.stderr
    assert command(*words, "--min-coverage", 2).exit_code == 2
    page = tmp_path / "page.html"
    assert command(*words, "--html", page).exit_code == 0
    assert "Coverage 0.2000" in page.read_text()


def test_coverage_against_pan_where_ms_lies_under_it(tmp_path: Path) -> None:
    files = write(tmp_path)
    a = files.arrays
    whole_one = command("assess", files.ms, files.pan, files.fused)
    assert "coverage 1.0000" in whole_one.stdout and "warning" not in whole_one.stderr
    part = write_raster(tmp_path / "part.tif", a["fused"][:, 40:], transform=at(1.0, y=40.0))
    ran = command("assess", files.ms, files.pan, part, "--min-coverage", 0.8)
    assert ran.exit_code == 3 and "coverage is 0.75" in ran.stderr and "warning" in ran.stderr
    # MS has no rows there: no product could have them
    write_raster(files.ms, a["ms"][:, 10:], transform=at(4.0, y=40.0))
    ran = command("assess", files.ms, files.pan, part, "--min-coverage", 1)
    assert ran.exit_code == 0 and "warning" not in ran.stderr


def test_one_lattice_is_enough(tmp_path: Path) -> None:
    """A product that starts inside the truth and ends beyond it is measured where both lie."""
    a = images()
    fused, truth = a["fused"][:, 10:, 7:], a["truth"][:, :150]
    f = write_raster(tmp_path / "f.tif", fused, transform=at(1.0, x=7.0, y=10.0))
    t = write_raster(tmp_path / "t.tif", truth, transform=at(1.0))
    cut_f, cut_t = a["fused"][:, 10:150, 7:], a["truth"][:, 10:150, 7:]
    found = compare_files(f, t, peak=PEAK, ratio=4)
    assert found["psnr"] == m.psnr(cut_f, cut_t, peak=PEAK) and found["q2n"] == m.q2n(cut_f, cut_t)
    ran = command("evaluate", f, "--truth", t, "--peak", PEAK)
    assert "measured in the 140 x 129 that both have" in ran.stderr
    (product,) = report(f, "--truth", t)["products"]
    assert product["coverage"]["share"] == 140 * 129 / (150 * 136)
    assert product["settings"]["rows_with_truth"] == 140
    away = write_raster(tmp_path / "a.tif", fused, transform=at(1.0, x=500.0))
    with pytest.raises(OverlapError, match="no common pixel"):
        compare_files(away, t)
    for transform in (at(1.0, x=7.4), at(1.01)):
        off = write_raster(tmp_path / "o.tif", fused, transform=transform)
        with pytest.raises(ShapeError, match="not of one lattice"):
            compare_files(off, t)
    elsewhere = write_raster(tmp_path / "c.tif", fused, transform=at(1.0), crs="EPSG:32632")
    with pytest.raises(CrsError, match="need one"):
        compare_files(elsewhere, t)
    turned = rasterio.Affine(0, 1.0, ORIGIN[0], -1.0, 0, ORIGIN[1])
    square = write_raster(tmp_path / "s.tif", truth[:, :136], transform=at(1.0))
    rotated = write_raster(tmp_path / "r.tif", truth[:, :136], transform=turned)
    with pytest.raises(GeotransformError, match="apart"):
        compare_files(rotated, square)
    plain = [
        write_raster(tmp_path / f"{n}.tif", x, transform=None, crs=None)
        for n, x in (("pf", fused), ("pt", truth))
    ]
    with pytest.raises(ShapeError, match=r"150x129 and 150x136 pixels and no geotransform"):
        compare_files(*plain)


def test_the_documented_chain_with_an_odd_size(tmp_path: Path) -> None:
    """degrade, fuse, evaluate: MS of 150 x 150, which 4 does not divide."""
    ms, pan = make_pair(tmp_path, height=600, width=600)
    low, fused = [tmp_path / f"{n}_low.tif" for n in ("ms", "pan")], tmp_path / "fused.tif"
    assert command("degrade", ms, pan, *low, "--sensor", "WV2").exit_code == 0
    words = ["fuse", *low, fused, "--sensor", "WV2", "--method", "gsa"]
    assert command(*words).exit_code == 0
    ran = command("evaluate", fused, "--truth", ms)
    assert ran.exit_code == 0 and "warning" not in ran.stderr  # a border, no more
    (product,) = report(fused, "--truth", ms, "--ms", low[0], "--pan", low[1])["products"]
    assert product["coverage"]["share"] == 148**2 / 150**2
    (alone,) = report(fused, "--truth", ms)["products"]
    assert alone["settings"]["ratio_from"] == "tag PANTINY_RATIO"  # the product's own
    assert alone["settings"]["peak_from"] == "tag PANTINY_BITS"
    assert alone["with_truth"] == product["with_truth"] and "ergas" in alone["with_truth"]
    assert command("evaluate", fused, "--truth", ms, "--ratio", 2).exit_code == 0  # tags can be old


def test_a_bad_product_does_not_stop_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    good, bad = write(folder, "good"), write(folder, "bad")
    bad.fused.write_bytes(bad.fused.read_bytes()[:2000])
    write_raster(folder / "lone_fused.tif", good.arrays["fused"], transform=at(1.0))
    page, words = tmp_path / "page.html", [folder, "--sensor", "WV2"]
    ran = command("evaluate", *words, "--html", page)
    assert ran.exit_code == 1 and f"bad ({bad.fused})" in ran.stderr
    assert "2 of 3 products not measured" in ran.stderr
    assert f"not measured: bad ({bad.fused}): " in ran.stdout and "mean of 1 of 3" in ran.stdout
    assert "not measured: lone" in ran.stdout and "nothing to measure it against" in ran.stdout
    assert "Not measured: bad" in page.read_text()
    found = report(*words, "--min-qnr", 1, code=1)  # broken outweighs missed
    states = {p["name"]: p for p in found["products"]}
    assert states["good"]["full_resolution"] == full(good.arrays)
    assert str(bad.fused) in states["bad"]["error"] and "with_truth" not in states["bad"]
    assert found["summary"]["failed"] == ["bad", "lone"] and found["summary"]["measured"] == 1
    for option, value in (("--sensor", "WV9"), ("--peak", -1), ("--ratio", 0)):  # wrong for all
        ran = command("evaluate", folder, option, value)
        assert ran.exit_code == 2 and not ran.stdout and "not measured" not in ran.stderr
    write_raster(folder / "good_fused.tiff", good.arrays["fused"], transform=at(1.0))
    assert [p.name for p in find_products(folder)] == ["bad", "good", "good_fused.tiff", "lone"]
    alone = command("evaluate", bad.fused, "--truth", bad.truth)
    assert alone.exit_code == 1 and "error: fused" in alone.stderr and not alone.stdout


def test_rows_settings_and_summary_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    one, two = write(folder, "one"), write(folder, "two")
    better = (one.arrays["truth"] // 2 + one.arrays["fused"] // 2).astype(np.uint16)
    write_raster(two.fused, better, transform=at(1.0))
    for path in (two.ms, two.pan):
        path.unlink()
    lines = command("evaluate", folder, "--peak", PEAK).stdout.splitlines()
    table = lines[: lines.index("")]
    values = {n: compare_files(x.fused, x.truth, peak=PEAK) for n, x in zip("ab", (one, two))}
    rows = {line.split()[0]: line.split() for line in table[1:]}
    assert table[1].split()[:4] == ["product", "coverage", "PSNR", "dB"]
    assert rows["one"][2:4] == [f"{values['a']['psnr']:.2f}", f"{values['a']['rmse']:.3f}"]
    assert rows["two"][2:4] == [f"{values['b']['psnr']:.2f}", f"{values['b']['rmse']:.3f}"]
    found = report(folder, "--peak", PEAK)
    settings = found["products"][0]["settings"]
    assert settings["fused"] == str(one.fused) and settings["ms"] == str(one.ms)
    assert (settings["sensor"], settings["ratio"], settings["peak"]) == ("unknown", 4, PEAK)
    assert settings["gains"] == [0.3] * 4 and settings["window"] == settings["block"] == 32
    assert "gains" not in found["products"][1]["settings"]
    both = [values[n]["rmse"] for n in "ab"]
    assert found["summary"]["with_truth"]["rmse"] == {
        "mean": sum(both) / 2, "worst": max(both), "worst_product": "one", "products": 2
    }  # fmt: skip
    assert found["summary"]["with_truth"]["ergas"]["products"] == 1  # two says no ratio
    assert found["summary"]["full_resolution"]["qnr"]["products"] == 1
    assert found["summary"]["coverage"]["mean"] == 1


@pytest.mark.parametrize("variant", ["toolbox", "pantiny", "torchmetrics"])
def test_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    files = write(tmp_path)
    a = files.arrays
    words = ["assess", files.ms, files.pan, files.fused, "--variant", variant, "--sensor", "WV2"]
    (product,) = json.loads(command(*words, "--json", "-").stdout)["products"]
    found, plain = product["full_resolution"], full(a)
    options: Any = {"variant": variant, "sensor": "WV2"}
    assert found["d_lambda"] == m.d_lambda(a["fused"], a["ms"], variant=variant)
    assert found["d_s"] == m.d_s(a["fused"], a["ms"], a["pan"], **options) != plain["d_s"]
    assert found["qnr"] == m.qnr(a["fused"], a["ms"], a["pan"], **options)
    assert found["hqnr"] == m.hqnr(a["fused"], a["ms"], a["pan"], **options)
    assert {k: found[k] for k in ("r_sam", "d_rho")} == {k: plain[k] for k in ("r_sam", "d_rho")}
    assert product["settings"]["variant"] == variant
    monkeypatch.setattr(whole, "MAX_SAMPLES", 1000)
    with pytest.raises(OptionError, match="does not stream"):
        assess_files(files.ms, files.pan, files.fused, variant=variant)


def test_variants_and_missing_pixels(tmp_path: Path) -> None:
    files = write(tmp_path)
    a = files.arrays
    a["ms"][:, :10, :6] = 0
    write_raster(files.ms, a["ms"], transform=at(4.0), nodata=0)
    mask = np.ones(a["pan"].shape, bool)
    mask[:40, :24] = False
    found = assess_files(files.ms, files.pan, files.fused, variant="toolbox")
    expected = m.d_lambda(a["fused"], a["ms"], variant="toolbox", mask=mask)
    assert found["d_lambda"] == expected
    assert expected != m.d_lambda(a["fused"], a["ms"], variant="toolbox")
    for path, array in ((files.pan, a["pan"]), (files.fused, a["fused"])):
        write_raster(path, array, transform=at(1.0, x=0.5))
    with pytest.raises(OptionError, match="shared corners"):
        assess_files(files.ms, files.pan, files.fused, variant="toolbox")
