"""Score a package against golden.json.

``python tests/conformance/runner.py pantiny`` (or torchmetrics, sewar, or the path of an
adapter of your own) prints one line an entry and leaves with status 1 unless all agree. An
adapter is a dict ``INDICES`` from the names of the indices to callables, or a class with
methods of those names; what it lacks is skipped. See README.md.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import inputs
import numpy as np

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Score:
    index: str
    arguments: dict[str, Any]
    case: str
    value: float | None
    golden: float
    verdict: str  # agrees, differs, skipped: why, fails: why

    @property
    def difference(self) -> float | None:
        if self.value is None:
            return None
        return 0.0 if self.value == self.golden else self.value - self.golden

    @property
    def title(self) -> str:
        words = (f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.index}({', '.join(words)})"


@cache
def golden() -> list[dict[str, Any]]:
    return json.loads((HERE / "golden.json").read_text())["values"]


@cache
def array(case: str, image: str) -> np.ndarray:
    """float64, masks bool; read-only, so that no package can spoil another's input."""
    values = inputs.cases()[case].images[image]
    out = np.array(values, bool if image == "mask" else np.float64)
    out.flags.writeable = False
    return out


def call(function: Any, row: dict[str, Any]) -> float:
    images = [array(row["case"], name) for name in row["images"]]
    arguments = {
        name: array(row["case"], value[1:]) if isinstance(value, str) and value[0] == "@" else value
        for name, value in row["arguments"].items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a package's own, which are not what is scored
        return float(function(*images, **arguments))


def agrees(value: float, row: dict[str, Any], rtol: float = 0.0, atol: float = 0.0) -> bool:
    """Within golden.json's tolerance, or the wider one that is given."""
    expected = float(row["value"])
    if not (math.isfinite(value) and math.isfinite(expected)):
        return value == expected
    allowed = max(rtol, row["rtol"]) * abs(expected) + max(atol, row["atol"])
    return abs(value - expected) <= allowed


def one(function: Any, row: dict[str, Any], rtol: float, atol: float) -> Score:
    value = None
    if function is None:
        verdict = "skipped: not in the adapter"
    else:
        try:
            value = call(function, row)
            verdict = "agrees" if agrees(value, row, rtol, atol) else "differs"
        except NotImplementedError as reason:
            verdict = f"skipped: {reason}"
        except Exception as error:
            verdict = f"fails: {type(error).__name__}: {error}".splitlines()[0]
    return Score(row["index"], row["arguments"], row["case"], value, float(row["value"]), verdict)


def score(
    adapter: Any,
    rows: Iterable[dict[str, Any]] | None = None,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> Iterator[Score]:
    """``adapter``: a mapping of names to callables, or an object with methods.

    ``rtol``, ``atol`` widen golden.json's tolerances, for a package that works in float32.
    """
    for row in golden() if rows is None else rows:
        if isinstance(adapter, dict):
            function = adapter.get(row["index"])
        else:
            function = getattr(adapter, row["index"], None)
        yield one(function, row, rtol, atol)


def load(name: str) -> Any:
    """The adapter's module, of a package by name or of a file by path."""
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location("own_adapter", name)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{name}: cannot be read as Python")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return importlib.import_module(f"adapters.{name}_indices")


def line(score: Score) -> str:
    def text(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        f"{score.title:<58} {score.case:<7} {text(score.value, '.12g'):>18} "
        f"{score.golden:>18.12g} {text(score.difference, '.2e'):>10}  {score.verdict}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Score a package against golden.json")
    parser.add_argument("package", help="pantiny, torchmetrics, sewar, or an adapter's .py file")
    parser.add_argument("--index", help="only this index")
    parser.add_argument("--case", help="only this case")
    parser.add_argument("--rtol", type=float, help="relative tolerance, if wider than golden's")
    parser.add_argument("--atol", type=float, help="absolute tolerance, if wider than golden's")
    parser.add_argument("--all", action="store_true", help="print skipped entries too")
    options = parser.parse_args()
    rows = [
        row
        for row in golden()
        if options.index in (None, row["index"]) and options.case in (None, row["case"])
    ]
    print(f"{'index':<58} {'case':<7} {'value':>18} {'golden':>18} {'difference':>10}  verdict")
    verdicts: Counter[str] = Counter()
    package = load(options.package)
    rtol = getattr(package, "RTOL", 0.0) if options.rtol is None else options.rtol
    atol = getattr(package, "ATOL", 0.0) if options.atol is None else options.atol
    for result in score(package.INDICES, rows, rtol=rtol, atol=atol):
        kind = result.verdict.split(":")[0]
        verdicts[kind] += 1
        if kind != "skipped" or options.all:
            print(line(result), flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(verdicts.items())))
    return int(bool(verdicts["differs"] or verdicts["fails"]))


if __name__ == "__main__":
    sys.exit(main())
