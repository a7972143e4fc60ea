"""Write golden.json from the scalar implementation: ``python tests/conformance/make.py``.

``--inputs DIR`` writes the images as .npy files instead, for packages not in Python.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import inputs
import scalar
from entries import Entry, entries

GOLDEN = Path(__file__).with_name("golden.json")


def number(value: float) -> float | str:
    """12 significant digits; infinity as text, which JSON lacks."""
    return float(f"{value:.12g}") if math.isfinite(value) else str(value)


def value_of(entry: Entry) -> float:
    images = inputs.cases()[entry.case].images
    arguments = {
        name: images[value[1:]] if isinstance(value, str) and value[0] == "@" else value
        for name, value in entry.arguments.items()
    }
    return scalar.evaluate(entry.index, [images[name] for name in entry.images], arguments)


def row(entry: Entry, value: float) -> dict[str, Any]:
    return {
        "index": entry.index,
        "case": entry.case,
        "images": list(entry.images),
        "arguments": entry.arguments,
        "value": number(value),
        "rtol": entry.rtol,
        "atol": entry.atol,
    }


def described(case: inputs.Case) -> dict[str, Any]:
    images = {
        name: {"shape": inputs.shape(image), "sha256": inputs.sha256(image)}
        for name, image in case.images.items()
    }
    return {"what": case.what, "ratio": case.ratio, "peak": case.peak, "images": images}


def text() -> str:
    """One line a case and one a value, so that a change shows as the lines it touches."""
    cases = [f'"{n}": {json.dumps(described(c))}' for n, c in inputs.cases().items()]
    values = [json.dumps(row(entry, value_of(entry))) for entry in entries()]
    return (
        '{\n"cases": {\n'
        + ",\n".join(cases)
        + '\n},\n"values": [\n'
        + ",\n".join(values)
        + "\n]\n}\n"
    )


def write_inputs(folder: Path) -> None:
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    for name, case in inputs.cases().items():
        for image, values in case.images.items():
            np.save(folder / f"{name}-{image}.npy", np.array(values, np.float64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=Path, metavar="DIR")
    folder = parser.parse_args().inputs
    if folder:
        write_inputs(folder)
    else:
        GOLDEN.write_text(text())


if __name__ == "__main__":
    main()
