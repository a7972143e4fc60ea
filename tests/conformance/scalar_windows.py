"""Sums over the windows of two planes, one window at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import mul
from typing import Any

from scalar_resample import Plane

Values = list[float]
Mask = list[list[bool]]


def windows(plane: list[list[Any]], side: int, stride: int) -> Iterator[list[Any]]:
    """The values of each window that lies fully inside, from the top left."""
    for top in range(0, len(plane) - side + 1, stride):
        for left in range(0, len(plane[0]) - side + 1, stride):
            yield [v for row in plane[top : top + side] for v in row[left : left + side]]


def mean(values: Values) -> float:
    return math.fsum(values) / len(values)


def centred(values: Values) -> tuple[float, Values]:
    """Mean and deviations; equal values deviate by exactly nothing."""
    if min(values) == max(values):
        return values[0], [0.0] * len(values)
    m = mean(values)
    return m, [v - m for v in values]


def dot(a: Values, b: Values) -> float:
    return math.fsum(map(mul, a, b))


def kept(plane: Plane, side: int, stride: int, mask: Mask | None = None) -> Iterator[list[float]]:
    """Windows without those that touch a pixel outside the mask."""
    if mask is None:
        yield from windows(plane, side, stride)
    else:
        for values, keep in zip(windows(plane, side, stride), windows(mask, side, stride)):
            if all(keep):
                yield values


def moments(
    plane: Plane, side: int, stride: int, mask: Mask | None = None
) -> list[tuple[float, Values, float]]:
    """Of each window: mean, deviations from it, sum of their squares."""
    out = []
    for values in kept(plane, side, stride, mask):
        m, d = centred(values)
        out.append((m, d, dot(d, d)))
    return out


def q_of_window(x: tuple[float, Values, float], y: tuple[float, Values, float]) -> float:
    """Luminance times structure; a ratio of nothing to nothing is 1."""
    (mx, dx, xx), (my, dy, yy) = x, y
    means, spread = mx * mx + my * my, xx + yy
    luminance = 2.0 * mx * my / means if means else 1.0
    structure = 2.0 * dot(dx, dy) / spread if spread else 1.0
    return luminance * structure


def q_index(a: list[tuple[float, Values, float]], b: list[tuple[float, Values, float]]) -> float:
    """Mean Q of the windows of two planes, given their ``moments``."""
    return mean([q_of_window(x, y) for x, y in zip(a, b)])


def gaussian_window() -> Values:
    """11 x 11, sigma 1.5, summing to 1."""
    raw = [
        math.exp(-(dy * dy + dx * dx) / (2.0 * 1.5**2))
        for dy in range(-5, 6)
        for dx in range(-5, 6)
    ]
    total = math.fsum(raw)
    return [w / total for w in raw]


GAUSSIAN = gaussian_window()


Weighted = tuple[float, Values, Values, float]


def gaussian_moments(plane: Plane, mask: Mask | None = None) -> list[Weighted]:
    """Of each window: weighted mean, deviations, weighted deviations, variance.

    The weights sum to 1 and the variance is their sum of squares (biased).
    """
    out = []
    for values in kept(plane, 11, 1, mask):
        m = dot(GAUSSIAN, values)
        d = [v - m for v in values]
        wd = list(map(mul, GAUSSIAN, d))
        out.append((m, d, wd, dot(wd, d)))
    return out


def ssim_index(a: list[Weighted], b: list[Weighted], peak: float) -> float:
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    scores = []
    for (mx, dx, _, vx), (my, _, wy, vy) in zip(a, b):
        luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
        scores.append(luminance * (2 * dot(dx, wy) + c2) / (vx + vy + c2))
    return mean(scores)


def q_of_torchmetrics(a: list[Weighted], b: list[Weighted]) -> float:
    """The float epsilon in the denominator is torchmetrics'."""
    scores = []
    for (mx, dx, _, vx), (my, _, wy, vy) in zip(a, b):
        scores.append(4 * mx * my * dot(dx, wy) / ((mx * mx + my * my) * (vx + vy) + 2.0**-52))
    return mean(scores)
