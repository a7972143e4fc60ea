"""Which index, with which arguments, on which case. ``@name`` stands for an image of the case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import inputs

WITH_TRUTH = ("fused", "truth")
WITH_MS = ("fused", "ms")
WITH_BOTH = ("fused", "ms", "pan")
WITH_PAN = ("fused", "pan")

IMAGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("psnr", "rmse", "cc", "sam", "ergas", "scc", "uqi", "ssim", "q2n"), WITH_TRUTH
    ),
    **dict.fromkeys(("d_lambda", "d_lambda_k", "r_ergas", "r_sam", "r_q2n"), WITH_MS),
    **dict.fromkeys(("d_s", "qnr", "hqnr", "rqnr"), WITH_BOTH),
    **dict.fromkeys(("d_s_r", "d_rho"), WITH_PAN),
}

RTOL = 1e-10
# Indices whose value may be nothing but rounding, and what rounding may make of it.
# An arccosine near 1 loses half the digits: arccos(1 - 2^-53) is 1.5e-8 rad, 8.5e-7 degrees.
ATOL = {"sam": 2e-6, "r_sam": 2e-6, "rmse": 0.0}
# Resampled values near 60000 carry errors of some 1e-11, a texture of 1 DN sees them squared.
RTOL_OF_RESAMPLED_DIM = 1e-8
RESAMPLED = ("d_s", "qnr", "hqnr", "rqnr", "d_lambda_k", "r_ergas", "r_sam", "r_q2n")


@dataclass(frozen=True)
class Entry:
    index: str
    case: str
    arguments: dict[str, Any]

    @property
    def images(self) -> tuple[str, ...]:
        return IMAGES[self.index]

    @property
    def rtol(self) -> float:
        resampled = self.index in RESAMPLED or self.arguments.get("variant") == "toolbox"
        return RTOL_OF_RESAMPLED_DIM if self.case == "dim" and resampled else RTOL

    @property
    def atol(self) -> float:
        return ATOL.get(self.index, 1e-12)

    def title(self) -> str:
        words = (f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.index}({', '.join(words)})"


def with_truth(case: str) -> Iterator[tuple[str, dict[str, Any]]]:
    peak, ratio = inputs.cases()[case].peak, inputs.cases()[case].ratio
    yield "psnr", {"peak": peak}
    yield "rmse", {}
    yield "cc", {}
    yield "sam", {"units": "degrees"}
    yield "ergas", {"ratio": ratio}
    yield "scc", {}
    yield "uqi", {"window": 8, "stride": 1}
    yield "uqi", {"window": 8, "stride": 8}
    yield "ssim", {"peak": peak}
    yield "q2n", {"block": 32}
    yield "q2n", {"block": 8}


def without_truth(case: str, window: int) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "d_lambda", {"variant": "alparone08", "window": window}
    yield "d_lambda", {"variant": "toolbox", "window": window}
    yield "d_s", {"variant": "alparone08", "window": window}
    yield "d_s", {"variant": "alparone08", "window": window, "pan_low": "@pan_low"}
    yield "d_s", {"variant": "toolbox", "window": window}
    yield "qnr", {"variant": "alparone08", "window": window}
    yield "d_lambda_k", {}
    yield "d_s_r", {}
    yield "hqnr", {"window": window}
    yield "rqnr", {}
    yield "r_ergas", {}
    yield "r_sam", {}
    yield "r_q2n", {}
    yield "d_rho", {"ratio": inputs.cases()[case].ratio}


def masked() -> Iterator[tuple[str, dict[str, Any]]]:
    for index, arguments in with_truth("masked"):
        if arguments.get("block") != 32:  # no block of 32 is without a pixel left out
            yield index, {**arguments, "mask": "@mask"}


def as_torchmetrics(case: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "d_lambda", {"variant": "torchmetrics"}
    yield "d_s", {"variant": "torchmetrics"}
    yield "d_s", {"variant": "torchmetrics", "pan_low": "@pan_low"}
    yield "qnr", {"variant": "torchmetrics"}


def as_published(case: str, window: int) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "d_lambda", {"variant": "pantiny", "window": window}
    yield "d_s", {"variant": "pantiny", "window": window}
    yield "qnr", {"variant": "pantiny", "window": window}


def options_on_base() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "sam", {"units": "radians"}
    yield "uqi", {"window": 5, "stride": 5}
    yield "q2n", {"block": 16, "round_to_uint16": True}
    yield "d_s", {"variant": "alparone08", "window": 8}
    for index in ("d_lambda_k", "r_ergas", "r_sam", "r_q2n"):
        yield index, {"gains": [0.36, 0.31, 0.27, 0.2]}
        yield index, {"sensor": "QB"}
    yield "d_lambda_k", {"block": 8}
    yield "rqnr", {"sensor": "QB"}


def options_on_three() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "uqi", {"window": 16, "stride": 1}
    yield "d_lambda", {"variant": "alparone08", "window": 8, "p": 2}
    yield "d_lambda", {"variant": "alparone08", "window": 4}
    yield "d_s", {"variant": "alparone08", "window": 8, "q": 2}
    yield "d_s", {"variant": "toolbox", "window": 8, "pan_low": "@pan_low"}
    yield "qnr", {"variant": "alparone08", "window": 8, "alpha": 2, "beta": 0.5}
    yield "qnr", {"variant": "alparone08", "window": 8, "pan_low": "@pan_low"}
    yield "qnr", {"variant": "toolbox", "window": 8}
    yield "hqnr", {"variant": "toolbox", "window": 8}


def options_elsewhere() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "byte", "q2n", {"block": 16, "round_to_uint16": True}
    yield "tiny", "q2n", {"block": 16, "round_to_uint16": True}
    yield "eight", "d_lambda_k", {"sensor": "WV3-8"}
    yield "eight", "d_s", {"variant": "alparone08", "window": 8, "sensor": "WV3-8"}
    yield "eight", "hqnr", {"window": 8, "sensor": "WV3-8"}
    # one band has no pair, so neither D_lambda nor QNR
    for variant in ("alparone08", "toolbox"):
        yield "one", "d_s", {"variant": variant, "window": 9}
    for index in ("d_lambda_k", "d_s_r", "r_ergas", "r_q2n"):
        yield "one", index, {}
    yield "one", "d_rho", {"ratio": 3}
    # without texture: only what no rounding can tip
    yield "flat", "d_lambda", {"variant": "alparone08", "window": 16}
    yield "flat", "d_s", {"variant": "alparone08", "window": 16}
    yield "flat", "d_rho", {"ratio": 4}
    yield "flat", "d_s_r", {}
    yield "five", "r_q2n", {}


def entries() -> list[Entry]:
    out = []
    for case in inputs.cases():
        if case == "masked":
            continue
        out += [Entry(index, case, arguments) for index, arguments in with_truth(case)]
    for case, window in (
        ("base", 16),
        ("three", 8),
        ("eight", 8),
        ("dim", 16),
        ("tiny", 8),
        ("batch", 8),
    ):
        out += [Entry(i, case, a) for i, a in without_truth(case, window)]
    out += [Entry(i, "masked", a) for i, a in masked()]
    for case in ("three", "eight", "byte"):
        out += [Entry(i, case, a) for i, a in as_torchmetrics(case)]
    out += [Entry(i, "byte", a) for i, a in as_published("byte", 8)]
    out += [Entry(i, "base", a) for i, a in options_on_base()]
    out += [Entry(i, "three", a) for i, a in options_on_three()]
    out += [Entry(i, c, a) for c, i, a in options_elsewhere()]
    return out
