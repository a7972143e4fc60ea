"""Between the grids, one output sample at a time. Planes are lists of rows of floats.

Sample ``i`` of the coarse grid lies at ``r*i + (r-1)/2`` of the fine one. A sample outside
the plane has the value of the nearest one inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Plane = list[list[float]]
Taps = list[tuple[int, float]]


def mtf_sigma(gain: float, ratio: int) -> float:
    """PAN pixels; exp(-(sigma * pi / ratio)^2 / 2) is ``gain`` at the coarse grid's Nyquist."""
    return ratio * math.sqrt(-2.0 * math.log(gain)) / math.pi


def mtf_reach(gains: list[float], ratio: int) -> int:
    """Pixels further away than this weigh nothing: the widest band decides for all bands."""
    return max(math.ceil(4.0 * mtf_sigma(gain, ratio)) for gain in gains)


def bell(centre: float, sigma: float, reach: int) -> Taps:
    """The fine samples at most ``reach`` from ``centre`` and their weights, which sum to 1."""
    taps = []
    for x in range(math.floor(centre) - reach, math.ceil(centre) + reach + 1):
        if abs(x - centre) <= reach:
            taps.append((x, math.exp(-((x - centre) ** 2) / (2.0 * sigma * sigma))))
    total = math.fsum(weight for _, weight in taps)
    return [(x, weight / total) for x, weight in taps]


def keys(distance: float) -> float:
    """Cubic convolution, a = -1/2: w(0) = 1, w(1) = w(2) = 0."""
    d = abs(distance)
    if d < 1.0:
        return 1.0 - 2.5 * d**2 + 1.5 * d**3
    if d < 2.0:
        return 2.0 - 4.0 * d + 2.5 * d**2 - 0.5 * d**3
    return 0.0


def cubic(centre: float) -> Taps:
    below = math.floor(centre)
    return [(x, keys(centre - x)) for x in range(below - 1, below + 3)]


def line(values: list[float], taps: Taps) -> float:
    last = len(values) - 1
    return math.fsum(weight * values[min(max(x, 0), last)] for x, weight in taps)


def separable(plane: Plane, rows: list[Taps], cols: list[Taps]) -> Plane:
    along = [[line(row, taps) for taps in cols] for row in plane]
    columns = [[row[x] for row in along] for x in range(len(cols))]
    return [[line(column, taps) for column in columns] for taps in rows]


def on_coarse_grid(plane: Plane, ratio: int, kernel: Callable[[float], Taps]) -> Plane:
    rows = [kernel(ratio * i + (ratio - 1) / 2) for i in range(len(plane) // ratio)]
    cols = [kernel(ratio * i + (ratio - 1) / 2) for i in range(len(plane[0]) // ratio)]
    return separable(plane, rows, cols)


def degrade(bands: list[Plane], ratio: int, gains: list[float]) -> list[Plane]:
    """Blurred by each band's Gaussian and sampled on the coarse grid."""
    reach = mtf_reach(gains, ratio)
    out = []
    for plane, gain in zip(bands, gains):
        sigma = mtf_sigma(gain, ratio)
        out.append(on_coarse_grid(plane, ratio, lambda at, s=sigma: bell(at, s, reach)))
    return out


def degrade_at_corner(plane: Plane, ratio: int, gain: float) -> Plane:
    """As ``degrade``, but sampled at ``r*i``: the phase error of the published code."""
    sigma, reach = mtf_sigma(gain, ratio), mtf_reach([gain], ratio)
    rows = [bell(float(ratio * i), sigma, reach) for i in range(len(plane) // ratio)]
    cols = [bell(float(ratio * i), sigma, reach) for i in range(len(plane[0]) // ratio)]
    return separable(plane, rows, cols)


def upsample(plane: Plane, ratio: int) -> Plane:
    """The coarse plane on the fine grid, by cubic convolution."""
    rows = [cubic((i + 0.5) / ratio - 0.5) for i in range(len(plane) * ratio)]
    cols = [cubic((i + 0.5) / ratio - 0.5) for i in range(len(plane[0]) * ratio)]
    return separable(plane, rows, cols)


def box_and_bilinear(plane: Plane, ratio: int, side: int = 7) -> Plane:
    """torchmetrics' low-passed PAN: a box over mirrored edges, then bilinear decimation."""
    height, width = len(plane), len(plane[0])
    half = side // 2

    def inside(i: int, n: int) -> int:
        return -1 - i if i < 0 else 2 * n - 1 - i if i >= n else i

    blurred = [
        [
            math.fsum(
                plane[inside(y + dy, height)][inside(x + dx, width)]
                for dy in range(-half, half + 1)
                for dx in range(-half, half + 1)
            )
            / (side * side)
            for x in range(width)
        ]
        for y in range(height)
    ]

    def between(centre: float) -> Taps:
        below = math.floor(centre)
        return [(below, 1.0 - (centre - below)), (below + 1, centre - below)]

    return on_coarse_grid(blurred, ratio, between)
