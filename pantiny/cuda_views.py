"""Arrays on a CUDA device as the kernels see them: torch, cupy, `__cuda_array_interface__`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import cuda
from .cuda import DTYPES
from .errors import BackendError, DtypeError

_DEFAULT_STREAMS = (None, 1, 2)  # of the array interface: none, and the two default ones


@dataclass(frozen=True)
class View:
    """Samples of an array on a device.

    Attributes
    ----------
    owner : object
        Keeps the memory alive.
    address : int
    shape, strides : tuple of int
        Strides in samples.
    dtype : str
        As numpy names it.
    device, stream : int
        ``stream`` is a ``cudaStream_t``; 0 is the default stream.
    """

    owner: Any
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: int
    stream: int


class DeviceArray:
    """A result on a device, for callers whose arrays are neither torch's nor cupy's.

    Read it through ``__cuda_array_interface__``, or copy it with ``to_host``.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, stream: int) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._stream = stream
        self._memory = cuda.module().Memory(int(np.prod(shape)) * self.dtype.itemsize)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._memory.address, False),
            "strides": None,
            "stream": self._stream or 1,
            "version": 3,
        }

    def to_host(self) -> np.ndarray:
        """A numpy copy; waits for the stream."""
        host = np.empty(self.shape, self.dtype)
        self._memory.copy_out(host, self._stream)
        return host


def _torch_tensor(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def is_device_array(x: Any) -> bool:
    """Whether ``x`` lives on a CUDA device."""
    if _torch_tensor(x):
        return bool(x.is_cuda)
    return hasattr(x, "__cuda_array_interface__")


def view(x: Any, name: str, dtypes: Sequence[str] = tuple(DTYPES)) -> View:
    """Where the samples of a device array lie; nothing is copied.

    Raises
    ------
    BackendError
        If it lives in host memory.
    DtypeError
    """
    if not is_device_array(x):
        raise BackendError(
            f"{name}: got a {type(x).__name__} in host memory beside images on a device; need "
            f"all on one device; move {name} there"
        )
    if _torch_tensor(x):
        torch = sys.modules["torch"]
        x = x.detach()
        stream = int(torch.cuda.current_stream(x.device).cuda_stream)
        found = View(
            x,
            x.data_ptr(),
            tuple(x.shape),
            tuple(x.stride()),
            str(x.dtype).removeprefix("torch."),
            x.device.index or 0,
            stream,
        )
    else:
        about = x.__cuda_array_interface__
        dtype = np.dtype(about["typestr"])
        shape = tuple(int(n) for n in about["shape"])
        strides = about.get("strides")
        if strides is None:
            strides = _packed(shape, dtype)
        asked = about.get("stream")
        found = View(
            x,
            int(about["data"][0]),
            shape,
            tuple(int(s) // dtype.itemsize for s in strides),
            dtype.newbyteorder("=").name if dtype.isnative else str(dtype),
            int(getattr(getattr(x, "device", None), "id", 0) or 0),
            0 if asked in _DEFAULT_STREAMS else int(asked),
        )
    if found.dtype not in dtypes:
        raise DtypeError(
            f"{name}: got dtype {found.dtype} on the device; need {', '.join(dtypes)}; convert "
            "it there first"
        )
    return found


def _packed(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    strides, step = [], dtype.itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def empty_like(like: Any, shape: tuple[int, ...], dtype: str, stream: int) -> Any:
    """An array of the same kind on the same device, not filled."""
    if _torch_tensor(like):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(like, cupy.ndarray):
        return cupy.empty(shape, dtype)
    return DeviceArray(shape, dtype, stream)
