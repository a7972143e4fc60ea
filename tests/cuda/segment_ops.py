"""The segments of a precision, numpy arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_char_p, c_double, c_int32, c_int64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from pantiny.kernels.boundary.boundary_ref import Statistics
from pantiny.variants import Variant, get_variant

from .build import Fault, library

BY_IMAGE = -1  # shape of tiles: what the plan would take
UNSUPPORTED = 6


class Arch(Structure):
    """Sizes of a network; mirrors ptn_arch."""

    _fields_ = [(n, c_int32) for n in ("bands", "channels", "heads", "encoder", "body", "fusion")]

    @classmethod
    def of(cls, v: Variant) -> Arch:
        """Of one with enhanced_conv."""
        return cls(v.bands, v.channels, v.heads, v.encoder_blocks, v.body_blocks, 2)


class _Tensor(Structure):
    _fields_ = [("name", c_char_p), ("data", c_void_p), ("size", c_int64)]


def tensors_of(weights: dict[str, np.ndarray]) -> tuple[Any, list[tuple[bytes, np.ndarray]]]:
    """Weights for ctypes, and the arrays that they point to."""
    kept = [(n.encode(), np.ascontiguousarray(w, np.float32)) for n, w in weights.items()]
    return (_Tensor * len(kept))(*(_Tensor(n, w.ctypes.data, w.size) for n, w in kept)), kept


class Image(Structure):
    """What an op runs on; mirrors placed.h."""

    _fields_ = [
        *((n, c_int32) for n in ("images", "bands", "height", "width", "ms_height", "ms_width")),
        *((n, c_int32) for n in ("ms_dtype", "pan_dtype")),
        *((n, c_double) for n in ("scale_y", "scale_x", "offset_y", "offset_x")),
        *((n, c_void_p) for n in ("ms", "pan", "valid", "ms_valid", "units")),
    ]


class Call(NamedTuple):
    """A batch: arrays [images, ...]; None where an op does not read them."""

    valid: np.ndarray  # [N, H, W] bool
    ms: np.ndarray | None = None  # [N, K, h, w] DN
    pan: np.ndarray | None = None  # [N, H, W] DN
    ms_valid: np.ndarray | None = None  # [N, h, w] bool
    units: float = 1.0
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    tile: int = BY_IMAGE


DTYPES = {np.dtype(name): i for i, name in enumerate(("u1", "u2", "i2", "f4"))}


def placed(call: Call) -> tuple[Image, list[np.ndarray]]:
    """A call for ctypes, and the arrays that it points to."""
    n, height, width = call.valid.shape
    bands, *ms_shape = call.ms.shape[1:] if call.ms is not None else (4, 1, 1)
    kept: list[np.ndarray] = []

    def place(x: np.ndarray | None, dtype: type | None = None) -> int | None:
        if x is None:
            return None
        kept.append(np.ascontiguousarray(x, dtype))
        return kept[-1].ctypes.data

    image = Image(
        n,
        bands,
        height,
        width,
        *ms_shape,
        *(DTYPES[np.dtype("f4") if x is None else x.dtype] for x in (call.ms, call.pan)),
        *call.scale,
        *call.offset,
        place(call.ms),
        place(call.pan),
        place(None if call.valid.all() else call.valid, np.uint8),
        place(call.ms_valid, np.uint8),
        place(np.full(n, call.units), np.float32),
    )
    return image, kept


class Ops:
    """The ops of one model; a precision adds the layout of its features."""

    bf16 = False
    tolerance: float  # relative error of a segment, in norm
    tolerance_of_network: float

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        variant: str,
        sources: Sequence[str],
        faults: Sequence[Fault] = (),
    ) -> None:
        v = get_variant(variant)
        self.channels, self.heads = v.channels, v.heads
        self._lib = library(sources, faults)
        self._lib.segment_error.restype = c_char_p
        self._lib.segment_model.restype = c_void_p
        self._lib.segment_tiles.restype = c_int64
        self._arch = Arch.of(v)
        tensors, kept = tensors_of(weights)
        model = self._lib.segment_model(int(self.bf16), byref(self._arch), tensors, len(kept))
        if not model:
            raise ValueError("the weights are not a model's")
        self._model = c_void_p(model)
        self.encoder_blocks = v.encoder_blocks

    def __del__(self) -> None:
        if hasattr(self, "_model"):
            self._lib.segment_free(self._model)

    def run_ahead(self, on: bool) -> None:
        """The emulator's other order of threads."""
        self._lib.segment_run_ahead(int(on))

    def block_number(self, name: str) -> int:
        """Number of ``encoder.i`` or ``body.i``."""
        part, i = name.split(".")
        return int(i) + (self.encoder_blocks if part == "body" else 0)

    def _check(self, status: int) -> None:
        if status == -1:
            raise RuntimeError("written outside an array")
        if status == UNSUPPORTED:
            raise NotImplementedError("architecture")
        if status:
            raise RuntimeError(f"status {status}: {self._lib.segment_error().decode()}")

    def features(self, call: Call) -> np.ndarray:
        """Room for the features of a call."""
        raise NotImplementedError

    def given(self, x: np.ndarray) -> np.ndarray:
        """Features [N, C, H, W] as a kernel takes them."""
        raise NotImplementedError

    def taken(self, features: np.ndarray) -> np.ndarray:
        """Features [N, C, H, W] float64 from a kernel's."""
        raise NotImplementedError

    def rounded(self, x: np.ndarray) -> np.ndarray:
        """What the precision leaves of x, float64."""
        raise NotImplementedError

    def tiles(self, call: Call, alone: bool = False) -> int:
        """Tiles of an image, of the statistics alone or of the boundary."""
        image, _kept = placed(call)
        return int(self._lib.segment_tiles(self._model, byref(image), call.tile, int(alone)))

    def _partials(self, call: Call, alone: bool) -> np.ndarray:
        c = self.channels // self.heads
        size = self.heads * c * c + 2 * self.channels
        return np.empty((call.valid.shape[0], self.tiles(call, alone), size), np.float32)

    def statistics_of(self, partials: np.ndarray) -> list[Statistics]:
        """Sums of every image."""
        c, out = self.channels // self.heads, []
        for total in partials.astype(np.float64).sum(axis=1):
            gram, rest = np.split(total, [self.heads * c * c])
            out.append(Statistics(gram.reshape(self.heads, c, c), *np.split(rest, 2)))
        return out

    def head(self, call: Call) -> np.ndarray:
        """Features."""
        image, _kept = placed(call)
        x = self.features(call)
        self._check(self._lib.segment_head(self._model, byref(image), call.tile, x.ctypes))
        return x

    def statistics(self, call: Call, block: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x -> v, partials."""
        image, _kept = placed(call)
        v, partials = self.features(call), self._partials(call, True)
        self._check(
            self._lib.segment_statistics(
                self._model,
                byref(image),
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
        """x, v and folded [N, C, C] -> x, v, partials; only x without ``sums``."""
        image, _kept = placed(call)
        x_out, v_out = self.features(call), self.features(call)
        partials = self._partials(call, False)
        folded = np.ascontiguousarray(folded, np.float32)
        self._check(
            self._lib.segment_block(
                self._model,
                byref(image),
                call.tile,
                self.block_number(block),
                *(a.ctypes for a in (x, v, folded, x_out)),
                v_out.ctypes if sums else None,
                partials.ctypes,
            )
        )
        return x_out, v_out, partials

    def fuse(self, call: Call, x: np.ndarray) -> np.ndarray:
        """x -> x."""
        image, _kept = placed(call)
        out = self.features(call)
        self._check(
            self._lib.segment_fuse(self._model, byref(image), call.tile, x.ctypes, out.ctypes)
        )
        return out

    def tail(self, call: Call, x: np.ndarray) -> np.ndarray:
        """x -> fused [N, 4, H, W]."""
        image, _kept = placed(call)
        n, height, width = call.valid.shape
        out = np.empty((n, 4, height, width), np.float32)
        self._check(
            self._lib.segment_tail(self._model, byref(image), call.tile, x.ctypes, out.ctypes)
        )
        return out
