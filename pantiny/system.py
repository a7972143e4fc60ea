"""What the machine offers: cores, memory, and the words for amounts of memory."""

from __future__ import annotations

import math
import os
import re
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .errors import OptionError

MIB = 1 << 20
DEFAULT_MEMORY = 1 << 30
_UNITS = {"": 1, "B": 1}
for _i, _p in enumerate("KMGT", 1):
    _UNITS[_p] = _UNITS[f"{_p}IB"] = 1 << (10 * _i)
    _UNITS[f"{_p}B"] = 1000**_i


def as_int(value: Any) -> int | None:
    """The integer that an int or a numpy integer is; None for anything else, bool included."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def parse_bytes(value: int | float | str | None) -> int:
    """Bytes from a number or a text such as ``"96MiB"``, ``"1.5 GB"``; None: 1 GiB.

    Raises
    ------
    OptionError
        If it is not a positive amount.
    """
    if value is None:
        return DEFAULT_MEMORY
    if isinstance(value, Real) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 1:
            return int(value)
    elif isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", value)
        if match and match[2].upper() in _UNITS:
            amount = float(match[1]) * _UNITS[match[2].upper()]
            if 1 <= amount < math.inf:
                return int(amount)
    raise OptionError(
        f"memory: got {value!r}; need bytes or a text such as '96MiB' or '2GB'; "
        "leave it out for 1 GiB"
    )


def format_bytes(n: float) -> str:
    """A short text: ``format_bytes(1536 * 1024)`` is ``'1.5 MiB'``."""
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.2f} GiB"


def resident_bytes() -> int:
    """Memory the process holds now (0 where the system does not tell)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def usable_cores() -> int:
    """Cores this process may use: its affinity, capped by the cgroup's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return max(1, cores)


def resolve_threads(threads: int | None) -> int:
    """Number of threads: as asked, else every usable core.

    Raises
    ------
    OptionError
        If it is not a whole number from 1 to 4096.
    """
    if threads is None:
        return usable_cores()
    found = as_int(threads)
    if found is None or not 1 <= found <= 4096:
        raise OptionError(
            f"threads: got {threads!r}; need a whole number from 1 to 4096; "
            "leave it out to use every core this process may use"
        )
    return found
