"""Bands: names, and groups of four in which every band is fused exactly once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantiny.bands import Group, band_groups, canonical_band, default_names, parse_bands
from pantiny.errors import OptionError
from pantiny.sensors import WAVELENGTHS_NM, WORLDVIEW8

NAMES = list(WAVELENGTHS_NM)
some_names = st.lists(st.sampled_from(NAMES), unique=True, min_size=1)


def check_groups(groups: list[Group], n_bands: int, model_bands: int) -> None:
    written = [band for group in groups for band in group.write if band >= 0]
    assert sorted(written) == list(range(n_bands))  # each exactly once
    assert len(groups) == -(-n_bands // model_bands)
    for group in groups:
        assert len(group.read) == len(group.write) == model_bands
        assert all(r == w for r, w in zip(group.read, group.write) if w >= 0)
        kept = [w for w in group.write if w >= 0]
        assert set(group.read) == set(kept)  # a surplus slot repeats one of the group


@pytest.mark.parametrize("model_bands", [1, 3, 4, 8])
@pytest.mark.parametrize("n_bands", range(1, 14))
def test_every_band_is_written_once(n_bands: int, model_bands: int) -> None:
    check_groups(band_groups(n_bands, None, model_bands), n_bands, model_bands)


@settings(deadline=None)
@given(some_names)
def test_every_named_band_is_written_once(names: list[str]) -> None:
    groups = band_groups(len(names), names)
    check_groups(groups, len(names), 4)
    for group in groups:
        waves = [WAVELENGTHS_NM[names[i]] for i in group.read]
        assert waves == sorted(waves)


@settings(deadline=None)
@given(some_names, st.randoms(use_true_random=False))
def test_the_order_in_the_file_does_not_matter(names: list[str], shuffler: random.Random) -> None:
    shuffled = names[:]
    shuffler.shuffle(shuffled)

    def by_name(order: list[str]) -> list[tuple[list[str], list[str | None]]]:
        return [
            ([order[i] for i in g.read], [order[i] if i >= 0 else None for i in g.write])
            for g in band_groups(len(order), order)
        ]

    assert by_name(shuffled) == by_name(names)


@settings(deadline=None)
@given(st.integers(5, 40).filter(lambda n: n != 8))
def test_each_group_spans_the_spectrum(n_bands: int) -> None:
    groups = band_groups(n_bands)  # in order of wavelength
    for group in groups:
        assert min(group.read) < len(groups) and max(group.read) >= n_bands - len(groups)
        kept = [b for b in group.write if b >= 0]
        assert {b - a for a, b in pairwise(kept)} == {len(groups)}  # dealt out like cards


def test_worldview() -> None:
    first, second = band_groups(8)
    order = default_names(8)
    assert order == WORLDVIEW8
    assert [order[i] for i in first.read] == ["blue", "green", "red", "nir"]
    assert [order[i] for i in second.read] == ["coastal", "yellow", "red-edge", "nir2"]
    turned = list(reversed(WORLDVIEW8))
    assert [turned[i] for i in band_groups(8, turned)[0].read] == ["blue", "green", "red", "nir"]
    assert first.read == first.write and second.read == second.write


def test_four_bands_are_one_group_in_order_of_wavelength() -> None:
    assert band_groups(4) == [Group((0, 1, 2, 3), (0, 1, 2, 3))]
    assert band_groups(4, ["red", "green", "blue", "nir"]) == [Group((2, 1, 0, 3), (2, 1, 0, 3))]
    assert band_groups(3) == [Group((0, 1, 2, 2), (0, 1, 2, -1))]
    assert band_groups(1) == [Group((0, 0, 0, 0), (0, -1, -1, -1))]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Blue", "blue"),
        (" R ", "red"),
        ("NIR1", "nir"),
        ("near infrared", "nir"),
        ("Near_Infrared", "nir"),
        ("Red_Edge", "red-edge"),
        ("rededge", "red-edge"),
        ("NIR2", "nir2"),
        ("coastal blue", "coastal"),
        ("swir", None),
        ("", None),
    ],
)
def test_names(text: str, name: str | None) -> None:
    assert canonical_band(text) == name


@settings(deadline=None)
@given(some_names.filter(lambda names: len(names) > 1))
def test_ways_to_write_the_same_bands(names: list[str]) -> None:
    count = len(names)
    assert parse_bands(",".join(names), count) == tuple(names)
    assert parse_bands(" , ".join(n.upper() for n in names), count) == tuple(names)
    assert parse_bands(names, count) == tuple(names)


def test_letters() -> None:
    assert parse_bands("rgbn", 4) == ("red", "green", "blue", "nir")
    assert parse_bands("BGR", 3) == ("blue", "green", "red")
    assert parse_bands("n", 1) == ("nir",)
    assert parse_bands("red", 1) == ("red",)


@pytest.mark.parametrize(
    ("bands", "n_bands", "pattern"),
    [
        ("rgbx", 4, r"bands: 'x' is not a known band; known: coastal"),
        ("rgbn", 3, r"bands: got 4 letters \('rgbn'\) for 3 bands"),
        ("", 4, r"bands: got 0 letters"),
        ("red,green,", 3, r"bands: '' is not a known band"),
        ("nir,nir1", 2, r"bands: got 2 names \(nir, nir\) for 2 bands; need each band named once"),
        (["red"], 2, r"bands: got 1 names \(red\) for 2 bands"),
        (7, 2, r"bands: got 7; need names"),
        (["red", 3], 2, r"bands: got \['red', 3\]; need names"),
    ],
)
def test_bad_names(bands: object, n_bands: int, pattern: str) -> None:
    with pytest.raises(OptionError, match=pattern):
        parse_bands(bands, n_bands)  # type: ignore[arg-type]
