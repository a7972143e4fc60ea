"""Two grids: ratio, phase and extent against counting pixel centres one by one."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine
from scenes import ORIGIN

from pantiny.errors import (
    CrsError,
    ExtentError,
    GeotransformError,
    OptionError,
    OverlapError,
    RatioError,
    SwappedInputsError,
)
from pantiny.grid import Grid, compose, pair_grids, whole_ratio

UTM = CRS.from_epsg(32631)
ratios = st.integers(2, 8)
sizes = st.integers(1, 60)
gsds = st.sampled_from([0.3, 0.5, 1.5, 2.0, 15.0])
# where MS begins, in PAN pixels: any fraction, and those that tie
shifts = st.one_of(
    st.floats(-40, 40).filter(lambda s: abs((s % 0.5) - 0.25) < 0.2499),
    st.integers(-80, 80).map(lambda n: n / 2),
)


def grids(
    ratio: int,
    gsd_m: float,
    pan_size: tuple[int, int],
    ms_size: tuple[int, int],
    shift: tuple[float, float],
) -> tuple[Grid, Grid]:
    """MS begins ``shift`` PAN pixels (down, right) of PAN's corner."""
    pan = Affine(gsd_m, 0, ORIGIN[0], 0, -gsd_m, ORIGIN[1])
    ms_m = gsd_m * ratio
    x, y = ORIGIN[0] + shift[1] * gsd_m, ORIGIN[1] - shift[0] * gsd_m
    ms = Affine(ms_m, 0, x, 0, -ms_m, y)
    return Grid(UTM, ms, *ms_size, "ms.tif"), Grid(UTM, pan, *pan_size, "pan.tif")


def centres_within(pan_size: int, ms_size: int, ratio: int, shift: float) -> list[int]:
    """PAN's samples whose centres lie within MS, its edges included."""
    end = shift + ms_size * ratio
    return [i for i in range(pan_size) if shift - 1e-6 <= i + 0.5 <= end + 1e-6]


pairs = st.tuples(
    ratios, gsds, st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.tuples(shifts, shifts)
)
Pair = tuple[int, float, tuple[int, int], tuple[int, int], tuple[float, float]]


@settings(deadline=None)
@given(pairs)
def test_intersection_is_the_pan_pixels_with_centres_in_ms(pair: Pair) -> None:
    ratio, _, pan_size, ms_size, shift = pair
    ms, pan = grids(*pair)
    rows, cols = (centres_within(pan_size[i], ms_size[i], ratio, shift[i]) for i in (0, 1))
    if not rows or not cols:
        with pytest.raises(OverlapError, match=r"ms\.tif, pan\.tif: no common area"):
            pair_grids(ms, pan)
        return
    found = pair_grids(ms, pan)
    assert list(range(found.row, found.row + found.height)) == rows
    assert list(range(found.col, found.col + found.width)) == cols
    assert found.ratio == ratio


@settings(deadline=None)
@given(pairs)
def test_union_is_the_smallest_lattice_that_covers_both(pair: Pair) -> None:
    ratio, _, pan_size, ms_size, shift = pair
    ms, pan = grids(*pair)
    overlap = [centres_within(pan_size[i], ms_size[i], ratio, shift[i]) for i in (0, 1)]
    assume(all(overlap))
    found = pair_grids(ms, pan, "union")
    for begin, count, i in ((found.row, found.height, 0), (found.col, found.width, 1)):
        low, high = min(0.0, shift[i]), max(float(pan_size[i]), shift[i] + ms_size[i] * ratio)
        end = begin + count
        assert begin <= low + 1e-5 and end >= high - 1e-5  # covers
        assert begin + 1 > low - 1e-5 and end - 1 < high + 1e-5  # and no row more


