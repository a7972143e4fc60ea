"""``degrade_files``: the reduced-resolution pair of a GeoTIFF pair, streamed."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rasterio

from .. import __version__
from ..errors import OptionError, OverlapError, RatioError
from ..filters import Degrader, Resampler
from ..grid import Pairing, compose, pair_grids
from ..kernels.resample.resample_ref import cubic_antialias_taps, gaussian_radius, gaussian_taps
from ..options import declared_nodata, radiometry
from ..paths import check_creation, check_path, check_target
from ..progress import progress_to
from ..raster import RasterPair, grid_of, open_raster
from ..raster_out import block_row_bytes, choose_block, output_profile
from ..scene import writing
from ..sensors import Sensor, get_sensor
from ..system import MIB, parse_bytes, resident_bytes, resolve_threads
from .arrays import check_ratio, choose_gains
from .stream import Image

log = logging.getLogger("pantiny")
PathLike = str | os.PathLike[str]

_OVERHEAD = 6 * MIB  # codecs and the threads' stacks


@dataclass(frozen=True)
class _Place:
    """Where the reduced pair lies; rows before columns.

    Attributes
    ----------
    first : (int, int)
        MS pixel that is the first of the reduced PAN.
    size : (int, int)
        Of the reduced MS; the reduced PAN is ``ratio`` times that.
    shift : (float, float)
        Of the reduced MS against the corner of the reduced PAN, in its pixels: that of MS
        against PAN's lattice.
    scale, offset : (float, float)
        Of PAN in MS pixels, as in ``grid.Pairing``, for the whole files.
    """

    ratio: int
    first: tuple[int, int]
    size: tuple[int, int]
    shift: tuple[float, float]
    scale: tuple[float, float]
    offset: tuple[float, float]


def _place(pairing: Pairing, ms: Any, pan: Any) -> _Place:
    first, size, shift, offset = [], [], [], []
    r, axes = pairing.ratio, ((pairing.row, pairing.ms_row), (pairing.col, pairing.ms_col))
    for i, (pan_at, ms_at) in enumerate(axes):
        scale = pairing.scale[i]
        off = pairing.offset[i] + ms_at - scale * pan_at
        # MS pixels whose centres lie within PAN, as many as make whole coarse pixels
        low = max(0, math.ceil(off - 0.5 - 1e-6))
        high = min(ms.shape[i], math.floor(pan.shape[i] * scale + off - 0.5 + 1e-6) + 1)
        corner = (low - off) / scale
        away = corner - round(corner)
        first.append(low)
        size.append(max(0, high - low) // r)
        shift.append(0.0 if abs(away) < 1e-6 else away)
        offset.append(off)
    if 0 in size:
        raise OverlapError(
            f"ms, pan: PAN covers too little of MS for one pixel of the reduced MS; need at least "
            f"{r} x {r} MS pixels; give larger images"
        )

    def two(values: list[Any]) -> tuple[Any, Any]:
        return values[0], values[1]

    return _Place(r, two(first), two(size), two(shift), pairing.scale, two(offset))


def _ms_filters(place: _Place, shape: tuple[int, int], gains: Sequence[float]) -> list[Degrader]:
    """One per band; bands of one gain share theirs."""
    radius, scale = gaussian_radius(place.ratio, tuple(gains)), 1.0 / place.ratio
    made: dict[float, Degrader] = {}
    for gain in set(gains):
        rows, cols = (
            gaussian_taps(
                0, place.size[i], scale, -(place.first[i] + place.shift[i]) * scale, gain, radius
            )
            for i in range(2)
        )
        made[gain] = Degrader(Resampler(rows, cols, shape))
    return [made[gain] for gain in gains]


def _pan_filter(place: _Place, shape: tuple[int, int]) -> Degrader:
    rows, cols = (
        cubic_antialias_taps(
            place.first[i], place.size[i] * place.ratio, 1.0 / place.scale[i], place.offset[i]
        )
        for i in range(2)
    )
    return Degrader(Resampler(rows, cols, shape))


def degrade_files(
    ms: PathLike | Sequence[PathLike],
    pan: PathLike,
    out_ms: PathLike,
    out_pan: PathLike,
    *,
    sensor: str | Sensor | None = None,
    gains: Sequence[float] | None = None,
    ratio: int | None = None,
    bits: int | None = None,
    nodata: float | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
    creation: dict[str, str] | None = None,
    progress: bool | Callable[[float], None] | None = None,
    command: str | None = None,
) -> tuple[Path, Path]:
    """Make the reduced-resolution pair of Wald's protocol; the original MS is its truth.

    PAN is degraded onto MS's own grid, through both geotransforms, and MS by the ratio
    between the two, as in `degrade_pair` with the phase that MS has on PAN's lattice (between
    half a PAN pixel before and behind shared corners). What fusing the result gives therefore
    lies on the grid of ``ms``. The same bits as the arrays give, for any ``memory`` and
    ``threads``; memory does not grow with the number of rows.

    Parameters
    ----------
    ms : path or sequence of paths
        Multispectral raster(s), as in ``pantiny.fuse_files``.
    pan : path
        Panchromatic raster, one band.
    out_ms, out_pan : path
        GeoTIFF of the inputs' dtypes: MS pixels whose centres PAN covers, cropped at the
        bottom and right to whole multiples of the ratio.
    sensor : str, optional
        A sensor of the table, for its MTF gains and bits; or
    gains : sequence of float, optional
        the MTF gain of each band at the Nyquist frequency of the reduced MS, in (0, 1).
        Default: 0.30 in every band.
    ratio : int, optional
        Asserts the ratio that the geotransforms give.
    bits : int, optional
        Bit depth of the DN; wins over the sensor's. The result saturates at ``2**bits - 1``,
        else at the limits of the dtype.
    nodata : float, optional
        Marks missing pixels in both inputs and outputs; default: what each file says.
    threads, memory, overwrite, creation, progress, command
        As in ``pantiny.fuse_files``. Each output is complete or absent.

    Returns
    -------
    (Path, Path)
        ``out_ms``, ``out_pan``.

    Raises
    ------
    SceneMissingError, SceneReadError, SceneWriteError, OutputExistsError
    CrsError, GeotransformError, RatioError, OverlapError
    ShapeError, DtypeError, DataError, OptionError, MemoryBudgetError

    Notes
    -----
    Missing pixels take no part: weights are normalised over those that exist, and a pixel is
    nodata in every band where they hold less than half of the kernel's weight.
    """
    several: Any = ms if isinstance(ms, Iterable) and not isinstance(ms, (str, bytes)) else [ms]
    ms_paths = [check_path(p, "ms") for p in several]
    if not ms_paths:
        raise OptionError("ms: got no file; need at least one; check the list of paths")
    pan_path = check_path(pan, "pan")
    chosen = check_creation(creation)
    n_threads, budget = resolve_threads(threads), parse_bytes(memory)
    inputs = [*ms_paths, pan_path]
    targets = [check_target(out, inputs, overwrite) for out in (out_ms, out_pan)]
    if os.path.abspath(targets[0]) == os.path.abspath(targets[1]):
        raise OptionError(
            f"out: got {targets[0]} for both MS and PAN; need two files; give two names"
        )
    held = resident_bytes()
    cache = min(64 * MIB, max(3 * MIB, budget // 16))
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=cache))
        files = [stack.enter_context(open_raster(p, "ms")) for p in ms_paths]
        pan_file = stack.enter_context(open_raster(pan_path, "pan"))
        pair = RasterPair(files, pan_file, nodata)
        pairing = pair_grids(grid_of(files[0]), grid_of(pan_file))
        if ratio is not None and check_ratio(ratio) != pairing.ratio:
            raise RatioError(
                f"ratio: got {ratio}, but the geotransforms give {pairing.ratio}; need the "
                "same; leave ratio out"
            )
        place = _place(pairing, files[0], pan_file)
        known = get_sensor(sensor, pair.bands)
        mtf = choose_gains(known, gains, pair.bands)
        filters = _ms_filters(place, files[0].shape, mtf), [_pan_filter(place, pan_file.shape)]
        images = [
            _image("ms", files, pair, filters[0], known, bits),
            _image("pan", [pan_file], pair, filters[1], known, bits),
        ]
        log.info(
            "MS %d x %d and PAN %d x %d pixels, %d bands, ratio %d, gains %s",
            *(images[0].shape[1], images[0].shape[0], images[1].shape[1], images[1].shape[0]),
            *(pair.bands, place.ratio, " ".join(f"{g:g}" for g in mtf)),
        )
        left = budget - max(0, resident_bytes() - held) - cache - _OVERHEAD
        grids = _transforms(place, files[0].transform)
        tags = _tags(place, mtf, known, command)
        pool = stack.enter_context(ThreadPoolExecutor(n_threads))
        done, total = 0, sum(image.shape[0] for image in images)
        tell_share = stack.enter_context(progress_to(progress, targets[0].name))

        def tell(rows: int) -> None:
            nonlocal done
            done += rows
            if tell_share:
                tell_share(done / total)

        with contextlib.ExitStack() as outputs:
            for image, target, transform in zip(images, targets, grids):
                spec: Any = image  # has all that a profile asks of a pair
                names = [d for f in image.files for d in f.descriptions]
                block = choose_block(spec, budget)
                rows = image.band_rows(left - 2 * block_row_bytes(spec, block), n_threads)
                at = replace(
                    pairing, height=image.shape[0], width=image.shape[1], transform=transform
                )
                declared = image.fill if image.reserve else None
                profile = output_profile(spec, pan_file, at, declared, block, n_threads, chosen)
                sink = outputs.enter_context(writing(target, profile, overwrite))
                sink.describe(names, tags)
                image.stream(sink, rows, pool, tell)
                sink.close()
    return targets[0], targets[1]


def _image(
    name: str,
    files: list[Any],
    pair: RasterPair,
    filters: list[Degrader],
    sensor: Sensor | None,
    bits: int | None,
) -> Image:
    of_ms = name == "ms"
    dtype, masked = (pair.ms_dtype, pair.ms_masked) if of_ms else (pair.pan_dtype, pair.pan_masked)
    rad = radiometry(dtype, len(filters), sensor, bits)
    stated = pair.nodata if pair.nodata is not None else files[0].nodata
    fill, reserve, _ = declared_nodata(stated, dtype, masked)
    return Image(name, files, pair, masked, filters, dtype, rad.low, rad.high, fill, reserve)


def _transforms(place: _Place, ms: Any) -> tuple[Any, Any]:
    """Of the reduced MS and PAN."""
    (row, col), (down, right) = place.first, place.shift
    pan = compose(ms, ms.translation(col, row))
    low = compose(compose(pan, ms.translation(right, down)), ms.scale(place.ratio))
    return low, pan


def _tags(
    place: _Place, gains: Sequence[float], sensor: Sensor | None, command: str | None
) -> dict[str, str]:
    centred = (place.ratio - 1) / 2
    tags = {
        "TIFFTAG_SOFTWARE": f"pantiny {__version__}",
        "PANTINY_VERSION": __version__,
        "PANTINY_DEGRADED": str(place.ratio),
        "PANTINY_GAINS": " ".join(f"{gain:g}" for gain in gains),
        "PANTINY_PHASE": " ".join(f"{centred + shift:.9g}" for shift in place.shift),
        "PANTINY_SENSOR": sensor.name if sensor else "unknown",
    }
    if command:
        tags["PANTINY_COMMAND"] = command
    return tags
