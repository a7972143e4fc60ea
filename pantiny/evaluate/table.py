"""What was measured as text and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .. import __version__
from .indices import FAMILIES, indices_of

Values = Mapping[str, Mapping[str, float]]  # family -> index -> value
FORMAT = 1


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [
            c.rjust(w) if 0 < i < 3 else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def text_of(results: Mapping[str, Values]) -> str:
    """One product: its values. Several: mean and worst of every index."""
    lines: list[str] = []
    for family, title in FAMILIES.items():
        having = {name: found[family] for name, found in results.items() if family in found}
        if not having:
            continue
        rows = []
        for index in indices_of(family):
            values = [v[index.key] for v in having.values()]
            better = f"{index.direction} is better"
            label = f"{index.label} {index.unit}".strip()
            if len(having) == 1:
                rows.append([label, index.text(values[0]), better, index.meaning])
            else:
                worst = index.worst(values)
                mean = index.text(sum(values) / len(values))
                where = f"{better}; worst is {list(having)[worst]}"
                rows.append([label, mean, index.text(values[worst]), where])
        if len(having) == 1:
            head = ["index", next(iter(having)), "", ""]
        else:
            head = ["index", f"mean of {len(having)}", "worst", ""]
        lines += [title, *_table(head, rows), ""]
    return "\n".join(lines).rstrip()


def _finite(value: Any) -> Any:
    """JSON has no infinity: it becomes a text."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "inf" if value > 0 else "-inf"
    return value


def json_of(results: Mapping[str, Values], options: Mapping[str, Any]) -> str:
    """Everything, with the options that made it."""
    return json.dumps(
        {
            "format": FORMAT,
            "pantiny": __version__,
            "options": {k: v for k, v in options.items() if v is not None},
            "products": [{"name": name, **_finite(found)} for name, found in results.items()],
        },
        indent=1,
    )
