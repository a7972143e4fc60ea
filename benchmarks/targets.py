"""What the version set out to reach, met or missed, with the figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pantiny.system import format_bytes, parse_bytes

from .groups import Group, Options, Row
from .indices import DISTORTIONS, Q4, SSIM
from .network import BASELINES
from .ops import CONSISTENCY

SIZE, THREADS = 1024, 2  # that the limits are meant for
NO_FIGURE = "not measured"
SCENE_MPX = 16.0
CALL_MS, FILES_SHARE, LINEAR = 10.0, 0.85, 0.05

Target = dict[str, Any]


def target(
    name: str,
    limit: str,
    figure: str | None,
    met: bool | None,
    *,
    row: Row | None = None,
    why: str | None = None,
) -> Target:
    """One line: ``met`` is None where it is not judged, and ``why`` says why."""
    if row and row["flagged"] and why is None:
        why = "measured on an unsteady machine, see the table"
    return {
        "name": name,
        "limit": limit,
        "figure": figure,
        "met": met,
        "why": why,
        "percent_of_roof": row["percent_of_roof"] if row else None,
    }


class Results:
    """Look-up of rows."""

    def __init__(self, groups: list[Group], options: Options) -> None:
        self._groups = {
            group["name"]: [{**r, "flagged": bool(group["roof"]["flags"])} for r in group["rows"]]
            for group in groups
        }
        self.options = options

    def rows(self, group: str) -> list[Row]:
        """Rows of a group; empty where it was not measured."""
        return self._groups.get(group, [])

    def find(self, group: str, candidate: str, op: str | None = None) -> Row | None:
        """A row, timed or not."""
        for row in self.rows(group):
            if row["candidate"] == candidate and (op is None or row["op"] == op):
                return row
        return None

    def unfit(self, threads: int = THREADS, size: bool = True) -> str | None:
        """Why this run's figures cannot be held against the limits."""
        wrong_size = size and self.options.size != SIZE
        wrong_threads = threads > 1 and self.options.threads != threads
        if not (wrong_size or wrong_threads):
            return None
        where = f"{SIZE} x {SIZE} and " if size else ""
        return f"the limit is for {where}{threads} thread{'s' if threads > 1 else ''}"


def _why(row: Row | None, level: str) -> str:
    if row is None:
        return "needs --level all" if level == "all" else f"needs --level {level} or all"
    return str(row["reason"] or "not timed")


def _seconds(
    found: Results, name: str, row: Row | None, limit: float, level: str, threads: int = THREADS
) -> Target:
    """A limit in seconds per megapixel."""
    limit_text = f"<= {limit:g} s/Mpx"
    if row is None or row["s_per_mpx"] is None:
        return target(name, limit_text, None, None, why=_why(row, level))
    value, why = row["s_per_mpx"], found.unfit(threads)
    met = None if why else bool(value <= limit)
    return target(name, limit_text, f"{value:.3f} s/Mpx", met, row=row, why=why)


def _times(found: Results) -> Target:
    name, limit = "network against the best baseline in fp32", ">= 7 times faster"
    if not found.options.baselines:
        return target(name, limit, None, None, why="run without --no-baselines")
    rows = [row for family in BASELINES for row in found.rows(f"network: {family}")]
    rivals = [row for row in rows if not row["ours"] and row["dtype"] == "float32"]
    timed = [row for row in rivals if row["times_ours"] is not None]
    if not timed:
        why = rivals[0]["reason"] if rivals else "needs --level network or all"
        return target(name, limit, None, None, why=why)
    best = min(timed, key=lambda row: float(row["times_ours"]))
    why = found.unfit()
    absent = [row["candidate"] for row in rivals if row not in timed]
    if absent:
        why = f"not all baselines were timed: {', '.join(absent)} missing"
    met = None if why else bool(best["times_ours"] >= 7)
    figure = f"{best['times_ours']:.2f} times ({best['candidate']})"
    share = {**best, "percent_of_roof": None}  # the baseline's is not what is asked
    return target(name, limit, figure, met, row=share, why=why)


def _call(found: Results) -> Target:
    row = next(iter(found.rows("call")), None)
    name, limit = "128 x 128, warm call from Python", f"<= {CALL_MS:g} ms"
    if row is None or row["median_s"] is None:
        return target(name, limit, None, None, why=_why(row, "network"))
    elapsed_ms, why = 1e3 * row["median_s"], found.unfit(size=False)
    met = None if why else bool(elapsed_ms <= CALL_MS)
    return target(name, limit, f"{elapsed_ms:.1f} ms", met, row=row, why=why)


def _variants(found: Results) -> Target:
    row = found.find("variants", "pantiny, huge")
    name, limit = "huge against tiny", "<= 2.5 times the time"
    if row is None or row["times_ours"] is None:
        return target(name, limit, None, None, why=_why(row, "network"))
    why = found.unfit()
    met = None if why else bool(row["times_ours"] <= 2.5)
    return target(name, limit, f"{row['times_ours']:.2f} times", met, row=row, why=why)


