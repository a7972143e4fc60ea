"""Arrays on a CUDA device as the kernels see them: torch, cupy, array interface, DLPack."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import cuda
from ..errors import BackendError, DtypeError
from . import DTYPES, using

_DEFAULT_STREAMS = (None, 1, 2)  # of the array interface: none, and the two default ones
_LEGACY_STREAM = 1  # as DLPack numbers it; 0 is not allowed there
_DLPACK_CUDA = (2, 13)  # device types: memory of the device, managed memory
_DLPACK_VERSION = (1, 0)


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
    read_only : bool
    lent : bool
        By DLPack alone: the memory may be used anew as soon as ``owner`` goes, so that work on it
        must be over by then.
    """

    owner: Any
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: int
    stream: int
    read_only: bool = False
    lent: bool = False


class DeviceArray:
    """A result on a device, for callers whose arrays are neither torch's nor cupy's.

    Read it through ``__cuda_array_interface__`` or DLPack (``jax.dlpack.from_dlpack(result)``,
    ``torch.from_dlpack(result)``), which copy nothing, or copy it with ``to_host``.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
    device : int
        Number of the CUDA device.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, stream: int, device: int = 0) -> None:
        self.shape, self.dtype, self.device = shape, np.dtype(dtype), device
        self._stream = stream
        self._memory = cuda.allocate(int(np.prod(shape)) * self.dtype.itemsize)

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

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CUDA[0], self.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule that keeps the memory alive; see the DLPack specification.

        Raises
        ------
        BufferError
            If another device or a copy is asked for.
        """
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError(
                f"__dlpack__: got copy={copy!r}, dl_device={dl_device!r}; need this memory, on "
                f"device {self.__dlpack_device__()}; leave both out, or copy with to_host()"
            )
        theirs = 0 if stream in (None, _LEGACY_STREAM) else stream
        with using(self.device) as core:
            if theirs not in (-1, self._stream):  # -1: the consumer takes care
                core.wait(self._stream)
            return core.to_dlpack(
                owner=self._memory,
                address=self._memory.address,
                shape=self.shape,
                kind=self.dtype.kind,
                bits=8 * self.dtype.itemsize,
                device=self.device,
                versioned=max_version is not None and max_version[0] >= _DLPACK_VERSION[0],
            )

    def to_host(self) -> np.ndarray:
        """A numpy copy; waits for the stream."""
        host = np.empty(self.shape, self.dtype)
        with using(self.device):
            self._memory.copy_out(host, self._stream)
        return host


def _torch_tensor(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def is_device_array(x: Any) -> bool:
    """Whether ``x`` lives on a CUDA device."""
    if _torch_tensor(x):
        return bool(x.is_cuda)
    if hasattr(x, "__cuda_array_interface__"):
        return True
    return hasattr(x, "__dlpack_device__") and int(x.__dlpack_device__()[0]) in _DLPACK_CUDA


def _device_of(x: Any) -> int:
    """Number of the device of an array with the array interface: as cupy or we say it, or 0."""
    device = getattr(x, "device", None)
    return device if isinstance(device, int) else int(getattr(device, "id", 0) or 0)


def _lent(x: Any, name: str) -> View:
    """What an array that speaks DLPack only lends, ready on the legacy default stream."""
    core = cuda.module()
    try:
        try:
            capsule = x.__dlpack__(stream=_LEGACY_STREAM, max_version=_DLPACK_VERSION)
        except TypeError:  # a producer of before version 1
            capsule = x.__dlpack__(stream=_LEGACY_STREAM)
        held = core.Imported(capsule)
    except (BufferError, TypeError, ValueError) as error:
        raise BackendError(
            f"{name}: got a {type(x).__name__} that DLPack cannot hand over ({error}); need an "
            f"array in the memory of a CUDA device; copy {name} to host memory"
        ) from error
    kind, device = held.device
    if kind not in _DLPACK_CUDA:
        raise BackendError(
            f"{name}: got a {type(x).__name__} that DLPack hands over on device type {kind}; need "
            f"CUDA memory, type {' or '.join(map(str, _DLPACK_CUDA))}; move {name} there"
        )
    return View(
        held,
        held.address,
        tuple(held.shape),
        tuple(held.strides),
        held.dtype,
        device,
        0,
        held.read_only,
        lent=True,
    )


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
    elif not hasattr(x, "__cuda_array_interface__"):
        found = _lent(x, name)
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
            _device_of(x),
            0 if asked in _DEFAULT_STREAMS else int(asked),
            bool(about["data"][1]),
        )
    if found.dtype not in dtypes:
        raise DtypeError(
            f"{name}: got dtype {found.dtype} on the device; need {', '.join(dtypes)}; convert "
            "it there first"
        )
    return found


def join(v: View, device: int, stream: int) -> None:
    """Wait for what makes an array where another stream than this one does."""
    if v.stream != stream:
        with using(device) as core:
            core.wait(v.stream)


def _packed(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    strides, step = [], dtype.itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def empty_like(like: Any, shape: tuple[int, ...], dtype: str, stream: int, device: int) -> Any:
    """An array of the same kind on the same device, not filled."""
    if _torch_tensor(like):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(like, cupy.ndarray):
        return cupy.empty(shape, dtype)
    return DeviceArray(shape, dtype, stream, device)
