"""What the commands share: log lines, and our errors as one line and an exit code."""

from __future__ import annotations

import functools
import logging
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click

from .errors import OptionError, PanTinyError
from .paths import printable

log = logging.getLogger("pantiny")


def set_verbosity(quiet: bool, verbose: int) -> None:
    """Log to stderr: errors only, usual lines, or all."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose > 1 else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("pantiny: %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False
    warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn our errors into one line on stderr and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, _terminated)
        try:
            command(*args, **kwargs)
        except OptionError as error:
            click.echo(f"pantiny: error: {printable(str(error))}", err=True)
            sys.exit(2)
        except PanTinyError as error:
            click.echo(f"pantiny: error: {printable(str(error))}", err=True)
            sys.exit(1)
        except KeyboardInterrupt as error:  # its text: what is left all the same
            left = printable(str(error)) or "nothing was left under the output's name"
            click.echo(f"pantiny: interrupted; {left}", err=True)
            sys.exit(130)

    return wrapped


def numbers(_: Any, __: Any, value: str | None) -> tuple[float, ...] | None:
    """Callback of an option that takes numbers."""
    if value is None:
        return None
    try:
        return tuple(float(v) for v in value.split(","))
    except ValueError:
        raise click.BadParameter("need numbers with commas between, for example 1,4,16") from None


quiet_option = click.option("-q", "--quiet", is_flag=True, help="Errors only.")
verbose_option = click.option("-v", "--verbose", count=True, help="More log lines.")
