"""What every index does with its arguments: images, masks, means over a batch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .. import cuda
from ..cuda.views import is_device_array
from ..errors import (
    BackendError,
    DataError,
    DtypeError,
    OptionError,
    ShapeError,
    UnitWarning,
    warn,
)
from . import _device
from ._device import Images

ON_DEVICE = "uqi, ssim, q2n, d_lambda, d_s, qnr, d_lambda_k, r_q2n, hqnr, d_rho"
KERNEL_DTYPES = tuple(map(np.dtype, ("uint8", "uint16", "int16", "float32", "float64")))


def as_values(x: Any, name: str) -> np.ndarray:
    """A numpy array that the kernels read: of any real dtype, in host memory.

    Raises
    ------
    BackendError
        If it lives on a device.
    DtypeError
    DataError
        If it is a masked array: which pixels count is said by ``mask=``.
    """
    torch: Any = sys.modules.get("torch")
    is_tensor = torch is not None and isinstance(x, torch.Tensor)
    if is_device_array(x) or (is_tensor and x.device.type not in ("cpu", "meta")):
        raise BackendError(
            f"{name}: got a {type(x).__name__} on a device; need host memory: this index runs on "
            f"the CPU, or other images of the call are there (on a CUDA device, with all images "
            f"there, run {ON_DEVICE}); pass {name}{_to_host(x)}"
        )
    if is_tensor:
        try:
            x = x.detach().cpu()
            x = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
        except (NotImplementedError, RuntimeError, TypeError) as error:
            raise DtypeError(
                f"{name}: got a tensor of {x.dtype}, layout {x.layout}, on {x.device}; need a "
                "dense one with values, of a dtype that numpy has; convert it with .to_dense() or "
                ".float()"
            ) from error
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError(
            f"{name}: got a masked array; need its mask as an argument; pass {name}.data and "
            "mask=~numpy.ma.getmaskarray(image).any(axis=-3)"
        )
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ShapeError(
            f"{name}: got a {type(x).__name__} that makes no array ({error}); need rows of one "
            "length; give a numpy array"
        ) from error
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{name}: got dtype {array.dtype}; need real numbers; convert it, for example with "
            "astype('float32')"
        )
    if array.dtype in KERNEL_DTYPES:
        whole = array.flags.aligned and not any(s % array.itemsize for s in array.strides)
        return array if whole else array.copy()  # a field of a packed record
    native = array.dtype.newbyteorder("=")
    return array.astype(native if native in KERNEL_DTYPES else np.float64)


def _to_host(x: Any) -> str:
    calls = ("cpu", "to_host", "get")  # of torch, of our DeviceArray, of cupy
    return next((f".{c}()" for c in calls if hasattr(x, c)), " copied there")


def as_images(x: Any, name: str, *, device: bool = False, beside: Any = None) -> Any:
    """[N, K, H, W] of [K, H, W] or [N, K, H, W].

    Parameters
    ----------
    device : bool
        Whether the index runs on a device: images there become `Images`.
    beside : array [N, K, H, W] or Images, optional
        Images of the same call: they must lie in the same memory.

    Raises
    ------
    ShapeError, DtypeError, BackendError
    """
    if isinstance(beside, Images):
        return _device.as_images(x, name, beside.planes[0].place)
    if device and beside is None and is_device_array(x):
        try:
            cuda.module()
        except BackendError as error:
            raise BackendError(
                f"{name}: got a {type(x).__name__} on a device, where no index can be computed "
                f"here ({error}); pass {name}{_to_host(x)}, and the other images alike"
            ) from error
        return _device.as_images(x, name)
    array = as_values(x, name)
    if array.ndim not in (3, 4) or not array.size:
        raise ShapeError(
            f"{name}: got shape {array.shape}; need [K, H, W] or [N, K, H, W], none of them 0; "
            "for one band use image[None]"
        )
    return array if array.ndim == 4 else array[None]


def as_pan(x: Any, like: Any, name: str = "pan") -> Any:
    """[N, H, W] of [H, W], [1, H, W], [N, H, W] or [N, 1, H, W], for images [N, K, H, W].

    Raises
    ------
    ShapeError, DtypeError, BackendError
    """
    if isinstance(like, Images):
        return _device.as_pan(x, like, name)
    array = as_values(x, name)
    n, _, height, width = like.shape
    if array.shape[-2:] == (height, width) and array.size == n * height * width:
        return array.reshape(n, height, width)
    raise ShapeError(
        f"{name}: got shape {array.shape} for images {like.shape}; need [H, W], [N, H, W] or "
        "[N, 1, H, W] of the size of fused; give one band on the grid of fused"
    )


def as_mask(mask: Any, like: Any) -> Any:
    """[N, H, W] uint8 of [H, W] or [N, H, W], for images [N, K, H, W]; None of None.

    Raises
    ------
    ShapeError, DtypeError, BackendError
    """
    if isinstance(like, Images):
        return _device.as_mask(mask, like)
    if mask is None:
        return None
    array = as_values(mask, "mask") != 0
    n, _, height, width = like.shape
    if array.shape == (height, width):
        array = np.broadcast_to(array, (n, height, width))
    if array.shape != (n, height, width):
        raise ShapeError(
            f"mask: got shape {array.shape} for images {like.shape}; need [H, W] or [N, H, W]; "
            "True where pixels count"
        )
    return np.ascontiguousarray(array, np.uint8)


def same_shape(fused: Any, truth: Any, other: str = "truth") -> None:
    """Raise ShapeError unless both are of one shape."""
    if fused.shape != truth.shape:
        raise ShapeError(
            f"fused, {other}: got shapes {fused.shape} and {truth.shape} (N, K, H, W); need two "
            "of one shape; crop or resample one to the other"
        )


def grid_ratio(fused: Any, ms: Any) -> int:
    """PAN pixels per MS pixel of [..., K, H, W] and [..., K, h, w].

    Raises
    ------
    ShapeError
    """
    ratio = fused.shape[-1] // max(1, ms.shape[-1])
    height, width = ms.shape[-2:]
    if (
        fused.shape[:-2] != ms.shape[:-2]
        or ratio < 1
        or (fused.shape[-2:] != (height * ratio, width * ratio))
    ):
        raise ShapeError(
            f"fused, ms: got shapes {fused.shape} and {ms.shape}; need the same bands and sizes "
            "that differ by one whole ratio both ways; crop them to the pixels they share"
        )
    return ratio


def positive(value: Any, name: str) -> float:
    """A finite number above 0.

    Raises
    ------
    OptionError
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number < float("inf"):
        raise OptionError(f"{name}: got {value!r}; need a number above 0")
    return number


