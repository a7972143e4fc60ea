"""Fixtures of the CUDA tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pantiny import cuda
from pantiny.cuda import lanes

from .build import library
from .quality import SOURCES, Kernels


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The emulated extension in the place of the compiled one."""
    module = pytest.importorskip(
        "pantiny._cuda_emulated", reason="built with PANTINY_CMAKE_ARGS=-DPANTINY_EMULATED=ON"
    )
    monkeypatch.setattr(cuda, "_compiled", lambda: module)
    cuda.clear()
    yield module
    cuda.clear()


@pytest.fixture
def small_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies in several pieces."""
    monkeypatch.setattr(lanes, "SLOT_BYTES", 3000)


@pytest.fixture(scope="module")
def built() -> Kernels:
    return Kernels(library(SOURCES))


@pytest.fixture
def kernels(built: Kernels) -> Iterator[Kernels]:
    yield built
    built.run_ahead(False)
