"""The golden inputs: synthetic scenes out of integer arithmetic alone.

No random generator, no sine: the same numbers in any language and for ever. Every value is a
whole number, or a whole number over a power of two. ``golden.json`` has the sha256 of each
image as little-endian float64 in C order.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

MASK32 = 0xFFFFFFFF
NAN = float("nan")


def noise(seed: int, y: int, x: int) -> int:
    """0 .. 65535, from the position alone: a 32-bit mix of three numbers."""
    h = (seed * 2654435761 + y * 2246822519 + x * 3266489917) & MASK32
    for multiplier in (2246822507, 3266489909):
        h ^= h >> 16
        h = h * multiplier & MASK32
    return h >> 16


def smooth(seed: int, y: int, x: int, cell: int) -> int:
    """0 .. 65535, bilinear between noise on a grid of ``cell`` pixels, rounded down."""
    top, fy = divmod(y, cell)
    left, fx = divmod(x, cell)
    upper = noise(seed, top, left) * (cell - fx) + noise(seed, top, left + 1) * fx
    lower = noise(seed, top + 1, left) * (cell - fx) + noise(seed, top + 1, left + 1) * fx
    return (upper * (cell - fy) + lower * fy) // (cell * cell)


@dataclass(frozen=True)
class Look:
    """Of a scene: DN are ``low`` plus up to ``shape`` (large forms), ``edge``, ``grain``."""

    low: int = 180
    shape: int = 700
    edge: int = 260
    grain: int = 60
    error: int = 90  # of the fused image
    tilt: int = 1  # weight of the fused bands: 61/64, 63/64, 65/64, 67/64, ...
    top: int = 2047


@dataclass
class Case:
    """``images`` by name: fused, truth [K][H][W], ms [K][h][w], pan [H][W], pan_low [h][w]."""

    name: str
    what: str
    ratio: int
    peak: float
    images: dict[str, Any] = field(repr=False)


def truth_value(look: Look, seed: int, k: int, y: int, x: int) -> int:
    """Bands share their forms, each with its own weight; edges are a lattice of bright fields."""
    common = smooth(seed, y, x, 9) * (k + 3) // (k + 5)
    own = smooth(seed + 11 + k, y, x, 6)
    field_on = (y // 5 + 2 * (x // 7) + seed) % 3 == 0
    value = look.low + 15 * look.shape * k // 100
    value += look.shape * (3 * common + own) >> 18
    value += look.edge * (k + 2) // (k + 3) if field_on else 0
    value += look.grain * noise(seed + 101 + k, y, x) >> 16
    return min(value, look.top)


def grid(height: int, width: int, value: Callable[[int, int], Any]) -> list[list[Any]]:
    return [[value(y, x) for x in range(width)] for y in range(height)]


def boxes(plane: list[list[int]], ratio: int) -> list[list[int]]:
    """Means of ratio x ratio pixels, rounded down."""

    def box(y: int, x: int) -> int:
        rows = plane[ratio * y : ratio * (y + 1)]
        return sum(v for row in rows for v in row[ratio * x : ratio * (x + 1)]) // ratio**2

    return grid(len(plane) // ratio, len(plane[0]) // ratio, box)


def scene(bands: int, height: int, width: int, ratio: int, seed: int, look: Look) -> dict[str, Any]:
    """Truth; fused = truth with a wrong weight and noise; PAN = mean band and more detail."""

    def fused_value(k: int, y: int, x: int) -> int:
        smoothed = smooth(seed + 31 + k, y, x, 4)
        wrong = look.error * (smoothed - 32768 + noise(seed + 57 + k, y, x) - 32768) >> 17
        return max(0, min(truth[k][y][x] * (64 + look.tilt * (2 * k - 3)) // 64 + wrong, look.top))

    def pan_value(y: int, x: int) -> int:
        total = sum((k + 1) * truth[k][y][x] for k in range(bands))
        detail = look.grain * (noise(seed + 77, y, x) - 20000) >> 16
        return max(0, min(2 * total // (bands * (bands + 1)) + detail, look.top))

    truth: list[Any] = []
    for k in range(bands):
        truth.append(grid(height, width, lambda y, x, k=k: truth_value(look, seed, k, y, x)))
    fused = [grid(height, width, lambda y, x, k=k: fused_value(k, y, x)) for k in range(bands)]
    pan = grid(height, width, pan_value)
    return {
        "fused": fused,
        "truth": truth,
        "ms": [boxes(plane, ratio) for plane in truth],
        "pan": pan,
        "pan_low": boxes(pan, ratio),
    }


def each(image: Any, change: Callable[[Any], Any]) -> Any:
    return [each(v, change) for v in image] if isinstance(image, list) else change(image)


def fill(image: Any, value: Any, rows: range, cols: range, bands: list[int]) -> None:
    for k in bands:
        for y in rows:
            for x in cols:
                image[k][y][x] = value


def flat_scene() -> dict[str, Any]:
    """A block without texture in both, one in the truth only, in one band only; black pixels."""
    images = scene(4, 48, 44, 4, 6, Look())
    fused, truth = images["fused"], images["truth"]
    fill(truth, 512, range(0, 18), range(0, 17), [0, 1, 2, 3])
    fill(fused, 512, range(0, 18), range(0, 17), [0, 1, 2, 3])
    fill(truth, 300, range(18, 36), range(0, 10), [2])
    fill(fused, 700, range(0, 12), range(20, 32), [1])
    fill(truth, 0, range(20, 23), range(20, 33), [0, 1, 2, 3])
    fill(fused, 0, range(22, 24), range(15, 25), [0, 1, 2, 3])
    fill([images["pan"]], 640, range(2, 8), range(3, 9), [0])
    images["ms"] = [boxes(plane, 4) for plane in truth]
    return images


def black_scene(met: bool) -> dict[str, Any]:
    """Three bands: one black in the truth, one constant in the truth."""
    images = scene(3, 20, 24, 4, 8, Look())
    fill(images["truth"], 0, range(20), range(24), [1])
    fill(images["truth"], 400, range(20), range(24), [2])
    fill(images["fused"], 0, range(20), range(24), [1])
    if met:
        fill(images["fused"], 410, range(20), range(24), [2])
    else:
        images["fused"][1][7][5] = 3
    return images


def masked_scene(images: dict[str, Any]) -> dict[str, Any]:
    """A diagonal border and some pixels are left out; under them the fused image is NaN."""

    def keep(y: int, x: int) -> bool:
        return 2 * y + x > 20 and noise(3, y, x) > 260

    mask = grid(len(images["pan"]), len(images["pan"][0]), keep)
    fused = [
        [[v if m else NAN for v, m in zip(*rows)] for rows in zip(p, mask)] for p in images["fused"]
    ]
    return {**images, "fused": fused, "mask": mask}


def stack(*scenes: dict[str, Any]) -> dict[str, Any]:
    return {name: [s[name] for s in scenes] for name in scenes[0]}


def byte_scene() -> dict[str, Any]:
    """8-bit DN with eighths, none above 255."""
    images = scene(4, 48, 52, 4, 9, Look(low=20, shape=110, edge=40, grain=16, error=30, top=240))

    def with_eighths(image: Any, seed: int) -> Any:
        return [
            [
                [v + (noise(seed, y, x) >> 13) / 8 for x, v in enumerate(row)]
                for y, row in enumerate(p)
            ]
            for p in image
        ]

    images["fused"] = with_eighths(images["fused"], 21)
    images["ms"] = with_eighths(images["ms"], 22)
    images["truth"] = with_eighths(images["truth"], 23)
    return images


DIM = Look(low=60000, shape=0, edge=2, grain=3, error=4, tilt=0, top=65535)


def listing() -> list[Case]:
    base = scene(4, 48, 44, 4, 1, Look())
    other = scene(3, 26, 44, 2, 2, Look(low=90, shape=400, error=200))
    three = scene(3, 26, 44, 2, 3, Look())
    equal = {**base, "fused": base["truth"]}
    tiny = {name: each(image, lambda v: v * 2.0**-27) for name, image in three.items()}
    return [
        Case("base", "four bands, 11 bit, ratio 4", 4, 2047, base),
        Case("three", "three bands, ratio 2", 2, 2047, three),
        Case("eight", "eight bands, ratio 2", 2, 2047, scene(8, 28, 24, 2, 4, Look())),
        Case("one", "one band, ratio 3", 3, 2047, scene(1, 27, 30, 3, 5, Look())),
        Case("five", "five bands, ratio 4", 4, 2047, scene(5, 24, 20, 4, 10, Look())),
        Case("flat", "blocks without texture, black pixels", 4, 2047, flat_scene()),
        Case("dim", "texture of 3 DN at 60000 DN", 4, 65535, scene(4, 40, 36, 4, 7, DIM)),
        Case("tiny", "three times 2^-27", 2, 2047 * 2.0**-27, tiny),
        Case("equal", "base, fused equal to the truth", 4, 2047, equal),
        Case("black", "a black and a constant band, met", 4, 2047, black_scene(True)),
        Case("missed", "a black and a constant band, missed", 4, 2047, black_scene(False)),
        Case("byte", "8 bit with eighths, ratio 4", 4, 255, byte_scene()),
        Case("masked", "base with pixels left out", 4, 2047, masked_scene(base)),
        Case("batch", "three and another of its size", 2, 2047, stack(three, other)),
    ]


@cache
def cases() -> dict[str, Case]:
    return {case.name: case for case in listing()}


def shape(image: Any) -> list[int]:
    return [len(image), *shape(image[0])] if isinstance(image, list) else []


def sha256(image: Any) -> str:
    digest = hashlib.sha256()
    each(image, lambda v: digest.update(struct.pack("<d", v)))
    return digest.hexdigest()
