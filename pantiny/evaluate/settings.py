"""What a product was measured with, and where each setting came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import OptionError, RatioError
from ..grid import RATIO_TOLERANCE
from ..scaling import peak_of
from ..sensors import Sensor, get_sensor

NO_RATIO = "ERGAS needs the ratio; give --ratio, or --ms and --pan"
NO_PEAK = "needs the largest possible DN; give --peak (2047 for 11 bits) or --sensor"

Found = tuple[float | None, str | None]  # a value, and what said it


def find_ratio(given: float | None, of_grids: int | None, tags: Mapping[str, str]) -> Found:
    """PAN pixels per MS pixel: of MS and PAN, else given, else of the product's tag.

    Raises
    ------
    OptionError
        If the given one is no ratio.
    RatioError
        If it contradicts MS and PAN.
    """
    if given is not None and not (1 <= given < math.inf):
        raise OptionError(
            f"ratio: got {given!r}; need PAN pixels per MS pixel, usually 2 to 8; leave it out "
            "where MS and PAN are given"
        )
    if of_grids is not None:
        if given is not None and abs(given / of_grids - 1) > RATIO_TOLERANCE:
            raise RatioError(
                f"ratio: got {given:g}, but MS and PAN give {of_grids}; need the same; leave the "
                "ratio out"
            )
        return float(of_grids), "MS and PAN"
    if given is not None:
        return float(given), "the option"
    tag = _whole(tags.get("PANTINY_RATIO"), 2, 8)
    return (None, None) if tag is None else (float(tag), "tag PANTINY_RATIO")


def find_peak(
    given: float | None,
    sensor: str | Sensor | None,
    dtype: np.dtype,
    tags: Mapping[str, str],
) -> Found:
    """Largest possible value: given, else of the product's tag, the sensor, or uint8.

    Raises
    ------
    OptionError
        If the given one is no peak, or the sensor is unknown.
    """
    known = get_sensor(sensor)  # a wrong name is an error also where a peak is given
    if given is not None:
        if not 0 < given < math.inf:
            raise OptionError(f"peak: got {given!r}; need a number above 0, e.g. 2047 for 11 bits")
        return float(given), "the option"
    bits = _whole(tags.get("PANTINY_BITS"), 1, 16)
    if bits is not None:
        return peak_of(bits), "tag PANTINY_BITS"
    if known is not None:
        return peak_of(known.bits), "the sensor"
    return (255.0, "uint8") if dtype == np.uint8 else (None, None)


def _whole(text: str | None, low: int, high: int) -> int | None:
    """The number of a tag; None where it says something else."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 4):
        return None
    return int(text) if low <= int(text) <= high else None


def said(settings: Mapping[str, Any]) -> str:
    """One line: ``ratio 2 (of MS and PAN), peak 2047 (of the option)``."""
    parts = []
    for key, value in settings.items():
        if value is None or key.endswith("_from") or key in ("fused", "truth", "ms", "pan"):
            continue
        shown = " ".join(f"{v:g}" for v in value) if isinstance(value, list) else value
        if isinstance(value, float):
            shown = f"{value:g}"
        source = settings.get(f"{key}_from")
        parts.append(f"{key.replace('_', ' ')} {shown}" + (f" (of {source})" if source else ""))
    return ", ".join(parts)
