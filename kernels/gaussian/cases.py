"""Inputs for the tests and the benchmark of ``gaussian``: those of ``windows``, with its side."""

from __future__ import annotations

from dataclasses import replace

from ..windows.cases import CASES as WINDOW_CASES
from ..windows.cases import WindowCase, inputs
from .gaussian_ref import SIDE

__all__ = ["BENCH_CASES", "CASES", "inputs"]


def _cases() -> tuple[WindowCase, ...]:
    found = []
    for case in WINDOW_CASES:
        if case.name.startswith(("window", "one_window")) or case.window == 32:
            continue
        # as many windows along each side as with the case's own window
        grown = max(0, SIDE - case.window)
        height, width = (n + grown if n else 0 for n in (case.height, case.width))
        planes = min(case.planes, 4)
        found.append(replace(case, height=height, width=width, window=SIDE, planes=planes))
    return tuple(found)


CASES: tuple[WindowCase, ...] = (
    WindowCase("one_window", SIDE, SIDE, SIDE),
    WindowCase("one_short", SIDE - 1, SIDE, SIDE),
    *(
        WindowCase(f"gaussian_offset{s:g}", 30, 40, SIDE, 2, sigma=s, level=60000)
        for s in (0.6, 3.0, 30.0)
    ),
    *_cases(),
)
BENCH_CASES = tuple(WindowCase(f"bench-{n}", n, n, SIDE, 8) for n in (512, 1024))
