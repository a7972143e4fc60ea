"""The CUDA kernels of the quality indices, called with arrays of the host."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pantiny.kernels.windows.cases import Inputs
from pantiny.kernels.windows.windows_ref import Maps, U

from .build import WITH_GPU

ORDERS = (False,) if WITH_GPU else (False, True)  # of threads
SOURCES = (
    "csrc/cuda/indices.cu",
    "csrc/cuda/tile_sums.cu",
    "kernels/blocks/blocks_cuda.cu",
    "kernels/gaussian/gaussian_cuda.cu",
    "kernels/shrink/shrink_cuda.cu",
    "kernels/windows/windows_cuda.cu",
    "tests/cuda/quality_ops.cc",
)
INDICES = {"uqi": 0, "decorrelation": 1, "ssim": 2, "gaussian_uqi": 3}
C1, C2 = 41.9, 377.2  # (0.01 * 647)^2, (0.03 * 647)^2
U32 = 2.0**-24
_DTYPES = {np.dtype(name): i for i, name in enumerate(("u1", "u2", "i2", "f4", "f8"))}


class _Plane(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("row_stride", ctypes.c_int64),
        ("col_stride", ctypes.c_int64),
    ]


class _Windows(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("plane", ctypes.POINTER(_Plane)),
        ("pair", ctypes.POINTER(ctypes.c_int32)),
        ("planes", ctypes.c_int32),
        ("pairs", ctypes.c_int32),
        ("valid", ctypes.c_void_p),
        ("valid_row_stride", ctypes.c_int64),
        ("index", ctypes.c_int32),
        ("window", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("c1", ctypes.c_double),
        ("c2", ctypes.c_double),
    ]


class _Shrink(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("plane", ctypes.POINTER(_Plane)),
        ("planes", ctypes.c_int32),
        ("valid", ctypes.c_void_p),
        ("valid_row_stride", ctypes.c_int64),
        ("first_row", ctypes.c_int64),
        ("first_col", ctypes.c_int64),
        ("step", ctypes.c_int32),
        ("taps", ctypes.c_int32),
        ("weights", ctypes.c_void_p),
        ("out_rows", ctypes.c_int64),
        ("cols", ctypes.c_int64),
    ]


class _Images(ctypes.Structure):
    _fields_ = [
        ("images", ctypes.c_int32),
        ("plane_stride", ctypes.c_void_p),
        ("valid_stride", ctypes.c_int64),
    ]


class Sums(NamedTuple):
    sums: np.ndarray  # [pairs], of a batch [images, pairs]
    count: Any  # int, of a batch [images]


class Moments(NamedTuple):
    moments: np.ndarray  # [down, across, 2 * planes + pairs], of a batch with images before
    valid: np.ndarray  # [down, across]


class Failed(Exception):
    """Status of a call; -1: something was written around a result."""


class Kernels:
    """What a built library offers.

    Parameters
    ----------
    built : CDLL
        Of ``SOURCES``.
    """

    def __init__(self, built: ctypes.CDLL) -> None:
        self._built = built

    def run_ahead(self, on: bool) -> None:
        self._built.quality_run_ahead(int(on))

    def windows(self, given: Inputs, window: int, index: str, into: Sums | None = None) -> Sums:
        """Sums of an index over windows, onto ``into``; planes [H, W], or a batch [N, H, W]."""
        call = _Call(given)
        lead = given.planes[0].shape[:-2]
        sums = np.zeros((*lead, len(given.pairs))) if into is None else into.sums.copy()
        count = np.full(lead or 1, 0 if into is None else into.count, np.int64)
        at = sums.ctypes.data, count.ctypes.data
        made = call.windows(window, INDICES[index])
        self._check(self._built.quality_windows(*made, *map(ctypes.c_void_p, at)))
        return Sums(sums, count if lead else int(count[0]))

    def moments(self, given: Inputs, window: int) -> Moments:
        """Moments of distinct blocks, mirrored ones among them."""
        call = _Call(given)
        *lead, rows, width = given.planes[0].shape
        shape = *lead, -(-rows // window), -(-width // window)
        moments = np.zeros((*shape, 2 * len(given.planes) + len(given.pairs)))
        valid = np.zeros(shape, np.int64)
        at = map(ctypes.c_void_p, (moments.ctypes.data, valid.ctypes.data))
        blocks = ctypes.c_int64(valid.size)
        self._check(self._built.quality_moments(*call.windows(window, 0), blocks, *at))
        return Moments(moments, valid)

    def shrink(
        self,
        given: Inputs,
        weights: np.ndarray,
        first: tuple[int, int],
        step: int,
        shape: tuple[int, int],
        among: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Planes on a coarse grid [..., planes, *shape], and what sees valid samples only.

        ``weights`` [planes, 2, taps] down and along a row; ``among`` uint8 as the second result.
        """
        call = _Call(given)
        lead = given.planes[0].shape[:-2]
        out = np.zeros((*lead, len(given.planes), *shape))
        reached = np.zeros((*lead, *shape), np.uint8)
        given_among = None if among is None else np.ascontiguousarray(among).ctypes.data
        at = map(ctypes.c_void_p, (out.ctypes.data, given_among, reached.ctypes.data))
        made = call.shrink(np.ascontiguousarray(weights), first, step, shape)
        self._check(self._built.quality_shrink(*made, *at))
        return out, reached

    def _check(self, status: int) -> None:
        if status:
            self._built.quality_error.restype = ctypes.c_char_p
            raise Failed(status, self._built.quality_error().decode())


