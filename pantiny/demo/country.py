"""The open land: river, fields, tracks and woods."""

from __future__ import annotations

import math

import numpy as np

from .canvas import ALL, Canvas, texture
from .objects import tree

# crop, its share, the depth of its rows
CROPS = (
    ("cereal", 0.22, 0.10),
    ("meadow", 0.22, 0.14),
    ("soil", 0.16, 0.14),
    ("stubble", 0.14, 0.12),
    ("maize", 0.14, 0.30),
    ("rape", 0.12, 0.08),
)


def river_distance(canvas: Canvas, angle: float) -> np.ndarray:
    """Signed distance in metres [S, S] float32 from the river's centre line.

    Positive on the town's side, negative on the far side; the water lies where its
    absolute value is below the half width.
    """
    rng = canvas.rng
    half = canvas.extent_m / 2
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    along = (canvas.x - half) * cos + (canvas.y - half) * sin
    across = (canvas.y - half) * cos - (canvas.x - half) * sin
    centre, slope = np.full_like(along, rng.uniform(0.02, 0.12) * canvas.extent_m), 0 * along
    for wavelength, swing in ((420.0, 22.0), (170.0, 5.0)):
        wave = 2 * math.pi / wavelength
        phase = rng.uniform(0, 2 * math.pi)
        centre += np.float32(swing) * np.sin(np.float32(wave) * along + phase)
        slope += np.float32(swing * wave) * np.cos(np.float32(wave) * along + phase)
    distance: np.ndarray = (centre - across) / np.sqrt(1 + slope**2)
    return distance


def draw_river(canvas: Canvas, river: np.ndarray, half_width_m: float) -> None:
    """Water with shallows along the banks, a rim of mud and reed."""
    distance = np.abs(river) + np.float32(0.9) * canvas.slow + np.float32(0.25) * canvas.rough
    canvas.paint(ALL, distance < half_width_m + 1.5, canvas.row("track"), mix=0.9)
    shallow = np.exp(np.minimum(distance - np.float32(half_width_m), 0) / np.float32(2.5))
    water = distance < half_width_m
    canvas.paint(ALL, water, canvas.row("water"), mix=np.float32(0.15) + 0.8 * shallow)


def _edges(field: np.ndarray, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Positions over the range of ``field`` in random steps from ``low`` to ``high``."""
    start, stop = float(field.min()), float(field.max())
    steps = rng.uniform(low, high, int((stop - start) / low) + 3)
    return np.asarray(start - rng.uniform(0, low) + np.cumsum(steps), np.float32)


def _gap(value: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Distance of each value to the nearest of the ascending ``edges``."""
    k = np.clip(np.searchsorted(edges, value), 1, len(edges) - 1)
    gap: np.ndarray = np.minimum(np.abs(value - edges[k - 1]), np.abs(edges[k] - value))
    return gap


def draw_fields(canvas: Canvas, land: np.ndarray, angle: float) -> None:
    """Cover ``land`` [S, S] bool with fields in rows, balks and tracks between them."""
    rng = canvas.rng
    rows, cols = np.nonzero(land)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    x, y = canvas.x[0, cols], canvas.y[rows, 0]
    a, b = x * cos + y * sin, y * cos - x * sin
    a += 5 * np.sin(b / 90 + np.float32(rng.uniform(0, 6)))
    b += 4 * np.sin(a / 110 + np.float32(rng.uniform(0, 6)))
    if not len(a):
        return
    a_edges = _edges(a, rng, 70, 130)
    b_edges = _edges(b, rng, 90, 170)
    i, j = np.searchsorted(a_edges, a), np.searchsorted(b_edges, b)
    cell = i * (len(b_edges) + 1) + j
    n_cells = (len(a_edges) + 1) * (len(b_edges) + 1)
    crop = rng.choice(len(CROPS), n_cells, p=[share for _, share, _ in CROPS])
    palette_row = np.array([canvas.row(CROPS[c][0], 0.10) for c in crop], np.uint16)
    depth = np.array([CROPS[c][2] for c in crop], np.float32) * rng.uniform(0.6, 1.4, n_cells)
    period = rng.uniform(2.5, 4.5, n_cells).astype(np.float32)
    base = rng.uniform(0.1, 0.6, n_cells).astype(np.float32)
    lengthways = rng.random(n_cells) < 0.6
    course = np.where(lengthways[cell], a, b)
    stripe = np.sin(2 * np.pi * course / period[cell])
    wheel = np.abs(np.abs(course % 21 - 10.5) - 0.95) < 0.3  # tractor tracks, 1.9 m apart
    mix = base[cell] + depth.astype(np.float32)[cell] * stripe + np.float32(0.35) * wheel
    canvas.cover[rows, cols] = palette_row[cell]
    canvas.mix[rows, cols] = mix
    gap_a, gap_b = _gap(a, a_edges), _gap(b, b_edges)
    balk = np.minimum(gap_a, gap_b) < 1.2
    canvas.cover[rows[balk], cols[balk]] = canvas.row("verge")
    track = gap_b < 2.6
    ruts = np.abs(gap_b - 0.9) < 0.45
    canvas.cover[rows[track], cols[track]] = canvas.row("track")
    canvas.mix[rows[track], cols[track]] = np.where(ruts[track], 0.1, 0.9)


def plant_country(canvas: Canvas, far: np.ndarray, banks: np.ndarray) -> None:
    """Trees along the river, on the verges and in a wood or two.

    ``far`` and ``banks`` [S, S] bool are the fields and the strips by the water.
    """
    size = canvas.cover.shape[0] // 2
    shape = texture(canvas.rng, size, 3.0, 250.0) + np.float32(0.1) * canvas.slow
    canvas.open = canvas.where("meadow", "verge") & (far | banks)
    _plant(canvas, banks & (canvas.slow > -0.3), 6.0, (2.0, 4.2), conifers=0.05, share=0.6)
    _plant(canvas, far & canvas.where("verge"), 3.0, (1.2, 3.2), conifers=0.05, share=0.3)
    canvas.open = far & (shape > 0.9) & ~canvas.where("asphalt", "marking", "track")
    ground = canvas.open & (canvas.height == 0)
    canvas.paint(ALL, ground, canvas.row("verge"), mix=0.2, keep_open=True)
    _plant(canvas, canvas.open, 4.2, (2.4, 4.4), conifers=0.3)


def _plant(
    canvas: Canvas,
    where: np.ndarray,
    spacing_m: float,
    radius_m: tuple[float, float],
    *,
    conifers: float,
    share: float = 1.0,
) -> None:
    """Trees at jittered grid points where ``where`` [S, S] is true and the ground open."""
    rng = canvas.rng
    n = max(1, round(canvas.extent_m / spacing_m))
    spots = (np.indices((n, n)).reshape(2, -1) + rng.uniform(0, 1, (2, n * n))) * spacing_m
    broad = [canvas.row("crown", 0.12) for _ in range(12)]
    needle = [canvas.row("conifer", 0.10) for _ in range(6)]
    for y, x in spots.T[rng.random(n * n) < share]:
        i, j = canvas.index(x, y)
        if where[i, j] and canvas.open[i, j]:
            cone = bool(rng.random() < conifers)
            row = int(rng.choice(needle if cone else broad))
            radius = rng.uniform(*radius_m) * (0.75 if cone else 1.0)
            tree(canvas, x, y, radius, row, cone=cone)
