"""The page of ``pantiny evaluate --html``: self-contained, escaped, one scale of the maps."""

from __future__ import annotations

import base64
import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from commands import command
from products import at, full, images, write
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from scenes import write_raster

from pantiny.evaluate import Product
from pantiny.evaluate import pictures as drawn
from pantiny.evaluate.indices import INDICES


class _Page(HTMLParser):
    """Ids and sources of images, and whether every tag that must be closed is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img" and found.get("id"):
            self.sources[str(found["id"])] = str(found["src"])
        if tag in ("div", "section", "table", "figure", "select", "style", "script", "footer"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def pixels(png: bytes) -> np.ndarray:
    """[K, H, W] of a PNG file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(png) as memory, memory.open() as dataset:
            return np.asarray(dataset.read())


def decoded(source: str) -> np.ndarray:
    """[K, H, W] of a picture in the page."""
    head, _, data = source.partition(",")
    assert head == "data:image/png;base64"
    return pixels(base64.b64decode(data))


def test_the_page_needs_nothing_else_and_shows_the_values(tmp_path: Path) -> None:
    folder = tmp_path / "products"
    folder.mkdir()
    files = write(folder, "<b>&x")
    page = tmp_path / "page.html"
    words = ["evaluate", folder, "--sensor", "WV2", "--html", page]
    assert command(*words).exit_code == 0
    text = page.read_text()
    assert not re.search(r"(src|href)=['\"]?(?!data:)[a-z/]|https?:|@import|url\(", text)
    assert "<b>&x" not in text and "&lt;b&gt;&amp;x" in text
    for key, value in full(files.arrays).items():
        assert f">{INDICES[key].text(value)}</td>" in text
    found = _Page(text)
    assert not found.open
    assert [k.partition("-")[2] for k in found.sources] == [
        "ms", "fused", "pan", "truth", "error", "consistency"
    ]  # fmt: skip
    pictures = {k.partition("-")[2]: decoded(v) for k, v in found.sources.items()}
    assert {p.shape[1:] for k, p in pictures.items() if k != "consistency"} == {(160, 136)}
    assert pictures["consistency"].shape[1:] == (40, 34)
    # the map is brightest where the error is
    error = np.abs(files.arrays["fused"].astype(float) - files.arrays["truth"]).mean(axis=0)
    shown = pictures["error"][0].astype(float)
    assert np.corrcoef(shown.ravel(), error.ravel())[0, 1] > 0.9
    assert command(*words).exit_code == 1  # it is there already


def test_previews_are_small_and_nodata_is_clear(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(drawn, "SIDE", 50)
    a = images()
    a["fused"][:, :40, :24] = 0
    fused = write_raster(tmp_path / "f.tif", a["fused"], transform=at(1.0), nodata=0)
    truth = write_raster(tmp_path / "t.tif", a["truth"], transform=at(1.0))
    ms = write_raster(tmp_path / "m.tif", a["ms"], transform=at(4.0))
    pan = write_raster(tmp_path / "p.tif", a["pan"], transform=at(1.0))
    product = Product("a", str(fused), str(truth), str(ms), str(pan))
    shown = drawn.on_one_scale({"a": drawn.draw(product)})["a"]
    made = {p.key: p for p in shown}
    (codes,) = pixels(made["error"].png)
    assert codes.shape == (40, 34)
    assert (codes[:10, :6] == 255).all() and (codes[11:, 7:] < 255).all()
    (codes,) = pixels(made["consistency"].png)
    assert codes[2, 2] == 255 and codes[30, 30] < 255


def maps_of(text: str, key: str) -> list[np.ndarray]:
    """Codes of the maps of a kind, in the order of the products."""
    return [
        decoded(v)[0].astype(float)
        for k, v in _Page(text).sources.items()
        if k.partition("-")[2] == key
    ]


def test_maps_of_a_page_share_one_scale(tmp_path: Path) -> None:
    """A product with a tenth of the error is ten times darker, and the page says what light is."""
    folder = tmp_path / "products"
    folder.mkdir()
    rough = write(folder, "rough")
    fine = write(folder, "smooth")
    error = rough.arrays["fused"].astype(int) - rough.arrays["truth"]
    better = np.clip(rough.arrays["truth"] + error // 10, 0, 2047).astype(np.uint16)
    write_raster(fine.fused, better, transform=at(1.0))
    page = tmp_path / "page.html"
    assert command("evaluate", folder, "--sensor", "WV2", "--html", page).exit_code == 0
    text = page.read_text()
    rough_map, fine_map = maps_of(text, "error")
    assert fine_map.mean() < 0.2 * rough_map.mean()
    for key in ("error", "consistency"):
        captions = re.findall(rf"id=p\d-{key} .*?</figcaption>", text)
        tops = [re.findall(r"0 DN <img src='data:.*?> ([^ ]+) DN and more", c) for c in captions]
        assert len(tops) == 2 and tops[0] == tops[1] and float(tops[0][0]) > 0
    top = np.percentile(np.abs(error).mean(axis=0), 99)
    assert f"> {top:.3g} DN and more" in text


def test_names_and_paths_are_text(tmp_path: Path) -> None:
    """A script in a file's name, a manifest's name, an option or an error stays text."""
    evil = "<script>alert(1)<!--"
    folder = tmp_path / f"{evil}folder"
    folder.mkdir()
    files = write(folder, evil)
    (folder / f"{evil}bad_fused.tif").write_bytes(b"<script>no raster")
    rows = [
        {"name": "</h2></script><script>x()", "fused": files.fused.name, "truth": files.truth.name},
        {"name": "'\"><img src=x onerror=x()>\x1b[31m\n", "fused": files.fused.name,
         "truth": "<script>missing.tif", "sensor": "<script>"},
    ]  # fmt: skip
    manifest = folder / "list.json"
    manifest.write_text(json.dumps(rows))
    for what in (folder, manifest):
        page = tmp_path / "page.html"
        ran = command("evaluate", what, "--html", page, "--overwrite")
        assert ran.exit_code == 1  # of the two, one cannot be measured
        text = page.read_text()
        assert text.count("<script>") == 1 and "<img src=x" not in text and "<!--" not in text
        assert "&lt;script&gt;" in text and not _Page(text).open
        assert "\x1b" not in ran.stdout + ran.stderr


def test_a_product_of_a_part_is_drawn_where_it_lies(tmp_path: Path) -> None:
    a = images()
    fused = write_raster(tmp_path / "f.tif", a["fused"], transform=at(1.0))
    part = a["truth"][:, 20:120, 40:]
    truth = write_raster(tmp_path / "t.tif", part, transform=at(1.0, x=40.0, y=20.0))
    product = Product("a", str(fused), str(truth))
    (drawn_map,) = [p.values for p in drawn.draw(product) if p.key == "error"]
    assert drawn_map is not None and drawn_map.shape == (160, 136)
    inside = np.zeros(drawn_map.shape, bool)
    inside[20:120, 40:] = True
    assert np.array_equal(np.isfinite(drawn_map), inside)
    error = np.abs(a["fused"].astype(float) - a["truth"]).mean(axis=0)
    assert np.array_equal(drawn_map[inside], error[inside].astype(np.float32))
