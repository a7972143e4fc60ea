"""GeoTIFF products measured row by row: memory does not grow with the height of a scene."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rasterio.windows import Window

from ..errors import OptionError, ShapeError
from ..metrics.streaming import FullResolution, WithTruth
from ..scaling import peak_of
from ..sensors import Sensor, get_sensor
from .images import aligned, both_valid, opened, pieces_of


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
    with opened(fused, "fused", nodata) as f, opened(truth, "truth", nodata) as t:
        f.check_grid(t)
        if f.bands != t.bands:
            raise ShapeError(f"fused, truth: {f.bands} and {t.bands} bands; need the same")
        top = find_peak(peak, sensor, t.dtype)
        sums = WithTruth((f.height, f.width), f.bands, ratio=ratio, peak=top, block=block)
        masked = f.masked or t.masked
        for row, count in pieces_of(f.height, f.bands * f.width * 8):
            window = Window(0, row, f.width, count)
            (fused_rows, fused_valid), (truth_rows, truth_valid) = f.read(window), t.read(window)
            valid = both_valid(fused_valid, truth_valid, fused_rows) if masked else None
            sums.update(fused_rows, truth_rows, valid)
        return sums.compute()


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
        opened(ms, "ms", nodata) as m,
        opened(pan, "pan", nodata) as p,
        opened(fused, "fused", nodata) as f,
    ):
        cut = aligned(m, p, f)
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
        for row, count in pieces_of(cut.height, per_row):
            fused_rows, fused_valid = f.read(cut.rows_of_fused(row, count))
            pan_rows, pan_valid = p.read(cut.rows_of_pan(row, count))
            valid = both_valid(fused_valid, pan_valid, fused_rows) if masked else None
            sums.update(fused_rows, pan_rows[0], valid)
            ms_end = min(cut.ms_height, -(-(row + count) // cut.ratio))
            if ms_end > ms_done:
                sums.update_ms(*m.read(cut.rows_of_ms(ms_done, ms_end - ms_done)))
                ms_done = ms_end
        return sums.compute()
