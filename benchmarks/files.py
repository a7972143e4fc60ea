"""Level "files": GeoTIFF in, GeoTIFF out, each in a process of its own; and how memory grows."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from pantiny.degrade import upsample_ms

from . import roof as roofs
from .candidate import Gate, Outcome, Unavailable, within_one_dn
from .groups import Bench, Group, Options, Row, Work, make_row, timed_group
from .inputs import SENSOR, Reference, Tile, get_model
from .macs import RATIO, network_macs
from .scenes import Pair, corner, side_of, write_pair
from .spawn import Finished, spawn, touch_memory

GATE_SIDE = 68  # just more than a tile
START_SIDE = 64  # of the scene whose time is the start of the program
ROUNDS, QUICK_ROUNDS = 3, 2  # at most: a call takes tens of seconds
BROVEY_TOLERANCE = 2e-2  # of the maximum; GDAL rounds and stops at edges in its own way
Words = Callable[[Pair, Path], Sequence[str]]
Checked = dict[tuple[str, ...], np.ndarray]  # results of commands on the small pair


class Command:
    """See ``Candidate``. Every call is a new process on the same files, in the page cache.

    A virtual machine may get its memory from the host page by page, at seconds per GiB, so as
    much as the command held last time is touched before a call; the first, cold call goes without.

    Parameters
    ----------
    name : str
    words : callable
        The command for a pair and an output.
    pair : Pair
        That is timed.
    small : Pair
        That is checked.
    gate : Gate
    checked : dict
        Shared by candidates, so that one command is checked once.
    """

    buffers = 1

    def __init__(
        self, name: str, words: Words, pair: Pair, small: Pair, gate: Gate, checked: Checked
    ) -> None:
        self.name, self.gate = name, gate
        self._words, self._pair, self._small, self._checked = words, pair, small, checked
        self._out = pair.pan.parent / "out.tif"
        self._peaks: list[int] = []
        self._touched: list[float] = []  # seconds per GiB
        self._said = ""

    def _run(self, pair: Pair) -> Finished:
        self._out.unlink(missing_ok=True)
        return spawn(self._words(pair, self._out))

    def check(self) -> np.ndarray:
        key = tuple(self._words(self._small, self._out))
        if key not in self._checked:
            self._run(self._small)
            with rasterio.open(self._out) as file:
                self._checked[key] = np.asarray(file.read())
        return self._checked[key]

    def prepare(self) -> None:
        pass

    def run(self, buffer: int) -> dict[str, float]:
        if self._peaks:
            self._touched.append(touch_memory(self._peaks[-1]))
        finished = self._run(self._pair)
        self._peaks.append(finished.peak_rss_bytes)
        self._said = finished.said
        return {"all": finished.seconds}

    def facts(self) -> dict[str, Any]:
        layout = re.search(r"working memory .*", self._said)
        return {
            "peak_rss_bytes": max(self._peaks),
            "first_touch_s_per_gib": max(self._touched, default=None),
            "output_bytes": self._out.stat().st_size if self._out.exists() else None,
            **({"layout": layout[0]} if layout else {}),
        }

    def close(self) -> None:
        self._out.unlink(missing_ok=True)


def fuse_words(bench: Bench, memory: str, *options: str) -> Words:
    """``pantiny fuse`` with a bound on the whole process."""
    return lambda pair, out: [
        *(sys.executable, "-m", "pantiny.cli", "fuse", str(pair.ms), str(pair.pan), str(out)),
        *("--sensor", SENSOR, "-j", str(bench.options.threads), "--memory", memory, *options),
    ]


@lru_cache(maxsize=1)
def _reference() -> Reference:
    return Reference(get_model("tiny"), Tile(*corner(GATE_SIDE)))


def fuse_gate(steps: int | None) -> Gate:
    """Within one DN of the float64 reference."""
    return within_one_dn(_reference().rounded(steps))


def gdal_words(bench: Bench, *options: str) -> Words:
    """``gdal_pansharpen``: Brovey, cubic."""

    def words(pair: Pair, out: Path) -> list[str]:
        names = ("gdal_pansharpen.py", "gdal_pansharpen")
        program = next((p for p in map(shutil.which, names) if p), None)
        if program is None:
            raise Unavailable("missing", "not installed: apt install gdal-bin python3-gdal")
        threads = ["-threads", str(bench.options.threads)]
        return [program, "-q", *threads, *options, str(pair.pan), str(pair.ms), str(out)]

    return words


def brovey_gate() -> Gate:
    """``ms_up * pan / mean(ms_up)``, what GDAL says it computes."""
    ms, pan = corner(GATE_SIDE)
    ms_up = upsample_ms(ms, RATIO)
    return Gate(ms_up * (pan / ms_up.mean(axis=0)), BROVEY_TOLERANCE)


def _rounds(options: Options) -> int:
    return min(QUICK_ROUNDS if options.quick else ROUNDS, options.rounds)


def _scene_group(bench: Bench, checked: Checked) -> Group:
    options = bench.options
    pair = write_pair(bench.folder, side_of(options.scene_mpx))
    small = write_pair(bench.folder, GATE_SIDE)
    deflate = ["-co", "TILED=YES", "-co", "COMPRESS=DEFLATE", "-co", "PREDICTOR=2"]
    plain = ("--consistency", "0")
    listed: list[tuple[bool, str, Words, Gate]] = [
        (True, f"fuse, consistency 0, --memory {options.memory}",
         fuse_words(bench, options.memory, *plain), fuse_gate(0)),
        (True, f"fuse, --memory {options.memory}",
         fuse_words(bench, options.memory), fuse_gate(None)),
    ]  # fmt: skip
    if not options.quick:
        listed.append((True, "fuse, default memory", fuse_words(bench, "1GiB"), fuse_gate(None)))
    if options.baselines:
        gate, threads = brovey_gate(), f"NUM_THREADS={options.threads}"
        listed += [
            (False, "gdal_pansharpen, as it comes", gdal_words(bench), gate),
            (False, "gdal_pansharpen, compressed as ours",
             gdal_words(bench, *deflate, "-co", threads), gate),
        ]  # fmt: skip
    macs = network_macs(get_model("tiny").variant)

    def rows(outcomes: list[Outcome], roof: roofs.Roof) -> list[Row]:
        return [
            make_row(
                outcome,
                Work(pair.pixels, macs if ours else None),
                ours=ours,
                threads=options.threads,
                roof=roof,
                dtype="uint16",
            )
            for (ours, *_), outcome in zip(listed, outcomes)
        ]

    return timed_group(
        bench,
        level="files",
        name="files",
        title=f"File to file, {pair.side} x {pair.side}, {options.threads} threads",
        note=(
            "Wall time and peak memory of the whole process, start and survey included; files in "
            "the page cache, memory touched before (not for the cold call); every call is a new "
            "process. Right means within one DN of the float64 reference on "
            f"{GATE_SIDE} x {GATE_SIDE}. gdal_pansharpen computes Brovey, another and far simpler "
            "method, and is checked against that."
        ),
        candidates=[
            Command(name, words, pair, small, gate, checked) for _, name, words, gate in listed
        ],
        rows=rows,
        warmup=1,
        rounds=_rounds(options),
    )


def _growth_group(bench: Bench, checked: Checked) -> Group:
    options = bench.options
    sides = [START_SIDE, *(side_of(mpx) for mpx in options.growth_mpx)]
    pairs = [write_pair(bench.folder, side) for side in sides]
    small = write_pair(bench.folder, GATE_SIDE)
    gate, words = fuse_gate(None), fuse_words(bench, options.growth_memory)

    def rows(outcomes: list[Outcome], roof: roofs.Roof) -> list[Row]:
        made: list[Row] = []
        for pair, outcome in zip(pairs, outcomes):
            row = make_row(
                outcome,
                Work(pair.pixels),
                ours=True,
                threads=options.threads,
                roof=roof,
                op=f"{pair.side} x {pair.side}",
                dtype="uint16",
            )
            start = made[0]["median_s"] if made else None
            if start is not None and row["median_s"] is not None:
                row["facts"]["s_per_mpx_without_start"] = (
                    1e6 * (row["median_s"] - start) / pair.pixels
                )
            made.append(row)
        return made

    return timed_group(
        bench,
        level="files",
        name="growth",
        title=f"Growth, --memory {options.growth_memory}, {options.threads} threads",
        note=(
            "The same command on larger and larger scenes under one budget. The smallest is the "
            "start of the program; the others' time without it is in the remark."
        ),
        candidates=[
            Command(f"fuse {pair.side} x {pair.side}", words, pair, small, gate, checked)
            for pair in pairs
        ],
        rows=rows,
        warmup=0,
        rounds=_rounds(options),
    )


def files_groups(bench: Bench) -> Iterator[Group]:
    """Both groups of the level."""
    checked: Checked = {}
    yield _scene_group(bench, checked)
    yield _growth_group(bench, checked)
