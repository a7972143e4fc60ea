"""What the harness measures: the protocol, and what became of a candidate."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

WHOLE = "all"  # the part of a candidate that is timed in one piece
BUFFERS = 3  # sets of input and output that take turns, so that no call finds its own in cache

# Largest error allowed, relative to the largest magnitude of the truth.
TOLERANCES = {
    "float32": 1e-5,  # some 80 roundings of 2^-24 in a row, none cancelling
    "bfloat16": 2e-2,  # some five of 2^-8
}


def without_folders(text: str) -> str:
    """One line in which a path is only its last name: results must not describe a disk."""
    return re.sub(r"(?<![\w.])/(?:[^\s/:'\"]+/)+", "", " ".join(text.split()))[:300]


class Unavailable(Exception):
    """A candidate that cannot be measured here.

    Parameters
    ----------
    status : {"missing", "unusable", "failed"}
        Not installed or not in this version; refuses this machine; broke.
    reason : str
        One sentence for the table.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Gate:
    """What a result must agree with before anything is timed.

    Attributes
    ----------
    truth : array
        float64.
    tolerance : float
        Largest difference of any element, relative to the largest magnitude of ``truth``.
    """

    truth: np.ndarray
    tolerance: float

    def error(self, result: np.ndarray) -> float:
        """Worst element; infinite for another shape, NaN or infinity."""
        result = np.asarray(result, np.float64)
        if result.shape != self.truth.shape or not np.isfinite(result).all():
            return float("inf")
        return float(np.abs(result - self.truth).max() / np.abs(self.truth).max())


def within_one_dn(expected: np.ndarray) -> Gate:
    """The gate of integer results, where rounding may go either way."""
    return Gate(expected.astype(np.float64), 1.0 / float(expected.max()))


class Candidate(Protocol):
    """One thing to check and to time."""

    name: str
    gate: Gate
    buffers: int

    def check(self) -> np.ndarray:
        """The result on the gate's image."""

    def prepare(self) -> None:
        """Make ``buffers`` sets of input and output of the size that is timed."""

    def run(self, buffer: int) -> dict[str, float]:
        """One call on a set of buffers: seconds of each part, ``WHOLE`` if there is one."""

    def facts(self) -> dict[str, Any]:
        """What else there is to say: ``peak_rss_bytes``, ``isa``, ``layout``."""

    def close(self) -> None:
        """Give everything back. May be called at any time, and twice."""


@dataclass
class Outcome:
    """What became of a candidate.

    Attributes
    ----------
    status : {"ok", "wrong", "missing", "unusable", "failed"}
    reason : str
        Why it is not "ok".
    error, tolerance : float or None
        Of the gate; None where the gate was not reached.
    cold : dict
        Seconds of each part in the first call at the timed size.
    samples : dict
        Seconds of each part, one per round.
    facts : dict
    """

    name: str
    status: str = "ok"
    reason: str = ""
    error: float | None = None
    tolerance: float | None = None
    cold: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it may be timed."""
        return self.status == "ok"
