"""The canvas the synthetic scene is drawn on: maps of cover, mix and height."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .spectra import MATERIALS

ALL = (slice(None), slice(None))
FINE_M = 0.25  # spacing of the canvas in metres: two samples per PAN pixel


class Local(NamedTuple):
    """A window of the canvas in the frame of an object.

    Attributes
    ----------
    window : tuple of two slices
        Rows and columns of the canvas.
    a, b : array [n, m] float32
        Metres from the object's centre along and across its axis.
    """

    window: tuple[slice, slice]
    a: np.ndarray
    b: np.ndarray


def texture(rng: np.random.Generator, size: int, slope: float, wavelength_m: float) -> np.ndarray:
    """Noise [2 size, 2 size] float32 of unit deviation with a power-law spectrum.

    Amplitudes fall as ``frequency**-slope`` and are flat above ``wavelength_m``.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), np.float32))
    row = np.fft.fftfreq(size)[:, None] / (2 * FINE_M)
    col = np.fft.rfftfreq(size)[None, :] / (2 * FINE_M)
    frequency = np.sqrt(row**2 + col**2 + wavelength_m**-2).astype(np.float32)
    field: np.ndarray = np.fft.irfft2(spectrum * frequency**-slope, s=(size, size))
    field = ((field - field.mean()) / field.std()).astype(np.float32)
    return field.repeat(2, 0).repeat(2, 1)


class Canvas:
    """What lies where, at two samples per PAN pixel.

    Parameters
    ----------
    size : int
        PAN pixels along one side.
    rng : numpy.random.Generator
        Source of all randomness.

    Attributes
    ----------
    x, y : array [1, S], [S, 1] float32
        Sample centres in metres, y downwards; ``S = 2 * size``.
    cover : array [S, S] uint16
        Row of the palette.
    mix : array [S, S] float32
        Between a material's two spectra, 0 to 1.
    height : array [S, S] float32
        Metres above the ground.
    open : array [S, S] bool
        Where something may still be built or planted.
    rough : array [S, S] float32
        Texture of unit deviation at the scale of metres.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        n = 2 * size
        self.rng = rng
        self.extent_m = n * FINE_M
        self.x = ((np.arange(n, dtype=np.float32) + 0.5) * FINE_M)[None, :]
        self.y = ((np.arange(n, dtype=np.float32) + 0.5) * FINE_M)[:, None]
        self.cover = np.zeros((n, n), np.uint16)
        self.height = np.zeros((n, n), np.float32)
        self.open = np.zeros((n, n), bool)
        self.slow = texture(rng, size, 1.4, 60.0)
        self.rough = texture(rng, size, 1.0, 3.0)
        self.mix = np.full((n, n), 0.4, np.float32)
        self.names: list[str] = []
        self.tints: list[np.ndarray] = []

    def row(self, material: str, tint: float = 0.0) -> int:
        """A new palette row: ``material``, its colour varied by about ``tint``."""
        # the bands of a colour vary together, the gap between them less so
        alone = self.rng.standard_normal(5) * (0.33, 0.33, 0.33, 0.33, 1.0)
        jitter = 1 + tint * (self.rng.standard_normal() + alone)
        self.names.append(material)
        self.tints.append(np.clip(jitter, 0.6, 1.5))
        return len(self.names) - 1

    def palette(self) -> tuple[np.ndarray, np.ndarray]:
        """Spectra [rows, 2, 5] (base, alt) and texture amplitudes [rows, 2] (patch, grain)."""
        materials = [MATERIALS[name] for name in self.names]
        spectra = np.array([(m.base, m.alt) for m in materials]) * np.array(self.tints)[:, None]
        amplitudes = np.array([(m.patch, m.grain) for m in materials])
        return spectra.astype(np.float32), amplitudes.astype(np.float32)

    def where(self, *names: str) -> np.ndarray:
        """Where the cover is one of the named materials, array [S, S] bool."""
        return np.array([name in names for name in self.names])[self.cover]

    def kind(self) -> np.ndarray:
        """The kind of material at every sample, array [S, S] of str."""
        return np.array([MATERIALS[name].kind for name in self.names])[self.cover]

    def index(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the sample nearest to a point, clamped to the canvas."""
        last = self.cover.shape[0] - 1
        row, col = int(y / FINE_M), int(x / FINE_M)
        return min(max(row, 0), last), min(max(col, 0), last)

    def local(self, x: float, y: float, angle: float, reach_m: float) -> Local | None:
        """The window within ``reach_m`` of a point, or None if it is off the canvas."""
        n = self.cover.shape[0]
        top, bottom = int((y - reach_m) / FINE_M), math.ceil((y + reach_m) / FINE_M)
        left, right = int((x - reach_m) / FINE_M), math.ceil((x + reach_m) / FINE_M)
        window = (slice(max(top, 0), min(bottom, n)), slice(max(left, 0), min(right, n)))
        if window[0].start >= window[0].stop or window[1].start >= window[1].stop:
            return None
        dx, dy = self.x[:, window[1]] - np.float32(x), self.y[window[0]] - np.float32(y)
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return Local(window, dx * cos + dy * sin, dy * cos - dx * sin)

    def box(
        self, x: float, y: float, angle: float, length: float, width: float
    ) -> tuple[Local, np.ndarray] | None:
        """A rectangle's window and mask, or None if it is off the canvas."""
        local = self.local(x, y, angle, 0.5 * math.hypot(length, width) + FINE_M)
        if local is None:
            return None
        mask = (np.abs(local.a) < length / 2) & (np.abs(local.b) < width / 2)
        return (local, mask) if mask.any() else None

    def fits(self, x: float, y: float, angle: float, length: float, width: float) -> bool:
        """Whether a rectangle touches the canvas and all of it there is open."""
        found = self.box(x, y, angle, length, width)
        return found is not None and bool(self.open[found[0].window][found[1]].all())

    def paint(
        self,
        window: tuple[slice, slice] | slice,
        mask: np.ndarray,
        row: int,
        *,
        mix: float | np.ndarray | None = None,
        height: float | np.ndarray | None = None,
        keep_open: bool = False,
    ) -> None:
        """Cover the samples of ``mask`` in ``window`` with a palette row."""
        np.copyto(self.cover[window], row, where=mask, casting="unsafe")
        if mix is not None:
            np.copyto(self.mix[window], mix, where=mask, casting="unsafe")
        if height is not None:
            np.copyto(self.height[window], height, where=mask, casting="unsafe")
        if not keep_open:
            self.open[window] &= ~mask

    def rectangle(
        self,
        x: float,
        y: float,
        angle: float,
        length: float,
        width: float,
        row: int,
        *,
        height: float | None = None,
        mix: float | None = None,
        keep_open: bool = False,
    ) -> None:
        """Paint a rectangle; ``height`` in metres is added to what it stands on."""
        found = self.box(x, y, angle, length, width)
        if found is None:
            return
        local, mask = found
        top = None if height is None else self.height[local.window] + np.float32(height)
        self.paint(local.window, mask, row, height=top, mix=mix, keep_open=keep_open)
