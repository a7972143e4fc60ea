"""Products as GeoTIFFs against the truth, or against the MS and PAN they were made from."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {  # imported when asked for: the command line needs no more than the names of indices
    "assess_files": "measure",
    "compare_files": "measure",
    "Product": "products",
    "find_products": "products",
    "Coverage": "coverage",
    "Measured": "run",
    "measure_product": "run",
    "measure_products": "run",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
