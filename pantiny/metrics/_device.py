"""Images on a CUDA device as the kernels of the indices take them, and calls of these kernels.

A band of all images of a batch is one `Plane`: every call takes the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..cuda import allocate, using
from ..cuda.views import View, join, view
from ..errors import BackendError, CoreError, ShapeError

DTYPES = {"uint8": 0, "uint16": 1, "int16": 2, "float32": 3, "float64": 4}
_MASK_DTYPES = ("bool", "uint8")
_NO_MASK = (0, 0, 0)


class Place(NamedTuple):
    """Where the images of a call are and its kernels run."""

    device: int
    stream: int


@dataclass(frozen=True)
class Plane:
    """One band [N, H, W], or a mask of uint8.

    Attributes
    ----------
    shape : (int, int, int)
        N, H, W.
    strides : (int, int, int)
        Of image, row and column, in samples.
    owner : object
        Keeps the memory alive.
    """

    address: int
    dtype: str
    shape: tuple[int, int, int]
    strides: tuple[int, int, int]
    place: Place
    owner: Any

    def cut(self, rows: int, width: int) -> Plane:
        """Its first rows and columns."""
        return replace(self, shape=(self.shape[0], rows, width))

    def every(self, step: int) -> Plane:
        """Its first row and every ``step``-th behind it."""
        count, rows, width = self.shape
        image, row, col = self.strides
        return replace(
            self, shape=(count, -(-rows // step), width), strides=(image, step * row, col)
        )

    def for_core(self) -> tuple[int, int, int, int, int]:
        return (self.address, DTYPES[self.dtype], *self.strides)

    def as_mask(self) -> tuple[int, int, int]:
        return (self.address, *self.strides[:2])


@dataclass(frozen=True)
class Images:
    """[N, K, H, W]; iterates over its K planes."""

    planes: tuple[Plane, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, height, width = self.planes[0].shape
        return count, len(self.planes), height, width

    @property
    def dtype(self) -> str:
        return self.planes[0].dtype

    def __iter__(self) -> Iterator[Plane]:
        return iter(self.planes)


def is_here(x: Any) -> bool:
    """Whether it is one of the classes above."""
    return isinstance(x, (Images, Plane))


def _seen(x: Any, name: str, dtypes: Sequence[str], place: Place | None) -> tuple[View, Place]:
    v = view(x, name, dtypes)
    found = Place(v.device, v.stream)
    if place is None:
        return v, found
    if v.device != place.device:
        raise BackendError(
            f"{name}: got an array on cuda:{v.device} beside images on cuda:{place.device}; need "
            f"all on one device; move {name} to cuda:{place.device}"
        )
    join(v, *place)
    return v, place


def as_images(x: Any, name: str, place: Place | None = None) -> Images:
    """[K, H, W] or [N, K, H, W] on a device, that of ``place`` where there is one.

    Raises
    ------
    BackendError, DtypeError, ShapeError
    """
    v, where = _seen(x, name, tuple(DTYPES), place)
    if len(v.shape) not in (3, 4) or 0 in v.shape:
        raise ShapeError(
            f"{name}: got shape {v.shape}; need [K, H, W] or [N, K, H, W], none of them 0; "
            "for one band use image[None]"
        )
    shape, strides = ((1, *a)[-4:] for a in (v.shape, v.strides))
    size = np.dtype(v.dtype).itemsize
    each = (shape[0], shape[2], shape[3]), (strides[0], strides[2], strides[3])
    return Images(
        tuple(
            Plane(v.address + k * strides[1] * size, v.dtype, *each, where, v.owner)
            for k in range(shape[1])
        )
    )


def as_pan(x: Any, like: Images, name: str = "pan") -> Plane:
    """[H, W], [1, H, W], [N, H, W] or [N, 1, H, W] on the device of ``like``.

    Raises
    ------
    BackendError, DtypeError, ShapeError
    """
    v, where = _seen(x, name, tuple(DTYPES), _place_of(like))
    n, _, height, width = like.shape
    lead = [(size, step) for size, step in zip(v.shape[:-2], v.strides) if size != 1]
    fits = lead == [] if n == 1 else len(lead) == 1 and lead[0][0] == n
    if len(v.shape) not in (2, 3, 4) or v.shape[-2:] != (height, width) or not fits:
        raise ShapeError(
            f"{name}: got shape {v.shape} for images {like.shape}; need [H, W], [N, H, W] or "
            f"[N, 1, H, W] of the size of these images; give one band on their grid"
        )
    step = lead[0][1] if lead else 0
    strides = (step, v.strides[-2], v.strides[-1])
    return Plane(v.address, v.dtype, (n, height, width), strides, where, v.owner)


def as_mask(x: Any, like: Images) -> Plane | None:
    """[H, W] or [N, H, W] on the device of ``like``.

    Raises
    ------
    BackendError, DtypeError, ShapeError
    """
    if x is None:
        return None
    v, where = _seen(x, "mask", _MASK_DTYPES, _place_of(like))
    n, _, height, width = like.shape
    batched = v.shape == (n, height, width)
    if not (batched or v.shape == (height, width)) or (width > 1 and v.strides[-1] != 1):
        raise ShapeError(
            f"mask: got shape {v.shape}, strides {v.strides} for images {like.shape}; need [H, W] "
            "or [N, H, W], rows without gaps; True where pixels count"
        )
    strides = (v.strides[0] if batched else 0, v.strides[-2], 1)
    return Plane(v.address, "uint8", (n, height, width), strides, where, v.owner)


def _place_of(like: Images) -> Place:
    return like.planes[0].place


def _run(what: str, call: Any, **arguments: Any) -> None:
    try:
        call(**arguments)
    except RuntimeError as error:
        raise CoreError(f"{what}: refused by the CUDA core: {error}") from error


def _windows(
    core: Any,
    planes: Sequence[Plane],
    pairs: Sequence[tuple[int, int]],
    mask: Plane | None,
    index: int,
    window: int,
    c1: float = 0.0,
    c2: float = 0.0,
) -> Any:
    count, rows, width = planes[0].shape
    return core.Windows(
        planes=[p.for_core() for p in planes],
        pairs=list(pairs),
        shape=(rows, width),
        images=count,
        valid=_NO_MASK if mask is None else mask.as_mask(),
        index=index,
        window=window,
        c1=c1,
        c2=c2,
    )


def windows_run(
    planes: Sequence[Plane],
    pairs: Sequence[tuple[int, int]],
    mask: Plane | None,
    index: int,
    window: int,
    c1: float,
    c2: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of an index over windows [N, pairs] and how many there are [N, 1]; waits for them."""
    place, images = planes[0].place, planes[0].shape[0]
    with using(place.device) as core:
        made = _windows(core, planes, pairs, mask, index, window, c1, c2)
        found = np.zeros(images * (len(pairs) + 1))
        result = allocate(found.nbytes)
        try:
            need = made.bytes
        except RuntimeError as error:
            raise CoreError(f"windows: refused by the CUDA core: {error}") from error
        scratch = allocate(need)
        result.copy_in(found, place.stream)
        sums = images * len(pairs)
        _run(
            "windows",
            made.run,
            memory=scratch.address,
            bytes=need,
            sums=result.address,
            count=result.address + 8 * sums,
            stream=place.stream,
        )
        result.copy_out(found, place.stream)
    return found[:sums].reshape(images, -1), found[sums:, None].view(np.int64)


