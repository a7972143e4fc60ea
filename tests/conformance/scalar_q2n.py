"""Q2n (Garzelli and Nencini 2009) on plain lists."""

from __future__ import annotations

import math

from scalar_resample import Plane
from scalar_windows import Mask, mean

Number = list[float]  # hypercomplex, 2^n components
EPS = 2.0**-52


def conjugate(a: Number) -> Number:
    return [a[0]] + [-v for v in a[1:]]


def product(x: Number, y: Number) -> Number:
    """Cayley-Dickson: (a, b)(c, d) = (ac - d* b, da + b c*)."""
    if len(x) == 1:
        return [x[0] * y[0]]
    half = len(x) // 2
    a, b, c, d = x[:half], x[half:], y[:half], y[half:]
    first = [p - q for p, q in zip(product(a, c), product(conjugate(d), b))]
    second = [p + q for p, q in zip(product(d, a), product(b, conjugate(c)))]
    return first + second


def norm2(a: Number) -> float:
    return math.fsum(v * v for v in a)


def mirrored(i: int, n: int) -> int:
    """Index of the pixel that stands at ``i`` beyond the end: the edge pixel is repeated."""
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


def q_of_block(fused: list[list[float]], truth: list[list[float]]) -> float:
    """``fused``, ``truth``: for each band the values of the block."""
    size, count = len(truth[0]), 1
    while count < len(truth):
        count *= 2
    factor = size / (size - 1)
    z1, z2 = [], []
    for f, g in zip(fused, truth):
        if min(g) == max(g):
            level, spread = g[0], EPS
        else:
            level = mean(g)
            spread = math.sqrt(math.fsum((v - level) ** 2 for v in g) / (size - 1))
        z1.append([(v - level) / spread + 1.0 for v in g])
        z2.append([(v - level) / spread + 1.0 for v in f])
    while len(z1) < count:  # zero components, as if black bands were appended
        z1.append([0.0] * size)
        z2.append([0.0] * size)
    for k in range(1, count):
        z2[k] = [-v for v in z2[k]]

    # means of equal values are those values, so that a constant block has no variance
    m1 = [v[0] if min(v) == max(v) else mean(v) for v in z1]
    m2 = [v[0] if min(v) == max(v) else mean(v) for v in z2]
    d1 = [[v - m for v in values] for values, m in zip(z1, m1)]
    d2 = [[v - m for v in values] for values, m in zip(z2, m2)]
    # E[z1 z2*] - E[z1] E[z2*] is the mean product of the deviations
    products = [product(list(p), list(q)) for p, q in zip(zip(*d1), zip(*d2))]
    covariance = factor * math.sqrt(norm2([mean([p[k] for p in products]) for k in range(count)]))
    variance = factor * (
        math.fsum(v * v for values in d1 for v in values) / size
        + math.fsum(v * v for values in d2 for v in values) / size
    )
    n1, n2 = norm2(m1), norm2(m2)
    bias = 2.0 * math.sqrt(n1) * math.sqrt(n2) / (n1 + n2)
    return covariance * 2.0 / variance * bias if variance else bias


def as_uint16(value: float) -> float:
    """Matlab's cast: halves away from zero, out of range to the end of the range."""
    return float(min(max(math.floor(value + 0.5), 0), 65535))


def q2n(
    fused: list[Plane],
    truth: list[Plane],
    *,
    block: int = 32,
    round_to_uint16: bool = False,
    mask: Mask | None = None,
) -> float:
    """Mean over the blocks; one that touches a pixel outside the mask is left out."""
    if round_to_uint16:
        fused = [[[as_uint16(v) for v in row] for row in plane] for plane in fused]
        truth = [[[as_uint16(v) for v in row] for row in plane] for plane in truth]
    height, width = len(truth[0]), len(truth[0][0])
    scores = []
    for top in range(0, height, block):
        for left in range(0, width, block):
            rows = [mirrored(y, height) for y in range(top, top + block)]
            cols = [mirrored(x, width) for x in range(left, left + block)]
            if mask and not all(mask[y][x] for y in rows for x in cols):
                continue
            f = [[plane[y][x] for y in rows for x in cols] for plane in fused]
            g = [[plane[y][x] for y in rows for x in cols] for plane in truth]
            scores.append(q_of_block(f, g))
    return mean(scores)
