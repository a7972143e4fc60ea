"""Level "op": the fused segments, which are the passes of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pantiny.kernels.resample.resample_ref import gaussian_radius

from . import roof as roofs
from .candidate import TOLERANCES, Gate, Outcome
from .groups import Bench, Group, Row, Work, make_row, timed_group
from .inputs import gains, get_model, truth
from .macs import RATIO, consistency_macs, pass_bytes, pass_macs, pass_names
from .network import Entry, worker
from .remote import TUNED_MALLOC

STEPS = 2  # of consistency
CONSISTENCY = f"{STEPS} consistency steps"
SETUP = "setup"
NOTE = (
    "Every pass of a plan, from the driver's own report after each of its bands; features are "
    "kept in memory. A result only exists at the end, so it is the whole network's that is "
    "checked. The first pass upsamples MS on its way. torch eager is cut at the same reductions; "
    "it computes v with q and k, one pass earlier than the package does, and the multiply-adds "
    f"of a row are the package's. The row of {CONSISTENCY} is the last pass with them less the "
    "last pass without, round by round."
)


def _difference(with_steps: Outcome, without: Outcome, part: str) -> Outcome:
    """An outcome whose samples are what the steps add to a part."""
    if not (with_steps.ok and without.ok):
        return with_steps if not with_steps.ok else replace(without, name=with_steps.name)
    samples = [a - b for a, b in zip(with_steps.samples[part], without.samples[part])]
    cold = with_steps.cold[part] - without.cold[part]
    return replace(with_steps, samples={part: samples}, cold={part: cold})


def op_groups(bench: Bench) -> Iterator[Group]:
    """The one group of the level."""
    options = bench.options
    variant = get_model("tiny").variant
    side, threads, last = options.size, options.threads, str(variant.blocks)
    entries = [
        Entry("pantiny", "passes", ours=True),
        Entry("pantiny", "passes", ours=True, options={"consistency": STEPS}),
    ]
    if options.baselines:
        eager = Entry("torch eager, NCHW", "torch passes", options={"layout": "NCHW"})
        entries.append(replace(eager, environment=TUNED_MALLOC))
    candidates = [
        worker(
            bench,
            entry,
            side,
            threads,
            Gate(truth("tiny", entry.options.get("consistency", 0)), TOLERANCES[entry.dtype]),
        )
        for entry in entries
    ]

    def rows(outcomes: list[Outcome], roof: roofs.Roof) -> list[Row]:
        made = []
        parts = zip(pass_names(variant), pass_macs(variant), pass_bytes(variant))
        for i, (name, macs, bytes_) in enumerate(parts):
            for entry, outcome in zip(entries, outcomes):
                if "consistency" in entry.options:
                    continue
                row = make_row(
                    outcome,
                    Work(side * side, macs, bytes_),
                    ours=entry.ours,
                    threads=threads,
                    roof=roof,
                    part=str(i),
                    op=name,
                )
                if not entry.ours:
                    row["gbytes_per_s"] = row["bytes_per_pixel"] = None
                made.append(row)
        radius = gaussian_radius(RATIO, gains())
        made.append(
            make_row(
                _difference(outcomes[1], outcomes[0], last),
                Work(side * side, consistency_macs(variant.bands, STEPS, radius)),
                ours=True,
                threads=threads,
                roof=roof,
                part=last,
                op=CONSISTENCY,
            )
        )
        made.append(
            make_row(
                outcomes[0],
                Work(side * side),
                ours=True,
                threads=threads,
                roof=roof,
                part=SETUP,
                op="plan and its memory",
            )
        )
        return made

    yield timed_group(
        bench,
        level="op",
        name="passes",
        title=f"Passes, {side} x {side}, {threads} threads",
        note=NOTE,
        candidates=candidates,
        rows=rows,
    )
