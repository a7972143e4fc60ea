"""Files of results: refused before anything is measured, named when all are complete."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rasterio.errors import RasterioError

from ..errors import OptionError, PanTinyError, SceneWriteError
from ..paths import check_target, is_special
from ..raster import open_raster
from .products import PARTS, Product


class Outputs:
    """Where JSON and the page go.

    Parameters
    ----------
    json_path : str or None
        ``-`` is stdout.
    html_path : str or None
    overwrite : bool

    Attributes
    ----------
    complete : list of str
        Files that have their names.
    """

    def __init__(self, json_path: str | None, html_path: str | None, overwrite: bool) -> None:
        self.json_path, self.html_path, self._overwrite = json_path, html_path, overwrite
        self.complete: list[str] = []

    def check(self, products: Iterable[Product], *others: str | None) -> None:
        """Before anything is measured, which may take minutes.

        Parameters
        ----------
        products : iterable of Product
            Whose files must not be replaced.
        *others : str or None
            More of those: the manifest.

        Raises
        ------
        OptionError, OutputExistsError, SceneWriteError
        """
        if self.html_path == "-":
            raise OptionError("html: got -; need the name of a file; only --json - is stdout")
        json_path = None if self.json_path == "-" else self.json_path
        if json_path is not None and is_special(Path(json_path)):
            raise SceneWriteError(
                f"out: {json_path} is a device, a pipe or a socket; need the name of a file, or - "
                "for stdout; give --json -"
            )
        paths = [path for path in (json_path, self.html_path) if path is not None]
        if len(paths) == 2 and _one_file(*paths):
            raise OptionError(
                f"json, html: got {paths[0]} and {paths[1]}, one file; need two; give one of them "
                "another name"
            )
        replaced = any(os.path.exists(path) for path in paths)  # else no input can be among them
        inputs = _inputs(products, others) if replaced else []
        for path in paths:
            check_target(path, inputs, self._overwrite)

    def write(self, texts: Mapping[str, str]) -> None:
        """Path -> text: all beside their names first, then renamed.

        Raises
        ------
        OutputExistsError, SceneWriteError
        """
        parts: dict[Path, Path] = {}
        path = ""
        try:
            for path, text in texts.items():
                target = check_target(path, [], self._overwrite)
                # at most 60 characters of the name: the whole is no longer than 255 bytes
                part = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.part")
                parts[part] = target
                part.write_text(text, encoding="utf-8", errors="backslashreplace")
            try:
                for part, target in parts.items():
                    path = str(target)
                    os.replace(part, target)
            finally:  # whatever interrupts it
                self.complete = [str(t) for p, t in parts.items() if not os.path.lexists(p)]
        except OSError as error:
            if isinstance(error, PanTinyError):
                raise
            done = f"; complete: {', '.join(self.complete)}" if self.complete else ""
            raise SceneWriteError(
                f"out: {path} cannot be written ({error.strerror or error}); choose another folder"
                f"{done}"
            ) from error
        finally:
            for part in parts:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)


def _one_file(first: str, second: str) -> bool:
    if os.path.exists(first) and os.path.exists(second) and os.path.samefile(first, second):
        return True
    return os.path.realpath(first) == os.path.realpath(second)


def _inputs(products: Iterable[Product], others: Iterable[str | None]) -> list[str]:
    """Every file that is read, also those behind a VRT and beside a GeoTIFF."""
    found: dict[str, None] = dict.fromkeys(path for path in others if path)
    for product in products:
        for part in PARTS:
            value: Any = getattr(product, part)
            for path in [value] if isinstance(value, (str, os.PathLike)) else value or []:
                found[os.fspath(path)] = None
                with contextlib.suppress(PanTinyError, RasterioError, OSError):
                    with open_raster(path, part) as dataset:
                        found |= dict.fromkeys(dataset.files)
    return [path for path in found if os.path.exists(path)]  # False too for what is no path
