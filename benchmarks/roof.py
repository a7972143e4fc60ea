"""What this machine can do right now, measured by the core beside every group.

Two virtual CPUs may share one core for a while, and other tenants come and go: a number
without the roof of the same minute says little.
"""

from __future__ import annotations

from typing import Any

from pantiny.engine import core

MAX_CHANGE = 0.15  # between the probes before and after a group
MIN_SCALING = 0.75  # N threads reach this share of N times one thread, or they share cores

Roof = dict[str, "float | None"]  # fma_gflops, copy_gbytes; None: not measured


def _measured(name: str, threads: int) -> float | None:
    probe = getattr(core(), name, None)
    return None if probe is None else float(probe(threads))


def probe(threads: int, *, copy: bool = True) -> dict[str, Roof]:
    """fp32 multiply-add peak of one thread and of ``threads``, copy bandwidth of ``threads``.

    Parameters
    ----------
    threads : int
    copy : bool
        False leaves the copy out, which takes longest.

    Returns
    -------
    dict
        ``one_thread`` and ``all_threads``, each with ``fma_gflops`` (10^9 FLOP/s with the
        instruction set in use) and ``copy_gbytes`` (10^9 bytes read and written per second);
        None where it is not measured.
    """
    every = _measured("peak_gflops", threads)
    one = every if threads == 1 else _measured("peak_gflops", 1)
    gbytes = _measured("copy_gbytes", threads) if copy else None
    return {
        "one_thread": {"fma_gflops": one, "copy_gbytes": None},
        "all_threads": {"fma_gflops": every, "copy_gbytes": gbytes},
    }


def compare(before: dict[str, Roof], after: dict[str, Roof], threads: int) -> dict[str, Any]:
    """The two probes of a group, their largest relative change, and what is wrong with them.

    The change is that of the multiply-add peaks: they repeat within a few percent on a machine
    that is left alone, the copy does not.

    Returns
    -------
    dict
        ``before``, ``after``, ``change`` (None: not measured), ``flags`` (sentences).
    """
    changes = []
    for which, roof in before.items():
        earlier, later = roof["fma_gflops"], after[which]["fma_gflops"]
        if earlier and later:
            changes.append(abs(later / earlier - 1))
    change = max(changes) if changes else None
    flags = []
    if change is not None and change > MAX_CHANGE:
        flags.append(f"the roof changed by {change:.0%} while this was timed: do not rely on it")
    shared = []
    for when, probe_ in (("before", before), ("after", after)):
        one = probe_["one_thread"]["fma_gflops"]
        every = probe_["all_threads"]["fma_gflops"]
        if one and every and every < MIN_SCALING * threads * one:
            shared.append(f"{every / one:.2f} times {when}")
    if shared:
        flags.append(
            f"{threads} threads reached less than {MIN_SCALING:.0%} of {threads} times the peak "
            f"of one ({', '.join(shared)}): they shared a core"
        )
    return {"before": before, "after": after, "change": change, "flags": flags}


def mean(roof: dict[str, Any], threads: int) -> Roof:
    """The roof of a group for its number of threads: the mean of what was measured."""
    which = "one_thread" if threads == 1 else "all_threads"
    found: Roof = {}
    for quantity in roof["before"][which]:
        values = [roof[when][which][quantity] for when in ("before", "after")]
        measured = [v for v in values if v is not None]
        found[quantity] = sum(measured) / len(measured) if measured else None
    return found
