"""The emulated kernels come last: their libraries stay in the process, and tests of memory budgets
look at what the process holds."""

from __future__ import annotations

from pathlib import Path

import pytest

CUDA = Path(__file__).parent / "cuda"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: CUDA in item.path.parents)
