"""The command line inside the tests' process."""

from __future__ import annotations

import logging
import signal
import warnings
from typing import Any

from click.testing import CliRunner, Result

from pantiny.cli import main

log = logging.getLogger("pantiny")


def command(*words: Any) -> Result:
    """Run ``pantiny WORDS``; what the command changes in the process is put back."""
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            return CliRunner().invoke(main, [str(word) for word in words])
    finally:
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)
        signal.signal(signal.SIGTERM, terminate)
