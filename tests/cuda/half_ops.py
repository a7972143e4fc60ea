"""The segments of 16-bit features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .build import Fault
from .segment_ops import BY_IMAGE, Call
from .segment_ops import Ops as SegmentOps

__all__ = ["BY_IMAGE", "LEAN", "SMALL", "SOURCES", "WIDE", "Call", "Ops"]

SOURCES = (
    "csrc/cuda/segments_half.cu",
    "csrc/cuda/weights.cc",
    "kernels/boundary/boundary_bf16_cuda.cu",
    "kernels/boundary/boundary_half_cuda.cu",
    "kernels/fusion/fusion_half_cuda.cu",
    "kernels/head/head_half_cuda.cu",
    "kernels/resample/taps.cc",
    "kernels/tail/tail_half_cuda.cu",
    "tests/cuda/half_ops.cc",
    "tests/cuda/segment_ops.cc",
)
WIDE, LEAN, SMALL = 0, 1, 2  # shapes of tiles


def to_16(x: np.ndarray, bf16: bool) -> np.ndarray:
    """Float to fp16 or bf16 bits (nearest, ties to even)."""
    if not bf16:
        return x.astype(np.float16).view(np.uint16)
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_16(bits: np.ndarray, bf16: bool) -> np.ndarray:
    """Bits to float64."""
    if not bf16:
        return bits.view(np.float16).astype(np.float64)
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


class Ops(SegmentOps):
    """Features [N, H, W, slots], bits of 16."""

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        variant: str = "tiny",
        bf16: bool = False,
        faults: Sequence[Fault] = (),
        sources: Sequence[str] = SOURCES,
    ) -> None:
        self.bf16 = bf16
        # kernels.md 2.7: about four roundings of operands and result
        self.tolerance = 8e-3 if bf16 else 1e-3
        self.tolerance_of_network = 6e-2 if bf16 else 1e-2  # on weights that matter
        super().__init__(weights, variant, sources, faults)
        self.slots = (self.channels + 16) // 16 * 16

    def features(self, call: Call) -> np.ndarray:
        return np.empty((*call.valid.shape, self.slots), np.uint16)

    def given(self, x: np.ndarray) -> np.ndarray:
        n, c, height, width = x.shape
        out = np.zeros((n, height, width, self.slots), np.uint16)
        out[..., :c] = to_16(np.moveaxis(x, 1, 3), self.bf16)
        return out

    def taken(self, features: np.ndarray) -> np.ndarray:
        if features[..., self.channels :].any():
            raise AssertionError("slots from C on are not zero")
        return np.moveaxis(from_16(features[..., : self.channels], self.bf16), 3, 1)

    def rounded(self, x: np.ndarray) -> np.ndarray:
        return from_16(to_16(x, self.bf16), self.bf16)
