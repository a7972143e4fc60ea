"""Level "network": one tile, the package against the runtimes that could run the same model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import roof as roofs
from .candidate import BUFFERS, TOLERANCES, Gate, Outcome, within_one_dn
from .groups import Bench, Group, Row, Work, make_row, timed_group
from .inputs import GATE_SHAPE, Reference, gate_tile, get_model, truth
from .macs import network_macs, pass_bytes
from .remote import TUNED_MALLOC, Remote
from .subject import Job

CALL_SIDE = 128  # of the small image
CALL_ROUNDS = 5  # times the rounds: a call takes milliseconds
NOTE = (
    f"Checked on {GATE_SHAPE[0]} x {GATE_SHAPE[1]} pixels. The package takes uint16 DN, upsamples "
    "MS itself and gives float32 DN; the survey of the input is left out. The baselines get MS "
    "already upsampled and both images as float32 network values, which favours them, and glibc's "
    "malloc tuned to keep memory (see facts in the JSON). Each is timed in turns with the package, "
    "one family at a time: all together need more memory than most machines have. GFLOP/s and "
    "percent of the roof count the network's own multiply-adds, for every row alike. Peak memory "
    "is that of the row's own process, making its graph included."
)


@dataclass(frozen=True)
class Entry:
    """One candidate of a group, before it becomes a worker."""

    name: str
    subject: str
    ours: bool = False
    model: str = "tiny"
    dtype: str = "float32"
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    needs: int = 0  # bytes per pixel, about


OURS = Entry("pantiny", "network", ours=True)
MODES = (
    Entry("pantiny, PANTINY_ISA=avx2", "network", True, environment={"PANTINY_ISA": "avx2"}),
    Entry("pantiny, bf16", "network", True, dtype="bfloat16", options={"precision": "bf16"}),
)


def _baseline(name: str, subject: str, needs: int, dtype: str = "float32", **options: str) -> Entry:
    return Entry(name, subject, dtype=dtype, options=options, environment=TUNED_MALLOC, needs=needs)


# Families; what they need was measured at 1024 x 1024.
BASELINES = {
    "torch eager": [
        _baseline("torch eager, NCHW", "torch", 4000, layout="NCHW"),
        _baseline("torch eager, channels_last", "torch", 4500, layout="channels_last"),
    ],
    "torch.compile": [_baseline("torch.compile", "torch.compile", 4500, layout="NCHW")],
    "ONNX Runtime": [_baseline("ONNX Runtime", "onnxruntime", 8500)],
    "OpenVINO": [
        _baseline("OpenVINO, f32", "openvino", 2500, precision="f32"),
        _baseline("OpenVINO, bf16 hint", "openvino", 2500, "bfloat16", precision="bf16"),
    ],
}


def worker(bench: Bench, entry: Entry, side: int, threads: int, gate: Gate) -> Remote:
    """The worker of an entry on a tile of ``side`` pixels."""
    job = Job(
        subject=entry.subject,
        model=entry.model,
        height=side,
        width=side,
        threads=threads,
        buffers=BUFFERS,
        folder=str(bench.folder),
        options=entry.options,
    )
    return Remote(entry.name, job, gate, entry.environment, entry.needs * side * side)


def _network(
    bench: Bench, entries: list[Entry], *, threads: int, name: str, title: str, note: str
) -> Group:
    side = bench.options.size

    def rows(outcomes: list[Outcome], roof: roofs.Roof) -> list[Row]:
        made = []
        for entry, outcome in zip(entries, outcomes):
            variant = get_model(entry.model).variant
            work = Work(side * side, network_macs(variant), sum(pass_bytes(variant)))
            row = make_row(
                outcome, work, ours=entry.ours, threads=threads, roof=roof, dtype=entry.dtype
            )
            if not entry.ours:
                row["gbytes_per_s"] = row["bytes_per_pixel"] = None  # nobody knows theirs
            made.append(row)
        return made

    candidates = [
        worker(bench, e, side, threads, Gate(truth(e.model, 0), TOLERANCES[e.dtype]))
        for e in entries
    ]
    return timed_group(
        bench,
        level="network",
        name=name,
        title=f"{title}, {side} x {side}, {threads} thread{'s' if threads > 1 else ''}",
        note=note,
        candidates=candidates,
        rows=rows,
        threads=threads,
    )


def _call(bench: Bench) -> Group:
    """A small image through ``pantiny.fuse``."""
    threads = bench.options.threads
    entries = [
        Entry("pantiny.fuse, consistency by default", "call", ours=True),
        Entry("pantiny.fuse, consistency=0", "call", ours=True, options={"consistency": 0}),
    ]
    reference = Reference(get_model("tiny"), gate_tile())
    candidates = []
    for entry in entries:
        gate = within_one_dn(reference.rounded(entry.options.get("consistency")))
        candidates.append(worker(bench, entry, CALL_SIDE, threads, gate))

    def rows(outcomes: list[Outcome], roof: roofs.Roof) -> list[Row]:
        work = Work(CALL_SIDE**2, network_macs(get_model("tiny").variant))
        return [
            make_row(o, work, ours=True, threads=threads, roof=roof, dtype="uint16")
            for o in outcomes
        ]

    return timed_group(
        bench,
        level="network",
        name="call",
        title=f"One call from Python, {CALL_SIDE} x {CALL_SIDE}, {threads} threads",
        note=(
            "pantiny.fuse with every check, uint16 in and out, after 0.1 s of the same calls; the "
            "first call after idling is in the remark. Right means within one DN of "
            "the float64 reference."
        ),
        candidates=candidates,
        rows=rows,
        rounds=CALL_ROUNDS * bench.options.rounds,
        warmup=3,
    )


def network_groups(bench: Bench) -> Iterator[Group]:
    """All groups of the level."""
    threads = bench.options.threads
    families = BASELINES if bench.options.baselines else {}
    for n in (threads, 1) if threads > 1 else (1,):
        name = "network" if n == threads else "network, 1 thread"
        ours = [OURS, *MODES] if n == threads else [OURS]
        note = NOTE if n == threads else "On one thread."
        yield _network(bench, ours, threads=n, name=name, title="Network", note=note)
        for family, entries in families.items():
            yield _network(
                bench,
                [OURS, *entries],
                threads=n,
                name=f"{name}: {family}",
                title=f"Network against {family}",
                note="In turns with the package.",
            )
    yield _network(
        bench,
        [OURS, Entry("pantiny, huge", "network", ours=True, model="huge")],
        threads=threads,
        name="variants",
        title="Variants",
        note="The largest variant, with random weights, beside the default one.",
    )
    yield _call(bench)
