"""Means of an index over sliding windows, and their gradient, in torch.

An index of two planes depends on windowed means only, so with B the filter and B^T its adjoint
``dL/dx_a = B^T(dL/dmu_a) + 2 x_a B^T(dL/dE_aa) + sum_b x_b B^T(dL/dE_ab)``, with x about the mean
of its plane so that squares of large values do not cancel.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

INDICES = ("uqi", "decorrelation", "ssim")
GAUSSIAN, SIGMA = 11, 1.5  # window of "ssim"
AT_ONCE = 1 << 21  # samples of one quantity held at a time


def _taps() -> list[float]:
    raw = [math.exp(-0.5 * ((i - GAUSSIAN // 2) / SIGMA) ** 2) for i in range(GAUSSIAN)]
    return [t / math.fsum(raw) for t in raw]


TAPS = _taps()


def _box(x: Tensor, window: int, dim: int) -> Tensor:
    """Sums of ``window`` neighbours, by doubling: no sum is taken apart, so none cancels."""
    count, length, done = x.size(dim) - window + 1, 1, 0
    out: Tensor | None = None
    while True:
        if window & length:
            piece = x.narrow(dim, done, count)
            out = piece if out is None else out + piece
            done += length
        if 2 * length > window:
            assert out is not None
            return out
        rest = x.size(dim) - length
        x = x.narrow(dim, 0, rest) + x.narrow(dim, length, rest)
        length *= 2


def _gaussian(x: Tensor, dim: int) -> Tensor:
    count, last = x.size(dim) - GAUSSIAN + 1, GAUSSIAN - 1
    out = x.narrow(dim, last // 2, count) * TAPS[last // 2]
    for i in range(last // 2):
        out.add_(x.narrow(dim, i, count) + x.narrow(dim, last - i, count), alpha=TAPS[i])
    return out


def _filter(x: Tensor, window: int, index: str) -> Tensor:
    """Mean over every window inside: [..., H, W] -> [..., H - window + 1, W - window + 1]."""
    if index == "ssim":
        return _gaussian(_gaussian(x, -2), -1)
    return _box(_box(x, window, -2), window, -1) * (1.0 / window**2)


def _adjoint(x: Tensor, window: int, index: str) -> Tensor:
    """Of ``_filter``, which is symmetric."""
    edge = window - 1
    return _filter(F.pad(x, (edge, edge, edge, edge)), window, index)


class Slopes(NamedTuple):
    """An index [n, pairs, h, w] and its derivatives by means, variances and covariance."""

    value: Tensor
    mean: tuple[Tensor, Tensor]
    variance: tuple[Tensor, Tensor]
    covariance: Tensor


def _over(top: Tensor, bottom: Tensor) -> tuple[Tensor, Tensor]:
    """top / bottom, 0 where that is 0; and where it is not."""
    there = bottom != 0
    return torch.where(there, top / torch.where(there, bottom, 1.0), 0.0), there


def _uqi(ma: Tensor, mb: Tensor, va: Tensor, vb: Tensor, cov: Tensor) -> Slopes:
    spread, power = va + vb, ma * ma + mb * mb
    slope, uneven = _over(torch.full_like(spread, 2.0), spread)
    structure = torch.where(uneven, slope * cov, 1.0)  # 0/0 is 1, and stays so
    share, lit = _over(torch.full_like(power, 2.0), power)
    bias = torch.where(lit, share * ma * mb, 1.0)
    value = bias * structure
    by_variance = -0.5 * value * slope
    return Slopes(
        value,
        (structure * share * (mb - bias * ma), structure * share * (ma - bias * mb)),
        (by_variance, by_variance),
        bias * slope,
    )


def _decorrelation(ma: Tensor, mb: Tensor, va: Tensor, vb: Tensor, cov: Tensor) -> Slopes:
    inverse, there = _over(torch.ones_like(va), va.sqrt() * vb.sqrt())
    flat = torch.where((va != 0) | (vb != 0), 1.0, 0.0)  # 1 where one side is constant
    half, none = 0.5 * cov * inverse, torch.zeros_like(ma)
    return Slopes(
        torch.where(there, 1.0 - cov * inverse, flat),
        (none, none),
        (_over(half, va)[0], _over(half, vb)[0]),
        -inverse,
    )


def _ssim(
    ma: Tensor, mb: Tensor, va: Tensor, vb: Tensor, cov: Tensor, c1: float, c2: float
) -> Slopes:
    bias, structure = 2 * ma * mb + c1, 2 * cov + c2
    power, spread = ma * ma + mb * mb + c1, va + vb + c2
    under = 1.0 / (power * spread)
    value = bias * structure * under
    by_mean, by_power, by_spread = 2 * structure * under, 2 * value / power, -value / spread
    return Slopes(
        value,
        (mb * by_mean - ma * by_power, ma * by_mean - mb * by_power),
        (by_spread, by_spread),
        2 * bias * under,
    )


class Group:
    """Planes [n, P, H, W] of some images, and what their pairs make of each window."""

    def __init__(
        self, planes: Tensor, window: int, index: str, c1: float, c2: float, dtype: torch.dtype
    ) -> None:
        self.window, self.index, self.c = window, index, (c1, c2)
        x = planes.to(dtype)
        anchor = x.mean((-2, -1), keepdim=True)
        self.x = x - anchor
        self.mean = _filter(self.x, window, index)
        square = _filter(self.x * self.x, window, index)
        variance = square - self.mean * self.mean
        # below this share of the square it is rounding: as many roundings as a sum has
        share = 0.0 if index == "ssim" else 2.0 * (window + 8) * torch.finfo(dtype).eps
        self.variance = torch.where(variance > share * square, variance, 0.0)
        self.full = self.mean + anchor

    def slopes(self, i: list[int], j: list[int]) -> Slopes:
        product = _filter(self.x[:, i] * self.x[:, j], self.window, self.index)
        moments = (
            self.full[:, i], self.full[:, j], self.variance[:, i], self.variance[:, j],
            product - self.mean[:, i] * self.mean[:, j],
        )  # fmt: skip
        if self.index == "uqi":
            return _uqi(*moments)
        if self.index == "decorrelation":
            return _decorrelation(*moments)
        return _ssim(*moments, *self.c)

    def gradient(self, i: list[int], j: list[int], grad: Tensor, wanted: list[bool]) -> Tensor:
        """Of ``sum of grad [n, pairs] * mean over windows``; [n, P, H, W]."""
        by_mean, by_square = torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        out = torch.zeros_like(self.x)
        limit = max(1, AT_ONCE // max(1, self.x.numel() // self.x.shape[1]))
        for k in range(0, len(i), limit):
            first, second = i[k : k + limit], j[k : k + limit]
            s, g = self.slopes(first, second), grad[:, k : k + limit, None, None]
            g = g / (s.value.shape[-1] * s.value.shape[-2])
            product = g * s.covariance
            back = _adjoint(product, self.window, self.index)
            for p, (a, b) in enumerate(zip(first, second)):
                for here, there, mean, variance in (
                    (a, b, s.mean[0], s.variance[0]),
                    (b, a, s.mean[1], s.variance[1]),
                ):
                    if not wanted[here]:
                        continue
                    square = g[:, p] * variance[:, p]
                    by_square[:, here] += square
                    by_mean[:, here] += (
                        g[:, p] * mean[:, p]
                        - 2 * self.mean[:, here] * square
                        - self.mean[:, there] * product[:, p]
                    )
                    out[:, here] += self.x[:, there] * back[:, p]
        keep = [k for k, w in enumerate(wanted) if w]
        both = torch.cat([by_mean[:, keep], by_square[:, keep]], 1)
        back, twice = _adjoint(both, self.window, self.index).chunk(2, 1)
        out[:, keep] += back + 2 * self.x[:, keep] * twice
        return out


def _runs(first: Tensor, second: Tensor) -> list[slice]:
    """Images dealt out so that few are held at a time."""
    planes = first.shape[1] + second.shape[1]
    size = max(1, AT_ONCE // max(1, planes * first.shape[-1] * first.shape[-2]))
    return [slice(k, k + size) for k in range(0, first.shape[0], size)]


def _both(first: Tensor, second: Tensor, run: slice) -> Tensor:
    return torch.cat([first[run], second[run]], 1) if second.shape[1] else first[run]


def means(
    first: Tensor, second: Tensor, pairs: list[int], window: int, index: str, c1: float, c2: float
) -> Tensor:
    """Mean per image and pair [N, pairs] float64; planes of ``first``, then of ``second``."""
    out = first.new_empty((first.shape[0], len(pairs) // 2), dtype=torch.float64)
    for run in _runs(first, second):
        group = Group(_both(first, second, run), window, index, c1, c2, torch.float64)
        for p, (a, b) in enumerate(zip(pairs[::2], pairs[1::2])):
            out[run, p] = group.slopes([a], [b]).value[:, 0].mean((-2, -1))
    return out


def gradient(
    grad: Tensor,
    first: Tensor,
    second: Tensor,
    pairs: list[int],
    window: int,
    index: str,
    c1: float,
    c2: float,
    wanted: tuple[bool, bool],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Gradients of ``first`` and ``second``, empty where not wanted, from that of the means.

    Moments and sums are in ``dtype``.
    """
    out = tuple(t.new_zeros(t.shape if w else (0,)) for t, w in zip((first, second), wanted))
    planes = [wanted[0]] * first.shape[1] + [wanted[1]] * second.shape[1]
    if pairs:
        for run in _runs(first, second):
            group = Group(_both(first, second, run), window, index, c1, c2, dtype)
            made = group.gradient(pairs[::2], pairs[1::2], grad[run].to(dtype), planes)
            parts = made.split([first.shape[1], second.shape[1]], 1)
            for to, part, want in zip(out, parts, wanted):
                if want:
                    to[run] = part
    return out[0], out[1]
