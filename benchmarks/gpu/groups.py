"""The groups of a run, in the order of their importance, with their shares of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bench import Bench

ACCURACY, ROOFS, INDICES, SCENE = "accuracy", "roofs", "indices", "scene"
KERNELS, ARRAYS, PLANTED = "kernels", "arrays in host memory", "planted"


def network_name(side: int, images: int) -> str:
    """Of a group."""
    return f"network {side}^2 x {images}"


# Each compiles for up to a minute, unless warm.py did.
COMPILED_SIZES = ((1024, 1), (128, 1), (128, 16), (2048, 1))


@dataclass(frozen=True)
class Group:
    """Rows that are made together.

    Attributes
    ----------
    share : float
        Of the seconds of the run, at most.
    """

    name: str
    title: str
    share: float
    make: Callable[[Bench], None]


def _accuracy(bench: Bench) -> None:
    from .network import accuracy

    accuracy(bench)


def _roofs(bench: Bench) -> None:
    from .roofs import roofs

    roofs(bench)


def _indices(bench: Bench) -> None:
    from .indices import indices

    indices(bench)


def _scene(bench: Bench) -> None:
    from .host import scene

    scene(bench)


def _arrays(bench: Bench) -> None:
    from .host import arrays

    arrays(bench)


def _kernels(bench: Bench) -> None:
    from .roofs import kernels

    kernels(bench)


def _network(side: int, images: int, share: float, exported: bool = False) -> Group:
    def make(bench: Bench) -> None:
        from .network import network

        network(bench, side, images, bench.dry or (side, images) in COMPILED_SIZES, exported)

    title = f"the network, {images} image{'s' if images > 1 else ''} of {side} x {side}"
    return Group(network_name(side, images), title, share, make)


def _planted(bench: Bench) -> None:
    from .planted import planted

    planted(bench)


ACCURACY_GROUP = Group(ACCURACY, "errors against float64", 0.1, _accuracy)
ROOFS_GROUP = Group(ROOFS, "what the device can do", 0.1, _roofs)
INDICES_GROUP = Group(INDICES, "quality indices, 4 bands", 0.2, _indices)
SCENE_GROUP = Group(SCENE, "a scene from host memory to host memory", 0.4, _scene)
KERNELS_GROUP = Group(KERNELS, "kernels of a run, by the profiler", 0.15, _kernels)
ARRAYS_GROUP = Group(ARRAYS, "arrays in host memory, with the copies", 0.1, _arrays)

GROUPS = (
    ACCURACY_GROUP,
    ROOFS_GROUP,
    _network(1024, 1, 0.4),
    _network(128, 1, 0.35),
    _network(128, 16, 0.35),
    INDICES_GROUP,
    SCENE_GROUP,
    _network(4096, 1, 0.2),
    KERNELS_GROUP,
    _network(2048, 1, 0.3),
    ARRAYS_GROUP,
    _network(512, 1, 0.3, exported=True),
    _network(1024, 16, 0.2),
    _network(256, 1, 0.1),
    _network(512, 16, 0.15),
    _network(256, 16, 0.1),
    _network(2048, 16, 0.2),
    _network(4096, 16, 0.2),
)
DRY_GROUPS = (
    Group(PLANTED, "engines that fail, and must not end the run", 0.1, _planted),
    ACCURACY_GROUP,
    ROOFS_GROUP,
    _network(8, 1, 1.0, exported=True),
    _network(8, 2, 1.0),
    INDICES_GROUP,
    SCENE_GROUP,
    KERNELS_GROUP,
    ARRAYS_GROUP,
)
