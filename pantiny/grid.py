"""Two pixel grids: ratio, phase and common extent from their geotransforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .errors import (
    CrsError,
    ExtentError,
    GeotransformError,
    OptionError,
    OverlapError,
    RatioError,
    SwappedInputsError,
)

EXTENTS = ("intersection", "union", "error")
RATIO_TOLERANCE = 0.01
ROTATION_TOLERANCE = 0.05  # MS pixels across the whole scene
SNAP_TOLERANCE = 1e-6  # PAN pixels across the whole scene: rounding, not geometry


@dataclass(frozen=True)
class Grid:
    """A raster's grid.

    Attributes
    ----------
    crs : rasterio CRS or None
    transform : Affine
        Pixel corner coordinates (column, row) to map coordinates.
    height, width : int
    name : str
        For messages.
    """

    crs: Any
    transform: Any
    height: int
    width: int
    name: str


@dataclass(frozen=True)
class Pairing:
    """Where the output lies, on PAN's lattice, and where it falls on the MS grid.

    Attributes
    ----------
    row, col : int
        PAN row and column of the output's first pixel (negative in a union).
    height, width : int
        Size of the output.
    ms_row, ms_col, ms_height, ms_width : int
        Window of MS that the output needs.
    scale, offset : (float, float)
        Rows, columns: output pixel ``y`` has its centre at row
        ``(y + 0.5) * scale + offset - 0.5`` of that MS window.
    ratio : int
        MS pixel size over PAN pixel size.
    transform : Affine
        Of the output.
    """

    row: int
    col: int
    height: int
    width: int
    ms_row: int
    ms_col: int
    ms_height: int
    ms_width: int
    scale: tuple[float, float]
    offset: tuple[float, float]
    ratio: int
    transform: Any


def compose(transform: Any, right: Any) -> Any:
    """``transform`` after ``right`` (a transform or a point), whatever affine's version."""
    if hasattr(type(transform), "__matmul__"):
        return transform @ right
    return transform * right


def whole_ratio(value_y: float, value_x: float, where: str) -> int:
    """The whole number both ratios are (within 1 %).

    Raises
    ------
    RatioError
    """
    ratio = round(value_x)
    fits = all(abs(v / max(ratio, 1) - 1) < RATIO_TOLERANCE for v in (value_y, value_x))
    if not fits or not 2 <= ratio <= 8:
        raise RatioError(
            f"{where}: the ratio of MS to PAN pixel size is {value_y:.3g} x {value_x:.3g}; need "
            "the same whole number from 2 to 8 both ways; resample one of the two, e.g. with "
            "gdalwarp -tr"
        )
    return ratio


def check_extent(extent: str) -> str:
    """Refuse an unknown extent policy."""
    if extent not in EXTENTS:
        raise OptionError(f"extent: got {extent!r}; need one of {', '.join(EXTENTS)}; choose one")
    return extent


def _span(scale: float, offset: float, pan_size: int, ms_size: int, extent: str) -> tuple[int, int]:
    """First and one past the last output sample along one axis, in PAN samples."""
    begin, end = -offset / scale, (ms_size - offset) / scale  # MS's ends in PAN samples
    if extent == "union":
        return min(0, math.floor(begin + 1e-6)), max(pan_size, math.ceil(end - 1e-6))
    # PAN samples whose centres lie within MS
    first = max(0, math.ceil(begin - 0.5 - 1e-6))
    return first, min(pan_size, math.floor(end - 0.5 + 1e-6) + 1)


