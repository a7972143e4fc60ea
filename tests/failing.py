"""What the tests of bad inputs share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pantiny import errors as e

Overrides = Callable[..., dict[str, Any]]
BITS = r"bits: got {}; need a whole number from 1 to 16"
NO_PIXEL = r"ms, pan: no pixel is valid in both; need at least one"


def check_text(error: BaseException, pattern: str) -> None:
    """Ours, with where, what and what to do, and the distinctive part."""
    text = str(error)
    assert isinstance(error, e.PanTinyError)
    assert re.search(pattern, text), f"{text!r} lacks {pattern!r}"
    where, colon, rest = text.partition(": ")
    assert colon and where and "; " in rest, text
    assert "\n" not in text and "Traceback" not in text


@contextmanager
def nothing_changes(folder: Path) -> Iterator[None]:
    """No file appears, vanishes or changes in the folder."""

    def content() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    before = content()
    yield
    assert content() == before


def option(**options: Any) -> Overrides:
    return lambda *_: options
