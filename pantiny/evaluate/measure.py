"""GeoTIFF products measured row by row: memory does not grow with the height of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..metrics.streaming import FullResolution, WithTruth
from ..sensors import Sensor, get_sensor
from .explain import Group, Part, explained, refuse
from .images import Area, Cut, Image, aligned, both_valid, opened, pieces_of, shared
from .settings import find_peak, find_ratio
from .variants import DEFAULT, replace_variant


def compare_files(
    fused: Any,
    truth: Any,
    *,
    ratio: float | None = None,
    peak: float | None = None,
    sensor: str | Sensor | None = None,
    nodata: float | None = None,
    block: int = 32,
) -> dict[str, float]:
    """All indices of a product against the truth (reduced resolution), streamed.

    Measured where both lie.

    Parameters
    ----------
    fused, truth : path or sequence of paths
        GeoTIFFs of one lattice with the same bands; without geotransforms of one size.
    ratio : float, optional
        PAN pixels per MS pixel; default the product's tag PANTINY_RATIO. Without it there is no
        ergas.
    peak : float, optional
        Largest possible value; default of the product's tag PANTINY_BITS, the sensor's, or 255 for
        uint8. Without it there is no psnr and no ssim.
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
    SceneMissingError, SceneReadError, ShapeError, CrsError, GeotransformError, OverlapError
    OptionError, DataError
    """
    with opened(fused, "fused", nodata) as f, opened(truth, "truth", nodata) as t:
        area = with_truth_area(f, t)
        found_ratio, _ = find_ratio(ratio, None, f.tags)
        found_peak, _ = find_peak(peak, sensor, t.dtype, f.tags)
        return compare(f, t, area, ratio=found_ratio, peak=found_peak, block=block)[0]


def with_truth_area(fused: Image, truth: Image) -> Area:
    """Where a product and its truth both lie.

    Raises
    ------
    ShapeError, CrsError, GeotransformError, OverlapError
    """
    if fused.bands != truth.bands:
        raise ShapeError(
            f"fused, truth: {fused.bands} and {truth.bands} bands; need the same; give the truth "
            "of this product"
        )
    return shared(fused, truth)


def compare(
    fused: Image, truth: Image, area: Area, *, ratio: float | None, peak: float | None, block: int
) -> tuple[dict[str, float], dict[str, str]]:
    """The indices of open images, and why others are missing; see ``compare_files``."""
    size = (area.height, area.width)
    sums = WithTruth(size, fused.bands, ratio=ratio, peak=peak, block=block)
    masked = fused.masked or truth.masked
    group = Group(*size, [Part(fused, area.rows), Part(truth, area.rows_of_other)])
    with explained(group):
        for row, count in pieces_of(area.height, fused.bands * area.width * 8):
            fused_rows, fused_valid = fused.read(area.rows(row, count))
            truth_rows, truth_valid = truth.read(area.rows_of_other(row, count))
            valid = both_valid(fused_valid, truth_valid, fused_rows.shape[1:]) if masked else None
            sums.update(fused_rows, truth_rows, valid)
        values = sums.compute()
    asked = {"ergas": ratio, "psnr": peak, "ssim": peak}
    if any(asked.get(key, 0) is not None for key in sums.missing):
        refuse(group)
    return values, sums.missing


def assess_files(
    ms: Any,
    pan: Any,
    fused: Any,
    *,
    sensor: str | Sensor | None = None,
    gains: Sequence[float] | None = None,
    window: int = 32,
    block: int = 32,
    variant: str = DEFAULT,
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
    gains : sequence of float, optional
        MTF gain of each band, in place of the sensor's.
    window : int
        Of D_lambda and D_s, in PAN pixels; a multiple of the ratio.
    block : int
        Of Q2n, in MS pixels.
    variant : str
        Of D_lambda, D_s, QNR and HQNR; see ``pantiny.metrics.d_lambda``. Any but ``alparone08``
        takes the product, MS and PAN into memory, and is refused for large scenes.
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
        known = get_sensor(sensor, f.bands)
        cut = aligned(m, p, f)
        return assess(
            m, p, f, cut, sensor=known, gains=gains, window=window, block=block, variant=variant
        )[0]


def assess(
    ms: Image,
    pan: Image,
    fused: Image,
    cut: Cut,
    *,
    sensor: Sensor | None,
    gains: Sequence[float] | None,
    window: int,
    block: int,
    variant: str,
) -> tuple[dict[str, float], dict[str, str]]:
    """The indices of open images, and why others are missing; see ``assess_files``."""
    fine = [Part(fused, cut.rows_of_fused), Part(pan, cut.rows_of_pan)]
    groups = (
        Group(cut.height, cut.width, fine),
        Group(cut.ms_height, cut.ms_width, [Part(ms, cut.rows_of_ms)]),
    )
    with explained(*groups):
        replaced = replace_variant(ms, pan, fused, cut, variant, window, sensor)
        sums = FullResolution(
            fused.bands,
            (cut.height, cut.width),
            (cut.ms_height, cut.ms_width),
            sensor=sensor,
            gains=gains,
            phase=cut.phase,
            window=window if variant == DEFAULT else 2 * cut.ratio,
            block=block,
        )
        _feed(sums, ms, pan, fused, cut)
        values = replaced(sums.compute())
    if sums.missing:
        refuse(*groups)
    return values, sums.missing


def _feed(sums: FullResolution, ms: Image, pan: Image, fused: Image, cut: Cut) -> None:
    masked = fused.masked or pan.masked
    per_row = (fused.bands + 1) * cut.width * 8
    ms_done = 0
    for row, count in pieces_of(cut.height, per_row):
        fused_rows, fused_valid = fused.read(cut.rows_of_fused(row, count))
        pan_rows, pan_valid = pan.read(cut.rows_of_pan(row, count))
        valid = both_valid(fused_valid, pan_valid, fused_rows.shape[1:]) if masked else None
        sums.update(fused_rows, pan_rows[0], valid)
        ms_end = min(cut.ms_height, -(-(row + count) // cut.ratio))
        if ms_end > ms_done:
            sums.update_ms(*ms.read(cut.rows_of_ms(ms_done, ms_end - ms_done)))
            ms_done = ms_end
