"""Indices put together of parts, some of which a mask may have left nothing of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError


class Absent(NamedTuple):
    """In place of a value: why there is none."""

    reason: str


class Gather:
    """Values by name, and what is missing.

    Attributes
    ----------
    values : dict of float
    missing : dict of str
        The reason for each index without a value.
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.missing: dict[str, str] = {}

    def part(self, compute: Callable[[], Any]) -> Any:
        """What ``compute`` gives, or an `Absent` where it raises DataError."""
        try:
            return compute()
        except DataError as error:
            return Absent(str(error))

    def index(self, name: str, value: Callable[..., float], *parts: Any) -> Any:
        """The value from its parts; missing where one of them is."""
        for part in parts:
            if isinstance(part, Absent):
                self.missing[name] = part.reason
                return part
        self.values[name] = found = value(*parts)
        return found

    def result(self) -> dict[str, float]:
        """The values.

        Raises
        ------
        DataError
            If there are none, or one is NaN.
        """
        if not self.values:
            raise DataError(next(iter(self.missing.values())))
        bad = [name for name, value in self.values.items() if np.isnan(value)]
        if bad:
            raise DataError(
                f"{', '.join(bad)}: the index is NaN; an image holds NaN or infinity; mark such "
                "pixels with mask="
            )
        return self.values


def mean(values: np.ndarray) -> float:
    """Of all values."""
    return float(values.mean())


def degrees(angle: float) -> float:
    """Of radians."""
    return float(np.degrees(angle))


def apart(fine: np.ndarray, coarse: np.ndarray) -> float:
    """Mean absolute difference; 0 of none."""
    return float(np.abs(fine - coarse).mean()) if len(fine) else 0.0
