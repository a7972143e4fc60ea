"""Why pixels of files cannot be measured, in the words of files and options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .images import Image, both_valid, pieces_of


class Part(NamedTuple):
    """What of an image is measured: a window for first row and number of rows."""

    image: Image
    rows: Callable[[int, int], Any]


class Group(NamedTuple):
    """Images of one grid: a pixel counts where all are valid."""

    height: int
    width: int
    parts: Sequence[Part]


@contextlib.contextmanager
def explained(*groups: Group) -> Iterator[None]:
    """An index that cannot be computed is answered by what the files hold, read once more.

    Raises
    ------
    DataError
    """
    try:
        yield
    except DataError as error:
        refuse(*groups, cause=error)
        raise


def refuse(*groups: Group, cause: Exception | None = None) -> None:
    """Raise if what the files hold is the reason why an index is missing.

    Raises
    ------
    DataError
    """
    for group in groups:
        text = _fault(group)
        if text is not None:
            raise DataError(text) from cause


def _fault(group: Group) -> str | None:
    kinds: dict[str, set[str]] = {part.image.name: set() for part in group.parts}
    left = 0
    size = sum(part.image.bands for part in group.parts) * group.width * 8
    for row, count in pieces_of(group.height, size):
        read = [(p.image.name, *p.image.read(p.rows(row, count))) for p in group.parts]
        valid = np.ones((count, group.width), bool)
        for _, _, mask in read:
            valid = both_valid(valid, mask, valid.shape)
        left += int(valid.sum())
        for name, values, _ in read:
            used = values[:, valid]
            strange = used[~np.isfinite(used)]
            kinds[name] |= {f"{v:g}" for v in np.unique(strange).tolist()}
    names = ", ".join(kinds)
    if not left:
        every = "all are" if len(kinds) == 1 else "each is in one of them"
        return (
            f"{names}: no pixel is left, {every} nodata, masked or transparent; need one valid "
            "pixel at least; check --nodata (nodata=), and the files with gdalinfo -stats"
        )
    for name, found in kinds.items():
        if found:
            several = f"{' and '.join(sorted(found))} in pixels that count as valid"
            one = f"mark them as missing with --nodata {min(found)} (nodata=float('{min(found)}'))"
            other = "give them one value, and say it with --nodata (nodata=)"
            return (
                f"{name}: holds {several}; need finite numbers; {one if len(found) == 1 else other}"
            )
    return None
