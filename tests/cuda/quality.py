"""The CUDA kernels of the quality indices, called with arrays of the host."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pantiny.kernels.windows.cases import Inputs
from pantiny.kernels.windows.windows_ref import Maps, U

SOURCES = (
    "csrc/cuda/indices.cu",
    "csrc/cuda/tile_sums.cu",
    "kernels/blocks/blocks_cuda.cu",
    "kernels/gaussian/gaussian_cuda.cu",
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


class Sums(NamedTuple):
    sums: np.ndarray  # [pairs]
    count: int


class Moments(NamedTuple):
    moments: np.ndarray  # [down, across, 2 * planes + pairs]
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
        """Sums of an index over windows, onto ``into``."""
        call = _Call(given, window, INDICES[index])
        sums = np.zeros(len(given.pairs)) if into is None else into.sums.copy()
        count = np.array([0 if into is None else into.count], np.int64)
        at = sums.ctypes.data, count.ctypes.data
        self._check(self._built.quality_windows(*call.arguments, *map(ctypes.c_void_p, at)))
        return Sums(sums, int(count[0]))

    def moments(self, given: Inputs, window: int) -> Moments:
        """Moments of distinct blocks."""
        call = _Call(given, window, 0)
        rows, width = given.planes[0].shape
        down, across = rows // window, -(-width // window)
        moments = np.zeros((down, across, 2 * len(given.planes) + len(given.pairs)))
        valid = np.zeros((down, across), np.int64)
        at = map(ctypes.c_void_p, (moments.ctypes.data, valid.ctypes.data))
        blocks = ctypes.c_int64(down * across)
        self._check(self._built.quality_moments(*call.arguments, blocks, *at))
        return Moments(moments, valid)

    def _check(self, status: int) -> None:
        if status:
            self._built.quality_error.restype = ctypes.c_char_p
            raise Failed(status, self._built.quality_error().decode())


class _Call:
    """The arguments of one call; keeps alive what they point to."""

    def __init__(self, given: Inputs, window: int, index: int) -> None:
        planes = (_Plane * len(given.planes))()
        sizes, starts = np.zeros((2, len(given.planes)), np.int64)
        for i, a in enumerate(given.planes):
            strides = [s // a.itemsize for s in a.strides]
            reach = [(max(n, 1) - 1) * s for n, s in zip(a.shape, strides, strict=True)]
            starts[i] = -sum(min(0, r) for r in reach)
            sizes[i] = sum(map(abs, reach)) + 1 if a.size else 0
            planes[i] = _Plane(a.ctypes.data, _DTYPES[a.dtype], *strides)
        pairs = (ctypes.c_int32 * (2 * len(given.pairs)))(*np.ravel(given.pairs).astype(int))
        rows, width = given.planes[0].shape
        valid = None if given.valid is None else np.ascontiguousarray(given.valid)
        self._windows = _Windows(
            rows=rows,
            width=width,
            plane=planes,
            pair=pairs,
            planes=len(planes),
            pairs=len(given.pairs),
            valid=None if valid is None else valid.ctypes.data,
            valid_row_stride=width,
            index=index,
            window=window,
            threads=1,
            c1=C1,
            c2=C2,
        )
        self._keep: list[Any] = [planes, pairs, valid, sizes, starts, given]
        self.arguments = (
            ctypes.byref(self._windows),
            ctypes.c_void_p(sizes.ctypes.data),
            ctypes.c_void_p(starts.ctypes.data),
        )


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
