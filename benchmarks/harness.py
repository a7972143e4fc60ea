"""Gate, warm-up, interleaved rounds: the part that no candidate can influence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .candidate import Candidate, Outcome, Unavailable

SETTLE_S = 0.1  # threads of the last candidate that spin for work give up within this
SAID = 10  # rounds of a group that are reported, at most
Say = Callable[[str], object]


def turns(count: int, round_: int) -> list[int]:
    """The order of a round: every round starts one candidate further."""
    return [(round_ + i) % count for i in range(count)]


def _quietly(_: str) -> None:
    pass


def _nothing() -> None:
    pass


def _gated(candidate: Candidate, say: Say) -> Outcome:
    """Check a candidate and, if it is right, prepare its buffers."""
    outcome = Outcome(candidate.name, tolerance=candidate.gate.tolerance)
    try:
        error = candidate.gate.error(candidate.check())
        # JSON has no infinity
        outcome.error = error if error < float("inf") else None
        if error > candidate.gate.tolerance:
            found = f"{error:.2g}" if outcome.error is not None else "not finite, or another shape"
            outcome.status = "wrong"
            outcome.reason = (
                f"wrong result: error {found}, allowed {candidate.gate.tolerance:.2g}; not timed"
            )
        else:
            candidate.prepare()
    except Unavailable as unavailable:
        outcome.status, outcome.reason = unavailable.status, unavailable.reason
    if not outcome.ok:
        candidate.close()
    say(f"{candidate.name}: {outcome.reason or f'right to {outcome.error:.1e}'}")
    return outcome


def measure(
    candidates: Sequence[Candidate],
    *,
    rounds: int,
    warmup: int = 1,
    settle_s: float = SETTLE_S,
    say: Say = _quietly,
    beside: Callable[[], object] = _nothing,
) -> list[Outcome]:
    """Check every candidate, then time the right ones in turns.

    Parameters
    ----------
    candidates : sequence of Candidate
        Closed when this returns or raises.
    rounds : int
        Samples per candidate.
    warmup : int
        Calls before the first sample; the first is kept as the cold one.
    settle_s : float
        Pause before every timed call.
    say : callable
        Gets lines on what goes on.
    beside : callable
        Called right before the first call and right after the last: measures the roof.

    Returns
    -------
    list of Outcome
        One per candidate, in the order given, whatever became of it.
    """
    try:
        outcomes = [_gated(candidate, say) for candidate in candidates]
        calls = [0] * len(candidates)

        def call(i: int) -> dict[str, float]:
            """Seconds of the next call of a candidate, which fails for good or answers."""
            time.sleep(settle_s)
            buffer = calls[i] % candidates[i].buffers
            calls[i] += 1
            try:
                return candidates[i].run(buffer)
            except Unavailable as unavailable:
                outcomes[i].status, outcomes[i].reason = unavailable.status, unavailable.reason
                outcomes[i].samples.clear()
                candidates[i].close()
                say(f"{candidates[i].name}: {unavailable.reason}")
                return {}

        beside()
        for i, outcome in enumerate(outcomes):
            for _ in range(warmup):
                if outcome.ok:
                    seconds = call(i)
                    outcome.cold = outcome.cold or seconds
        for round_ in range(rounds):
            said = []
            for i in turns(len(candidates), round_):
                if not outcomes[i].ok:
                    continue
                for part, seconds_ in call(i).items():
                    outcomes[i].samples.setdefault(part, []).append(seconds_)
                if outcomes[i].ok:
                    total = sum(s[-1] for s in outcomes[i].samples.values())
                    said.append(f"{candidates[i].name} {total:.3f} s")
            if (round_ + 1) % -(-rounds // SAID) == 0:
                say(f"round {round_ + 1} of {rounds}: {', '.join(said) or 'nothing to time'}")
        beside()
        for candidate, outcome in zip(candidates, outcomes):
            if outcome.ok:
                outcome.facts = candidate.facts()
        return outcomes
    finally:
        for candidate in candidates:
            candidate.close()
