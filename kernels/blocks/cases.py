"""Inputs for the tests and the benchmark of ``blocks``: those of ``windows`` and edges."""

from __future__ import annotations

from ..windows.cases import CASES as WINDOW_CASES
from ..windows.cases import WindowCase, inputs

__all__ = ["BENCH_CASES", "CASES", "inputs"]

CASES: tuple[WindowCase, ...] = (
    *(c for c in WINDOW_CASES if c.width),  # nothing to mirror without a column
    *(WindowCase(f"edge{n}", 17, n, 8) for n in (15, 16, 17, 23, 24)),
    *(WindowCase(f"mirrored{n}", 34, n, 32) for n in (1, 2, 3, 15, 16, 31, 33, 63)),
    WindowCase("mirrored_float", 32, 41, 32, dtype="float64", sigma=0.6, level=60000),
    WindowCase("mirrored_mask", 32, 41, 8, dtype="float32", mask="few"),
    WindowCase("flat_blocks", 64, 70, 8, dtype="float64", content="flat", level=0.3, sigma=0.1),
    WindowCase("block256", 256, 257, 256, 2),
)
BENCH_CASES = tuple(
    WindowCase(f"bench-{planes}-{n}", n, n, 32, planes) for planes in (8, 16) for n in (512, 1024)
)
