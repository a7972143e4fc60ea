"""A synthetic MS and PAN pair whose true fused image is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..degrade import degrade_ms
from ..errors import OptionError
from ..sensors import Sensor, get_sensor
from .canvas import Canvas
from .country import draw_fields, draw_river, plant_country, river_distance
from .light import radiance, through_optics
from .town import draw_blocks, draw_streets, make_grid

GSD_M = 0.5
MIN_SIZE, MAX_SIZE = 64, 2048
RIVER_HALF_M = 11.0
# DN per unit of reflectance at 11 bits: blue, green, red, nir, gap
RESPONSE = (2500.0, 2350.0, 2150.0, 1450.0, 2000.0)
# PAN as a mix of the band DN; the last share is light between the bands that only PAN sees
PAN_MIX = (0.15, 0.22, 0.24, 0.07, 0.32)


@dataclass(frozen=True)
class SyntheticScene:
    """A pair and its truth.

    Attributes
    ----------
    truth : array [4, H, W] uint16
        Blue, green, red, nir on the PAN grid, seen through PAN's optics, free of noise.
    ms : array [4, h, w] uint16
        The truth degraded by the sensor's MTF, with noise.
    pan : array [H, W] uint16
        The panchromatic band, with noise.
    bits : int
        Bit depth of the DN.
    sensor : str
        Name in the sensor table.
    ratio : int
        ``H / h``.
    gsd_m : float
        Size of a PAN pixel in metres.
    """

    truth: np.ndarray
    ms: np.ndarray
    pan: np.ndarray
    bits: int
    sensor: str
    ratio: int
    gsd_m: float


def draw_canvas(size: int, seed: int) -> Canvas:
    """The canvas of a town on a river with fields beyond, ``size`` PAN pixels wide."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, rng)
    canvas.row("meadow")
    angle = rng.uniform(-0.5, 0.5)
    river = river_distance(canvas, angle)
    far = river < -(RIVER_HALF_M + 14)
    banks = np.abs(river) < RIVER_HALF_M + 15
    draw_fields(canvas, far, angle + rng.uniform(-0.3, 0.3))
    draw_river(canvas, river, RIVER_HALF_M)
    grid = make_grid(canvas, angle + rng.uniform(-0.25, 0.25))
    quay = np.abs(river - np.float32(RIVER_HALF_M + 22))
    draw_streets(canvas, grid, river > RIVER_HALF_M + 22, quay)
    draw_blocks(canvas, grid)
    plant_country(canvas, far, banks)
    return canvas


def _noisy(rng: np.random.Generator, dn: np.ndarray, read: float, bits: int) -> np.ndarray:
    """``dn`` with read and photon noise, rounded to the sensor's range."""
    unit = 2.0 ** (bits - 11)
    sigma = unit * np.sqrt(read**2 + 0.004 * np.maximum(dn, 0) / unit)
    noisy: np.ndarray = np.rint(dn + sigma * rng.standard_normal(dn.shape))
    return noisy.clip(0, 2**bits - 1).astype(np.uint16)


def check_size(size: int, ratio: int) -> None:
    """Raise OptionError unless a scene of ``size`` PAN pixels can be made."""
    if not isinstance(ratio, int) or not 2 <= ratio <= 8:
        raise OptionError(
            f"demo scene: ratio is {ratio!r}; need a whole number from 2 to 8; the usual one is 4"
        )
    if not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE or size % ratio:
        raise OptionError(
            f"demo scene: size is {size!r}; need a whole number of PAN pixels from {MIN_SIZE} to "
            f"{MAX_SIZE} that is a multiple of the ratio {ratio}; try {256 * ratio}"
        )


def make_scene(
    size: int = 1024, *, ratio: int = 4, seed: int = 0, sensor: str | Sensor = "WV2"
) -> SyntheticScene:
    """Make a scene of 0.5 m PAN pixels: a town on a river, fields, woods.

    Parameters
    ----------
    size : int
        PAN pixels along each side, 64 to 2048, a multiple of ``ratio``; 2048 takes 1.4 GB.
    ratio : int
        MS pixel size over PAN pixel size, 2 to 8.
    seed : int
        The same seed gives the same scene.
    sensor : str or Sensor
        Gives the bit depth and the MTF gains.

    Returns
    -------
    SyntheticScene

    Raises
    ------
    OptionError
        If ``size``, ``ratio`` or ``sensor`` cannot be honoured.
    """
    check_size(size, ratio)
    found = get_sensor(sensor)
    if found is None:
        raise OptionError(
            f"demo scene: sensor is {sensor!r}; need a sensor of the table, whose MTF and bit "
            "depth are known; use 'WV2'"
        )
    canvas = draw_canvas(size, seed)
    rng = canvas.rng
    sun = math.radians(rng.uniform(138, 165)), math.radians(rng.uniform(42, 56))
    seen = through_optics(radiance(canvas, *sun), found.pan_gain)
    seen *= np.float32(2.0 ** (found.bits - 11)) * np.array(RESPONSE, np.float32)[:, None, None]
    truth = np.clip(np.rint(seen[:4]), 0, 2**found.bits - 1).astype(np.uint16)
    pan = np.tensordot(np.array(PAN_MIX, np.float32), seen, 1)
    ms = degrade_ms(truth, ratio, found.gains_for(4))
    return SyntheticScene(
        truth=truth,
        ms=_noisy(rng, ms, 1.0, found.bits),
        pan=_noisy(rng, pan, 1.5, found.bits),
        bits=found.bits,
        sensor=found.name,
        ratio=ratio,
        gsd_m=GSD_M,
    )
