"""Pairs that live on a CUDA device: read where they are, fused on the caller's stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import cuda
from ..arrays import check_pair, host_mask
from ..bands import Group
from ..engine import Settings
from ..errors import BackendError, CoreError, DataError, OptionError, ShapeError
from ..scaling import peak_of
from ..weights import Model
from . import DTYPES, NO_MASK, Mask, Samples, using
from .views import View, empty_like, is_device_array, join, view

_MASK_DTYPES = ("bool", "uint8")
_MOST_ROWS, _MOST_COLUMNS = 65535, 1 << 24  # that core.masks takes


@dataclass(frozen=True)
class Pair:
    """A checked pair on one device.

    Attributes
    ----------
    ms_shape : (int, int, int, int)
        [N, K, h, w].
    pan_shape : (int, int, int)
        [N, H, W].
    ms, pan : Samples
    batched : bool
        Whether the caller gave N.
    dtype : str
        Of MS.
    floats : bool
        Whether one of the images may hold NaN.
    device, stream : int
    keep : tuple
        What lends the images by DLPack alone: work on them ends before it goes.
    """

    ms_shape: tuple[int, int, int, int]
    pan_shape: tuple[int, int, int]
    ms: Samples
    pan: Samples
    batched: bool
    dtype: str
    floats: bool
    device: int
    stream: int
    keep: tuple[Any, ...] = ()


def _hollow(v: View) -> np.ndarray:
    """An array of the view's shape without its samples."""
    return np.broadcast_to(np.empty((), v.dtype), v.shape)


def device_pair(ms: Any, pan: Any) -> Pair:
    """The pair as kernels read it.

    Raises
    ------
    BackendError, DtypeError, ShapeError, SwappedInputsError
    """
    m, p = view(ms, "ms"), view(pan, "pan")
    if m.device != p.device:
        raise BackendError(
            f"ms, pan: got devices cuda:{m.device} and cuda:{p.device}; need one; move pan to "
            f"cuda:{m.device}"
        )
    join(p, m.device, m.stream)
    ms_like, pan_like, batched = check_pair(_hollow(m), _hollow(p))
    ms_strides = [*(m.strides if batched else (0, *m.strides))]
    pan_strides = [p.strides[0] if batched else 0, 0, *p.strides[-2:]]
    return Pair(
        (ms_like.shape[0], ms_like.shape[1], ms_like.shape[2], ms_like.shape[3]),
        (pan_like.shape[0], pan_like.shape[1], pan_like.shape[2]),
        (m.address, DTYPES[m.dtype], ms_strides),
        (p.address, DTYPES[p.dtype], pan_strides),
        batched,
        m.dtype,
        "float32" in (m.dtype, p.dtype),
        m.device,
        m.stream,
        tuple(v.owner for v in (m, p) if v.lent),
    )


class _Addresses:
    """Samples by their addresses alone, for numpy, which does not read them."""

    def __init__(
        self, address: int, dtype: str, shape: Sequence[int], strides: Sequence[int]
    ) -> None:
        size = np.dtype(dtype).itemsize
        self.__array_interface__ = {
            "data": (address, True),
            "typestr": np.dtype(dtype).str,
            "shape": tuple(shape),
            "strides": tuple(step * size for step in strides),
            "version": 3,
        }


def _shares(v: View, samples: Samples, shape: Sequence[int]) -> bool:
    """Whether an array and an image have a byte in common."""
    address, number, strides = samples
    dtype = {n: name for name, n in DTYPES.items()}[number]
    image = np.asarray(_Addresses(address, dtype, shape, strides))
    return np.shares_memory(np.asarray(_Addresses(v.address, v.dtype, v.shape, v.strides)), image)


