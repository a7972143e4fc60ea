"""The images that are fused: made up from a seed, the same in every process."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from pantiny.kernels.consistency.consistency_ref import consistency_ref
from pantiny.kernels.resample.resample_ref import apply_taps, cubic_taps
from pantiny.kernels.testing import random_weights
from pantiny.options import radiometry
from pantiny.pair import ArraySource
from pantiny.reference import network_ref
from pantiny.sensors import get_sensor
from pantiny.survey import survey
from pantiny.variants import VARIANTS
from pantiny.weights import Model, load_model, make_model

from .macs import RATIO

BITS = 11
PEAK = float(2**BITS - 1)  # DN per network value
SENSOR = "WV2"
GATE_SHAPE = (68, 76)  # just more than a tile, no multiple of a vector
GATE_SEED = 1000


@dataclass(frozen=True)
class Tile:
    """A pair of arrays.

    Attributes
    ----------
    ms : array [4, h, w] uint16
    pan : array [H, W] uint16
    """

    ms: np.ndarray
    pan: np.ndarray

    @cached_property
    def ms_up(self) -> np.ndarray:
        """MS on the PAN grid, [4, H, W] float64 DN."""
        rows, cols = (cubic_taps(0, n, 1 / RATIO) for n in self.pan.shape)
        return np.asarray(apply_taps(self.ms.astype(np.float64), rows, cols))


def make_tile(height: int, width: int, seed: int) -> Tile:
    """A tile with large shapes, edges and noise; height and width are multiples of 4."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x * fx + y * fy) for fx, fy in rng.uniform(0.01, 0.4, (3, 2))]
    texture = 250 * waves[0] + 120 * np.sign(waves[1]) + 80 * waves[2]
    bands = rng.uniform(500, 1100, 4)[:, None, None] + rng.uniform(0.4, 1.0, 4)[:, None, None] * (
        texture.reshape(height // RATIO, RATIO, width // RATIO, RATIO).mean((1, 3))
    )
    pan = 800 + texture + 20 * rng.standard_normal((height, width), np.float32)
    ms = bands + 10 * rng.standard_normal(bands.shape)
    return Tile(
        np.clip(np.rint(ms), 0, PEAK).astype(np.uint16),
        np.clip(np.rint(pan), 0, PEAK).astype(np.uint16),
    )


def gate_tile() -> Tile:
    """The tile that candidates are checked on."""
    return make_tile(*GATE_SHAPE, GATE_SEED)


def gains() -> tuple[float, ...]:
    """MTF gains of the four bands."""
    sensor = get_sensor(SENSOR)
    assert sensor is not None
    return sensor.gains_for(4)


def get_model(name: str) -> Model:
    """A packaged model, or a variant with random weights: time does not depend on them."""
    if name == "tiny" or name not in VARIANTS:
        return load_model(name)
    return make_model(
        name, random_weights(name), contract="peak", licence="none", name=f"{name}, random weights"
    )


class Reference:
    """The float64 truth of a tile; the network is run once for every number of steps.

    Parameters
    ----------
    model : Model
    tile : Tile
    dn_per_unit : float, optional
        DN per network value; default: as the model's contract finds it.
    """

    def __init__(self, model: Model, tile: Tile, dn_per_unit: float | None = None) -> None:
        self._model, self._tile = model, tile
        self._scale = surveyed(model, tile) if dn_per_unit is None else dn_per_unit
        ms_up, pan = tile.ms_up / self._scale, tile.pan / self._scale
        self._network = network_ref(model.tensors, model.variant, ms_up, pan)

    def fused(self, steps: int | None) -> np.ndarray:
        """DN [4, H, W], neither rounded nor clipped; None: the model's own number of steps."""
        steps = self._model.consistency if steps is None else steps
        ms = self._tile.ms / self._scale
        return self._scale * consistency_ref(self._network, ms, gains(), steps)

    def rounded(self, steps: int | None) -> np.ndarray:
        """DN [4, H, W] uint16, as ``pantiny.fuse`` should give it."""
        return np.clip(np.rint(self.fused(steps)), 0, PEAK).astype(np.uint16)


def surveyed(model: Model, tile: Tile) -> float:
    """DN per network value, as the model's contract finds it."""
    log = logging.getLogger("pantiny")
    level = log.level
    log.setLevel(logging.ERROR)  # what it says of the tile does not matter here
    try:
        known = radiometry(tile.ms.dtype, 4, get_sensor(SENSOR), BITS)
        source = ArraySource(tile.ms, tile.pan, None, None, None, RATIO)
        return survey(source, known, [(0, 1, 2, 3)], model.contract)[0]
    finally:
        log.setLevel(level)


@lru_cache(maxsize=4)
def _gate_reference(model: str) -> Reference:
    return Reference(get_model(model), gate_tile(), PEAK)


def truth(model: str, steps: int) -> np.ndarray:
    """float64 DN [4, H, W] of the gate's tile at ``PEAK`` DN per network value."""
    return _gate_reference(model).fused(steps)