def _accuracy(found: Results) -> Target:
    row = found.find("network", "pantiny") or found.find("passes", "pantiny")
    name, limit = "accuracy, relative to float64", "<= 1e-06"
    if row is None or row["error"] is None:
        return target(name, limit, None, None, why=_why(row, "network"))
    return target(name, limit, f"{row['error']:.1e}", bool(row["error"] <= 1e-6))


def _files(found: Results) -> Iterator[Target]:
    row = next(iter(found.rows("files")), None)
    network = found.find("network", "pantiny")
    name = f"file to file, {found.options.scene_mpx:g} Mpx, against the network's rate"
    limit = f">= {FILES_SHARE:.0%}"
    if row is None or not row["s_per_mpx"] or network is None or not network["s_per_mpx"]:
        missing = network if row is not None and row["s_per_mpx"] else row
        yield target(name, limit, None, None, why=_why(missing, "all"))
    else:
        share = network["s_per_mpx"] / row["s_per_mpx"]
        why = found.unfit()
        if found.options.scene_mpx != SCENE_MPX:
            why = f"the limit is for {SCENE_MPX:g} Mpx"
        met = None if why else bool(share >= FILES_SHARE)
        yield target(name, limit, f"{share:.0%}", met, row=row, why=why)
    name, limit = "file to file, peak memory", f"<= {found.options.memory}"
    if row is None or row["peak_rss_bytes"] is None:
        yield target(name, limit, None, None, why=_why(row, "files"))
    else:
        peak = row["peak_rss_bytes"]
        met = bool(peak <= parse_bytes(found.options.memory))
        yield target(name, limit, format_bytes(peak), met)


def _growth(found: Results) -> Iterator[Target]:
    rows = found.rows("growth")
    sizes = ", ".join(f"{s:g}" for s in found.options.growth_mpx)
    name, limit = f"time from {sizes} Mpx, start left out", f"linear within {LINEAR:.0%}"
    rates = [r["facts"].get("s_per_mpx_without_start", 0.0) for r in rows[1:]]
    if len(rates) < 2 or min(rates) <= 0:
        yield target(name, limit, None, None, why=_why(None if not rows else rows[-1], "files"))
    else:
        spread = max(rates) / min(rates) - 1
        figure = f"{spread:.0%} ({min(rates):.3f} to {max(rates):.3f} s/Mpx)"
        small = min(found.options.growth_mpx) < 1
        why = "the limit is for 1 Mpx and more" if small else None
        met = None if small else bool(spread <= LINEAR)
        yield target(name, limit, figure, met, why=why)
    name, budget = f"memory at {sizes} Mpx", found.options.growth_memory
    peaks = [r["peak_rss_bytes"] for r in rows[1:] if r["peak_rss_bytes"] is not None]
    if not peaks:
        why = _why(None if not rows else rows[-1], "files")
        yield target(name, f"bounded by {budget}", None, None, why=why)
    else:
        figure = f"{format_bytes(min(peaks))} to {format_bytes(max(peaks))}"
        met = bool(max(peaks) <= parse_bytes(budget))
        yield target(name, f"bounded by {budget}", figure, met)


def _indices(found: Results) -> Iterator[Target]:
    for op, rival, times in (
        (DISTORTIONS, "torchmetrics", 50),
        (SSIM, "torchmetrics", 20),
        (Q4, "numpy, vectorised", 20),
    ):
        name, limit = f"{op} against {rival}", f">= {times} times faster"
        row = found.find("indices", rival, op)
        if row is None or row["times_ours"] is None:
            why = _why(row, "indices") if found.options.baselines else "run without --no-baselines"
            yield target(name, limit, None, None, why=why)
            continue
        why = found.unfit()
        met = None if why else bool(row["times_ours"] >= times)
        yield target(name, limit, f"{row['times_ours']:.0f} times", met, row=row, why=why)


def targets(groups: list[Group], options: Options) -> list[Target]:
    """Every target, also those that this run cannot judge."""
    found = Results(groups, options)
    network = found.find("network", "pantiny")
    single = found.find("network, 1 thread", "pantiny") if options.threads > 1 else network
    avx2 = found.find("network", "pantiny, PANTINY_ISA=avx2")
    bf16 = found.find("network", "pantiny, bf16")
    steps = found.find("passes", "pantiny", CONSISTENCY)
    return [
        _seconds(found, "network, 2 threads", network, 0.45, "network"),
        _times(found),
        _seconds(found, "network, 1 thread", single, 0.90, "network", 1),
        _seconds(found, "network, AVX2 only, 2 threads", avx2, 1.0, "network"),
        _seconds(found, "network, bf16, 2 threads", bf16, 0.32, "network"),
        _call(found),
        *_files(found),
        _variants(found),
        *_growth(found),
        _seconds(found, f"{CONSISTENCY}, 2 threads", steps, 0.06, "op"),
        _accuracy(found),
        *_indices(found),
    ]
