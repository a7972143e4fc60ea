"""The float steps around the segments: fold, back-projection and rounding, scale, masks."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import (
    Structure,
    byref,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_void_p,
)
from typing import NamedTuple

import numpy as np

from .build import Fault, library
from .segment_ops import DTYPES, Call, placed

SOURCES = (
    "kernels/consistency/consistency_cuda.cu",
    "kernels/fold/fold_cuda.cu",
    "kernels/masks/masks_cuda.cu",
    "kernels/resample/taps.cc",
    "kernels/scale/scale_cuda.cu",
    "tests/cuda/step_ops.cc",
)
_MAX_BANDS = 8


class _Result(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("bytes", c_int64),
        ("dtype", c_int32),
        ("reserve_fill", c_int32),
        *((f"{n}_stride", c_int64) for n in ("image", "band", "row", "col")),
        ("bands", c_int32 * _MAX_BANDS),
        ("low", c_double),
        ("high", c_double),
        ("fill", c_double),
        ("dn_per_unit", c_void_p),
    ]


class Rounding(NamedTuple):
    """How DN are stored; mirrors ``ptn_output``."""

    low: float = -np.inf
    high: float = np.inf
    fill: float = 0.0
    reserve_fill: bool = False


class Found(NamedTuple):
    """What the masks' kernels leave."""

    ms_valid: np.ndarray  # [N, h, w] bool
    valid: np.ndarray  # [N, H, W] bool
    # [N, 3]: valid PAN pixels; values not finite among the valid of MS, of PAN
    counts: np.ndarray


class Steps:
    """The ops of a built library."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._lib = library(SOURCES, faults)
        self._lib.step_error.restype = c_char_p

    def run_ahead(self, on: bool) -> None:
        """The emulator's other order of threads."""
        self._lib.step_run_ahead(int(on))

    def _check(self, status: int) -> None:
        if status == -1:
            raise RuntimeError("written outside an array")
        if status:
            raise RuntimeError(f"status {status}: {self._lib.step_error().decode()}")

    def fold(
        self, partials: np.ndarray, temperature: np.ndarray, project: np.ndarray
    ) -> np.ndarray:
        """Statistics [images, rows, across, size] of tiles -> matrices [images, C, C]."""
        flat = np.ascontiguousarray(partials, np.float32)
        images, rows, across, _ = flat.shape
        channels, heads = project.shape[0], temperature.shape[0]
        project, temperature = (np.ascontiguousarray(a, np.float32) for a in (project, temperature))
        out = np.empty((images, channels, channels), np.float32)
        arrays = (a.ctypes for a in (flat, project, temperature, out))
        counts = (c_int64(rows), c_int64(across))
        self._check(self._lib.step_fold(images, channels, heads, *counts, *arrays))
        return out

    def consistency(
        self,
        call: Call,
        fused: np.ndarray,
        gains: Sequence[float],
        steps: int,
        rounding: Rounding,
        out: np.ndarray,
        dn_per_unit: Sequence[float] = (1.0,),
        bands: Sequence[int] | None = None,
    ) -> np.ndarray:
        """fused [N, K, H, W] float -> out, any view of an array [N, bands, H, W].

        ``bands[k]`` of ``out`` is band k, -1: none.
        """
        image, _kept = placed(call)
        network = np.array(fused, np.float32)
        whole = out if out.base is None else out.base
        units = np.ascontiguousarray(dn_per_unit, np.float64)
        given = list(range(fused.shape[1]) if bands is None else bands)
        result = _Result(
            whole.ctypes.data,
            whole.nbytes,
            DTYPES[out.dtype],
            int(rounding.reserve_fill),
            *(s // out.itemsize for s in out.strides),
            (c_int32 * _MAX_BANDS)(*given),
            *(float(v) for v in rounding[:3]),
            units.ctypes.data,
        )
        at = (c_double * _MAX_BANDS)(*gains)
        self._check(
            self._lib.step_consistency(byref(image), at, steps, network.ctypes, byref(result))
        )
        return out

    def scale(self, call: Call) -> np.ndarray:
        """DN per network value of every image."""
        image, _kept = placed(call)
        out = np.empty(image.images)
        self._check(self._lib.step_scale(byref(image), out.ctypes))
        return out

    def masks(self, call: Call, ratio: int, nodata: float | None) -> Found:
        """Masks of nodata and of the caller's."""
        image, _kept = placed(call)
        n = image.images
        ms_valid = np.empty((n, image.ms_height, image.ms_width), np.uint8)
        valid = np.empty((n, image.height, image.width), np.uint8)
        counts = np.empty((n, 3), np.uint32)
        self._check(
            self._lib.step_masks(
                byref(image),
                ratio,
                int(nodata is not None),
                c_double(nodata or 0.0),
                *(a.ctypes for a in (ms_valid, valid, counts)),
            )
        )
        return Found(ms_valid != 0, valid != 0, counts)