class _Call:
    """The arguments of one call; keeps alive what they point to."""

    def __init__(self, given: Inputs) -> None:
        planes = (_Plane * len(given.planes))()
        sizes, starts, apart = np.zeros((3, len(given.planes)), np.int64)
        for i, a in enumerate(given.planes):
            strides = [s // a.itemsize for s in a.strides]
            reach = [(max(n, 1) - 1) * s for n, s in zip(a.shape, strides, strict=True)]
            starts[i] = -sum(min(0, r) for r in reach)
            sizes[i] = sum(map(abs, reach)) + 1 if a.size else 0
            planes[i] = _Plane(a.ctypes.data, _DTYPES[a.dtype], *strides[-2:])
            apart[i] = strides[0] if a.ndim == 3 else 0
        *lead, rows, width = given.planes[0].shape
        valid = None if given.valid is None else np.ascontiguousarray(given.valid)
        self._pairs = given.pairs
        self._shared = {
            "rows": rows,
            "width": width,
            "plane": planes,
            "planes": len(planes),
            "valid": None if valid is None else valid.ctypes.data,
            "valid_row_stride": width,
        }
        each = rows * width if valid is not None and valid.ndim == 3 else 0
        images = _Images(lead[0] if lead else 1, apart.ctypes.data, each)
        self._keep: list[Any] = [planes, valid, sizes, starts, apart, images, given]
        at = map(ctypes.c_void_p, (sizes.ctypes.data, starts.ctypes.data))
        self._arguments = (ctypes.byref(images), *at)

    def _with(self, made: ctypes.Structure, *keep: Any) -> tuple[Any, ...]:
        self._keep += [made, *keep]
        return (ctypes.byref(made), *self._arguments)

    def windows(self, window: int, index: int) -> tuple[Any, ...]:
        pairs = (ctypes.c_int32 * (2 * len(self._pairs)))(*np.ravel(self._pairs).astype(int))
        sizes = {"index": index, "window": window, "threads": 1, "pairs": len(self._pairs)}
        return self._with(_Windows(**self._shared, pair=pairs, **sizes, c1=C1, c2=C2), pairs)

    def shrink(
        self, weights: np.ndarray, first: tuple[int, int], step: int, shape: tuple[int, int]
    ) -> tuple[Any, ...]:
        made = _Shrink(
            **self._shared,
            first_row=first[0],
            first_col=first[1],
            step=step,
            taps=weights.shape[-1],
            weights=weights.ctypes.data,
            out_rows=shape[0],
            cols=shape[1],
        )
        return self._with(made, weights)


def mirrored(given: Inputs, block: int) -> Inputs:
    """With rows that fill whole blocks, mirrored at the bottom edge."""
    more = -given.planes[0].shape[-2] % block

    def taller(a: np.ndarray) -> np.ndarray:
        return np.pad(a, ((0, more), (0, 0)), "symmetric") if more else a

    valid = None if given.valid is None else taller(given.valid)
    return given._replace(planes=[taller(p) for p in given.planes], valid=valid)


def stacked(given: Sequence[Inputs]) -> Inputs:
    """A batch of them."""
    planes = [np.stack(p) for p in zip(*(i.planes for i in given), strict=True)]
    masks = [i.valid for i in given if i.valid is not None]
    return Inputs(planes, given[0].pairs, np.stack(masks) if masks else None)


def whole_numbers(planes: Sequence[np.ndarray]) -> bool:
    return all(np.issubdtype(p.dtype, np.integer) for p in planes)


def error_bound(truth: Maps, planes: Sequence[np.ndarray], index: str) -> np.ndarray:
    """Largest error of the sums of an index, [pairs].

    Notes
    -----
    Sums of integers are exact and an index made of them in float passes through 16 roundings,
    8 more windows are added up in float. Windows of others are sums of twice as many roundings
    as the reference allows for. SSIM in float: the bound of the reference, with float's unit.
    """
    kept = truth.keep.sum()
    adding = max(1, kept) * U * np.abs(truth.values).sum(axis=(1, 2))
    if index in ("uqi", "decorrelation"):
        if whole_numbers(planes):
            size = np.abs(truth.values).sum(axis=(1, 2)) if index == "uqi" else kept * 2.0
            return np.asarray(24 * U32 * size + kept * 16 * U + adding)
        return np.asarray(2 * truth.bound.sum(axis=(1, 2)) + adding)
    each = truth.bound
    if index == "ssim" and all(p.dtype != np.float64 for p in planes):
        each = np.minimum(3.0, truth.bound * (U32 / U))
    return np.asarray(each.sum(axis=(1, 2)) + adding)
