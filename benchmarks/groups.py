"""Groups: candidates that are timed in turns, with the roof measured before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import roof as roofs
from .candidate import WHOLE, Candidate, Outcome
from .harness import SETTLE_S, Say, measure

SETTLE_ALONE_S = 0.02  # our own threads sleep at once

Row = dict[str, Any]
Group = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Attributes
    ----------
    level : {"op", "indices", "network", "files", "all"}
    size : int
        Side of the tile.
    threads, rounds : int
    quick, baselines : bool
    scene_mpx : float
        Of the file to file runs, in units of 1024 x 1024 pixels.
    growth_mpx : tuple of float
        Likewise, of the memory growth.
    memory, growth_memory : str
        Budgets of the ``fuse`` commands.
    """

    level: str
    size: int
    threads: int
    rounds: int
    quick: bool
    baselines: bool
    scene_mpx: float
    growth_mpx: tuple[float, ...]
    memory: str
    growth_memory: str

    def command(self) -> str:
        """The command that repeats the run."""
        words = [f"pantiny bench --level {self.level} --size {self.size} -j {self.threads}"]
        words += ["--quick"] if self.quick else []
        words += [f"--rounds {self.rounds}", "" if self.baselines else "--no-baselines"]
        if self.level in ("files", "all"):
            sizes = ",".join(f"{s:g}" for s in self.growth_mpx)
            words.append(f"--scene {self.scene_mpx:g} --memory {self.memory}")
            words.append(f"--growth {sizes} --growth-memory {self.growth_memory}")
        return " ".join(w for w in words if w)


@dataclass(frozen=True)
class Bench:
    """Options, a folder for temporary files and where progress goes."""

    options: Options
    folder: Path
    say: Say


@dataclass(frozen=True)
class Work:
    """What one call of a candidate is worth.

    Attributes
    ----------
    pixels : int
        Of the PAN grid.
    macs : int or None
        Multiply-adds per pixel, nominal: the same for every candidate.
    bytes_per_pixel : float or None
        That must cross memory, likewise.
    """

    pixels: int
    macs: int | None = None
    bytes_per_pixel: float | None = None


def make_row(
    outcome: Outcome,
    work: Work,
    *,
    ours: bool,
    threads: int,
    roof: roofs.Roof,
    part: str = WHOLE,
    op: str | None = None,
    dtype: str = "float32",
) -> Row:
    """The JSON of one line of a table."""
    samples = outcome.samples.get(part, [])
    median, q1, q3 = (
        (float(np.percentile(samples, q)) for q in (50, 25, 75)) if samples else (None,) * 3
    )
    # a difference of two times can be zero or less where it is noise
    rate = work.pixels / median if median is not None and median > 0 else None
    gflops = rate * 2e-9 * work.macs if rate and work.macs else None
    gbytes = rate * 1e-9 * work.bytes_per_pixel if rate and work.bytes_per_pixel else None
    peak = roof["fma_gflops"]
    facts = dict(outcome.facts)
    return {
        "candidate": outcome.name,
        "ours": ours,
        "op": op,
        "status": outcome.status,
        "reason": outcome.reason or None,
        "dtype": dtype,
        "threads": threads,
        "pixels": work.pixels,
        "macs_per_pixel": work.macs,
        "bytes_per_pixel": work.bytes_per_pixel,
        "error": outcome.error,
        "tolerance": outcome.tolerance,
        "cold_s": outcome.cold.get(part) if samples else None,
        "samples_s": samples,
        "median_s": median,
        "q1_s": q1,
        "q3_s": q3,
        "s_per_mpx": None if median is None else 1e6 * median / work.pixels,
        "gflops": gflops,
        "gbytes_per_s": gbytes,
        "percent_of_roof": 100 * gflops / peak if gflops and peak else None,
        "times_ours": None,
        "peak_rss_bytes": facts.pop("peak_rss_bytes", None),
        "facts": facts,
    }


def compare_with_ours(rows: list[Row]) -> None:
    """Fill ``times_ours``: time per pixel over that of our first timed row of the same op."""
    for row in rows:
        same = [r for r in rows if r["ours"] and r["op"] == row["op"] and r["s_per_mpx"]]
        if same and row is not same[0] and row["s_per_mpx"] and same[0]["s_per_mpx"] > 0:
            row["times_ours"] = row["s_per_mpx"] / same[0]["s_per_mpx"]


def timed_group(
    bench: Bench,
    *,
    level: str,
    name: str,
    title: str,
    note: str,
    candidates: Sequence[Candidate],
    rows: Callable[[list[Outcome], roofs.Roof], list[Row]],
    threads: int | None = None,
    warmup: int = 1,
    rounds: int | None = None,
) -> Group:
    """Time candidates together; ``rows`` turns what became of them into JSON."""
    options = bench.options
    threads = options.threads if threads is None else threads
    rounds = options.rounds if rounds is None else rounds
    bench.say(f"== {title}")
    probes: list[dict[str, roofs.Roof]] = []
    outcomes = measure(
        candidates,
        rounds=rounds,
        warmup=warmup,
        settle_s=SETTLE_S if options.baselines else SETTLE_ALONE_S,
        say=bench.say,
        beside=lambda: probes.append(roofs.probe(options.threads, copy=not probes)),
    )
    roof = roofs.compare(probes[0], probes[1], options.threads)
    made = rows(outcomes, roofs.mean(roof, threads))
    compare_with_ours(made)
    for flag in roof["flags"]:
        bench.say(flag)
    return {
        "level": level,
        "name": name,
        "title": title,
        "note": note,
        "threads": threads,
        "rounds": rounds,
        "warmup": warmup,
        "roof": roof,
        "rows": made,
    }
