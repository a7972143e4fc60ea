"""What the public packages return for the same images, as the tables of indices-compared.md.

``python tests/conformance/compare.py docs/indices-compared.md`` writes them between the page's
markers; it needs torchmetrics and sewar.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import warnings
from pathlib import Path
from typing import Any

import inputs
import runner
from adapters.scalar_indices import INDICES as DEFINITION
from entries import IMAGES

BEGIN, END = "<!-- tables -->\n", "<!-- /tables -->\n"
FIVE = ("base", "eight", "byte", "flat", "tiny")
PACKAGES = ("torchmetrics", "sewar")
MISSING = "-"


def rows(case: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Label, index, arguments of the definition."""
    scene = inputs.cases()[case]
    window = {"variant": "alparone08", "window": 16 if scene.ratio == 4 else 8}
    return [
        ("PSNR, dB", "psnr", {"peak": scene.peak}),
        ("RMSE", "rmse", {}),
        ("CC", "cc", {}),
        ("SAM, degrees", "sam", {"units": "degrees"}),
        ("ERGAS", "ergas", {"ratio": scene.ratio}),
        ("SCC", "scc", {}),
        ("UQI", "uqi", {"window": 8, "stride": 1}),
        ("SSIM", "ssim", {"peak": scene.peak}),
        ("SSIM by default", "ssim_by_default", {"peak": scene.peak}),
        ("Q2n", "q2n", {"block": 32}),
        ("D_lambda", "d_lambda", window),
        ("D_s", "d_s", window),
        ("QNR", "qnr", window),
    ]


def text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"{value:#.5g}"


def call(function: Any, case: str, index: str, arguments: dict[str, Any]) -> str:
    images = IMAGES.get(index, IMAGES["ssim"])
    row = {"case": case, "images": images, "arguments": arguments}
    try:
        return text(runner.call(function, row))
    except NotImplementedError:
        return MISSING


def variant(case: str, index: str, arguments: dict[str, Any], name: str) -> str:
    """The definitions by other hands that pantiny offers by name."""
    if index == "q2n" and name == "toolbox":
        return call(DEFINITION[index], case, index, {**arguments, "round_to_uint16": True})
    if "variant" not in arguments or (name == "pantiny" and case != "byte"):
        return MISSING
    window = 8 if name == "pantiny" else arguments["window"]  # no more than the MS holds
    return call(DEFINITION[index], case, index, {"variant": name, "window": window})


def table(case: str) -> str:
    scene = inputs.cases()[case]
    shapes = {name: inputs.shape(scene.images[name]) for name in ("fused", "ms")}
    sizes = " ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    lines = [
        f"### {case}: {scene.what}",
        "",
        f"{sizes}, S = {rows(case)[-1][2]['window']}.",
        "",
        "| index | definition | toolbox | published PanTiny code | torchmetrics | sewar |",
        "|---|---|---|---|---|---|",
    ]
    packages = [runner.load(name) for name in PACKAGES]
    for label, index, arguments in rows(case):
        cells = [MISSING] * 3
        if index in DEFINITION:
            cells[0] = call(DEFINITION[index], case, index, arguments)
            cells[1:] = [variant(case, index, arguments, n) for n in ("toolbox", "pantiny")]
        for module in packages:
            function = module.INDICES.get(index, getattr(module, index, None))
            cells.append(call(function, case, index, arguments) if function else MISSING)
        lines.append(f"| {' | '.join([label, *cells])} |")
    return "\n".join(lines) + "\n"


def tables() -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [table(case) for case in FIVE]
    return f"{versions}; float64 images.\n\n" + "\n".join(parts)


def stored(page: str) -> str:
    return page.split(BEGIN)[1].split(END)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    path = parser.parse_args().page
    page = path.read_text()
    path.write_text(page.replace(BEGIN + stored(page), BEGIN + tables()))


if __name__ == "__main__":
    main()
