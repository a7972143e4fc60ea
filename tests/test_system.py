"""Amounts of memory, threads, cores."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pantiny import system
from pantiny.errors import OptionError
from pantiny.system import as_int, format_bytes, parse_bytes, resolve_threads

SIZES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


@settings(deadline=None)
@given(
    unit=st.sampled_from(sorted(SIZES)),
    tenths=st.integers(10, 10**6),
    style=st.sampled_from([str, str.lower, str.upper]),
    gap=st.sampled_from(["", " ", "  "]),
)
def test_words_for_bytes(unit: str, tenths: int, style: Any, gap: str) -> None:
    text = f"{gap}{tenths // 10}.{tenths % 10}{gap}{style(unit)}{gap}"
    exact = Fraction(tenths, 10) * SIZES[unit]
    slack = 1 + exact / 2**51  # whole bytes, rounded down, through a double
    assert abs(parse_bytes(text) - exact) <= slack


@pytest.mark.parametrize(
    ("value", "need"),
    [
        (None, 1 << 30),
        ("96MiB", 96 << 20),
        (".5 KiB", 512),
        (4096, 4096),
        (4096.9, 4096),
        (np.int64(1 << 40), 1 << 40),
        (np.float32(1024), 1024),
    ],
)
def test_amounts(value: Any, need: int) -> None:
    assert parse_bytes(value) == need and type(parse_bytes(value)) is int


@pytest.mark.parametrize(
    "value",
    [
        *["", "lots", "MiB", "-1", "1 2", "1e9", "1PiB", "1.2.3MB", "0", "0.4", "9" * 400, "٣٤"],
        *[0, -5, 0.5, float("nan"), float("inf"), True, [1], b"1", 1j],
    ],
)
def test_what_is_no_amount(value: Any) -> None:
    pattern = (
        rf"memory: got {re.escape(repr(value))}; need bytes or a text such as '96MiB'.*; leave"
    )
    with pytest.raises(OptionError, match=pattern):
        parse_bytes(value)


@settings(deadline=None)
@given(st.integers(1, 10**13))
def test_amounts_survive_being_written(n: int) -> None:
    assert abs(parse_bytes(format_bytes(n)) - n) <= 0.051 * n


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (96 << 20, "96.0 MiB"),
        (5 << 30, "5.00 GiB"),
    ],
)
def test_written_amounts(n: int, text: str) -> None:
    assert format_bytes(n) == text


def test_integers() -> None:
    for value in (3, np.int8(3), np.uint64(3)):
        assert as_int(value) == 3 and type(as_int(value)) is int
    for value in (True, np.True_, 3.0, np.float32(3), "3", None, [3], np.array([3])):
        assert as_int(value) is None


def test_threads() -> None:
    assert [resolve_threads(n) for n in (1, 4096, np.int16(7))] == [1, 4096, 7]
    for bad in (0, -1, 4097, 1.0, "2", True):
        with pytest.raises(
            OptionError, match=r"threads: got .*; need a whole number from 1 to 4096"
        ):
            resolve_threads(bad)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_default_threads_obey_the_affinity() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{core}}})\n"
        "from pantiny.system import resolve_threads; print(resolve_threads(None))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "1\n", result.stderr


@pytest.mark.parametrize(
    ("quota", "need"),
    [("max 100000", 8), ("150000 100000", 2), ("10000 100000", 1), ("9900000 100000", 8), ("?", 8)],
)
def test_default_threads_obey_the_cgroup(
    quota: str, need: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda path: f"{quota}\n")
    assert resolve_threads(None) == need


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
def test_resident_bytes_follow_an_allocation() -> None:
    before = system.resident_bytes()
    block = np.ones(64 << 20, np.uint8)
    grown = system.resident_bytes() - before
    assert 60 << 20 <= grown <= 80 << 20 and block[-1] == 1
