"""Arrays in, arrays out: whatever the caller uses becomes numpy and comes back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import BackendError, DtypeError, ShapeError, SwappedInputsError

DTYPES = (np.dtype("uint8"), np.dtype("uint16"), np.dtype("int16"), np.dtype("float32"))


def _is_torch(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def as_array(x: Any, name: str) -> np.ndarray:
    """A numpy view of ``x``; no copy unless its byte order is foreign.

    Raises
    ------
    BackendError
        If it lives on a device.
    DtypeError
        If it is no array or its dtype cannot be fused.
    """
    if isinstance(x, np.ndarray):
        array = x
    elif _is_torch(x):
        if x.device.type != "cpu":
            raise BackendError(
                f"{name}: got a tensor on {x.device}; this version runs on the CPU only; "
                f"pass {name}.cpu()"
            )
        if str(x.dtype) == "torch.bfloat16":
            raise DtypeError(f"{name}: got torch.bfloat16; need {_names()}; pass {name}.float()")
        array = x.detach().numpy()
    elif hasattr(x, "__array_interface__"):
        array = np.asarray(x)
    elif hasattr(x, "__dlpack__"):
        try:
            array = np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError) as error:
            raise BackendError(
                f"{name}: cannot be read as a CPU array through DLPack ({error}); "
                "copy it to host memory first"
            ) from error
    else:
        raise DtypeError(
            f"{name}: got {type(x).__name__}; need a numpy array, a CPU torch tensor or anything "
            "with __array_interface__ or DLPack; wrap it with numpy.asarray"
        )
    if array.dtype.newbyteorder("=") not in DTYPES:
        raise DtypeError(
            f"{name}: got dtype {array.dtype}; need {_names()}; "
            f"convert it, for example {name}.astype('float32')"
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _names() -> str:
    return ", ".join(str(d) for d in DTYPES)


def returner(x: Any) -> Callable[[np.ndarray], Any]:
    """What turns the result into the caller's kind of array (numpy unless torch)."""
    if _is_torch(x):
        return sys.modules["torch"].from_numpy
    return lambda array: array


def check_pair(ms: np.ndarray, pan: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Shape the pair as [N, K, h, w] and [N, H, W]; the flag says whether N was given.

    Raises
    ------
    SwappedInputsError, ShapeError
    """
    if ms.ndim == 2 and pan.ndim == 3 and pan.shape[0] > 1:
        raise SwappedInputsError(
            f"ms, pan: got ms {ms.shape} and pan {pan.shape}; they look swapped; "
            "call fuse(ms, pan) with ms [K, h, w] first"
        )
    if ms.ndim not in (3, 4):
        raise ShapeError(
            f"ms: got shape {ms.shape}; need [K, h, w] or [N, K, h, w], bands first; "
            "for one band use ms[None]"
        )
    batched = ms.ndim == 4
    if batched and pan.ndim == 4 and pan.shape[1] == 1:
        pan = pan[:, 0]
    elif not batched and pan.ndim == 3 and pan.shape[0] == 1:
        pan = pan[0]
    if not batched:
        ms, pan = ms[None], pan[None]
    if ms.size and pan.ndim >= 3 and min(ms.shape[-2:]) > max(1, *pan.shape[-2:]):
        raise SwappedInputsError(
            f"ms, pan: got ms {ms.shape[-2:]} pixels and pan {pan.shape[-2:]}; PAN is the finer "
            "one; they look swapped: call fuse(ms, pan)"
        )
    if pan.ndim != 3 or pan.shape[0] != ms.shape[0]:
        raise ShapeError(
            f"pan: got shape {pan.shape if batched else pan.shape[1:]}; need "
            f"{'[N, 1, H, W] or [N, H, W] with N = ' + str(ms.shape[0]) if batched else '[H, W]'}"
        )
    if 0 in ms.shape[1:] or 0 in pan.shape[1:]:
        raise ShapeError(
            f"ms, pan: got shapes {ms.shape} and {pan.shape}; an image has no pixels or no bands"
        )
    if ms.shape[1] > max(32, ms.shape[2], ms.shape[3]):
        raise ShapeError(
            f"ms: got shape {ms.shape[1:]} with {ms.shape[1]} bands; it looks bands-last; "
            "pass ms.transpose(2, 0, 1)"
        )
    return ms, pan, batched
