"""``fuse``: pan-sharpen arrays."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import as_array, check_pair, host_mask, returner
from .bands import parse_bands
from .cuda.arrays import device_pair
from .cuda.views import is_device_array
from .engine import Settings
from .errors import BackendError, DtypeError, OptionError, RatioError, ShapeError
from .fusers import NETWORK, CudaFuser, choose_fuser
from .options import Radiometry, check_tile, fill_value, radiometry
from .pair import ArraySink, ArraySource, Mask
from .progress import progress_to
from .sensors import Sensor, get_sensor
from .system import as_int, parse_bytes, resolve_threads
from .weights import Model

if TYPE_CHECKING:
    from os import PathLike

log = logging.getLogger("pantiny")


def fuse(
    ms: Any,
    pan: Any,
    *,
    method: str = "pantiny",
    model: str | PathLike[str] | Model = "tiny",
    sensor: str | Sensor | None = None,
    bits: int | None = None,
    bands: str | list[str] | tuple[str, ...] | None = None,
    nodata: float | None = None,
    mask: Any = None,
    ratio: int | None = None,
    consistency: int | None = None,
    backend: str = "auto",
    precision: str = "auto",
    device: Any = None,
    threads: int | None = None,
    memory: int | str | None = None,
    tile: int | None = None,
    out: Any = None,
    progress: bool | Callable[[float], None] | None = None,
) -> Any:
    """Pan-sharpen a multispectral image with a panchromatic one.

    Parameters
    ----------
    ms : array [K, h, w] or [N, K, h, w]
        Multispectral image(s) in DN, bands first: uint8, uint16, int16 or float32. A numpy
        array, a torch tensor, or anything with ``__array_interface__`` or DLPack; on a GPU a
        torch tensor, a cupy array or anything with ``__cuda_array_interface__`` or DLPack, read
        where it is. A masked array's mask counts as nodata.
    pan : array [H, W], [1, H, W], [N, H, W] or [N, 1, H, W]
        Panchromatic image(s) in DN; ``H = r * h``, ``W = r * w``, r a whole number from 2
        to 8. Both images start at the same corner.
    method : {"pantiny", "cubic", "brovey", "gsa", "mtf-glp-hpm", "mtf-glp-hpm-r"}
        The network, or a classical method in float64 as a yardstick (see
        ``pantiny.classical`` for formulas and sources): without ``model``, ``precision`` and
        ``consistency``, any number of bands alike.
    model : str, path or Model
        Name of a packaged model or a model file.
    sensor : str, optional
        A sensor of the table (``pantiny.sensors.SENSORS``): gives bits and MTF gains.
    bits : int, optional
        Bit depth of the DN, 1 to 16; wins over the sensor's. Output saturates at
        ``2**bits - 1``. Where neither is given, output saturates at the dtype's limits, and a
        model that scales by the peak takes the smallest of 8, 10, 11, 12, 14, 16 bits that
        holds the largest DN, with a ``BitDepthWarning``.
    bands : str or sequence of str, optional
        Names of the bands, e.g. ``"red,green,blue,nir"`` or ``"rgbn"``. Without it: the
        order of wavelength (blue, green, red, nir; WorldView's order for eight).
    nodata : float, optional
        DN that marks missing pixels in either image (``float('nan')`` for NaN): they are left
        out of all sums, neutral to their neighbours, and nodata in the result.
    mask : array [H, W] or [h, w], optional
        Nonzero where a pixel is valid (as rasterio's dataset masks); [N, ...] in a batch.
    ratio : int, optional
        Asserts the ratio that the shapes give.
    consistency : int, optional
        Back-projection steps 0 to 8 that make the degraded result agree with MS; 0 is the
        network as published; default: what the model's file says.
    backend : {"auto", "cpu", "cuda", "reference"}
        The compiled core; its kernels on a GPU; or numpy in float64 (slow; for checks).
        ``auto``: where the images are.
    precision : {"auto", "fp32", "bf16", "fp16"}
        ``auto`` is fp16 on a GPU, else fp32. The 16-bit ones round the operands of the
        network's products, sums stay float32: less exact (``docs/cuda.md``). On the CPU bf16
        needs a processor with AVX512-BF16.
    device : int, str, torch.device or list of these, optional
        GPUs for images in host memory, such as 1, ``"cuda:1"`` or ``[0, 1]``, which share an
        image; default: the first. Images that do not fit are fused in bands of rows.
    threads : int, optional
        Default: every core this process may use.
    memory : int or str, optional
        Bytes, or a text such as ``"96MiB"``, that the call may hold besides the images and
        the result; default 1 GiB. A small budget costs time, never changes the result. Not of
        a GPU, which is given images by what is free there.
    tile : int, optional
        Side of a tile in pixels (rounded down to a multiple of 64, and its columns up to one of
        192; of a classical method and on a GPU: rows of a band); never changes the result.
    out : array [K, H, W] or [N, K, H, W], optional
        Where to put the result; MS's dtype.
    progress : bool or callable, optional
        True: a progress bar on stderr; a callable gets the share done, 0 to 1.

    Returns
    -------
    array [K, H, W] or [N, K, H, W]
        MS's dtype, rounded half to even and saturated; torch in, torch out, else numpy; from
        a GPU in the same place (see ``pantiny.cuda.views.DeviceArray``), work that the
        caller's stream may not have finished. The same bits for any ``threads``, ``tile`` and
        ``memory``.

    Raises
    ------
    ShapeError, SwappedInputsError, RatioError, DtypeError, DataError, OptionError
        Bad images or options.
    ModelFileError, BackendError, MemoryBudgetError

    Notes
    -----
    Source: PanTiny, arXiv 2507.15059. K other than 4: see ``pantiny.bands``.

    Examples
    --------
    >>> import numpy as np, pantiny
    >>> ms = np.full((4, 8, 8), 300, np.uint16)
    >>> pan = np.full((32, 32), 300, np.uint16)
    >>> pantiny.fuse(ms, pan, bits=11).shape
    (4, 32, 32)
    """
    on_device = is_device_array(ms) or is_device_array(pan)
    if on_device and backend == "auto" and method == NETWORK:
        backend = "cuda"
    fuser = choose_fuser(
        method,
        model=model,
        backend=backend,
        precision=precision,
        consistency=consistency,
        device=device,
    )
    n_threads, budget, side = resolve_threads(threads), parse_bytes(memory), check_tile(tile)

    def settings_for(dtype: np.dtype, n_bands: int, found: int) -> tuple[Radiometry, Settings]:
        names = parse_bands(bands, n_bands) if bands is not None else None
        known = get_sensor(sensor, n_bands)
        if names is None and known is not None and len(known.bands) == n_bands:
            names = known.bands
        rad = radiometry(dtype, n_bands, known, bits, names)
        fuser.prepare(names, rad)
        fill, reserve = fill_value(nodata, dtype)
        return rad, Settings(
            scale=(1 / found, 1 / found),
            offset=(0.0, 0.0),
            gains=rad.gains,
            consistency=fuser.consistency,
            threads=n_threads,
            memory=budget,
            tile=side,
            low=rad.low,
            high=rad.high,
            fill=fill,
            reserve=reserve,
            precision=fuser.precision,
        )

    if on_device:
        if not isinstance(fuser, CudaFuser):
            raise BackendError(
                f"ms, pan: got images on a device with method {method!r} and backend {backend!r}, "
                "which run on the CPU; need the network on CUDA; copy the images to host memory, "
                "or leave method and backend out"
            )
        pair = device_pair(ms, pan)
        if device is not None and fuser.devices != (pair.device,):
            raise BackendError(
                f"device: got {device!r} for images on cuda:{pair.device}; need that one; leave "
                "device out, images are fused where they are"
            )
        found = _ratio(pair.ms_shape[2:], pair.pan_shape[1:], ratio)
        rad, settings = settings_for(np.dtype(pair.dtype), pair.ms_shape[1], found)
        with progress_to(progress, "fuse") as tell:
            return fuser.run_on_device(
                ms, pair, settings, rad=rad, nodata=nodata, mask=mask, ratio=found, out=out,
                progress=tell,
            )  # fmt: skip
    masked_ms = ms
    give_back = returner(ms)
    ms_array, pan_array = as_array(ms, "ms"), as_array(pan, "pan")
    ms_array, pan_array, batched = check_pair(ms_array, pan_array)
    count, n_bands = ms_array.shape[:2]
    found = _ratio(ms_array.shape[2:], pan_array.shape[1:], ratio)
    rad, settings = settings_for(ms_array.dtype, n_bands, found)
    masks = _masks(mask, masked_ms, pan, ms_array, pan_array, batched)
    result = _result(out, ms_array, pan_array, batched)

    def source_of(i: int) -> ArraySource:
        return ArraySource(ms_array[i], pan_array[i], nodata, *masks[i], found)

    sinks = [ArraySink(r) for r in result]
    with progress_to(progress, "fuse") as tell:
        done = 0
        if isinstance(fuser, CudaFuser) and count > 1:
            done = fuser.run_all(source_of, sinks, settings, rad, tell)
        for i in range(done, count):
            source, sink = source_of(i), sinks[i]
            fuser.survey(source, rad)
            layout = fuser.layout(source, sink.dtype, settings)
            if layout.bytes:
                log.info("%s", layout.describe(budget))
            share = (lambda s, i=i: tell((i + s) / count)) if tell else None
            fuser.run(source, sink, settings, layout, share)
    if out is not None:
        return out
    return give_back(result if batched else result[0])


def _ratio(ms_shape: tuple[int, ...], pan_shape: tuple[int, ...], asked: Any) -> int:
    ratios = [p / m for p, m in zip(pan_shape, ms_shape)]
    found = round(ratios[0])
    text = f"ms {ms_shape[0]}x{ms_shape[1]} and pan {pan_shape[0]}x{pan_shape[1]}"
    if any(r != found for r in ratios) or not 2 <= found <= 8:
        raise RatioError(
            f"ms, pan: {text} give a ratio of {ratios[0]:.3g} x {ratios[1]:.3g}; need the same "
            "whole number from 2 to 8 both ways; crop both to the same ground, or use fuse_files, "
            "which aligns by geotransform"
        )
    if asked is not None and as_int(asked) is None:
        raise OptionError(
            f"ratio: got {asked!r}; need a whole number from 2 to 8; leave ratio out, the shapes "
            "give it"
        )
    if asked is not None and asked != found:
        raise RatioError(f"ratio: got {asked!r}, but {text} give {found}; leave ratio out")
    return found


def _result(out: Any, ms: np.ndarray, pan: np.ndarray, batched: bool) -> np.ndarray:
    shape = (ms.shape[0], ms.shape[1], *pan.shape[1:])
    if out is None:
        return np.empty(shape, ms.dtype)
    array = as_array(out, "out")
    need = shape if batched else shape[1:]
    fix = f"pass numpy.empty({need}, '{ms.dtype}'), or call without out"
    if array.shape != need:
        raise ShapeError(f"out: got shape {array.shape}; need {need}; {fix}")
    kept = not isinstance(out, np.ndarray) or out.dtype.isnative  # as_array copied it otherwise
    if array.dtype != ms.dtype or not kept:
        raise DtypeError(
            f"out: got dtype {out.dtype}; need {ms.dtype} as ms, in native byte order; {fix}"
        )
    if not array.flags.writeable:
        raise OptionError(f"out: got a read-only array; need a writable one; {fix}")
    if np.shares_memory(array, ms) or np.shares_memory(array, pan):
        raise OptionError(
            f"out: got memory that ms or pan lies in; need an array of its own; {fix}"
        )
    return array if batched else array[None]


def _masks(
    mask: Any, ms_in: Any, pan_in: Any, ms: np.ndarray, pan: np.ndarray, batched: bool
) -> list[tuple[Mask, Mask]]:
    """Per image (mask on the MS grid, mask on the PAN grid), 1 where valid."""
    ms_valid: Mask = None
    valid: Mask = None
    if isinstance(ms_in, np.ma.MaskedArray):
        bad = np.ma.getmaskarray(ms_in).reshape(ms.shape)
        ms_valid = np.logical_not(bad.any(axis=1))
    if isinstance(pan_in, np.ma.MaskedArray):
        valid = ~np.ma.getmaskarray(pan_in).reshape(pan.shape)
    if mask is not None:
        given = host_mask(mask)
        given = given if batched and given.ndim == 3 else given[None]
        if given.shape[1:] == pan.shape[1:] and given.shape[0] in (1, len(ms)):
            given = np.broadcast_to(given, pan.shape)
            valid = given if valid is None else valid & given
        elif given.shape[1:] == ms.shape[2:] and given.shape[0] in (1, len(ms)):
            given = np.broadcast_to(given, (len(ms), *ms.shape[2:]))
            ms_valid = given if ms_valid is None else ms_valid & given
        else:
            raise ShapeError(
                f"mask: got shape {np.shape(mask)}; need PAN's {pan.shape[1:]} or MS's "
                f"{ms.shape[2:]}{', one per image or one for all' if batched else ''}; "
                "merge masks of bands with mask.all(axis=0)"
            )
    return [
        (None if ms_valid is None else ms_valid[i], None if valid is None else valid[i])
        for i in range(len(ms))
    ]
