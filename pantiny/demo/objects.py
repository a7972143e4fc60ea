"""What stands on the ground: buildings, trees and cars."""

from __future__ import annotations

import math

import numpy as np

from .canvas import Canvas

PITCHED = ("tile", "tile", "new tile", "brown tile", "brown tile", "slate")
FLAT = ("membrane", "gravel roof", "gravel roof", "metal", "slate")
CARS = ("light car", "silver car", "silver car", "dark car", "dark car", "red car", "blue car")


def turned(x: float, y: float, angle: float, a: float, b: float) -> tuple[float, float]:
    """The point ``a`` metres along and ``b`` across the axis ``angle`` from (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x + a * cos - b * sin, y + a * sin + b * cos


def pitched_roof(
    canvas: Canvas, x: float, y: float, angle: float, length: float, width: float, row: int
) -> None:
    """A gable or hip roof with its ridge along the length; rises where others overlap."""
    found = canvas.box(x, y, angle, length, width)
    if found is None:
        return
    local, mask = found
    rng = canvas.rng
    eave, pitch = rng.uniform(3.0, 5.5), rng.uniform(0.5, 0.9)
    across = width / 2 - np.abs(local.b)
    if rng.random() < 0.35:
        across = np.minimum(across, length / 2 - np.abs(local.a))
    height = (eave + pitch * across).astype(np.float32)
    mask &= height > canvas.height[local.window]
    ridge = np.float32(0.25) * (across > width / 2 - 0.3)
    canvas.paint(local.window, mask, row, height=height, mix=rng.uniform(0.1, 0.6) + ridge)
    for _ in range(rng.integers(0, 3)):  # chimneys
        a, b = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.15, 0.15) * width
        canvas.rectangle(*turned(x, y, angle, a, b), angle, 0.9, 0.7, row, height=1.2, mix=0.9)
    if rng.random() < 0.2:  # solar panels on the slope that faces the bottom of the image
        b = math.copysign(0.25 * width, math.cos(angle))
        canvas.rectangle(
            *turned(x, y, angle, 0.1 * length, b), angle, 0.55 * length, 0.3 * width,
            canvas.row("panel"), height=0.1,
        )  # fmt: skip


def house(canvas: Canvas, x: float, y: float, angle: float, length: float, width: float) -> None:
    """A dwelling house, at times with a wing."""
    rng = canvas.rng
    row = canvas.row(str(rng.choice(PITCHED)), 0.12)
    if rng.random() < 0.1:
        flat_roof(canvas, x, y, angle, length, width, rng.uniform(3.5, 6.5))
        return
    pitched_roof(canvas, x, y, angle, length, width, row)
    if rng.random() < 0.35:
        side = rng.choice((-1.0, 1.0))
        wing = turned(x, y, angle, rng.uniform(-0.25, 0.25) * length, side * 0.45 * width)
        pitched_roof(canvas, *wing, angle + math.pi / 2, 0.7 * width, 0.45 * length, row)


def flat_roof(
    canvas: Canvas, x: float, y: float, angle: float, length: float, width: float, height: float
) -> None:
    """A flat roof with a parapet and plant."""
    rng = canvas.rng
    row = canvas.row(str(rng.choice(FLAT)), 0.1)
    canvas.rectangle(x, y, angle, length, width, row, height=height, mix=0.8)
    canvas.rectangle(
        x, y, angle, length - 1, width - 1, row, height=-0.5, mix=float(rng.uniform(0.1, 0.5))
    )
    for _ in range(int(rng.poisson(length * width / 90))):
        a, b = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.35, 0.35) * width
        long, wide = rng.uniform(1, 3), rng.uniform(1, 3)
        plant = canvas.row(str(rng.choice(("metal", "slate", "membrane"))), 0.1)
        canvas.rectangle(*turned(x, y, angle, a, b), angle, long, wide, plant, height=1.3)


def hall(canvas: Canvas, x: float, y: float, angle: float, length: float, width: float) -> None:
    """A large shed: rows of shallow gables, roof lights in stripes."""
    rng = canvas.rng
    found = canvas.box(x, y, angle, length, width)
    if found is None:
        return
    local, mask = found
    row = canvas.row(str(rng.choice(("metal", "metal", "membrane", "brown tile"))), 0.12)
    bay = width / rng.integers(1, 4)
    fold = np.abs((local.b / bay + 0.5) % 1 - 0.5) * bay
    height = 7 + np.float32(0.18) * (bay / 2 - fold)
    lights = (np.abs(local.a % 6 - 3) < 0.6) & (fold > 0.15 * bay) & (fold < 0.35 * bay)
    canvas.paint(local.window, mask, row, height=height, mix=np.float32(0.15) + 0.7 * lights)


def tree(canvas: Canvas, x: float, y: float, radius: float, row: int, *, cone: bool) -> None:
    """One crown: a bumpy dome or cone, drawn only where it tops what is there."""
    rng = canvas.rng
    local = canvas.local(x, y, 0.0, 1.4 * radius)
    if local is None:
        return
    turn = rng.uniform(0, 2 * math.pi, 2)
    bearing = np.arctan2(local.b, local.a)
    edge = 1 + 0.13 * np.sin(2 * bearing + turn[0]) + 0.08 * np.sin(5 * bearing + turn[1])
    bumps = canvas.rough[local.window]
    reach = (np.hypot(local.a, local.b) / (radius * edge) + 0.10 * bumps).astype(np.float32)
    inner = np.clip(1 - reach**2, 0, None)
    if cone:
        top = np.float32(3.2 * radius) * np.clip(1 - reach, 0, None) + 1
    else:
        top = np.float32(radius) * (np.sqrt(inner) + np.float32(0.8)) + np.float32(0.22) * bumps
    mask = (reach < 1) & (top > canvas.height[local.window])
    canvas.paint(local.window, mask, row, height=top, mix=float(rng.uniform(0.1, 0.9)))


def car(canvas: Canvas, x: float, y: float, angle: float) -> None:
    """A parked or driving car, where the ground is free of anything higher."""
    row = canvas.row(str(canvas.rng.choice(CARS)), 0.1)
    i, j = canvas.index(x, y)
    if canvas.height[i, j] < 0.5:
        canvas.rectangle(x, y, angle, 4.4, 1.8, row, height=1.0, mix=0.0)
        canvas.rectangle(*turned(x, y, angle, -0.3, 0), angle, 2.0, 1.6, row, height=0.5, mix=0.7)
