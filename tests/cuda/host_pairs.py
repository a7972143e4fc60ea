"""Pairs in host memory for the emulated devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scenes import textured

from pantiny.cuda import layout
from pantiny.cuda.layout import DeviceLayout


def pair(
    height: int = 27, width: int = 5, bands: int = 4, dtype: str = "uint16"
) -> tuple[np.ndarray, np.ndarray]:
    ms = textured((bands, height, width), dtype, 1)
    return ms, textured((4 * height, 4 * width), dtype, 2)


def only(monkeypatch: pytest.MonkeyPatch, keep: bool, resident: bool, rows: int) -> None:
    """This layout, whatever would fit."""

    def one(*given: Any) -> Iterator[DeviceLayout]:
        yield DeviceLayout(given[4], False, keep, resident, rows, 1, 0)

    monkeypatch.setattr(layout, "candidates", one)
