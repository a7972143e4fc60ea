"""Arrays in, arrays out: whatever the caller uses becomes numpy and comes back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import BackendError, DtypeError, OptionError, ShapeError, SwappedInputsError

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
        array = np.asarray(x)  # a masked array's mask is looked at apart
    elif _is_torch(x):
        if x.device.type != "cpu":
            raise BackendError(
                f"{name}: got a tensor on {x.device}; need ms and pan both in host memory or both "
                f"on one CUDA device; pass {name}.cpu()"
            )
        if str(x.dtype) == "torch.bfloat16":
            raise DtypeError(f"{name}: got torch.bfloat16; need {_names()}; pass {name}.float()")
        try:
            array = x.detach().numpy()
        except (TypeError, RuntimeError) as error:
            raise DtypeError(
                f"{name}: got a tensor that numpy cannot view ({error}); need a dense one; pass "
                f"{name}.to_dense()"
            ) from error
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


def host_mask(mask: Any) -> np.ndarray:
    """A mask in host memory, True where a pixel is valid.

    Raises
    ------
    OptionError
    """
    try:
        given = np.asarray(mask)
    except (ValueError, TypeError, RuntimeError) as error:
        raise OptionError(
            f"mask: got {type(mask).__name__} that is no array ({error}); need bool or uint8, "
            "nonzero = valid; wrap it with numpy.asarray"
        ) from error
    if given.dtype.kind not in "bui":
        raise OptionError(
            f"mask: got dtype {given.dtype}; need bool or uint8, nonzero = valid; "
            "compare it, for example mask > 0"
        )
    return np.asarray(given != 0)


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
    got = f"ms {ms.shape} and pan {pan.shape}"
    if _swapped(ms, pan):
        raise SwappedInputsError(
            f"ms, pan: got {got}; PAN is the finer one; they look swapped: call fuse(ms, pan), "
            "with one band as ms[None]"
        )
    if ms.ndim not in (3, 4):
        raise ShapeError(
            f"ms: got shape {ms.shape}; need [K, h, w] or [N, K, h, w], bands first; "
            "for one band use ms[None]"
        )
    if 0 in ms.shape[-3:] or 0 in pan.shape[-2:]:
        raise ShapeError(
            f"ms, pan: got {got}; need at least one band and one pixel; check how they were read "
            "or cropped"
        )
    batched = ms.ndim == 4
    if pan.ndim == ms.ndim and pan.shape[-1] == 1 < pan.shape[-2]:
        raise ShapeError(
            f"pan: got shape {pan.shape}; need {_pan_shape(ms, batched)}; it looks bands-last; "
            "pass pan[..., 0]"
        )
    plane = pan
    if pan.ndim == ms.ndim and pan.shape[-3] == 1:
        plane = pan[:, 0] if batched else pan[0]
    if plane.ndim != ms.ndim - 1 or (batched and plane.shape[0] != ms.shape[0]):
        raise ShapeError(
            f"pan: got shape {pan.shape}; need {_pan_shape(ms, batched)}, one band; select it, for "
            "example pan[0], or make batches of ms and pan alike"
        )
    if _bands_last(ms, plane):
        order = (0, 3, 1, 2) if batched else (2, 0, 1)
        raise ShapeError(
            f"ms: got shape {ms.shape} with {ms.shape[-3]} bands; it looks bands-last; need bands "
            f"first; pass ms.transpose{order}"
        )
    return (ms, plane, True) if batched else (ms[None], plane[None], False)


def _pan_shape(ms: np.ndarray, batched: bool) -> str:
    return f"[N, 1, H, W] or [N, H, W] with N = {ms.shape[0]}" if batched else "[H, W]"


def _swapped(ms: np.ndarray, pan: np.ndarray) -> bool:
    """Whether what came as ms is larger both ways than what came as pan."""
    if ms.ndim < 2 or pan.ndim < 2 or not pan.size:
        return False
    if ms.ndim == 2:  # PAN as [H, W]; MS with its bands first or last
        planes = (pan.shape[-2:], pan.shape[:2])
        return any(h < ms.shape[0] and w < ms.shape[1] for h, w in planes)
    return ms.shape[-2] > pan.shape[-2] and ms.shape[-1] > pan.shape[-1]


def _bands_last(ms: np.ndarray, pan: np.ndarray) -> bool:
    """Whether PAN's size fits the first two of ms's axes and not the last two."""

    def fits(height: int, width: int) -> bool:
        ratio = pan.shape[-2] // height
        return 2 <= ratio <= 8 and pan.shape[-2:] == (height * ratio, width * ratio)

    bands, height, width = ms.shape[-3:]
    if fits(height, width):
        return False
    return fits(bands, height) or bands > max(32, height, width)