def moments_run(
    planes: Sequence[Plane], pairs: Sequence[tuple[int, int]], mask: Plane | None, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Moments of blocks [N, down, across, ...], mirrored ones among them, and valid samples."""
    place, (images, rows, width) = planes[0].place, planes[0].shape
    shape = images, -(-rows // window), -(-width // window)
    moments = np.empty((*shape, 2 * len(planes) + len(pairs)))
    count = np.empty(shape, np.int64)
    with using(place.device) as core:
        made = _windows(core, planes, pairs, mask, 0, window)
        to, counted = allocate(moments.nbytes), allocate(count.nbytes)
        at = {"moments": to.address, "valid": counted.address}
        _run("blocks", made.moments, **at, stream=place.stream)
        to.copy_out(moments, place.stream)
        counted.copy_out(count, place.stream)
    return moments, count


def _shrink(
    core: Any,
    planes: Sequence[Plane],
    weights: np.ndarray,
    first: tuple[int, int],
    step: int,
    shape: tuple[int, int],
    mask: Plane | None,
) -> tuple[Any, Any]:
    """A call of the kernel, and the memory of its weights [planes, 2, taps]."""
    place, (count, rows, width) = planes[0].place, planes[0].shape
    at = allocate(weights.nbytes)
    at.copy_in(np.ascontiguousarray(weights, np.float64), place.stream)
    made = core.Shrink(
        planes=[p.for_core() for p in planes],
        shape=(rows, width),
        images=count,
        valid=_NO_MASK if mask is None else mask.as_mask(),
        first=first,
        step=step,
        taps=weights.shape[-1],
        weights=at.address,
        out_shape=shape,
    )
    return made, at


def shrink(
    images: Images,
    weights: np.ndarray,
    first: tuple[int, int],
    step: int,
    shape: tuple[int, int],
    mask: Plane | None,
    most: int,
) -> Images:
    """On a coarse grid of ``shape``, float64, ``most`` planes at a time; weights [K, 2, taps]."""
    place, count, made = _place_of(images), images.shape[0], []
    size = shape[0] * shape[1]
    with using(place.device) as core:
        for k in range(0, len(images.planes), most):
            some = images.planes[k : k + most]
            out = allocate(8 * count * len(some) * size)
            call, at = _shrink(core, some, weights[k : k + most], first, step, shape, mask)
            _run("degrade", call.run, out=out.address, stream=place.stream)
            strides = (len(some) * size, shape[1], 1)
            made += [
                Plane(
                    out.address + 8 * i * size,
                    "float64",
                    (count, *shape),
                    strides,
                    place,
                    (out, at, images, mask),  # until the results have been waited for
                )
                for i in range(len(some))
            ]
    return Images(tuple(made))


def reach(
    mask: Plane,
    weights: np.ndarray,
    first: tuple[int, int],
    step: int,
    shape: tuple[int, int],
    among: Plane | None = None,
) -> Plane:
    """Mask on a coarse grid: no weight [2, taps] above 0 falls on a masked pixel, and ``among``,
    a mask that this function made, is not 0."""
    place, count = mask.place, mask.shape[0]
    with using(place.device) as core:
        made = allocate(count * shape[0] * shape[1])
        call, at = _shrink(core, [mask], weights[None], first, step, shape, mask)
        address = 0 if among is None else among.address
        _run("mask", call.reach, among=address, reached=made.address, stream=place.stream)
    strides = (shape[0] * shape[1], shape[1], 1)
    return Plane(made.address, "uint8", (count, *shape), strides, place, (made, at, mask, among))


def on_the_cpu(name: str, what: str, fix: str = "") -> BackendError:
    """The error of what has no device path."""
    return BackendError(
        f"{name}: {what} on the CPU only; need the images in host memory; "
        f"{fix or 'pass fused.cpu() (DeviceArray: fused.to_host()), and the others alike'}"
    )