def check_peak(value: Any) -> float:
    """The largest possible value of the images.

    Raises
    ------
    OptionError
    """
    peak = positive(value, "peak")
    if not 1e-60 <= peak <= 1e60:
        raise OptionError(
            f"peak: got {value!r}; need the largest possible value of the images, 1e-60 to 1e60; "
            "bring the images into another unit"
        )
    return peak


def pan_per_ms(value: Any) -> float:
    """The ratio of ERGAS: PAN pixels per MS pixel.

    Raises
    ------
    OptionError
    """
    ratio = positive(value, "ratio")
    if ratio < 1:
        raise OptionError(
            f"ratio: got {value!r}; need PAN pixels per MS pixel, 1 or more; this looks like h/l, "
            f"PAN's pixel size over MS's: give its inverse, {1 / ratio:g}"
        )
    return ratio


UNITS_APART = 20.0  # times that PAN may be larger or smaller than MS


def warn_of_units(pan: float, ms: float) -> bool:
    """Whether root mean squares are so far apart that units must differ; if so, warns."""
    if not (pan > UNITS_APART * ms > 0 or ms > UNITS_APART * pan > 0):
        return False
    warn(
        f"ms, pan: got root mean squares of {ms:.4g} and {pan:.4g}, more than {UNITS_APART:g} "
        "times apart; need fused, ms and pan in one unit, or D_s is near 0 whatever the images "
        "hold; convert them, e.g. all to DN",
        UnitWarning,
    )
    return True


def refuse_nan(image: np.ndarray, mask: np.ndarray | None, name: str) -> None:
    """Before a conversion to integers, which would hide it: [..., H, W] and [H, W].

    Raises
    ------
    DataError
        If a valid pixel is NaN.
    """
    if image.dtype.kind != "f":
        return
    bad = np.isnan(image) if mask is None else np.isnan(image) & (mask != 0)
    if bad.any():
        raise DataError(f"{name}: holds NaN; need numbers; mark such pixels with mask=")


class Given:
    """Checked images of a call. On a device there is no image i: all of them in place of it."""

    fused: Any
    mask: Any

    def _of(self, images: Any, i: int) -> Any:
        return images if images is None or isinstance(self.fused, Images) else images[i]

    def valid(self, i: int) -> Any:
        return self._of(self.mask, i)


def by_image(images: Any, found: Callable[[int], Any]) -> Callable[[int], Any]:
    """``found(i)`` of image i; of `Images` it finds those of all, [N, ...], and is called once."""
    if not isinstance(images, Images):
        return found
    every = lru_cache(maxsize=1)(lambda: found(0))
    return lambda i: every()[i]


def over_images(count: int, reduction: str, index: Callable[[int], float]) -> Any:
    """Mean over images, or one value per image.

    Raises
    ------
    OptionError
        If ``reduction`` is neither ``"mean"`` nor ``"none"``.
    DataError
        If an index is NaN: an image holds NaN.
    """
    if reduction not in ("mean", "none"):
        raise OptionError(f"reduction: got {reduction!r}; need 'mean' or 'none'")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        values = np.array([index(i) for i in range(count)], np.float64)
    if np.isnan(values).any():
        raise DataError(
            f"image {int(np.isnan(values).argmax())}: the index is NaN; an image holds NaN or "
            "infinity; mark such pixels with mask="
        )
    return float(values.mean()) if reduction == "mean" else values