def pair_grids(ms: Grid, pan: Grid, extent: str = "intersection") -> Pairing:
    """Pair two grids.

    Parameters
    ----------
    ms, pan : Grid
    extent : {"intersection", "union", "error"}
        The output covers the PAN pixels whose centres lie within MS; or everything
        either covers; or it is an error if the edges differ by more than half an MS pixel.

    Raises
    ------
    CrsError, GeotransformError, SwappedInputsError, RatioError, OverlapError, ExtentError
    """
    check_extent(extent)
    if bool(ms.crs) != bool(pan.crs):
        has, lacks = (ms, pan) if ms.crs else (pan, ms)
        raise CrsError(
            f"{lacks.name}: has no CRS, but {has.name} has {_crs(has)}; need the same in both; if "
            f"they agree, state it with gdal_edit.py -a_srs '{_crs(has)}' {lacks.name}"
        )
    if ms.crs != pan.crs:
        raise CrsError(
            f"{ms.name}, {pan.name}: CRS {_crs(ms)} and {_crs(pan)}; need the same; "
            f"reproject one, for example gdalwarp -t_srs '{_crs(pan)}' {ms.name} new.tif"
        )
    for grid in (ms, pan):
        if grid.transform.is_identity:
            raise GeotransformError(
                f"{grid.name}: has no geotransform; need one to place MS on PAN's grid; set it "
                "with gdal_edit.py -a_ullr, or fuse the arrays with pantiny.fuse"
            )
        if grid.transform.determinant == 0:
            raise GeotransformError(
                f"{grid.name}: its geotransform {tuple(grid.transform)[:6]} is singular; need "
                "pixels of some size; set it with gdal_edit.py -a_ullr"
            )
    t = compose(~ms.transform, pan.transform)
    if abs(t.b) * pan.height > ROTATION_TOLERANCE or abs(t.d) * pan.width > ROTATION_TOLERANCE:
        raise GeotransformError(
            f"{ms.name}, {pan.name}: the grids are rotated against each other; need parallel "
            "pixel axes; warp MS with gdalwarp to PAN's orientation"
        )
    if t.a <= 0 or t.e <= 0:
        raise GeotransformError(
            f"{ms.name}, {pan.name}: one grid is flipped against the other; need the same row and "
            "column directions; rewrite one with gdalwarp"
        )
    if t.a > 1.5 and t.e > 1.5:
        raise SwappedInputsError(
            f"{ms.name}, {pan.name}: the pixels given as PAN are {t.e:.3g} x {t.a:.3g} times those "
            "given as MS; PAN is the finer one; they look swapped: give MS first, PAN after it"
        )
    ratio = whole_ratio(1 / t.e, 1 / t.a, f"{ms.name}, {pan.name}")
    scale_y, offset_y = _snap(t.e, t.f, ratio, max(pan.height, ms.height * ratio))
    scale_x, offset_x = _snap(t.a, t.c, ratio, max(pan.width, ms.width * ratio))
    row, row_end = _span(scale_y, offset_y, pan.height, ms.height, extent)
    col, col_end = _span(scale_x, offset_x, pan.width, ms.width, extent)
    common_rows = _span(scale_y, offset_y, pan.height, ms.height, "intersection")
    common_cols = _span(scale_x, offset_x, pan.width, ms.width, "intersection")
    if common_rows[1] <= common_rows[0] or common_cols[1] <= common_cols[0]:
        raise OverlapError(
            f"{ms.name}, {pan.name}: no common area (MS covers {_bounds(ms)}, PAN {_bounds(pan)}); "
            "check that both show the same place"
        )
    if extent == "error":
        _refuse_difference(t, ms, pan)
    ms_row, ms_row_end = _ms_window(scale_y, offset_y, row, row_end, ms.height)
    ms_col, ms_col_end = _ms_window(scale_x, offset_x, col, col_end, ms.width)
    return Pairing(
        row,
        col,
        row_end - row,
        col_end - col,
        ms_row,
        ms_col,
        ms_row_end - ms_row,
        ms_col_end - ms_col,
        (scale_y, scale_x),
        (scale_y * row + offset_y - ms_row, scale_x * col + offset_x - ms_col),
        ratio,
        compose(pan.transform, pan.transform.translation(col, row)),
    )


def _snap(scale: float, offset: float, ratio: int, size: int) -> tuple[float, float]:
    """``1 / ratio`` and half PAN pixels where geotransforms mean them but rounding hides it.

    Without this an aligned pair of files would not give the bits that ``fuse`` gives.
    """
    if abs(scale * ratio - 1) * size < SNAP_TOLERANCE:
        scale = 1 / ratio
    halves = round(2 * ratio * offset)
    if abs(2 * ratio * offset - halves) < 2 * SNAP_TOLERANCE:
        offset = halves / (2 * ratio)
    return scale, offset


def _ms_window(scale: float, offset: float, first: int, end: int, size: int) -> tuple[int, int]:
    # two samples beyond the outermost ones: what a cubic reaches
    low = math.floor(first * scale + offset + 1e-6) - 2
    high = math.ceil(end * scale + offset - 1e-6) + 2
    return max(0, low), min(size, high)


def _refuse_difference(t: Any, ms: Grid, pan: Grid) -> None:
    edges = {
        "top": t.f,
        "left": t.c,
        "bottom": t.e * pan.height + t.f - ms.height,
        "right": t.a * pan.width + t.c - ms.width,
    }
    worst = max(edges, key=lambda k: abs(edges[k]))
    if abs(edges[worst]) > 0.5 + 1e-6:
        raise ExtentError(
            f"{ms.name}, {pan.name}: the {worst} edges differ by {abs(edges[worst]):.2f} MS "
            "pixels; need at most 0.5 with extent='error'; use extent 'intersection' or 'union'"
        )


def _crs(grid: Grid) -> str:
    return grid.crs.to_string() if grid.crs else "none"


def _bounds(grid: Grid) -> str:
    x0, y0 = compose(grid.transform, (0, 0))
    x1, y1 = compose(grid.transform, (grid.width, grid.height))
    return f"x {min(x0, x1):.9g}..{max(x0, x1):.9g}, y {min(y0, y1):.9g}..{max(y0, y1):.9g}"
