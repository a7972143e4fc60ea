"""Arrays that speak DLPack only, and a look into capsules, by ctypes: shares no code with ours."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

CUDA, MANAGED, CPU = 2, 13, 1
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_KINDS = {code: kind for kind, code in _CODES.items()}
_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_NAMES = {b"dltensor": _Managed, b"dltensor_versioned": _Versioned}
_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_api.PyCapsule_GetName.restype = ctypes.c_char_p
_api.PyCapsule_GetName.argtypes = [ctypes.py_object]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Lent:
    """A numpy array that says by DLPack alone that it lives on a device; on the emulator it does.

    Attributes
    ----------
    streams : list
        What consumers asked for.
    out : int
        Capsules whose tensor has not been given back.
    """

    def __init__(
        self,
        array: np.ndarray,
        kind: int = CUDA,
        *,
        device: int = 0,
        versioned: bool = False,
        old: bool = False,
        packed: bool = False,
        read_only: bool = False,
        lanes: int = 1,
        major: int = 1,
    ) -> None:
        self.array, self.kind, self.device_id = array, kind, device
        self._versioned, self._old, self._packed = versioned, old, packed
        self._read_only, self._lanes, self._major = read_only, lanes, major
        self.streams: list[Any] = []
        self.out = 0
        self._keep: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, self.device_id

    def __dlpack__(self, *, stream: Any = None, **more: Any) -> Any:
        if self._old and more:
            raise TypeError("__dlpack__() got an unexpected keyword argument")
        self.streams.append(stream)
        a = self.array
        axes = ctypes.c_int64 * a.ndim
        shape, strides = axes(*a.shape), axes(*(s // a.itemsize for s in a.strides))
        deleter = _DELETER(self._back)
        before = 2 * a.itemsize  # the data begin behind an offset
        tensor = _Tensor(
            a.ctypes.data - before,
            self.kind,
            self.device_id,
            a.ndim,
            _CODES[a.dtype.kind],
            8 * a.itemsize,
            self._lanes,
            shape,
            None if self._packed else strides,
            before,
        )
        managed: Any = _Managed(tensor, None, deleter)
        if self._versioned:
            managed = _Versioned(self._major, 0, None, deleter, int(self._read_only), tensor)
        name = b"dltensor_versioned" if self._versioned else b"dltensor"
        self._keep += [shape, strides, deleter, managed, name]
        self.out += 1
        return _api.PyCapsule_New(ctypes.addressof(managed), name, None)

    def _back(self, _: Any) -> None:
        self.out -= 1


class Taken:
    """What a capsule holds, taken out of it."""

    def __init__(self, capsule: Any) -> None:
        self.name = _api.PyCapsule_GetName(capsule)
        kind = _NAMES[self.name]
        self._managed: Any = kind.from_address(_api.PyCapsule_GetPointer(capsule, self.name))
        self._used = b"used_" + self.name
        _api.PyCapsule_SetName(capsule, self._used)
        t = self._managed.tensor
        self.device = t.device_type, t.device_id
        self.version = getattr(self._managed, "major", 0)
        shape = t.shape[: t.ndim]
        dtype = np.dtype(f"{_KINDS[t.code]}{t.bits // 8}")
        assert t.lanes == 1
        size = int(np.prod(shape)) * dtype.itemsize
        block = (ctypes.c_char * size).from_address(t.data + t.byte_offset)
        strides = [s * dtype.itemsize for s in t.strides[: t.ndim]]
        self.array = np.ndarray(shape, dtype, block, 0, strides)

    def give_back(self) -> None:
        self._managed.deleter(ctypes.addressof(self._managed))
