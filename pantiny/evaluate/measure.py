"""GeoTIFF products measured row by row: memory does not grow with the height of a scene."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from ..errors import GeotransformError, OptionError, OverlapError, ShapeError
from ..grid import Pairing, compose, pair_grids
from ..metrics.streaming import FullResolution, WithTruth
from ..pair import equals_nodata
from ..raster import grid_of, has_mask, open_raster, read_masks, read_window
from ..scaling import peak_of
from ..sensors import Sensor, get_sensor

PIECE_BYTES = 16 << 20  # read at once, about
CACHE_BYTES = 64 << 20  # that GDAL may hold
GRID_TOLERANCE = 0.01  # pixels that two products of one grid may differ by
DRIFT = 0.25  # PAN pixels that the ratio of the grids may be off a whole number, at the ends


class Image:
    """One or more open rasters of one grid, their bands stacked.

    Parameters
    ----------
    datasets : sequence of open datasets
    name : str
        For messages.
    nodata : float, optional
        Wins over what the files say.
    """

    def __init__(self, datasets: Sequence[Any], name: str, nodata: float | None) -> None:
        first = datasets[0]
        for other in datasets[1:]:
            _same_grid(other, first, name, name)
        self._datasets, self.name, self._nodata = list(datasets), name, nodata
        self.bands = sum(d.count for d in datasets)
        self.height, self.width = first.height, first.width
        self.dtype = np.dtype(first.dtypes[0])
        self.grid = grid_of(first)
        self.masked = nodata is not None or any(has_mask(d) for d in datasets)

    def read(self, window: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """[K, n, W], and [n, W] bool of pixels valid in every band."""
        parts = [read_window(d, self.name, window) for d in self._datasets]
        image = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if not self.masked:
            return image, None
        if self._nodata is not None:
            hit = np.asarray(equals_nodata(image, self._nodata))
            valid: np.ndarray = np.logical_not(np.asarray(hit.any(axis=0)))
        else:
            masks = [read_masks(d, self.name, window) for d in self._datasets]
            valid = np.asarray(np.array([(m != 0).all(axis=0) for m in masks]).all(axis=0))
        return image, np.asarray(valid)


def _same_grid(first: Any, second: Any, name: str, other: str) -> None:
    """Two datasets of the same pixels.

    Raises
    ------
    ShapeError, GeotransformError
    """
    if first.shape != second.shape:
        raise ShapeError(
            f"{name}, {other}: {first.height}x{first.width} and {second.height}x{second.width} "
            "pixels; need one grid; crop or warp one to the other"
        )
    if first.crs != second.crs:
        raise GeotransformError(f"{name}, {other}: CRS {first.crs} and {second.crs}; need one")
    bare = first.transform.is_identity and second.transform.is_identity
    corner = compose(first.transform, (0.0, 0.0))
    shift = None if bare else compose(~second.transform, corner)
    if shift is not None and max(map(abs, shift)) > GRID_TOLERANCE:
        raise GeotransformError(
            f"{name}, {other}: lie {shift[0]:.2f} columns and {shift[1]:.2f} rows apart; need one "
            "grid; warp one to the other with gdalwarp -te -tr"
        )


@contextlib.contextmanager
def _opened(paths: Any, name: str, nodata: float | None) -> Iterator[Image]:
    single = isinstance(paths, (str, bytes)) or not isinstance(paths, Iterable)
    listed = [paths] if single else list(paths)
    if not listed:
        raise OptionError(f"{name}: got no file; need at least one")
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES))
        opened = [stack.enter_context(open_raster(p, name)) for p in listed]
        yield Image(opened, name, nodata)


def _pieces(first: int, count: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    step = max(1, PIECE_BYTES // max(1, row_bytes))
    for row in range(first, first + count, step):
        yield row, min(step, first + count - row)


def _both(first: np.ndarray | None, second: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    valid = np.ones(like.shape[1:], bool)
    for mask in (first, second):
        if mask is not None:
            valid &= mask
    return valid


def find_peak(peak: float | None, sensor: str | Sensor | None, dtype: np.dtype) -> float:
    """Largest possible value: given, of the sensor's bits, or of uint8.

    Raises
    ------
    OptionError
        If nothing says it.
    """
    if peak is not None:
        if not 0 < peak < math.inf:
            raise OptionError(f"peak: got {peak!r}; need a number above 0, e.g. 2047 for 11 bits")
        return float(peak)
    known = get_sensor(sensor)
    if known is not None:
        return peak_of(known.bits)
    if dtype == np.uint8:
        return 255.0
    raise OptionError(
        f"peak: nothing says the largest possible value of {dtype}; PSNR and SSIM need it; give "
        "peak= (--peak 2047 for 11 bits) or sensor="
    )


def compare_files(
    fused: Any,
    truth: Any,
    *,
    ratio: float = 4,
    peak: float | None = None,
    sensor: str | Sensor | None = None,
    nodata: float | None = None,
    block: int = 32,
) -> dict[str, float]:
    """All indices of a product against the truth (reduced resolution), streamed.

    Parameters
    ----------
    fused, truth : path or sequence of paths
        GeoTIFFs of one grid with the same bands.
    ratio : float
        PAN pixels per MS pixel, for ERGAS.
    peak : float, optional
        Largest possible value; default the sensor's, or 255 for uint8.
    sensor : str or Sensor, optional
    nodata : float, optional
        Marks missing pixels; default what the files say.
    block : int
        Of Q2n.

    Returns
    -------
    dict
        psnr (dB), rmse (DN), cc, sam (degrees), ergas, scc, uqi, ssim, q2n; see
        ``pantiny.metrics``.

    Raises
    ------
    SceneMissingError, SceneReadError, ShapeError, GeotransformError, OptionError, DataError
    """
    with _opened(fused, "fused", nodata) as f, _opened(truth, "truth", nodata) as t:
        _same_grid(f._datasets[0], t._datasets[0], "fused", "truth")
        if f.bands != t.bands:
            raise ShapeError(f"fused, truth: {f.bands} and {t.bands} bands; need the same")
        top = find_peak(peak, sensor, t.dtype)
        sums = WithTruth((f.height, f.width), f.bands, ratio=ratio, peak=top, block=block)
        masked = f.masked or t.masked
        for row, count in _pieces(0, f.height, f.bands * f.width * 8):
            window = Window(0, row, f.width, count)
            (fused_rows, fused_valid), (truth_rows, truth_valid) = f.read(window), t.read(window)
            valid = _both(fused_valid, truth_valid, fused_rows) if masked else None
            sums.update(fused_rows, truth_rows, valid)
        return sums.compute()


class _Cut:
    """The MS pixels that the product covers whole, and the PAN pixels under them."""

    def __init__(self, pairing: Pairing, shape: tuple[int, int]) -> None:
        r = self.ratio = pairing.ratio
        found = []
        for scale, offset, first, ms_first, ms_count, size in zip(
            pairing.scale,
            pairing.offset,
            (pairing.row, pairing.col),
            (pairing.ms_row, pairing.ms_col),
            (pairing.ms_height, pairing.ms_width),
            shape,
        ):
            drift = abs(1 / scale - r) * ms_count / 2  # PAN pixels, from the middle to the ends
            if drift > DRIFT:
                raise GeotransformError(
                    f"fused, ms: {1 / scale:.6g} PAN pixels per MS pixel, which is {drift:.2f} off "
                    f"{r} at the ends; need a whole number; warp one of the two"
                )
            # PAN pixel under the first of the r x r pixels of MS pixel 0 of the pairing
            middle = ms_count // 2
            centre = first + (middle + 0.5 - offset) / scale - 0.5
            exact = centre - (r - 1) / 2 - r * middle
            begin = round(exact)
            skip = max(0, -(begin // r)) if begin < 0 else 0
            count = min(ms_count - skip, (size - begin) // r - skip)
            found.append((begin + skip * r, ms_first + skip, count, exact - begin + (r - 1) / 2))
        rows, cols = found
        self.row, self.ms_row, self.ms_height, y = rows
        self.col, self.ms_col, self.ms_width, x = cols
        self.phase = (y, x)
        self.height, self.width = self.ms_height * r, self.ms_width * r
        if self.ms_height < 1 or self.ms_width < 1:
            raise OverlapError("fused, ms: the product covers no whole MS pixel; check the files")


def assess_files(
    ms: Any,
    pan: Any,
    fused: Any,
    *,
    sensor: str | Sensor | None = None,
    window: int = 32,
    block: int = 32,
    nodata: float | None = None,
) -> dict[str, float]:
    """All full-resolution indices of one product, streamed.

    Measured over the MS pixels that the product covers whole, with the exact phase between the
    grids.

    Parameters
    ----------
    ms : path or sequence of paths
        What was fused, bands stacked.
    pan : path
        One band, on the grid of ``fused``.
    fused : path or sequence of paths
    sensor : str or Sensor, optional
        Gives the MTF gains; 0.30 and 0.15 (PAN) for an unknown one.
    window : int
        Of D_lambda and D_s, in PAN pixels; a multiple of the ratio.
    block : int
        Of Q2n, in MS pixels.
    nodata : float, optional
        Marks missing pixels; default what the files say.

    Returns
    -------
    dict
        d_lambda, d_s, qnr, d_lambda_k, hqnr, d_s_r, rqnr, r_ergas, r_sam (degrees), r_q2n, d_rho;
        see ``pantiny.metrics``.

    Raises
    ------
    SceneMissingError, SceneReadError, ShapeError, CrsError, GeotransformError, RatioError
    OverlapError, SwappedInputsError, OptionError, DataError
    """
    with (
        _opened(ms, "ms", nodata) as m,
        _opened(pan, "pan", nodata) as p,
        _opened(fused, "fused", nodata) as f,
    ):
        if p.bands != 1:
            raise ShapeError(
                f"pan: has {p.bands} bands; need one; give MS, PAN, FUSED in this order"
            )
        if f.bands != m.bands:
            raise ShapeError(
                f"fused, ms: {f.bands} and {m.bands} bands; need the same; give MS, PAN, FUSED in "
                "this order"
            )
        pan_shift = _offset(p, f)
        cut = _Cut(pair_grids(m.grid, f.grid), (f.height, f.width))
        sums = FullResolution(
            f.bands,
            (cut.height, cut.width),
            (cut.ms_height, cut.ms_width),
            sensor=get_sensor(sensor, f.bands),
            phase=cut.phase,
            window=window,
            block=block,
        )
        masked = f.masked or p.masked
        per_row = (f.bands + 1) * cut.width * 8
        ms_done = 0
        for row, count in _pieces(0, cut.height, per_row):
            fused_rows, fused_valid = f.read(Window(cut.col, cut.row + row, cut.width, count))
            at = Window(cut.col + pan_shift[1], cut.row + row + pan_shift[0], cut.width, count)
            pan_rows, pan_valid = p.read(at)
            valid = _both(fused_valid, pan_valid, fused_rows) if masked else None
            sums.update(fused_rows, pan_rows[0], valid)
            ms_end = min(cut.ms_height, -(-(row + count) // cut.ratio))
            if ms_end > ms_done:
                at = Window(cut.ms_col, cut.ms_row + ms_done, cut.ms_width, ms_end - ms_done)
                sums.update_ms(*m.read(at))
                ms_done = ms_end
        return sums.compute()


def _offset(pan: Image, fused: Image) -> tuple[int, int]:
    """Rows and columns of PAN above and left of the product's first pixel.

    Raises
    ------
    GeotransformError
        If the product is not on PAN's lattice, or sticks out of it.
    """

    def on_pan(x: float, y: float) -> Any:
        return compose(~pan.grid.transform, compose(fused.grid.transform, (x, y)))

    where = on_pan(0.0, 0.0)
    col, row = (round(v) for v in where)
    same = pan.grid.crs == fused.grid.crs and max(abs(where[0] - col), abs(where[1] - row)) < 0.01
    size = on_pan(float(fused.width), float(fused.height))
    size = on_pan(float(fused.width), float(fused.height))
    same = (
        pan.grid.crs == fused.grid.crs
        and max(abs(where[0] - col), abs(where[1] - row)) < GRID_TOLERANCE
        and max(abs(size[0] - col - fused.width), abs(size[1] - row - fused.height)) < 0.5
    )
    inside = row >= 0 and col >= 0
    inside = inside and row + fused.height <= pan.height and col + fused.width <= pan.width
    if not same or not inside:
        raise GeotransformError(
            "fused, pan: the product is not on PAN's grid; need pixels that fall on PAN's, all of "
            "them within PAN; give the PAN that was fused, or warp the product to its grid"
        )
    return row, col
