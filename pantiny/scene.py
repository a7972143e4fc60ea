"""``fuse_files``: pan-sharpen GeoTIFF scenes of any size."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from . import __version__
from .bands import canonical_band, default_names, parse_bands
from .engine import Settings
from .errors import BackendError, OptionError, SceneReadError, SceneWriteError
from .fusers import Fuser, choose_fuser
from .grid import Pairing, check_extent, pair_grids
from .options import Radiometry, check_backend, check_tile, declared_nodata, radiometry
from .paths import check_creation, check_path, check_target
from .progress import progress_to
from .raster import RasterPair, grid_of, open_raster
from .raster_out import RasterSink, block_row_bytes, choose_block, output_profile
from .sensors import Sensor, get_sensor
from .system import MIB, parse_bytes, resident_bytes, resolve_threads
from .weights import Model

log = logging.getLogger("pantiny")
PathLike = str | os.PathLike[str]


def fuse_files(
    ms: PathLike | Sequence[PathLike],
    pan: PathLike,
    out: PathLike,
    *,
    method: str = "pantiny",
    model: PathLike | Model = "tiny",
    sensor: str | Sensor | None = None,
    bits: int | None = None,
    bands: str | Sequence[str] | None = None,
    nodata: float | None = None,
    extent: str = "intersection",
    consistency: int | None = None,
    backend: str = "auto",
    precision: str = "auto",
    device: Any = None,
    threads: int | None = None,
    memory: int | str | None = None,
    tile: int | None = None,
    overwrite: bool = False,
    creation: dict[str, str] | None = None,
    progress: bool | Callable[[float], None] | None = None,
    dry_run: bool = False,
    command: str | None = None,
) -> Path:
    """Pan-sharpen a GeoTIFF pair, streamed within a memory budget.

    The result is the same, bit for bit, for any ``memory``, ``tile`` and ``threads``, and
    equals ``pantiny.fuse`` on the whole arrays.

    Parameters
    ----------
    ms : path or sequence of paths
        Multispectral raster(s), bands stacked in this order: uint8, uint16, int16, float32.
    pan : path
        Panchromatic raster, one band, in the same CRS. MS is resampled onto its grid through
        both geotransforms, with the exact sub-pixel phase.
    out : path
        GeoTIFF on PAN's lattice with MS's dtype and band descriptions.
    method, model, sensor, bits, bands, consistency, precision, threads, tile, progress
        As in ``pantiny.fuse``. Band names default to the files' descriptions where all are
        known names.
    nodata : float, optional
        Marks missing pixels in both inputs and in the output; default: what the files say.
    extent : {"intersection", "union", "error"}
        Output covers the PAN pixels whose centres lie within MS; everything that either
        covers; or refuse extents that differ by more than half an MS pixel.
    backend : {"auto", "cpu", "cuda"}
        ``auto``: the CPU, or the GPUs that ``device`` names.
    device : int, str or list of these, optional
        As in ``pantiny.fuse``; several share the scene.
    memory : int or str, optional
        Bytes, or a text such as ``"96MiB"``, that the call may add to the process; default
        1 GiB. Not what a GPU needs: its own memory, up to nine tenths of what is free there, and
        about 200 MiB for copies.
    overwrite : bool
        Replace an existing ``out``; even then it changes only when the new one is complete.
    creation : dict, optional
        GDAL creation options, e.g. ``{"compress": "zstd"}``.
    dry_run : bool
        Check everything, log the plan, write nothing.
    command : str, optional
        Recorded in the output's tags.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    SceneMissingError, SceneReadError, SceneWriteError, OutputExistsError
    CrsError, GeotransformError, RatioError, OverlapError, ExtentError
    ShapeError, DtypeError, DataError, OptionError, ModelFileError, MemoryBudgetError
    """
    if check_backend(backend) == "reference":
        raise BackendError(
            f"backend: {backend!r} does not stream; usable for files: cpu, cuda; use 'auto'"
        )
    fuser = choose_fuser(
        method,
        model=model,
        backend=backend,
        precision=precision,
        consistency=consistency,
        device=device,
    )
    several: Any = ms if isinstance(ms, Iterable) and not isinstance(ms, (str, bytes)) else [ms]
    ms_paths = [check_path(p, "ms") for p in several]
    if not ms_paths:
        raise OptionError("ms: got no file; need at least one; check the list of paths")
    pan_path = check_path(pan, "pan")
    check_extent(extent)
    chosen = check_creation(creation)
    n_threads, budget, side = resolve_threads(threads), parse_bytes(memory), check_tile(tile)
    target = check_target(out, [*ms_paths, pan_path], overwrite)
    held = resident_bytes()
    cache = min(64 * MIB, max(3 * MIB, budget // 16))
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=cache))
        opened = [stack.enter_context(open_raster(p, "ms")) for p in ms_paths]
        pan_file = stack.enter_context(open_raster(pan_path, "pan"))
        pair = RasterPair(opened, pan_file, nodata)
        pairing = pair_grids(grid_of(opened[0]), grid_of(pan_file), extent)
        pair.place(pairing)
        known = get_sensor(sensor, pair.bands)
        descriptions = [d for f in opened for d in f.descriptions]
        names = _band_names(bands, descriptions, known, pair.bands)
        block = choose_block(pair, budget)
        rad = radiometry(pair.ms_dtype, pair.bands, known, bits, names)
        fuser.prepare(names, rad)
        stated = nodata if nodata is not None else opened[0].nodata
        fill, reserve, declared = declared_nodata(stated, pair.ms_dtype, pair.masked)
        settings = Settings(
            scale=pairing.scale,
            offset=pairing.offset,
            gains=rad.gains,
            consistency=fuser.consistency,
            threads=n_threads,
            memory=budget - max(0, resident_bytes() - held),  # GDAL and PROJ are loaded by now
            tile=side,
            low=rad.low,
            high=rad.high,
            fill=fill,
            reserve=reserve,
            cache=cache + 2 * block_row_bytes(pair, block) + _OVERHEAD,
            precision=fuser.precision,
        )
        layout = fuser.layout(pair, pair.ms_dtype, settings)
        log.info(
            "%d x %d pixels, %d bands, ratio %d, %s; %s",
            pairing.width,
            pairing.height,
            pair.bands,
            pairing.ratio,
            pair.ms_dtype,
            layout.describe(settings.memory),
        )
        fuser.survey(pair, rad, layout.band_rows)
        if dry_run:
            return target
        profile = output_profile(pair, pan_file, pairing, declared, block, layout.threads, chosen)
        labels = [d or n for d, n in zip(descriptions, names or [None] * pair.bands)]
        tags = _tags(fuser, known, rad, pairing.ratio, command)
        with writing(target, profile, overwrite) as sink:
            sink.describe(labels, tags)
            with progress_to(progress, target.name) as tell:
                fuser.run(pair, sink, settings, layout, tell)
            sink.close()
            _verify(sink, pairing, pair)
    return target


# What codecs, the interpreter's heap and the threads' stacks take beside what is counted.
_OVERHEAD = 6 * MIB


def _band_names(
    bands: str | Sequence[str] | None,
    descriptions: list[str | None],
    known: Sensor | None,
    count: int,
) -> tuple[str, ...] | None:
    """Option, else the files' descriptions, else the sensor's order, else the default."""
    if bands is not None:
        return parse_bands(bands, count)
    found = [canonical_band(d) if d else None for d in descriptions]
    if all(found) and len(set(found)) == count:
        return tuple(n for n in found if n)
    if known is not None and len(known.bands) == count:
        return known.bands
    return default_names(count)


def _tags(
    fuser: Fuser, sensor: Sensor | None, rad: Radiometry, ratio: int, command: str | None
) -> dict[str, str]:
    tags = {
        "TIFFTAG_SOFTWARE": f"pantiny {__version__}",
        "PANTINY_VERSION": __version__,
        **fuser.tags(),
        "PANTINY_SENSOR": sensor.name if sensor else "unknown",
        "PANTINY_BITS": str(rad.bits) if rad.bits is not None else "not stated",
        "PANTINY_RATIO": str(ratio),
    }
    if command:
        tags["PANTINY_COMMAND"] = command
    return tags


@contextmanager
def writing(target: Path, profile: dict[str, Any], overwrite: bool) -> Iterator[RasterSink]:
    """The output under a temporary name; renamed on success, removed on any failure."""
    sink = RasterSink(target, profile, overwrite)
    try:
        sink.open()
        yield sink
        sink.finish()
    except BaseException:
        sink.discard()
        raise


def _verify(sink: RasterSink, pairing: Pairing, pair: RasterPair) -> None:
    """The file that was written is the one that was meant."""
    target = sink.path
    try:
        with rasterio.open(sink.temporary) as written:
            same = (
                (written.height, written.width) == (pairing.height, pairing.width)
                and written.transform.almost_equals(pairing.transform, 1e-6)
                and written.count == pair.bands
                and np.dtype(written.dtypes[0]) == pair.ms_dtype
            )
    except RasterioError as error:
        raise SceneReadError(f"out: {target} cannot be read back ({error})") from error
    if not same:
        raise SceneWriteError(
            f"out: {target} would not be on the grid it should be; need creation options that "
            "leave size and type alone; correct them (--co)"
        )
