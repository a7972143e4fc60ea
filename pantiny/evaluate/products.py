"""Which files belong together: one product, a folder by its names, or a manifest."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ManifestError, OptionError
from ..paths import is_local

PARTS = ("fused", "truth", "ms", "pan")
SUFFIXES = (".tif", ".tiff", ".vrt")


@dataclass(frozen=True)
class Product:
    """One fused image and what it is measured against.

    Attributes
    ----------
    name, fused : str
    truth : str or None
    ms, pan : str or None
        Both or neither; ms may be a list of files.
    sensor : str or None
    ratio : float or None
        PAN pixels per MS pixel, where MS and PAN do not say it.
    """

    name: str
    fused: str
    truth: str | None = None
    ms: str | list[str] | None = None
    pan: str | None = None
    sensor: str | None = None
    ratio: float | None = None

    def check(self) -> Product:
        """Itself.

        Raises
        ------
        OptionError
            If there is nothing to measure it against.
        """
        if (self.ms is None) != (self.pan is None):
            raise OptionError(
                f"product: has {'ms' if self.ms else 'pan'} alone; need both or neither; give "
                "the other one too"
            )
        if self.truth is None and self.ms is None:
            raise OptionError(
                "product: nothing to measure it against; need the truth, or MS and PAN, or all; "
                "give --truth, or --ms and --pan; a manifest's name ends in .csv or .json"
            )
        return self


def _from_row(row: Mapping[str, Any], where: str, folder: Path) -> Product:
    known = [f.name for f in fields(Product)]
    unknown = sorted(set(map(str, row)) - set(known))
    if unknown:
        raise ManifestError(
            f"{where}: unknown column {', '.join(map(repr, unknown))}; need some of "
            f"{', '.join(known)}; rename or remove it"
        )
    values: dict[str, Any] = {
        k: v if isinstance(v, list) else str(v).strip()
        for k, v in row.items()
        if v is not None and str(v).strip()
    }
    if "fused" not in values:
        raise ManifestError(f"{where}: no fused image; need the column 'fused'; fill it in")
    for key, value in values.items():
        if isinstance(value, list) and (key != "ms" or not all(isinstance(v, str) for v in value)):
            raise ManifestError(f"{where}: {key} is {value}; need a text; only ms may be a list")
        if key in PARTS:  # relative to the manifest
            several = [_beside(folder, v) for v in (value if isinstance(value, list) else [value])]
            values[key] = several if isinstance(value, list) else several[0]
    if "ratio" in values:
        values["ratio"] = _number(values["ratio"], where)
    values.setdefault("name", Path(values["fused"]).stem)
    return Product(**values)


def _once(pairs: Sequence[tuple[str, Any]], path: Path) -> dict[str, Any]:
    """Columns and their values, each column once."""
    columns = [column for column, _ in pairs]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ManifestError(
            f"manifest: {path} has {', '.join(map(repr, twice))} more than once in a row; need "
            "each column once; rename or remove one"
        )
    return dict(pairs)


def _beside(folder: Path, path: str) -> str:
    return os.path.join(folder, path) if is_local(path) else path


def _number(text: str, where: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = math.nan
    if not 1 <= ratio < math.inf:
        raise ManifestError(
            f"{where}: ratio is {text!r}; need PAN pixels per MS pixel, e.g. 4; correct it, or "
            "leave it empty"
        )
    return ratio


def _from_manifest(path: Path) -> list[Product]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            rows = json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, path))
        else:
            lines = text.splitlines()
            _once([(column, None) for column in next(csv.reader(lines), [])], path)
            rows = list(csv.DictReader(lines, restkey="more cells than columns"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error, RecursionError) as error:
        raise ManifestError(
            f"manifest: {path} cannot be read ({error}); need CSV with a header line, or JSON: a "
            "list of objects"
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ManifestError(f"manifest: {path} is not a list of objects; need one per product")
    if not rows:
        raise ManifestError(f"manifest: {path} names no product; need one row or more")
    found = [_from_row(row, f"{path.name}, row {i}", path.parent) for i, row in enumerate(rows, 1)]
    names = [product.name for product in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(
            f"manifest: {path} names {', '.join(twice)} more than once; need a name per product; "
            "fill in the column 'name'"
        )
    return found


def _only(files: Sequence[Path], stem: str) -> str | None:
    """The file of that name, whatever its suffix."""
    having = [f for f in files if f.stem == stem]
    if len(having) > 1:
        raise ManifestError(
            f"folder: {having[0].parent} holds {' and '.join(f.name for f in having)}; need one of "
            "them; move the others away, or write a manifest"
        )
    return str(having[0]) if having else None


def _from_folder(folder: Path) -> list[Product]:
    files = [f for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES]
    found: list[Product] = []
    for file in files:
        name, _, part = file.stem.rpartition("_")
        if part != "fused" or not name:
            continue
        others = {p: _only(files, f"{name}_{p}") for p in PARTS[1:]}
        taken = any(product.name == name for product in found)  # NAME_fused.tif beside .tiff
        found.append(Product(file.name if taken else name, str(file), **others))  # type: ignore[arg-type]
    if not found:
        names = ", ".join(f.name for f in files[:5]) or "no GeoTIFF"
        raise ManifestError(
            f"folder: {folder} holds {names}; need NAME_fused.tif and beside it NAME_truth.tif, or "
            "NAME_ms.tif and NAME_pan.tif; rename the files, or write a manifest"
        )
    return found


def find_products(path: str | os.PathLike[str]) -> list[Product]:
    """Products of a folder or of a manifest.

    Parameters
    ----------
    path : path
        A folder with ``NAME_fused.tif`` and beside it ``NAME_truth.tif``, or ``NAME_ms.tif`` and
        ``NAME_pan.tif``, or all; or a manifest, CSV with a header or a JSON list of objects, with
        some of the columns name, fused, truth, ms, pan, sensor, ratio. Its paths are relative to
        it.

    Raises
    ------
    ManifestError
    """
    where = Path(path)
    return _from_folder(where) if where.is_dir() else _from_manifest(where)
