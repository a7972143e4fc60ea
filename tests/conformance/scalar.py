"""Every index written a second time, from its formula, in loops over Python floats.

Nothing of pantiny is imported and no array arithmetic is used; a sum is ``math.fsum``.
An image is a list of bands, a band a list of rows. With truth here, without truth in
``scalar_full``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import scalar_full
from scalar_q2n import q2n
from scalar_resample import Plane
from scalar_windows import centred, dot, gaussian_moments, mean, moments, q_index, ssim_index

Image = list[Plane]
Mask = list[list[bool]]


def flat(plane: Plane, mask: Mask | None = None) -> list[float]:
    if mask is None:
        return [v for row in plane for v in row]
    return [v for row, keep in zip(plane, mask) for v, k in zip(row, keep) if k]


def mse(a: list[float], b: list[float]) -> float:
    return mean([(x - y) ** 2 for x, y in zip(a, b)])


def total_mse(fused: Image, truth: Image, mask: Mask | None) -> float:
    return mse(
        [v for plane in fused for v in flat(plane, mask)],
        [v for plane in truth for v in flat(plane, mask)],
    )


def psnr(fused: Image, truth: Image, *, peak: float, mask: Mask | None = None) -> float:
    error = total_mse(fused, truth, mask)
    return 10.0 * math.log10(peak * peak / error) if error else math.inf


def rmse(fused: Image, truth: Image, *, mask: Mask | None = None) -> float:
    return math.sqrt(total_mse(fused, truth, mask))


def cc(fused: Image, truth: Image, *, mask: Mask | None = None) -> float:
    scores = []
    for f, g in zip(fused, truth):
        _, df = centred(flat(f, mask))
        _, dg = centred(flat(g, mask))
        norms = math.sqrt(dot(df, df)) * math.sqrt(dot(dg, dg))
        if norms:
            scores.append(dot(df, dg) / norms)
        else:
            scores.append(1.0 if not any(df) and not any(dg) else 0.0)
    return mean(scores)


def angle(u: list[float], v: list[float]) -> float:
    """Radians between two spectra, without the arccosine's loss at small angles."""
    nu, nv = math.sqrt(dot(u, u)), math.sqrt(dot(v, v))
    apart = [a * nv - b * nu for a, b in zip(u, v)]
    along = [a * nv + b * nu for a, b in zip(u, v)]
    return 2.0 * math.atan2(math.sqrt(dot(apart, apart)), math.sqrt(dot(along, along)))


def sam(fused: Image, truth: Image, *, units: str = "degrees", mask: Mask | None = None) -> float:
    f, g = [flat(p, mask) for p in fused], [flat(p, mask) for p in truth]
    angles = [angle(list(u), list(v)) for u, v in zip(zip(*f), zip(*g)) if any(u) and any(v)]
    if not angles:
        raise ValueError("sam: no pixel has an angle; a zero spectrum has none")
    radians = mean(angles)
    return math.degrees(radians) if units == "degrees" else radians


def ergas(fused: Image, truth: Image, *, ratio: float, mask: Mask | None = None) -> float:
    """A truth band of zero mean counts 0 where it is met exactly, else the index is infinite."""
    parts = []
    for f, g in zip(fused, truth):
        error, level = mse(flat(f, mask), flat(g, mask)), mean(flat(g, mask))
        if error:
            parts.append(error / level**2 if level else math.inf)
        else:
            parts.append(0.0)
    total = math.inf if math.inf in parts else math.fsum(parts)
    return 100.0 / ratio * math.sqrt(total / len(parts))


def sobel(plane: Plane, mask: Mask | None) -> list[float]:
    """Gradient magnitude of every pixel that has eight neighbours, all nine in the mask."""
    out = []
    for y in range(1, len(plane) - 1):
        for x in range(1, len(plane[0]) - 1):
            if mask and not all(all(mask[y + d][x - 1 : x + 2]) for d in (-1, 0, 1)):
                continue
            above, here, below = (plane[y + d][x - 1 : x + 2] for d in (-1, 0, 1))
            gx = above[2] + 2 * here[2] + below[2] - above[0] - 2 * here[0] - below[0]
            gy = below[0] + 2 * below[1] + below[2] - above[0] - 2 * above[1] - above[2]
            out.append(math.sqrt(gx * gx + gy * gy))
    return out


def scc(fused: Image, truth: Image, *, mask: Mask | None = None) -> float:
    f = [v for plane in fused for v in sobel(plane, mask)]
    g = [v for plane in truth for v in sobel(plane, mask)]
    norms = math.sqrt(dot(f, f)) * math.sqrt(dot(g, g))
    if norms:
        return dot(f, g) / norms
    return 1.0 if not any(f) and not any(g) else 0.0


def uqi(
    fused: Image, truth: Image, *, window: int = 8, stride: int = 1, mask: Mask | None = None
) -> float:
    scores = []
    for f, g in zip(fused, truth):
        scores.append(q_index(moments(f, window, stride, mask), moments(g, window, stride, mask)))
    return mean(scores)


def ssim(fused: Image, truth: Image, *, peak: float, mask: Mask | None = None) -> float:
    scores = []
    for f, g in zip(fused, truth):
        scores.append(ssim_index(gaussian_moments(f, mask), gaussian_moments(g, mask), peak))
    return mean(scores)


INDICES: dict[str, Callable[..., float]] = {
    "psnr": psnr,
    "rmse": rmse,
    "cc": cc,
    "sam": sam,
    "ergas": ergas,
    "scc": scc,
    "uqi": uqi,
    "ssim": ssim,
    "q2n": q2n,
    "d_lambda": scalar_full.d_lambda,
    "d_s": scalar_full.d_s,
    "qnr": scalar_full.qnr,
    "d_lambda_k": scalar_full.d_lambda_k,
    "d_s_r": scalar_full.d_s_r,
    "hqnr": scalar_full.hqnr,
    "rqnr": scalar_full.rqnr,
    "r_ergas": lambda f, m, **o: ergas(
        *scalar_full.reprojected(f, m, **o), ratio=len(f[0]) // len(m[0])
    ),
    "r_sam": lambda f, m, **o: sam(*scalar_full.reprojected(f, m, **o)),
    "r_q2n": lambda f, m, **o: q2n(*scalar_full.reprojected(f, m, **o)),
    "d_rho": scalar_full.d_rho,
}


def evaluate(name: str, images: list[Any], arguments: dict[str, Any]) -> float:
    """One index; a batch (a list of images) gives the mean of its images' values."""
    if not isinstance(images[0][0][0][0], list):
        return INDICES[name](*images, **arguments)
    values = []
    for i, one in enumerate(zip(*images)):
        own = {
            key: value[i] if isinstance(value, list) and isinstance(value[0], list) else value
            for key, value in arguments.items()
        }
        values.append(INDICES[name](*one, **own))
    return mean(values)
