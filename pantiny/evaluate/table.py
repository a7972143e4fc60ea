"""What was measured as text and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..paths import printable
from .indices import FAMILIES, INDICES, Index, indices_of
from .settings import said

if TYPE_CHECKING:
    from .run import Measured

FORMAT = 2


@dataclass(frozen=True)
class Summary:
    """An index over the products that have it.

    Attributes
    ----------
    index : Index
    mean, worst : float
    product : str
        The worst one.
    count : int
    """

    index: Index
    mean: float
    worst: float
    product: str
    count: int


def summaries(results: Mapping[str, Measured], family: str) -> list[Summary]:
    """One for each index of the family that any product has."""
    found = []
    for index in indices_of(family):
        having = {n: r.flat[index.key] for n, r in results.items() if index.key in r.flat}
        if having:
            values = list(having.values())
            worst = index.worst(values)
            mean = sum(values) / len(values)
            found.append(Summary(index, mean, values[worst], list(having)[worst], len(values)))
    return found


def of_all(count: int, results: Mapping[str, Any]) -> str:
    """``2`` or ``2 of 3``."""
    return str(count) if count == len(results) else f"{count} of {len(results)}"


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(
            c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))
        ).rstrip()
        for row in [head, *rows]
    ]


def _one(result: Measured) -> list[str]:
    """Every index of one product, then what it was measured with."""
    lines: list[str] = []
    for family, title in FAMILIES.items():
        if family not in result.values:
            continue
        rows = []
        for index in indices_of(family):
            value = result.values[family].get(index.key)
            why = index.meaning if value is not None else f"not computed: {_why(result, index)}"
            label = f"{index.label} {index.unit}".strip()
            rows.append([label, index.text(value), f"{index.direction} is better", why])
        lines += [title, *_lines(["index", "value", "", ""], rows, (0, 2, 3)), ""]
    if result.coverage is not None:
        lines.append(f"coverage {result.coverage.text()}")
    return [*lines, f"settings {printable(said(result.settings))}"]


def _why(result: Measured, index: Index) -> str:
    return result.left_out.get(index.key, "the product lacks what it needs")


def _many(results: Mapping[str, Measured]) -> list[str]:
    """A row per product, then mean and worst."""
    lines: list[str] = []
    for family, title in FAMILIES.items():
        having = {name: r for name, r in results.items() if family in r.values}
        found = {s.index.key: s for s in summaries(results, family)}
        if not having:
            continue
        shown = [i for i in indices_of(family) if i.key in found]
        head = ["product", "coverage", *(f"{i.label} {i.unit}".strip() for i in shown)]
        rows = []
        for name, result in having.items():
            share = "-" if result.coverage is None else f"{result.coverage.share:.4f}"
            cells = [i.text(result.values[family].get(i.key)) for i in shown]
            rows.append([printable(name), share, *cells])
        means, worst = [], []
        for index in shown:
            s = found[index.key]
            fewer = "" if s.count == len(having) else f" ({s.count})"
            means.append(index.text(s.mean) + fewer)
            worst.append(index.text(s.worst))
        rows.append([f"mean of {of_all(len(having), results)}", "", *means])
        rows.append(["worst", "", *worst])
        lines += [title, *_lines(head, rows, (0,))]
        lines += [
            f"{printable(name)}: no {INDICES[key].label}: {why}"
            for name, result in having.items()
            for key, why in result.left_out.items()
            if key in {i.key for i in indices_of(family)}
        ]
        lines.append("")
    lines += [f"not measured: {printable(r.error)}" for r in results.values() if r.error]
    return lines


def text_of(results: Mapping[str, Measured]) -> str:
    """One product: its values. Several: a row for each, mean and worst of every index."""
    (first, *others) = results.values()
    lines = _many(results) if others or first.error else _one(first)
    return "\n".join(lines).rstrip()


def _portable(value: Any) -> Any:
    """JSON has no infinity: it becomes a text. Nor bytes of a name that are not UTF-8: escaped."""
    if isinstance(value, Mapping):
        return {k: _portable(v) for k, v in value.items()}
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, (list, tuple)):
        return [_portable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def _entry(name: str, result: Measured) -> dict[str, Any]:
    covered = None if result.coverage is None else result.coverage.as_dict()
    entry = {
        "name": name,
        "error": result.error,
        "settings": {k: v for k, v in result.settings.items() if v is not None},
        "coverage": covered,
        "left_out": result.left_out or None,
        **result.values,
    }
    return {k: v for k, v in entry.items() if v is not None}


def _summary(results: Mapping[str, Measured]) -> dict[str, Any]:
    failed = [name for name, r in results.items() if r.error]
    shares = {n: r.coverage.share for n, r in results.items() if r.coverage is not None}
    found: dict[str, Any] = {
        "products": len(results),
        "measured": len(results) - len(failed),
        "failed": failed,
    }
    if shares:
        worst = min(shares, key=shares.__getitem__)
        mean = sum(shares.values()) / len(shares)
        found["coverage"] = {
            "mean": mean, "worst": shares[worst], "worst_product": worst, "products": len(shares)
        }  # fmt: skip
    for family in FAMILIES:
        rows = {
            s.index.key: {
                "mean": s.mean,
                "worst": s.worst,
                "worst_product": s.product,
                "products": s.count,
            }
            for s in summaries(results, family)
        }
        if rows:
            found[family] = rows
    return found


def json_of(results: Mapping[str, Measured], options: Mapping[str, Any]) -> str:
    """Everything, with the options that made it and the settings of each product."""
    return json.dumps(
        _portable(
            {
                "format": FORMAT,
                "pantiny": __version__,
                "options": {k: v for k, v in options.items() if v is not None},
                "products": [_entry(name, result) for name, result in results.items()],
                "summary": _summary(results),
            }
        ),
        indent=1,
    )
