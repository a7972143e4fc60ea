"""The CUDA backend on the emulator: what a test needs in its place."""

from __future__ import annotations

from typing import Any

import numpy as np


class OnDevice:
    """A numpy array that says it lives on a device; on the emulator it does."""

    def __init__(self, array: np.ndarray, stream: int | None = None) -> None:
        self.array = array
        self._stream = stream

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.array.shape,
            "typestr": self.array.dtype.str,
            "data": (self.array.ctypes.data, not self.array.flags.writeable),
            "strides": None if self.array.flags.c_contiguous else self.array.strides,
            "stream": self._stream,
            "version": 3,
        }
