"""Indices without truth, in loops over Python floats."""

from __future__ import annotations

import math

from scalar_q2n import q2n
from scalar_resample import Plane, box_and_bilinear, degrade, degrade_at_corner, upsample
from scalar_windows import (
    centred,
    dot,
    gaussian_moments,
    mean,
    moments,
    q_index,
    q_of_torchmetrics,
    windows,
)

Image = list[Plane]

# MTF gains at the Nyquist frequency of the MS grid, and PAN's; see README.md.
SENSORS = {
    None: (None, 0.15),
    "QB": ([0.34, 0.32, 0.30, 0.22], 0.15),
    "WV3-8": ([0.325, 0.355, 0.36, 0.35, 0.365, 0.36, 0.335, 0.315], 0.14),
}


def band_gains(count: int, sensor: str | None, gains: list[float] | None) -> list[float]:
    return gains or SENSORS[sensor][0] or [0.30] * count


def ratio_of(fused: Image, ms: Image) -> int:
    return len(fused[0]) // len(ms[0])


def as_uint8(plane: Plane) -> Plane:
    return [[float(min(max(math.floor(v), 0), 255)) for v in row] for row in plane]


def power_mean(values: list[float], p: float) -> float:
    return mean([v**p for v in values]) ** (1.0 / p)


def d_lambda(
    fused: Image, ms: Image, *, variant: str = "alparone08", window: int = 32, p: float = 1
) -> float:
    r, side, stride = ratio_of(fused, ms), window, 1
    if variant == "alparone08":
        side = window // r
    elif variant == "toolbox":
        ms, stride = [upsample(plane, r) for plane in ms], window
    elif variant == "pantiny":
        fused, ms = [as_uint8(b) for b in fused], [as_uint8(b) for b in ms]
    if variant == "torchmetrics":
        q, fine = q_of_torchmetrics, [gaussian_moments(b) for b in fused]
        coarse = [gaussian_moments(b) for b in ms]
    else:
        q, fine = q_index, [moments(b, window, stride) for b in fused]
        coarse = [moments(b, side, stride) for b in ms]
    differences = []
    for i in range(len(fused)):
        for j in range(i + 1, len(fused)):
            differences.append(abs(q(fine[i], fine[j]) - q(coarse[i], coarse[j])))
    return power_mean(differences, p)


def d_s(
    fused: Image,
    ms: Image,
    pan: Plane,
    *,
    variant: str = "alparone08",
    window: int = 32,
    q: float = 1,
    sensor: str | None = None,
    pan_low: Plane | None = None,
) -> float:
    r, side, stride = ratio_of(fused, ms), window, 1
    if variant == "pantiny":  # PAN is floored before it is blurred, and not again after
        fused, ms, pan = [as_uint8(b) for b in fused], [as_uint8(b) for b in ms], as_uint8(pan)
    if pan_low is None:
        if variant == "pantiny":
            pan_low = degrade_at_corner(pan, r, 0.15)
        elif variant == "torchmetrics":
            pan_low = box_and_bilinear(pan, r)
        else:
            pan_low = degrade([pan], r, [SENSORS[sensor][1]])[0]
    if variant == "alparone08":
        side = window // r
    elif variant == "toolbox":
        ms, stride = [upsample(plane, r) for plane in ms], window
        pan_low = upsample(pan_low, r)
    differences = []
    if variant == "torchmetrics":
        sharp, soft = gaussian_moments(pan), gaussian_moments(pan_low)
        for f, m in zip(fused, ms):
            fine = q_of_torchmetrics(gaussian_moments(f), sharp)
            differences.append(abs(fine - q_of_torchmetrics(gaussian_moments(m), soft)))
    else:
        sharp, soft = moments(pan, window, stride), moments(pan_low, side, stride)
        for f, m in zip(fused, ms):
            fine = q_index(moments(f, window, stride), sharp)
            differences.append(abs(fine - q_index(moments(m, side, stride), soft)))
    return power_mean(differences, q)


def qnr(
    fused: Image,
    ms: Image,
    pan: Plane,
    *,
    alpha: float = 1,
    beta: float = 1,
    variant: str = "alparone08",
    window: int = 32,
    sensor: str | None = None,
    pan_low: Plane | None = None,
) -> float:
    spectral = d_lambda(fused, ms, variant=variant, window=window)
    spatial = d_s(fused, ms, pan, variant=variant, window=window, sensor=sensor, pan_low=pan_low)
    return max(1.0 - spectral, 0.0) ** alpha * max(1.0 - spatial, 0.0) ** beta


def reprojected(
    fused: Image, ms: Image, *, sensor: str | None = None, gains: list[float] | None = None
) -> tuple[Image, Image]:
    return degrade(fused, ratio_of(fused, ms), band_gains(len(ms), sensor, gains)), ms


def d_lambda_k(
    fused: Image,
    ms: Image,
    *,
    sensor: str | None = None,
    gains: list[float] | None = None,
    block: int = 32,
) -> float:
    return 1.0 - q2n(*reprojected(fused, ms, sensor=sensor, gains=gains), block=block)


def d_s_r(fused: Image, pan: Plane) -> float:
    """The share of PAN's variance that the bands and a constant do not explain.

    PAN and the bands without their means; each band in turn is freed of the earlier ones and
    PAN of it (Gram-Schmidt, each projection twice against rounding).
    """
    _, rest = centred([v for row in pan for v in row])
    total = dot(rest, rest)
    if not total:
        return 0.0
    basis: list[list[float]] = []
    for plane in fused:
        _, band = centred([v for row in plane for v in row])
        size = dot(band, band)
        for unit in basis * 2:
            along = dot(band, unit)
            band = [v - along * u for v, u in zip(band, unit)]
        left = dot(band, band)
        if left > 1e-20 * size:  # else a constant, or a mixture of the earlier bands
            basis.append([v / math.sqrt(left) for v in band])
    for unit in basis * 2:
        along = dot(rest, unit)
        rest = [v - along * u for v, u in zip(rest, unit)]
    return dot(rest, rest) / total


def hqnr(
    fused: Image,
    ms: Image,
    pan: Plane,
    *,
    variant: str = "alparone08",
    window: int = 32,
    sensor: str | None = None,
) -> float:
    spatial = d_s(fused, ms, pan, variant=variant, window=window, sensor=sensor)
    return (1.0 - d_lambda_k(fused, ms, sensor=sensor)) * (1.0 - spatial)


def rqnr(fused: Image, ms: Image, pan: Plane, *, sensor: str | None = None) -> float:
    return (1.0 - d_lambda_k(fused, ms, sensor=sensor)) * (1.0 - d_s_r(fused, pan))


def correlation(x: list[float], y: list[float]) -> float:
    """Two constants correlate fully, a constant with anything else not at all."""
    _, dx = centred(x)
    _, dy = centred(y)
    norms = math.sqrt(dot(dx, dx)) * math.sqrt(dot(dy, dy))
    if norms:
        return dot(dx, dy) / norms
    return 1.0 if not any(dx) and not any(dy) else 0.0


def d_rho(fused: Image, pan: Plane, *, ratio: float) -> float:
    side = 2 * math.ceil(ratio / 2)
    losses = []
    for plane in fused:
        both = zip(windows(plane, side, 1), windows(pan, side, 1))
        losses.append(mean([1.0 - correlation(x, y) for x, y in both]))
    return mean(losses)
