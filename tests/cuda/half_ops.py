"""The segments of 16-bit features, numpy arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_int32, c_int64, c_void_p
from typing import NamedTuple

import numpy as np

from pantiny.kernels.boundary.boundary_ref import Statistics
from pantiny.variants import get_variant

from .build import Fault, library

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
)
BY_IMAGE, WIDE, LEAN, SMALL = -1, 0, 1, 2  # shapes of tiles
UNSUPPORTED = 6


class _Arch(Structure):
    _fields_ = [(n, c_int32) for n in ("bands", "channels", "heads", "encoder", "body", "fusion")]


class _Tensor(Structure):
    _fields_ = [("name", c_char_p), ("data", c_void_p), ("size", c_int64)]


class _Image(Structure):
    _fields_ = [
        *((n, c_int32) for n in ("images", "height", "width", "ms_height", "ms_width")),
        ("scale", c_double),
        *((n, c_void_p) for n in ("ms", "pan", "valid", "ms_valid", "units")),
    ]


class Call(NamedTuple):
    """A batch: arrays [images, ...]; None where an op does not read them."""

    valid: np.ndarray  # [N, H, W] bool
    ms: np.ndarray | None = None  # [N, 4, h, w] DN
    pan: np.ndarray | None = None  # [N, H, W] DN
    ms_valid: np.ndarray | None = None  # [N, h, w] bool
    units: float = 1.0
    scale: float = 1.0
    tile: int = SMALL


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


def rounded(x: np.ndarray, bf16: bool) -> np.ndarray:
    """What is left of x in 16 bits."""
    return from_16(to_16(x, bf16), bf16)


class Ops:
    """The ops of one model."""

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        variant: str = "tiny",
        bf16: bool = False,
        faults: Sequence[Fault] = (),
        sources: Sequence[str] = SOURCES,
    ) -> None:
        v = get_variant(variant)
        self.bf16, self.channels, self.heads = bf16, v.channels, v.heads
        self.slots = (v.channels + 16) // 16 * 16
        self._lib = library(sources, faults)
        self._lib.half_error.restype = c_char_p
        self._lib.half_model.restype = c_void_p
        self._lib.half_tiles.restype = c_int64
        self._lib.half_feature_bytes.restype = c_int64
        self._arch = _Arch(v.bands, v.channels, v.heads, v.encoder_blocks, v.body_blocks, 2)
        kept = [(n.encode(), np.ascontiguousarray(w, np.float32)) for n, w in weights.items()]
        tensors = (_Tensor * len(kept))(*(_Tensor(n, w.ctypes.data, w.size) for n, w in kept))
        model = self._lib.half_model(int(bf16), byref(self._arch), tensors, len(kept))
        if not model:
            raise ValueError("the weights are not a model's")
        self._model = c_void_p(model)
        self.encoder_blocks = v.encoder_blocks

    def __del__(self) -> None:
        if hasattr(self, "_model"):
            self._lib.half_free(self._model)

    def run_ahead(self, on: bool) -> None:
        """The emulator's other order of threads."""
        self._lib.half_run_ahead(int(on))

    def block_number(self, name: str) -> int:
        """Number of ``encoder.i`` or ``body.i``."""
        part, i = name.split(".")
        return int(i) + (self.encoder_blocks if part == "body" else 0)

    def _image(self, call: Call) -> tuple[POINTER, list[np.ndarray]]:
        n, height, width = call.valid.shape
        ms_shape = call.ms.shape[2:] if call.ms is not None else (1, 1)
        kept = []

        def place(x: np.ndarray | None, dtype: type) -> int | None:
            if x is None:
                return None
            kept.append(np.ascontiguousarray(x, dtype))
            return kept[-1].ctypes.data

        image = _Image(
            n,
            height,
            width,
            *ms_shape,
            call.scale,
            place(call.ms, np.float32),
            place(call.pan, np.float32),
            place(None if call.valid.all() else call.valid, np.uint8),
            place(call.ms_valid, np.uint8),
            place(np.full(n, call.units), np.float32),
        )
        return byref(image), kept

    def _check(self, status: int) -> None:
        if status == -1:
            raise RuntimeError("written outside an array")
        if status == UNSUPPORTED:
            raise NotImplementedError("architecture")
        if status:
            raise RuntimeError(f"status {status}: {self._lib.half_error().decode()}")

    def _features(self, call: Call) -> np.ndarray:
        return np.empty((*call.valid.shape, self.slots), np.uint16)

    def given(self, x: np.ndarray) -> np.ndarray:
        """Features [N, C, H, W] as a kernel takes them."""
        n, c, height, width = x.shape
        out = np.zeros((n, height, width, self.slots), np.uint16)
        out[..., :c] = to_16(np.moveaxis(x, 1, 3), self.bf16)
        return out

    def taken(self, bits: np.ndarray) -> np.ndarray:
        """Features [N, C, H, W] float64 from a kernel's; what pads them must be zero."""
        if bits[..., self.channels :].any():
            raise AssertionError("slots from C on are not zero")
        return np.moveaxis(from_16(bits[..., : self.channels], self.bf16), 3, 1)

    def tiles(self, call: Call) -> int:
        """Tiles of an image."""
        image, _kept = self._image(call)
        return int(self._lib.half_tiles(self._model, image, call.tile))

    def _partials(self, call: Call) -> np.ndarray:
        c = self.channels // self.heads
        size = self.heads * c * c + 2 * self.channels
        return np.empty((call.valid.shape[0], self.tiles(call), size), np.float32)

    def statistics_of(self, partials: np.ndarray) -> list[Statistics]:
        """Sums of every image."""
        c, out = self.channels // self.heads, []
        for total in partials.astype(np.float64).sum(axis=1):
            gram, rest = np.split(total, [self.heads * c * c])
            out.append(Statistics(gram.reshape(self.heads, c, c), *np.split(rest, 2)))
        return out

    def head(self, call: Call) -> np.ndarray:
        """Features, bits."""
        image, _kept = self._image(call)
        x = self._features(call)
        self._check(self._lib.half_head(self._model, image, call.tile, x.ctypes))
        return x

    def statistics(self, call: Call, block: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x bits -> v bits, partials."""
        image, _kept = self._image(call)
        v, partials = self._features(call), self._partials(call)
        self._check(
            self._lib.half_statistics(
                self._model,
                image,
                call.tile,
                self.block_number(block),
                *(a.ctypes for a in (x, v, partials)),
            )
        )
        return v, partials

    def block(
        self,
        call: Call,
        block: str,
        x: np.ndarray,
        v: np.ndarray,
        folded: np.ndarray,
        sums: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, v bits and folded [N, C, C] -> x, v bits, partials; only x without ``sums``."""
        image, _kept = self._image(call)
        x_out, v_out, partials = self._features(call), self._features(call), self._partials(call)
        folded = np.ascontiguousarray(folded, np.float32)
        self._check(
            self._lib.half_block(
                self._model,
                image,
                call.tile,
                self.block_number(block),
                *(a.ctypes for a in (x, v, folded, x_out)),
                v_out.ctypes if sums else None,
                partials.ctypes,
            )
        )
        return x_out, v_out, partials

    def fuse(self, call: Call, x: np.ndarray) -> np.ndarray:
        """x bits -> bits."""
        image, _kept = self._image(call)
        out = self._features(call)
        self._check(self._lib.half_fuse(self._model, image, call.tile, x.ctypes, out.ctypes))
        return out

    def tail(self, call: Call, x: np.ndarray) -> np.ndarray:
        """x bits -> fused [N, 4, H, W]."""
        image, _kept = self._image(call)
        n, height, width = call.valid.shape
        out = np.empty((n, 4, height, width), np.float32)
        self._check(self._lib.half_tail(self._model, image, call.tile, x.ctypes, out.ctypes))
        return out
