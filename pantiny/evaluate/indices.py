"""The table of indices: names, units, directions. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WITH_TRUTH, FULL_RESOLUTION = "with_truth", "full_resolution"
VARIANTS = ("alparone08", "toolbox", "pantiny", "torchmetrics")  # of D_lambda and D_s
FAMILIES = {
    WITH_TRUTH: "With truth (reduced resolution)",
    FULL_RESOLUTION: "Without truth (full resolution)",
}


@dataclass(frozen=True)
class Index:
    """One quality index.

    Attributes
    ----------
    key : str
        As in the results and in JSON.
    label, unit : str
    higher : bool
        Whether higher is better.
    ideal : str
    decimals : int
    family : str
    meaning : str
        One line.
    """

    key: str
    label: str
    unit: str
    higher: bool
    ideal: str
    decimals: int
    family: str
    meaning: str

    @property
    def direction(self) -> str:
        return "higher" if self.higher else "lower"

    @property
    def option(self) -> str:
        """Name of the threshold: ``max-d-lambda``, ``min-qnr``."""
        return f"{'min' if self.higher else 'max'}-{self.key.replace('_', '-')}"

    def text(self, value: float | None) -> str:
        if value is None:
            return "-"
        return "inf" if math.isinf(value) else f"{value:.{self.decimals}f}"

    def worst(self, values: Sequence[float]) -> int:
        """Position of the worst value."""
        pick = min if self.higher else max
        return pick(range(len(values)), key=values.__getitem__)

    def misses(self, value: float, limit: float) -> bool:
        """Whether a value is on the wrong side of a limit; NaN always is."""
        return not (value >= limit if self.higher else value <= limit)


def _rows() -> tuple[Index, ...]:
    t, f = WITH_TRUTH, FULL_RESOLUTION
    return (
        Index("psnr", "PSNR", "dB", True, "inf", 2, t, "peak over the error, all bands and pixels"),
        Index("rmse", "RMSE", "DN", False, "0", 3, t, "root mean square error"),
        Index("cc", "CC", "", True, "1", 4, t, "correlation per band, mean"),
        Index("sam", "SAM", "deg", False, "0", 3, t, "angle between spectra, mean over pixels"),
        Index("ergas", "ERGAS", "", False, "0", 3, t, "error relative to the bands' means"),
        Index("scc", "SCC", "", True, "1", 4, t, "agreement of the edges (Sobel)"),
        Index("uqi", "UQI", "", True, "1", 4, t, "universal quality index, windows of 8 pixels"),
        Index("ssim", "SSIM", "", True, "1", 4, t, "structural similarity, Gaussian windows"),
        Index("q2n", "Q2n", "", True, "1", 4, t, "all bands at once, blocks of 32 pixels"),
        Index("d_lambda", "D_lambda", "", False, "0", 4, f, "bands relate otherwise than in MS"),
        Index("d_s", "D_s", "", False, "0", 4, f, "bands relate to PAN otherwise than MS does"),
        Index("qnr", "QNR", "", True, "1", 4, f, "(1 - D_lambda)(1 - D_s)"),
        Index("d_lambda_k", "D_lambda_K", "", False, "0", 4, f, "1 - Q2n of degraded fused and MS"),
        Index("hqnr", "HQNR", "", True, "1", 4, f, "(1 - D_lambda_K)(1 - D_s)"),
        Index("d_s_r", "D_s_R", "", False, "0", 4, f, "1 - R2 of PAN regressed on the bands"),
        Index("rqnr", "RQNR", "", True, "1", 4, f, "(1 - D_lambda_K)(1 - D_s_R)"),
        Index("r_ergas", "R-ERGAS", "", False, "0", 3, f, "ERGAS of degraded fused against MS"),
        Index("r_sam", "R-SAM", "deg", False, "0", 3, f, "SAM of degraded fused against MS"),
        Index("r_q2n", "R-Q2n", "", True, "1", 4, f, "Q2n of degraded fused against MS"),
        Index("d_rho", "D_rho", "", False, "0", 4, f, "1 - local correlation of bands and PAN"),
    )


INDICES: dict[str, Index] = {row.key: row for row in _rows()}


def indices_of(family: str) -> list[Index]:
    """Those of a family, in the order of the table."""
    return [index for index in INDICES.values() if index.family == family]


def misses(
    values: Mapping[str, float], limits: Mapping[str, float], why: Mapping[str, str] | None = None
) -> list[str]:
    """A sentence for each index that is on the wrong side of its limit or was not computed.

    Parameters
    ----------
    values, limits : mapping
        Index -> number.
    why : mapping, optional
        Index -> why it has no value.
    """
    found = []
    for key, limit in limits.items():
        index = INDICES[key]
        side = "at least" if index.higher else "at most"
        if key not in values:
            reason = f" ({why[key]})" if why and key in why else ""
            found.append(f"{key} was not computed{reason}; need {side} {limit:g}")
        elif index.misses(values[key], limit):
            found.append(f"{key} is {values[key]:.6g}; need {side} {limit:g}")
    return found