def _result(out: Any, like: Any, pair: Pair) -> tuple[Any, Samples, Any]:
    """The result, where kernels write it, and what lends it by DLPack alone, or None."""
    need: tuple[int, ...] = (*pair.ms_shape[:2], *pair.pan_shape[1:])
    if not pair.batched:
        need = need[1:]
    if out is None:
        out = empty_like(like, need, pair.dtype, pair.stream, pair.device)
    v = view(out, "out")
    if v.read_only:
        raise OptionError(
            "out: got a read-only array on the device; need one that may be written; call without "
            "out to have it made"
        )
    if v.shape != need or v.dtype != pair.dtype or v.device != pair.device:
        raise ShapeError(
            f"out: got {v.dtype} {v.shape} on cuda:{v.device}; need {pair.dtype} {need} on "
            f"cuda:{pair.device}; call without out to have it made"
        )
    count, height, width = pair.pan_shape
    pan_shape = (count, 1, height, width)
    if _shares(v, pair.ms, pair.ms_shape) or _shares(v, pair.pan, pan_shape):
        raise OptionError(
            "out: got memory that ms or pan lies in; need an array of its own; call without out to "
            "have it made"
        )
    join(v, pair.device, pair.stream)
    strides = [*(v.strides if pair.batched else (0, *v.strides))]
    return out, (v.address, DTYPES[v.dtype], strides), v.owner if v.lent else None


