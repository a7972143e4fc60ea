"""Markdown from the JSON of a run. No row is left out: what loses is printed.

    python -m pantiny.benchmarks.report BENCH.json [--results DIR] [--markdown FILE] [--plot FILE]

Prints the Markdown; ``--results`` files the JSON under the machine's name, ``--plot`` draws the
roofline (.png or .svg).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from pantiny.system import format_bytes

from .groups import Group, Row
from .machine import slug
from .schema import check

DASH = "-"
SMALL = 128 * 128  # pixels of an image whose time is given in milliseconds
JUDGED = {True: "met", False: "**missed**", None: "not judged"}


def _number(value: float | None, digits: int = 3) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f} %"


def _bytes(value: float | None) -> str:
    return DASH if value is None else format_bytes(value)


def table(head: list[str], lines: list[list[str]]) -> list[str]:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return [
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
        *("| " + " | ".join(line) + " |" for line in cells),
    ]


def _time(row: Row) -> str:
    """Median and quartiles in s/Mpx, or milliseconds for what is small."""
    if row["median_s"] is None:
        return row["status"] if row["status"] == "wrong" else DASH
    small = row["pixels"] <= SMALL and row["op"] is None
    factor, unit = (1e3, "ms") if small else (1e6 / row["pixels"], "s/Mpx")
    q1, q3 = row["q1_s"] * factor, row["q3_s"] * factor
    return f"{row['median_s'] * factor:.3f} {unit} ({q1:.3f} to {q3:.3f})"


def loses(row: Row) -> bool:
    """Whether a row that is not ours is faster than ours."""
    return not row["ours"] and row["times_ours"] is not None and row["times_ours"] < 1


def _against(row: Row) -> str:
    """Time over ours."""
    if row["times_ours"] is None:
        return DASH
    text = f"{row['times_ours']:.2f}"
    return f"**{text}**" if loses(row) else text


def _remark(row: Row, repeated: bool) -> str:
    """Why there is no figure, or what one must know about it; a layout only once."""
    facts = row["facts"]
    words = [row["reason"] or ""]
    if "s_per_mpx_without_start" in facts:
        words.append(f"{facts['s_per_mpx_without_start']:.3f} s/Mpx without the start")
    if "after_idle_s" in facts:
        words.append(f"{1e3 * facts['after_idle_s']:.1f} ms after idling")
    words.append("" if repeated else str(facts.get("layout", "")))
    return "; ".join(w for w in words if w)


def group_lines(group: Group) -> list[str]:
    """Heading, table and what must be said of a group."""
    rows: list[Row] = group["rows"]
    with_op = any(row["op"] is not None for row in rows)
    head = ["op"] if with_op else []
    head += ["candidate", "median (quartiles)", "cold s", "GFLOP/s", "of roof", "GB/s"]
    head += ["time / ours", "peak memory", "error", "remark"]
    lines = []
    layout = None
    for row in rows:
        found = row["facts"].get("layout")
        repeated, layout = found == layout, found or layout
        cells = [row["op"] or DASH] if with_op else []
        cells += [row["candidate"], _time(row), _number(row["cold_s"]), _number(row["gflops"], 1)]
        cells += [_percent(row["percent_of_roof"]), _number(row["gbytes_per_s"], 1)]
        cells += [_against(row), _bytes(row["peak_rss_bytes"])]
        cells += [DASH if row["error"] is None else f"{row['error']:.1e}", _remark(row, repeated)]
        lines.append(cells)
    out = [f"### {group['title']}", "", group["note"], "", *table(head, lines), ""]
    out += [f"**Flagged:** {flag}." for flag in group["roof"]["flags"]]
    out.append(_roof_line(group))
    if any(not row["ours"] for row in rows):
        lost = [
            f"{row['op'] + ': ' if row['op'] else ''}{row['candidate']} takes "
            f"{row['times_ours']:.2f} of our time"
            for row in rows
            if loses(row)
        ]
        out += ["", f"Lost by pantiny: {'; '.join(lost) or 'none'}."]
    return [*out, ""]


def _roof_line(group: Group) -> str:
    roof = group["roof"]
    one, every = (roof["before"][k] for k in ("one_thread", "all_threads"))
    last = roof["after"]["all_threads"]
    if every["fma_gflops"] is None:
        fma = "multiply-add peak not measured (the core has no probe)"
    else:
        fma = (
            f"multiply-add peak {every['fma_gflops']:.0f} GFLOP/s before and "
            f"{_number(last['fma_gflops'], 0)} after ({_number(one['fma_gflops'], 0)} on one "
            "thread)"
        )
    if every["copy_gbytes"] is None:
        copy = "copy not measured"
    else:
        copy = f"copy {every['copy_gbytes']:.1f} GB/s"
    rounds = f"{group['rounds']} round{'s' if group['rounds'] > 1 else ''}"
    return f"{rounds}, {group['warmup']} warm-up. Roof of the moment: {fma}; {copy}."


def summary_lines(groups: list[Group]) -> list[str]:
    """All that ran the network on the tile, in one table per number of threads."""
    out = []
    for threads in sorted({g["threads"] for g in groups}, reverse=True):
        seen: dict[str, Row] = {}
        for group in groups:
            if group["threads"] == threads and group["name"].startswith("network"):
                for row in group["rows"]:
                    seen.setdefault(row["candidate"], row)
        head = ["candidate", "median (quartiles)", "time / ours", "of roof", "peak memory"]
        lines = []
        for name, row in seen.items():
            share, peak = _percent(row["percent_of_roof"]), _bytes(row["peak_rss_bytes"])
            lines.append([name, _time(row), _against(row), share, peak])
        plural = "s" if threads > 1 else ""
        out += [f"### Summary, {threads} thread{plural}", "", *table(head, lines), ""]
        out += ['"time / ours" is that of the turns the two were timed in, see below.', ""]
    return out


def target_lines(targets: list[dict[str, Any]]) -> list[str]:
    """Met or missed, with the figure."""
    lines = [
        [
            t["name"],
            t["limit"],
            t["figure"] or "not measured",
            JUDGED[t["met"]],
            _percent(t["percent_of_roof"]),
            t["why"] or "",
        ]
        for t in targets
    ]
    head = ["target", "limit", "measured", "", "of roof", "remark"]
    return ["## Targets", "", *table(head, lines), ""]


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """What the numbers were made on."""
    caches = ", ".join(f"{level} {size}" for level, size in machine["caches"].items())
    versions = ", ".join(f"{k} {v or 'not installed'}" for k, v in machine["versions"].items())
    environment = ", ".join(f"{k}={v}" for k, v in machine["environment"].items())
    lines = [
        ["CPU", f"{machine['cpu']} ({machine['architecture']}), {machine['cores']} cores usable"],
        ["instruction set", f"{machine['isa']} (usable: {', '.join(machine['isa_usable'])})"],
        ["flags", " ".join(machine["flags"]) or DASH],
        ["caches", caches or DASH],
        ["memory", _bytes(machine["memory_bytes"])],
        ["load before", _number(machine["load_1min"], 2)],
        ["system", f"{machine['system']}, kernel {machine['kernel']}"],
        ["compiler of the core", machine["compiler"] or "not known"],
        ["versions", versions],
        ["environment", environment or "nothing that matters is set"],
    ]
    return ["## Machine", "", *table(["", ""], lines), ""]


LEVELS = {
    "op": "Level 1: op",
    "indices": "Quality indices",
    "network": "Level 2: network on a tile",
    "files": "Level 3: file to file",
}


def render(
    result: dict[str, Any], source: str, remake: str | None = None, picture: str | None = None
) -> str:
    """Markdown of a run; ``remake`` is the command that makes the page."""
    machine = result["machine"]
    commit = machine["commit"] or "not a checkout"
    commit += " (with changes)" if machine["dirty"] else ""
    out = [
        "# Speed",
        "",
        f"Made from `{source}`: `{result['command']}`, commit {commit}, {result['date']}"
        f"{', page by `' + remake + '`' if remake else ''}. Median and quartiles of interleaved "
        "rounds; 1 Mpx is 10^6 pixels of the PAN grid; every row was checked against float64 "
        'before it was timed; "of roof" is the share of the multiply-add peak measured before and '
        'after the group; "time / ours" above 1 is slower than pantiny, and what is below is in '
        "bold.",
        "",
        *target_lines(result["targets"]),
    ]
    if picture:
        out += [f"![Roofline of the passes and of the network]({picture})", ""]
    for level, title in LEVELS.items():
        groups = [g for g in result["groups"] if g["level"] == level]
        if groups:
            out += [f"## {title}", ""]
        if level == "network" and groups:
            out += summary_lines(groups)
        for group in groups:
            out += group_lines(group)
    return "\n".join([*out, *machine_lines(machine)]).rstrip() + "\n"


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bench", type=Path, help="bench.json of a run")
    parser.add_argument("--results", type=Path, help="folder to file the JSON in")
    parser.add_argument("--markdown", type=Path, help="write the Markdown here, not to stdout")
    parser.add_argument("--plot", type=Path, help="draw the roofline here: .png or .svg")
    options = parser.parse_args()
    if not options.bench.is_file():
        parser.error(f"bench: {options.bench} is not a file; need the JSON of pantiny bench")
    result = json.loads(options.bench.read_text())
    check(result)
    source = options.bench
    if options.results:
        source = options.results / f"{slug(result['machine'])}.json"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(json.dumps(result, indent=1) + "\n")
    made = f"python -m pantiny.benchmarks.report {source.as_posix()}"
    made += f" --markdown {options.markdown.as_posix()}" if options.markdown else ""
    picture = None
    if options.plot:
        from .plot import draw

        draw(result, options.plot)
        made += f" --plot {options.plot.as_posix()}"
        picture = os.path.relpath(options.plot, (options.markdown or Path("page")).parent)
    text = render(result, source.as_posix(), made, picture)
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
