"""From the canvas to the radiance at the sensor: sun, shadow, sky, haze and optics."""

from __future__ import annotations

import math

import numpy as np

from ..kernels.resample.resample_ref import gaussian_radius, gaussian_taps
from .canvas import FINE_M, Canvas

# Share of the light that comes from the sky, and the path radiance as a reflectance,
# for blue, green, red, nir and the gap: both fall with the wavelength.
SKY = (0.42, 0.36, 0.31, 0.24, 0.29)
HAZE = (0.065, 0.042, 0.027, 0.010, 0.024)


def _shifted(field: np.ndarray, dx: int, dy: int, fill: float) -> np.ndarray:
    """``field`` read ``dx`` columns and ``dy`` rows further on; ``fill`` outside."""
    height, width = field.shape
    out = np.full_like(field, fill)
    if abs(dy) < height and abs(dx) < width:
        to = (
            slice(max(-dy, 0), height - max(dy, 0)),
            slice(max(-dx, 0), width - max(dx, 0)),
        )
        at = (
            slice(max(dy, 0), height - max(-dy, 0)),
            slice(max(dx, 0), width - max(-dx, 0)),
        )
        out[to] = field[at]
    return out


def shadow(height: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """How far each sample lies in the shadow of others, 0 to 1.

    Parameters
    ----------
    height : array [S, S] float32
        Metres above the ground.
    azimuth, elevation : float
        Of the sun, in radians; azimuth clockwise from the top of the image.

    Returns
    -------
    array [S, S] float32
    """
    east, south = math.sin(azimuth), -math.cos(azimuth)
    drop = FINE_M * math.tan(elevation)
    # horizon: the highest ray towards the sun that things 1 .. steps samples away block;
    # two horizons of n steps make one of 2 n.
    horizon = _shifted(height, round(east), round(south), 0.0) - np.float32(drop)
    steps = 1
    while steps * drop < height.max():
        further = _shifted(horizon, round(steps * east), round(steps * south), -1e3)
        horizon = np.maximum(horizon, further - np.float32(steps * drop))
        steps *= 2
    shade: np.ndarray = np.clip((horizon - height) / np.float32(0.4), 0, 1)
    return shade


def _facing_sun(height: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """Direct light [S, S] relative to level ground, from the slopes of ``height``."""
    down, right = (np.gradient(height, FINE_M, axis=axis) for axis in (0, 1))
    np.clip(down, -1.0, 1.0, out=down)  # walls are steeper; their light is not the roof's
    np.clip(right, -1.0, 1.0, out=right)
    cot = 1 / math.tan(elevation)
    east, south = np.float32(math.sin(azimuth) * cot), np.float32(-math.cos(azimuth) * cot)
    light: np.ndarray = (1 - right * east - down * south) / np.sqrt(1 + right**2 + down**2)
    return light.clip(0, 1.35)


def radiance(canvas: Canvas, azimuth: float, elevation: float) -> np.ndarray:
    """Top-of-atmosphere reflectance of the canvas.

    Returns
    -------
    array [5, S, S] float32
        Blue, green, red, nir and the gap between them.
    """
    rng = canvas.rng
    spectra, amplitudes = canvas.palette()
    slow = np.float32(1.0) + np.float32(0.04) * canvas.slow
    direct = _facing_sun(canvas.height, azimuth, elevation)
    direct *= (1 - shadow(canvas.height, azimuth, elevation)) * slow
    patch, grain = amplitudes[:, 0][canvas.cover], amplitudes[:, 1][canvas.cover]
    mix = np.clip(canvas.mix + patch * (0.5 * canvas.slow + 0.5 * canvas.rough), 0, 1)
    size = canvas.cover.shape[0]
    fine = rng.standard_normal((size, size), np.float32) + np.float32(0.5) * canvas.rough
    out = np.empty((5, size, size), np.float32)
    for k in range(5):
        base, alt = spectra[:, 0, k], spectra[:, 1, k]
        albedo = base[canvas.cover] + mix * (alt - base)[canvas.cover]
        # the same grain read elsewhere is the part that this band does not share
        own = np.roll(fine, (37 * (k + 1), 53 * (k + 1)), (0, 1))
        albedo *= 1 + grain * (np.float32(0.9) * fine + np.float32(0.45) * own)
        sky = np.float32(SKY[k])
        out[k] = albedo * (sky * slow + (1 - sky) * direct) + np.float32(HAZE[k])
    return out


def through_optics(fine: np.ndarray, gain: float) -> np.ndarray:
    """Two canvas samples per pixel to the PAN grid, through a Gaussian MTF.

    Parameters
    ----------
    fine : array [K, 2 H, 2 W]
        Any float dtype.
    gain : float
        MTF at the Nyquist frequency of the PAN grid, in (0, 1).

    Returns
    -------
    array [K, H, W], dtype of ``fine``
    """
    radius = gaussian_radius(2, (gain,))
    weights = gaussian_taps(0, 1, 0.5, 0.0, gain, radius).weight[0]  # the same for every pixel
    out = fine
    for axis in (1, 2):
        edge = [(0, 0)] * 3
        edge[axis] = (radius, radius)
        padded = np.pad(out, edge, "edge")
        every_second = [slice(None)] * 3
        count = out.shape[axis] // 2
        out = np.zeros([n // 2 if k == axis else n for k, n in enumerate(out.shape)], fine.dtype)
        for t, weight in enumerate(weights):
            every_second[axis] = slice(t, t + 2 * count - 1, 2)
            out += padded[tuple(every_second)] * fine.dtype.type(weight)
    return out
