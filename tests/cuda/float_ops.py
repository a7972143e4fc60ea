"""The float segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .build import Fault
from .segment_ops import Call
from .segment_ops import Ops as SegmentOps

SOURCES = (
    "csrc/cuda/segments_float.cu",
    "csrc/cuda/weights.cc",
    "kernels/boundary/boundary_cuda.cu",
    "kernels/fusion/fusion_cuda.cu",
    "kernels/head/head_cuda.cu",
    "kernels/resample/taps.cc",
    "kernels/tail/tail_cuda.cu",
    "tests/cuda/float_ops.cc",
    "tests/cuda/segment_ops.cc",
)


class Ops(SegmentOps):
    """Features [N, C, H, W] float."""

    tolerance = tolerance_of_network = 2e-6

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        variant: str = "tiny",
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(weights, variant, SOURCES, faults)

    def features(self, call: Call) -> np.ndarray:
        n, height, width = call.valid.shape
        return np.empty((n, self.channels, height, width), np.float32)

    def given(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x, np.float32)

    def taken(self, features: np.ndarray) -> np.ndarray:
        return features.astype(np.float64)

    def rounded(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64)
