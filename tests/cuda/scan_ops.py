"""A scene fused whole and in bands by the C interface."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_char_p, c_double, c_int32, c_int64, c_void_p
from typing import NamedTuple

import numpy as np

from pantiny.variants import get_variant

from .build import Fault, library
from .faults_half import ONE_ELEMENT
from .segment_ops import Arch, tensors_of

SOURCES = (
    "csrc/cuda/capi.cu",
    "csrc/cuda/capi_device.cc",
    "csrc/cuda/graphs.cc",
    "csrc/cuda/plan.cu",
    "csrc/cuda/scan.cu",
    "csrc/cuda/segments_half.cu",
    "csrc/cuda/steps.cu",
    "csrc/cuda/tables.cu",
    "csrc/cuda/weights.cc",
    "kernels/boundary/boundary_half_cuda.cu",
    "kernels/consistency/consistency_cuda.cu",
    "kernels/fold/fold_cuda.cu",
    "kernels/fusion/fusion_half_cuda.cu",
    "kernels/head/head_half_cuda.cu",
    "kernels/masks/masks_cuda.cu",
    "kernels/resample/taps.cc",
    "kernels/scale/scale_cuda.cu",
    "kernels/tail/tail_half_cuda.cu",
    "tests/cuda/scan_ops.cc",
)
STEP = 8  # rows of a tile
# one width, one shape of tile, one element: less to compile
_LESS: tuple[Fault, ...] = (
    ("kernels/half.h", "if (arch.channels == 40 && arch.heads == 4)", "if constexpr (false)"),
    ("kernels/half.h", "Tile<4, 3, 5>", "Tile<2, 2, 5>"),
    ("kernels/half.h", "Tile<4, 2, 5>", "Tile<2, 2, 5>"),
    ("csrc/cuda/segments_half.cu", "Table<Bf16>::", "Table<Half>::"),
    *ONE_ELEMENT,
)


class _Scene(Structure):
    _fields_ = [
        *((n, c_int32) for n in ("height", "width", "ms_height", "ms_width", "consistency")),
        ("gain", c_double),
        *((n, c_void_p) for n in ("ms", "pan", "valid")),
    ]


class _Fused(Structure):
    _fields_ = [("whole", c_void_p), ("bands", c_void_p)]


class Pair(NamedTuple):
    """A scene in DN at ratio 4."""

    ms: np.ndarray  # [4, h, w] uint16
    pan: np.ndarray  # [H, W] uint16
    valid: np.ndarray | None = None  # [H, W] uint8
    consistency: int = 0
    gain: float = 0.8


class Scans:
    """The calls of a built library, with one model in fp16."""

    def __init__(self, weights: dict[str, np.ndarray], faults: Sequence[Fault] = ()) -> None:
        self._lib = library(SOURCES, [*_LESS, *faults])
        self._lib.scan_error.restype = c_char_p
        self._arch = Arch.of(get_variant("tiny"))
        self._tensors, self._kept = tensors_of(weights)

    def _run(
        self, pair: Pair, whole: np.ndarray | None, bands: np.ndarray | None, *how: int
    ) -> None:
        height, width = pair.pan.shape
        at = [None if a is None else a.ctypes.data for a in (pair.ms, pair.pan, pair.valid)]
        scene = _Scene(height, width, *pair.ms.shape[1:], pair.consistency, pair.gain, *at)
        out = _Fused(*(None if a is None else a.ctypes.data for a in (whole, bands)))
        rows, keep = how
        status = self._lib.scan_run_both(
            byref(self._arch), self._tensors, len(self._kept), byref(scene), c_int64(rows), keep,
            byref(out),
        )  # fmt: skip
        if status:
            raise RuntimeError(f"status {status}: {self._lib.scan_error().decode()}")

    def whole(self, pair: Pair) -> np.ndarray:
        """[4, H, W] uint16."""
        out = np.empty((4, *pair.pan.shape), np.uint16)
        self._run(pair, out, None, 0, 0)
        return out

    def bands(self, pair: Pair, rows: int, keep: bool) -> np.ndarray:
        """The same in bands."""
        out = np.empty((4, *pair.pan.shape), np.uint16)
        self._run(pair, None, out, rows, int(keep))
        return out
