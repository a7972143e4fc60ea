"""Options shared by arrays and files, resolved once into plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from . import cuda
from .engine import core
from .errors import BackendError, OptionError
from .scaling import BIT_DEPTHS, peak_of
from .sensors import UNKNOWN_GAIN, Sensor, get_sensor
from .system import as_int
from .weights import Model

MAX_CONSISTENCY = 8


@dataclass(frozen=True)
class Radiometry:
    """Bits, limits and gains of a scene.

    Attributes
    ----------
    bits : int or None
        As stated by the caller or the sensor table; None: not stated.
    low, high : float
        Saturation limits of the output.
    gains : tuple of float
        MTF gain per input band.
    """

    bits: int | None
    low: float
    high: float
    gains: tuple[float, ...]


def check_consistency(steps: Any, model: Model) -> int:
    """Number of back-projection steps; None: the model's own default."""
    if steps is None:
        return model.consistency
    found = as_int(steps)
    if found is None or not 0 <= found <= MAX_CONSISTENCY:
        raise OptionError(
            f"consistency: got {steps!r}; need a whole number of steps from 0 (the plain network) "
            f"to {MAX_CONSISTENCY}; leave it out for the model's default, {model.consistency}"
        )
    return found


def check_bits(bits: Any) -> int | None:
    """Bit depth 1 to 16, or None."""
    if bits is None:
        return None
    found = as_int(bits)
    if found is None or not 1 <= found <= 16:
        raise OptionError(
            f"bits: got {bits!r}; need a whole number from 1 to 16 "
            f"(usual: {', '.join(map(str, BIT_DEPTHS))}); leave it out if unknown"
        )
    return found


def radiometry(
    dtype: np.dtype,
    n_bands: int,
    sensor: str | Sensor | None,
    bits: Any,
    names: Sequence[str] | None = None,
) -> Radiometry:
    """Limits from the dtype and, where stated, the bit depth; gains from sensor and band names."""
    known = get_sensor(sensor, n_bands)
    stated = check_bits(bits)
    if stated is None and known is not None:
        stated = known.bits
    if dtype == np.dtype("float32"):
        low, high = -np.inf, np.inf
    else:
        info = np.iinfo(dtype)
        low, high = float(info.min), float(info.max)
        if stated is not None:
            if peak_of(stated) > high:
                raise OptionError(
                    f"bits: {stated} bits do not fit in {dtype} (largest value {high:.0f}); "
                    "need fewer bits, or convert the images to a wider dtype"
                )
            high = peak_of(stated)
    gains = known.gains_for(n_bands, names) if known else (UNKNOWN_GAIN,) * n_bands
    return Radiometry(stated, float(low), float(high), gains)


def fill_value(nodata: Any, dtype: np.dtype) -> tuple[float, bool]:
    """Value of invalid pixels, and whether it is reserved for them.

    Without a stated nodata: 0, or NaN for float images, not reserved.

    Raises
    ------
    OptionError
        If the dtype cannot hold it.
    """
    if nodata is None:
        return (float("nan") if dtype.kind == "f" else 0.0), False
    if isinstance(nodata, bool) or not isinstance(nodata, Real):
        raise OptionError(f"nodata: got {nodata!r}; need a number; leave it out if there is none")
    value = float(nodata)
    if not holds(dtype, value):
        if dtype.kind == "f":
            need = "a number that float32 can hold"
        else:
            info = np.iinfo(dtype)
            need = f"a whole number from {info.min} to {info.max}"
        raise OptionError(
            f"nodata: {nodata!r} does not exist in {dtype}; need {need}; give the value that "
            "missing pixels really hold, or leave nodata out"
        )
    return value, True


def declared_nodata(
    value: float | None, dtype: np.dtype, masked: bool
) -> tuple[float, bool, float | None]:
    """Fill value of a file, whether it is reserved, and what the file declares.

    Parameters
    ----------
    value : float or None
        As the caller or the input says.
    masked : bool
        Pixels may be missing; they need a value that the reader can recognise.
    """
    fill, reserve = fill_value(value, dtype)
    if value is None:
        return fill, masked, fill if masked else None
    return fill, reserve, fill


def holds(dtype: np.dtype, value: float) -> bool:
    """Whether a pixel of this dtype can have this value."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return not math.isfinite(value) or bool(np.isfinite(dtype.type(value)))
    info = np.iinfo(dtype)
    return float(value).is_integer() and info.min <= value <= info.max


def check_backend(backend: str) -> str:
    """``auto`` and ``cpu`` are the compiled core, ``cuda`` its kernels on a GPU, ``reference`` is
    numpy in float64.

    Raises
    ------
    BackendError
        For one that is unknown or unusable here.
    """
    if backend in ("auto", "cpu"):
        core()
        return "cpu"
    if backend == "cuda":
        cuda.module()
        return backend
    if backend == "reference":
        return backend
    reason = "not in this version" if backend == "triton" else "unknown"
    more = "cuda, " if cuda.usable() else ""
    raise BackendError(
        f"backend: {backend!r} is {reason}; usable: cpu ({core().isa_usable()}), {more}reference; "
        "use backend='auto'"
    )


def check_precision(precision: str, backend: str = "cpu") -> str:
    """``fp32``; ``bf16``, and ``fp16`` on a GPU: operands of the products in 16 bits, sums fp32.

    ``auto`` is ``fp16`` on a GPU, else ``fp32``.

    Raises
    ------
    OptionError
        For one that is unknown.
    BackendError
        For one that cannot be had with this backend here.
    """
    if precision not in ("auto", *cuda.PRECISIONS):
        raise OptionError(
            f"precision: got {precision!r}; need one of auto, {', '.join(cuda.PRECISIONS)}; leave "
            "it out for 'auto'"
        )
    if precision == "auto":
        return "fp16" if backend == "cuda" else "fp32"
    if backend == "reference" and precision != "fp32":
        raise BackendError(
            f"precision: {precision!r} with backend 'reference', which computes in float64; "
            "use backend='cpu'"
        )
    if backend == "cpu" and precision == "fp16":
        raise BackendError(
            "precision: 'fp16' needs a GPU; with backend 'cpu' there are fp32 and bf16; use "
            "precision='fp32'"
        )
    if backend == "cpu" and precision == "bf16" and not core().bf16_usable():
        raise BackendError(
            "precision: 'bf16' needs a processor with AVX512-BF16 and the instruction set "
            f"avx512; in use here: {core().isa()}; use precision='fp32'"
        )
    return precision


def check_tile(tile: int | None) -> int | None:
    """Refuse a tile size below one pixel."""
    if tile is None:
        return None
    found = as_int(tile)
    if found is None or found < 1:
        raise OptionError(
            f"tile: got {tile!r}; need a whole number of pixels, 64 or more; "
            "leave it out to let the memory budget decide"
        )
    return found
