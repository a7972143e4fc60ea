"""Make docs/picture.svg: a detail of the synthetic demo scene as MS, PAN and fused.

    python docs/make_picture.py

SVG keeps it text: one path per colour, one horizontal run per stretch of equal pixels.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

import pantiny
from pantiny.demo import make_scene
from pantiny.demo.pictures import quicklook, stretch_limits

SIDE, ZOOM, GAP = 88, 3, 4
LEVELS = 15  # per colour channel


def busiest(pan: np.ndarray, ratio: int) -> tuple[int, int]:
    """Corner of the crop with the strongest edges, on the MS grid."""
    edges = np.abs(np.diff(pan.astype(float), axis=1))
    best, where = -1.0, (0, 0)
    for y in range(0, pan.shape[0] - SIDE, 4 * ratio):
        for x in range(0, pan.shape[1] - SIDE, 4 * ratio):
            score = float(edges[y : y + SIDE, x : x + SIDE].mean())
            if score > best:
                best, where = score, (y, x)
    return where


def paths(rgb: np.ndarray, x0: int) -> dict[str, list[str]]:
    """Runs of equal colour as SVG path pieces, by colour."""
    step = np.rint(rgb / 255 * LEVELS).astype(int)
    runs: dict[str, list[str]] = defaultdict(list)
    for y, row in enumerate(step):
        start = 0
        for x in range(1, SIDE + 1):
            if x == SIDE or (row[x] != row[start]).any():
                colour = "#" + "".join(f"{v * 15 // LEVELS:x}" for v in row[start])
                runs[colour].append(f"M{x0 + start} {y}h{x - start}v1h-{x - start}")
                start = x
    return runs


def main() -> None:
    scene = make_scene(512, seed=2)
    fused = pantiny.fuse(scene.ms, scene.pan, sensor=scene.sensor)
    y, x = busiest(scene.pan, scene.ratio)
    crop = np.s_[..., y : y + SIDE, x : x + SIDE]
    limits = stretch_limits(fused[crop], (2, 1, 0))
    blocks = scene.ms.repeat(scene.ratio, 1).repeat(scene.ratio, 2)
    panels = [
        quicklook(blocks[crop], limits=limits),
        quicklook(np.stack([scene.pan[crop]] * 3), (0, 1, 2)),
        quicklook(fused[crop], limits=limits),
    ]
    runs: dict[str, list[str]] = defaultdict(list)
    for i, panel in enumerate(panels):
        for colour, pieces in paths(panel, i * (SIDE + GAP)).items():
            runs[colour] += pieces
    width = 3 * SIDE + 2 * GAP
    body = "".join(f'<path fill="{c}" d="{"".join(p)}"/>\n' for c, p in sorted(runs.items()))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * ZOOM}" height="{SIDE * ZOOM}" '
        f'viewBox="0 0 {width} {SIDE}" shape-rendering="crispEdges">\n{body}</svg>\n'
    )
    Path(__file__).with_name("picture.svg").write_text(svg)
    print(f"docs/picture.svg: {len(svg)} bytes, {len(runs)} colours")


if __name__ == "__main__":
    main()
