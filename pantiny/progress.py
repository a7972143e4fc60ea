"""Progress: a bar on a terminal, log lines elsewhere, or the caller's function."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("pantiny")
LOG_EVERY_S = 10.0


@contextmanager
def progress_to(
    progress: bool | Callable[[float], None] | None, what: str
) -> Iterator[Callable[[float], None] | None]:
    """What to call with the share done; None where nobody wants to know."""
    if callable(progress):
        yield progress
    elif not progress:
        yield None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(
            total=100,
            desc=what,
            unit="%",
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        ) as bar:

            def draw(share: float) -> None:
                bar.update(100 * share - bar.n)

            yield draw
    else:
        started = last = time.monotonic()

        def tell(share: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= LOG_EVERY_S or share >= 1:
                last = now
                log.info("%s: %.0f %% after %.0f s", what, 100 * share, now - started)

        yield tell
