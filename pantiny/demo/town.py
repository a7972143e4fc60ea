"""The town: streets, blocks, parcels and what is built on them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .canvas import ALL, FINE_M, Canvas
from .objects import car, flat_roof, hall, house, tree, turned

STREET_HALF_M = 3.2
KERB_M = 5.0
BLOCKS = ("homes", "homes", "homes", "homes", "homes", "flats", "trade", "park")


class Grid(NamedTuple):
    """The town's own coordinates.

    Attributes
    ----------
    u, v : array [S, S] float32
        Metres across and along the streets, gently warped.
    angle : float
        Direction of u in the image, radians.
    us, vs : list of float
        Where streets run along v and along u.
    """

    u: np.ndarray
    v: np.ndarray
    angle: float
    us: list[float]
    vs: list[float]

    def place(self, canvas: Canvas, u: float, v: float) -> tuple[float, float, float]:
        """Image x, y and the local direction of u at a point of the grid."""
        x, y = turned(0.0, 0.0, self.angle, u, v)
        i, j = canvas.index(x, y)
        for _ in range(2):
            du, dv = u - float(self.u[i, j]), v - float(self.v[i, j])
            x, y = turned((j + 0.5) * FINE_M, (i + 0.5) * FINE_M, self.angle, du, dv)
            i, j = canvas.index(x, y)
        j0 = min(j, self.u.shape[1] - 9)
        bend = (float(self.v[i, j0 + 8]) - float(self.v[i, j0])) / (8 * FINE_M)
        return x, y, -math.asin(min(max(bend, -1.0), 1.0))


def make_grid(canvas: Canvas, angle: float) -> Grid:
    """Coordinates turned by ``angle`` and bent by two long waves."""
    rng = canvas.rng
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    u, v = canvas.x * cos + canvas.y * sin, canvas.y * cos - canvas.x * sin
    phase = rng.uniform(0, 2 * math.pi, 2).astype(np.float32)
    bent_u = u + np.float32(9) * np.sin(v / np.float32(85) + phase[0])
    bent_v = v + np.float32(9) * np.sin(u / np.float32(95) + phase[1])
    us, vs = _spread(rng, bent_u, 62, 84), _spread(rng, bent_v, 95, 160)
    return Grid(bent_u, bent_v, angle, us, vs)


def _spread(rng: np.random.Generator, field: np.ndarray, low: float, high: float) -> list[float]:
    """Street positions that cover the range of ``field``."""
    at = [float(field.min()) - rng.uniform(0, low)]
    while at[-1] < float(field.max()):
        at.append(at[-1] + rng.uniform(low, high))
    return at


def draw_streets(canvas: Canvas, grid: Grid, area: np.ndarray, quay: np.ndarray) -> None:
    """Streets of ``area`` [S, S] bool, the quay, and one road that leaves the town.

    ``quay`` [S, S] float32 is the distance from the quay's centre line in metres.
    """
    canvas.paint(ALL, area, canvas.row("lawn"), keep_open=True)
    canvas.open[:] = area
    distance = np.full(canvas.cover.shape, np.inf, np.float32)
    for at, field in [(u, grid.u) for u in grid.us] + [(v, grid.v) for v in grid.vs]:
        np.minimum(distance, np.abs(field - np.float32(at)), out=distance)
    distance = np.minimum(np.where(area, distance, np.inf), quay)
    canvas.paint(ALL, distance < KERB_M, canvas.row("paving"))
    canvas.paint(ALL, distance < STREET_HALF_M, canvas.row("street"), mix=0.4)
    middle = np.float32(min(grid.us, key=lambda u: abs(u - float(np.median(grid.u)))))
    road = np.abs(grid.u - middle)
    canvas.paint(ALL, road < KERB_M - 0.8, canvas.row("asphalt"), mix=0.7)
    line = (road < 0.2) & (grid.v % 9 < 5) | (np.abs(road - np.float32(3.7)) < 0.15)
    canvas.paint(ALL, line, canvas.row("marking", 0.05))


def draw_blocks(canvas: Canvas, grid: Grid) -> None:
    """What stands between the streets, and the cars in them."""
    rng = canvas.rng
    draw = {"homes": _homes, "flats": _flats, "trade": _trade, "park": _park}
    for u0, u1 in zip(grid.us, grid.us[1:]):
        for v0, v1 in zip(grid.vs, grid.vs[1:]):
            kind = str(rng.choice(BLOCKS))
            draw[kind](canvas, grid, u0 + KERB_M, u1 - KERB_M, v0 + KERB_M, v1 - KERB_M)
    for u in grid.us:
        _kerbside(canvas, grid, u, grid.vs[0], grid.vs[-1])


def _kerbside(canvas: Canvas, grid: Grid, u: float, v0: float, v1: float) -> None:
    """Parked cars, and on some streets a row of trees, along a street."""
    rng = canvas.rng
    trees = rng.random() < 0.4
    rows = [canvas.row("crown", 0.1) for _ in range(3)]
    v = v0
    while v < v1:
        for side in (-1, 1):
            x, y, angle = grid.place(canvas, u + side * 2.2, v)
            i, j = canvas.index(x, y)
            if canvas.names[canvas.cover[i, j]] not in ("street", "asphalt"):
                continue
            if rng.random() < 0.22:
                car(canvas, x, y, angle + math.pi / 2)
            if trees and rng.random() < 0.5:
                x, y, _ = grid.place(canvas, u + side * 4.4, v + 3)
                tree(canvas, x, y, rng.uniform(1.8, 2.8), int(rng.choice(rows)), cone=False)
        v += 6.5


def _homes(canvas: Canvas, grid: Grid, u0: float, u1: float, v0: float, v1: float) -> None:
    """Two rows of houses back to back, each in its garden."""
    rng = canvas.rng
    middle = (u0 + u1) / 2
    lengthways = rng.random() < 0.5
    for side, kerb in ((1.0, u0), (-1.0, u1)):
        v = v0
        while v + 14 < v1:
            front = rng.uniform(15, 21)
            if v + front > v1:
                front = v1 - v
            _parcel(canvas, grid, kerb, middle, side, v, front, lengthways)
            v += front


def _parcel(
    canvas: Canvas,
    grid: Grid,
    kerb: float,
    back: float,
    side: float,
    v: float,
    front: float,
    lengthways: bool,
) -> None:
    """One garden with hedge, drive, house and trees."""
    rng = canvas.rng
    depth = abs(back - kerb)
    x, y, angle = grid.place(canvas, (kerb + back) / 2, v + front / 2)
    if not canvas.fits(x, y, angle, 0.8 * depth, 0.8 * front):
        return
    garden = canvas.row("lawn", 0.10)
    canvas.rectangle(
        x, y, angle, depth, front, garden, mix=float(rng.uniform(0, 0.8)), keep_open=True
    )
    hedge = canvas.row("hedge", 0.1)
    for a, b, length, width in (
        (0.0, front / 2, depth, 1.0),
        (side * depth / 2, 0.0, 1.0, front),
    ):
        if rng.random() < 0.7:
            canvas.rectangle(*turned(x, y, angle, a, b), angle, length, width, hedge, height=1.2)
    setback = rng.uniform(4, 8)
    across, along = rng.uniform(8.5, 11), rng.uniform(10, min(15.0, front - 3.5))
    shift = rng.uniform(-0.5, 0.5) * (front - along - 3)
    home = turned(x, y, angle, side * (setback + across / 2 - depth / 2), shift)
    drive = turned(x, y, angle, side * ((setback + 2) / 2 - depth / 2), -0.32 * front)
    canvas.rectangle(*drive, angle, setback + 2, 3.0, canvas.row("paving", 0.1))
    if rng.random() < 0.5:
        car(canvas, *drive, angle)
    terrace = turned(x, y, angle, side * (setback + across + 1.5 - depth / 2), shift)
    canvas.rectangle(*terrace, angle, 3.5, 0.6 * along, canvas.row("paving", 0.12))
    if lengthways:
        house(canvas, *home, angle + math.pi / 2, along, across)
    else:
        house(canvas, *home, angle, across, 0.85 * along)
    _garden(canvas, x, y, angle, side, depth, front)


def _garden(
    canvas: Canvas, x: float, y: float, angle: float, side: float, depth: float, front: float
) -> None:
    """Shed, pool, beds, bushes and trees behind a house."""
    rng = canvas.rng
    if rng.random() < 0.10:
        spot = turned(x, y, angle, side * 0.28 * depth, rng.uniform(-0.2, 0.2) * front)
        canvas.rectangle(*spot, angle, 5.5, 10.0, canvas.row("paving"))
        canvas.rectangle(*spot, angle, 3.5, 8.0, canvas.row("pool"))
    elif rng.random() < 0.4:
        spot = turned(x, y, angle, side * 0.38 * depth, rng.choice((-0.3, 0.3)) * front)
        shed = canvas.row(str(rng.choice(("brown tile", "slate", "metal"))), 0.15)
        canvas.rectangle(*spot, angle, 3.0, 4.0, shed, height=2.4)
    if rng.random() < 0.3:
        spot = turned(x, y, angle, side * 0.3 * depth, rng.uniform(-0.2, 0.2) * front)
        canvas.rectangle(*spot, angle, 4.0, 6.0, canvas.row("soil", 0.1), keep_open=True)
    row = canvas.row("crown", 0.15)
    for _ in range(rng.integers(1, 7)):
        a, b = rng.uniform(-0.45, 0.48) * depth * side, rng.uniform(-0.45, 0.45) * front
        spot = turned(x, y, angle, a, b)
        i, j = canvas.index(*spot)
        if canvas.open[i, j]:
            cone = bool(rng.random() < 0.15)
            shade = canvas.row("conifer", 0.1) if cone else row
            tree(canvas, *spot, rng.choice((1.0, 1.4, 2.2, 3.2)), shade, cone=cone)


def _flats(canvas: Canvas, grid: Grid, u0: float, u1: float, v0: float, v1: float) -> None:
    """Slabs of flats across a lawn, cars in bays beside them."""
    rng = canvas.rng
    v = v0 + 14
    height = rng.uniform(9, 15)
    length = min(u1 - u0 - 8, 52.0)
    while v + 8 < v1:
        x, y, angle = grid.place(canvas, (u0 + u1) / 2, v)
        if canvas.fits(x, y, angle, length, 13.0):
            flat_roof(canvas, x, y, angle, length, 12.0, height)
            bays = turned(x, y, angle, 0.0, 14.0)
            if canvas.fits(*bays, angle, length, 6.0):
                canvas.rectangle(*bays, angle, length, 5.5, canvas.row("asphalt", 0.05))
                _row_of_cars(canvas, *bays, angle, length)
        v += rng.uniform(30, 36)
    _scatter(canvas, grid, (u0, u1, v0, v1), 0.006)


def _row_of_cars(
    canvas: Canvas, x: float, y: float, angle: float, length: float, filled: float = 0.7
) -> None:
    """Cars side by side in bays of 2.6 m."""
    for a in np.arange(-length / 2 + 1.5, length / 2 - 1, 2.6):
        if canvas.rng.random() < filled:
            car(canvas, *turned(x, y, angle, float(a), 0.0), angle + math.pi / 2)


def _trade(canvas: Canvas, grid: Grid, u0: float, u1: float, v0: float, v1: float) -> None:
    """A hall or a flat-roofed store with its car park."""
    rng = canvas.rng
    x, y, angle = grid.place(canvas, (u0 + u1) / 2, (v0 + v1) / 2)
    width, length = u1 - u0, v1 - v0
    if not canvas.fits(x, y, angle, 0.8 * width, 0.8 * length):
        return
    canvas.rectangle(x, y, angle, width, length, canvas.row("asphalt", 0.08), mix=0.3)
    middle = turned(x, y, angle, 0.0, -0.2 * length)
    if rng.random() < 0.6:
        hall(canvas, *middle, angle, 0.85 * width, 0.48 * length)
    else:
        flat_roof(canvas, *middle, angle, 0.85 * width, 0.48 * length, 7.5)
    filled = rng.uniform(0.3, 0.9)
    for b in (0.14, 0.20, 0.34, 0.40):
        _row_of_cars(canvas, *turned(x, y, angle, 0.0, b * length), angle, 0.85 * width, filled)


def _park(canvas: Canvas, grid: Grid, u0: float, u1: float, v0: float, v1: float) -> None:
    """A lawn with trees and a court or a pitch."""
    rng = canvas.rng
    x, y, angle = grid.place(canvas, (u0 + u1) / 2, v0 + 0.4 * (v1 - v0))
    if canvas.fits(x, y, angle, 38.0, 60.0) and rng.random() < 0.6:
        canvas.rectangle(x, y, angle, 36.0, 58.0, canvas.row("lawn", 0.05), mix=0.1)
        line = canvas.row("marking")
        for a, b, length, width in (
            (0.0, 0.0, 33.0, 0.3), (0.0, 27.0, 33.0, 0.3), (0.0, -27.0, 33.0, 0.3),
            (16.5, 0.0, 0.3, 54.0), (-16.5, 0.0, 0.3, 54.0),
        ):  # fmt: skip
            canvas.rectangle(*turned(x, y, angle, a, b), angle, length, width, line)
    elif canvas.fits(x, y, angle, 36.0, 18.0):
        canvas.rectangle(x, y, angle, 36.0, 17.0, canvas.row("clay"))
        line = canvas.row("marking")
        for a in (-12.0, -1.0, 1.0, 12.0):
            canvas.rectangle(*turned(x, y, angle, a, 0.0), angle, 0.3, 11.0, line)
    _scatter(canvas, grid, (u0, u1, v0, v1), 0.012)


def _scatter(
    canvas: Canvas, grid: Grid, box: tuple[float, float, float, float], per_m2: float
) -> None:
    """Trees at random open places of a block."""
    rng = canvas.rng
    u0, u1, v0, v1 = box
    rows = [canvas.row("crown", 0.12) for _ in range(5)]
    for _ in range(int(per_m2 * (u1 - u0) * (v1 - v0))):
        x, y, _ = grid.place(canvas, rng.uniform(u0, u1), rng.uniform(v0, v1))
        i, j = canvas.index(x, y)
        if canvas.open[i, j]:
            tree(canvas, x, y, rng.uniform(2.2, 4.8), int(rng.choice(rows)), cone=False)