def _given_mask(mask: Any, pair: Pair) -> tuple[Mask, Mask, Any]:
    """The caller's mask as (mask on the MS grid, mask on the PAN grid, what keeps it alive)."""
    if mask is None:
        return NO_MASK, NO_MASK, None
    if is_device_array(mask):
        v = view(mask, "mask", _MASK_DTYPES)
        join(v, pair.device, pair.stream)
        address, shape, strides, owner = v.address, v.shape, v.strides, v.owner
    else:
        given = np.ascontiguousarray(host_mask(mask)).view(np.uint8)
        owner = cuda.allocate(given.nbytes)
        owner.copy_in(given, pair.stream)
        address, shape = owner.address, given.shape
        strides = tuple(s // given.itemsize for s in given.strides)
    grid, count = shape[-2:], shape[0] if len(shape) == 3 else 1
    fits = len(shape) in (2, 3) and count in (1, pair.ms_shape[0])
    if not fits or grid not in (pair.pan_shape[1:], pair.ms_shape[2:]) or strides[-1] != 1:
        raise ShapeError(
            f"mask: got shape {shape}; need PAN's {pair.pan_shape[1:]} or MS's "
            f"{pair.ms_shape[2:]}, rows without gaps, one per image or one for all; merge masks "
            "of bands with mask.all(axis=0)"
        )
    found: Mask = (address, [strides[0] if count > 1 else 0, strides[-2]])
    on_pan = grid == pair.pan_shape[1:]
    return (NO_MASK, found, owner) if on_pan else (found, NO_MASK, owner)


@dataclass
class _Masks:
    ms_valid: Mask = NO_MASK
    valid: Mask = NO_MASK
    keep: Any = None


def _masks(pair: Pair, mask: Any, nodata: float | None, ratio: int) -> _Masks:
    """Which pixels exist. Waits for the stream where there are floats, nodata or a mask: NaN and
    empty pairs are refused before anything is fused.

    Raises
    ------
    DataError, ShapeError
    """
    if mask is None and nodata is None and not pair.floats:
        return _Masks()
    core, (count, k, h, w) = cuda.module(), pair.ms_shape
    if max(h, count * k) > _MOST_ROWS or w > _MOST_COLUMNS:
        raise CoreError(
            f"ms: got {count} x {k} bands of {h}x{w} pixels; need at most {_MOST_ROWS} rows and "
            f"bands in all and {_MOST_COLUMNS} columns where there are floats, nodata or a mask; "
            "cut the scene, or use backend='cpu'"
        )
    ms_given, pan_given, owner = _given_mask(mask, pair)
    height, width = pair.pan_shape[1:]
    ms_valid, valid = cuda.allocate(count * h * w), cuda.allocate(count * height * width)
    counts = cuda.allocate(count * 12)
    core.masks(
        ms=pair.ms,
        pan=pair.pan,
        shape=[count, k, h, w],
        ratio=ratio,
        ms_valid=ms_given,
        valid=pan_given,
        nodata=nodata,
        ms_valid_out=ms_valid.address,
        valid_out=valid.address,
        found=counts.address,
        stream=pair.stream,
    )
    found = np.zeros((count, 3), np.uint32)
    counts.copy_out(found, pair.stream)
    if (found[:, 0] == 0).any():
        raise DataError(
            "ms, pan: no pixel is valid in both; need at least one that is neither nodata nor "
            "masked; check the nodata value and the masks"
        )
    for name, column in (("ms", 1), ("pan", 2)):
        if found[:, column].any():
            raise DataError(
                f"{name}: got {int(found[:, column].sum())} NaN or infinite values among the valid "
                "pixels; need finite values; if NaN marks missing pixels, pass "
                "nodata=float('nan'), else mask those pixels"
            )
    if mask is None and nodata is None:
        return _Masks()
    return _Masks(
        (ms_valid.address, [h * w, w]),
        (valid.address, [height * width, width]),
        (ms_valid, valid, owner),
    )


def fuse_on_device(
    ms: Any,
    pair: Pair,
    *,
    model: Model,
    precision: str,
    groups: list[Group],
    settings: Settings,
    bits: int | None,
    nodata: float | None,
    mask: Any,
    ratio: int,
    out: Any,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Fuse a pair that lives on a device.

    Parameters
    ----------
    ms : device array
        Of which kind the result is to be.
    pair : Pair
    groups : list of Group
    bits : int or None
        For models that scale by the peak.

    Returns
    -------
    torch tensor, cupy array or DeviceArray

    Raises
    ------
    DataError, ShapeError, OptionError, BackendError, MemoryBudgetError
    """
    count, _, h, w = pair.ms_shape
    with using(pair.device) as core:
        if count == 0:
            return _result(out, ms, pair)[0]
        masks = _masks(pair, mask, nodata, ratio)
        result, into, lent = _result(out, ms, pair)
        try:
            for done, group in enumerate(groups):
                geometry = cuda.Geometry(
                    count,
                    pair.pan_shape[1:],
                    (h, w),
                    settings.scale,
                    settings.offset,
                    settings.consistency,
                    tuple(settings.gains[b] for b in group.read),
                )
                kept = cuda.store.plan(model, precision, pair.device, pair.stream, geometry)
                with kept.lock:
                    if model.contract == "scene":
                        core.scale(
                            ms=pair.ms,
                            shape=[count, h, w],
                            bands=sorted(set(group.read)),
                            ms_valid=masks.ms_valid,
                            scratch=kept.scratch.address,
                            dn_per_unit=kept.dn_per_unit.address,
                            stream=pair.stream,
                        )
                    else:
                        # a graph of the caller's copies it again
                        kept.peak = np.full(count, peak_of(_stated_bits(bits, pair.dtype)))
                        kept.dn_per_unit.copy_in(kept.peak, pair.stream)
                    cuda.run_plan(
                        kept,
                        ms=pair.ms,
                        pan=pair.pan,
                        ms_bands=list(group.read),
                        valid=masks.valid,
                        ms_valid=masks.ms_valid,
                        out=into,
                        out_bands=list(group.write),
                        settings=settings,
                        stream=pair.stream,
                    )
                del kept  # whose memory the next group may need
                if progress:
                    progress((done + 1) / len(groups))
        finally:
            if masks.keep or pair.keep or lent is not None:
                core.wait(pair.stream)  # before their memory goes
    return result


def _stated_bits(bits: int | None, dtype: str) -> int:
    if bits is not None:
        return bits
    if dtype == "uint8":
        return 8
    raise OptionError(
        "bits: not stated, and a model that scales by the peak needs them for images on a device, "
        "whose largest DN nobody looks up; pass bits= or sensor="
    )
