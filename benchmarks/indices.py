"""Level "indices": quality indices on a tile, against torchmetrics and numpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import roof as roofs
from .candidate import Gate, Outcome
from .groups import Bench, Group, Row, Work, make_row, timed_group
from .index_images import (
    GATE_SIDE,
    WINDOW,
    distortions_truth,
    gate_images,
    q4_numpy,
    sam_truth,
    ssim_truth,
)
from .inputs import PEAK
from .network import Entry, worker
from .remote import TUNED_MALLOC

EXACT, SINGLE = 1e-9, 5e-3  # errors allowed: float64, and differences of means in float32
DISTORTIONS, SSIM, Q4, SAM = "D_lambda and D_s", "SSIM", "Q4", "SAM"
ROUNDS = 3  # times the rounds: a call takes milliseconds
NOTE = (
    f"Four bands. Checked on {GATE_SIDE} x {GATE_SIDE} pixels against window by window sums in "
    f"float64. The package takes uint16 DN; D_lambda and D_s over every window of {WINDOW} pixels. "
    "torchmetrics takes float32 tensors that are there before the clock starts, PAN at MS scale "
    "among them, which the package is given too; its windows are 11x11 Gaussians, and the row of "
    "our variant of that name computes the same numbers. glibc's malloc is tuned for it. QNR makes "
    "its PAN at MS scale itself. Of every row, the call that is timed follows 0.1 s of "
    "others."
)


def _ours(name: str, index: str) -> Entry:
    return Entry(name, "index", ours=True, options={"index": index})


def _torchmetrics(index: str) -> Entry:
    return Entry("torchmetrics", "torchmetrics", options={"index": index}, environment=TUNED_MALLOC)


def _entries(baselines: bool) -> list[tuple[str, Entry, str, np.ndarray]]:
    """Op, candidate, dtype, truth."""
    images = gate_images()
    ours, theirs = (distortions_truth(images, gaussian=g) for g in (False, True))
    ssim = np.array([np.mean([ssim_truth(f, t, PEAK) for f, t in zip(images.fused, images.truth)])])
    q4 = np.array([q4_numpy(images.fused, images.truth)])
    sam = np.array([sam_truth(images.fused, images.truth)])
    qnr = np.array([(1 - ours[0]) * (1 - ours[1])])
    listed = [
        (DISTORTIONS, _ours("pantiny", "distortions"), "uint16", ours),
        (DISTORTIONS, _ours("pantiny, variant torchmetrics", "distortions, torchmetrics"),
         "uint16", theirs),
        (DISTORTIONS, _torchmetrics("distortions"), "float32", theirs),
        ("QNR", _ours("pantiny", "qnr"), "uint16", qnr),
        (SSIM, _ours("pantiny", "ssim"), "uint16", ssim),
        (SSIM, _torchmetrics("ssim"), "float32", ssim),
        (Q4, _ours("pantiny", "q4"), "uint16", q4),
        (Q4, Entry("numpy, vectorised", "numpy q4"), "float64", q4),
        (SAM, _ours("pantiny", "sam"), "uint16", sam),
        (SAM, _torchmetrics("sam"), "float32", sam),
    ]  # fmt: skip
    return [row for row in listed if baselines or row[1].ours]


def index_groups(bench: Bench) -> Iterator[Group]:
    """The one group of the level."""
    options = bench.options
    listed = _entries(options.baselines)
    candidates = [
        worker(bench, entry, options.size, options.threads,
               Gate(truth, SINGLE if dtype == "float32" else EXACT))
        for _, entry, dtype, truth in listed
    ]  # fmt: skip

    def rows(outcomes: list[Outcome], roof: roofs.Roof) -> list[Row]:
        return [
            make_row(
                outcome,
                Work(options.size**2),
                ours=entry.ours,
                threads=options.threads,
                roof=roof,
                op=op,
                dtype=dtype,
            )
            for (op, entry, dtype, _), outcome in zip(listed, outcomes)
        ]

    yield timed_group(
        bench,
        level="indices",
        name="indices",
        title=f"Quality indices, {options.size} x {options.size}, {options.threads} threads",
        note=NOTE,
        candidates=candidates,
        rows=rows,
        rounds=ROUNDS * options.rounds,
    )