@settings(deadline=None)
@given(pairs, st.sampled_from(["intersection", "union"]))
def test_phase_through_the_map(pair: Pair, extent: str) -> None:
    """A pixel's place on the MS grid, through map coordinates and through scale and offset."""
    ms, pan = grids(*pair)
    try:
        found = pair_grids(ms, pan, extent)
    except OverlapError:
        assume(False)
    assert found.transform.almost_equals(
        compose(pan.transform, Affine.translation(found.col, found.row)), 1e-9
    )
    for y, x in ((0, 0), (found.height - 1, found.width - 1), (found.height // 2, 0)):
        on_map = compose(found.transform, (x + 0.5, y + 0.5))
        column, row = compose(~ms.transform, on_map)
        here_y = (y + 0.5) * found.scale[0] + found.offset[0]
        here_x = (x + 0.5) * found.scale[1] + found.offset[1]
        assert abs(here_y + found.ms_row - row) < 1e-5
        assert abs(here_x + found.ms_col - column) < 1e-5


@settings(deadline=None)
@given(pairs, st.sampled_from(["intersection", "union"]))
def test_ms_window_holds_what_a_cubic_reaches(pair: Pair, extent: str) -> None:
    ms, pan = grids(*pair)
    try:
        found = pair_grids(ms, pan, extent)
    except OverlapError:
        assume(False)
    for first, count, size, scale, offset, out in (
        (found.ms_row, found.ms_height, ms.height, found.scale[0], found.offset[0], found.height),
        (found.ms_col, found.ms_width, ms.width, found.scale[1], found.offset[1], found.width),
    ):
        assert 0 <= first and count > 0 and first + count <= size
        low = math.floor(0.5 * scale + offset - 0.5 + 1e-6) - 1  # the four taps' first
        high = math.floor((out - 0.5) * scale + offset - 0.5 - 1e-6) + 2  # and last
        assert first == 0 or low >= 0
        assert first + count == size or high <= count - 1
        assert (-low <= 4 and high - (count - 1) <= 4) or extent == "union"  # and not the whole MS


@settings(deadline=None)
@given(pairs)
def test_error_policy(pair: Pair) -> None:
    ratio, _, pan_size, ms_size, shift = pair
    ms, pan = grids(*pair)
    assume(all(centres_within(pan_size[i], ms_size[i], ratio, shift[i]) for i in (0, 1)))
    ends = [shift[i] + ms_size[i] * ratio - pan_size[i] for i in (0, 1)]
    worst = max(abs(v) / ratio for v in (*shift, *ends))
    assume(abs(worst - 0.5) > 1e-5)
    if worst < 0.5:
        assert pair_grids(ms, pan, "error") == pair_grids(ms, pan)
    else:
        with pytest.raises(ExtentError) as caught:
            pair_grids(ms, pan, "error")
        stated = re.search(
            r"edges differ by ([\d.]+) MS pixels; need at most 0\.5", str(caught.value)
        )
        assert stated and abs(float(stated[1]) - worst) < 0.0051


@pytest.mark.parametrize("side", ["top", "left", "bottom", "right"])
def test_error_policy_at_its_limit(side: str) -> None:
    for beyond in (False, True):
        px = 2.04 if beyond else 1.96  # PAN pixels, of four to an MS pixel
        down = {"top": px}.get(side, 0.0)
        across = {"left": -px}.get(side, 0.0)
        if side in ("bottom", "right"):  # whole pixels at the far edges: two of four, or three
            size = (66 + beyond, 96) if side == "bottom" else (64, 94 - beyond)
        else:
            size = (64 + round(down), 96 + round(across))
        pair = grids(4, 2.0, size, (16, 24), (down, across))
        if beyond:
            with pytest.raises(
                ExtentError, match=f"the {side} edges differ by 0.(51|75) MS pixels"
            ):
                pair_grids(*pair, "error")
        else:
            assert pair_grids(*pair, "error") == pair_grids(*pair)


@settings(deadline=None)
@given(ratios, st.floats(-0.0099, 0.0099), st.floats(-0.0099, 0.0099))
def test_ratios_within_a_percent_are_whole(ratio: int, dy: float, dx: float) -> None:
    assert whole_ratio(ratio * (1 + dy), ratio * (1 + dx), "here") == ratio


@settings(deadline=None)
@given(st.floats(0.1, 20), st.floats(0.1, 20))
@example(2 * 1.0102, 2.0)
@example(8.0, 8 * 0.9898)
def test_other_ratios_are_refused(y: float, x: float) -> None:
    assume(not any(max(abs(y / r - 1), abs(x / r - 1)) < 0.0101 for r in range(2, 9)))
    with pytest.raises(RatioError, match=r"here: the ratio .*; need the same whole number from 2"):
        whole_ratio(y, x, "here")


@settings(deadline=None)
@given(ratios, gsds, st.integers(-20, 20), st.integers(-20, 20))
def test_rounding_of_an_aligned_pair_is_hidden(ratio: int, gsd_m: float, dy: int, dx: int) -> None:
    ms, pan = grids(ratio, gsd_m, (41 * ratio, 45 * ratio), (41, 45), (dy * ratio, dx * ratio))
    found = pair_grids(ms, pan)
    assert found.scale == (1 / ratio, 1 / ratio)
    assert all((o * ratio).is_integer() for o in found.offset)  # exactly, as fuse has it


@pytest.mark.parametrize(
    "turn",
    [Affine.identity(), Affine.rotation(30), Affine.scale(1, -1), Affine.scale(-1, 1)],
    ids=["north up", "rotated", "south up", "mirrored"],
)
def test_how_both_lie_on_the_map_does_not_matter(turn: Affine) -> None:
    shape = (2, (33, 50), (16, 22), (1.75, -3.25))
    plain = pair_grids(*grids(shape[0], 2.0, *shape[1:]))
    ms, pan = grids(shape[0], 2.0, *shape[1:])
    about = Affine.translation(*ORIGIN)
    turn = compose(compose(about, turn), ~about)
    ms, pan = (replace(g, transform=compose(turn, g.transform)) for g in (ms, pan))
    found = pair_grids(ms, pan)
    assert (found.row, found.col, found.height, found.width) == (
        plain.row,
        plain.col,
        plain.height,
        plain.width,
    )
    assert found.offset == pytest.approx(plain.offset, abs=1e-6)
    assert found.transform.almost_equals(compose(turn, plain.transform), 1e-6)


def test_landsat_is_shifted_by_half_a_pan_pixel() -> None:
    """Landsat 8: centres of the corner pixels coincide, so MS begins 7.5 m up and left."""
    found = pair_grids(*grids(2, 15.0, (200, 300), (100, 150), (-0.5, -0.5)))
    assert found.scale == (0.5, 0.5) and found.offset == (0.25, 0.25)
    assert (found.row, found.col, found.height, found.width) == (0, 0, 200, 300)


@pytest.mark.parametrize(
    ("change", "kind", "pattern"),
    [
        ({"crs": None}, CrsError, r"ms\.tif: has no CRS, but pan\.tif has EPSG:32631; .*-a_srs"),
        ({"crs": CRS.from_epsg(32632)}, CrsError, r"CRS EPSG:32632 and EPSG:32631; need the same"),
        ({"transform": Affine.identity()}, GeotransformError, r"ms\.tif: has no geotransform"),
        ({"transform": Affine(8, 0, 5e5, 0, 0, 5e6)}, GeotransformError, r"ms\.tif: .* singular"),
        ({"transform": Affine(8, 8, 5e5, 8, 8, 5e6)}, GeotransformError, r"ms\.tif: .* singular"),
        ({"transform": Affine(8, 1, 5e5, 1, -8, 5.4e6)}, GeotransformError, r"are rotated against"),
        ({"transform": Affine(-8, 0, 5e5, 0, -8, 5.4e6)}, GeotransformError, r"is flipped against"),
        ({"transform": Affine(0.5, 0, 5e5, 0, -0.5, 5.4e6)}, SwappedInputsError, r"4 x 4 times"),
    ],
)
def test_bad_grids(change: dict[str, Any], kind: type[Exception], pattern: str) -> None:
    ms, pan = grids(4, 2.0, (64, 96), (16, 24), (0.0, 0.0))
    with pytest.raises(kind, match=pattern):
        pair_grids(replace(ms, **change), pan)


def test_a_slight_rotation_is_rounding() -> None:
    ms, pan = grids(4, 2.0, (64, 96), (16, 24), (0.0, 0.0))
    plain = pair_grids(ms, pan)
    limit = 0.05 * 8 / 96  # metres per column that give 0.05 MS pixels across PAN's width
    for share, fine in ((0.5, True), (4.0, False)):
        t = pan.transform
        turned = replace(pan, transform=Affine(t.a, 0, t.c, share * limit, t.e, t.f))
        if fine:
            assert pair_grids(ms, turned).height == plain.height
        else:
            with pytest.raises(GeotransformError, match="rotated"):
                pair_grids(ms, turned)


def test_unknown_extent() -> None:
    ms, pan = grids(4, 2.0, (64, 96), (16, 24), (0.0, 0.0))
    with pytest.raises(OptionError, match=r"extent: got 'both'; need one of intersection, union"):
        pair_grids(ms, pan, "both")
