"""Paths and creation options, checked before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import OptionError, OutputExistsError, SceneWriteError

# Fixed by the inputs, or creating a second file that would not be renamed with the first.
_NOT_OPTIONS = frozenset(
    "driver dtype count height width crs transform nodata tfw rpb rpctxt profile".split()
)


def check_path(path: Any, name: str) -> str:
    """The path as text.

    Raises
    ------
    OptionError
        If it is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(
            f"{name}: got {type(path).__name__}; need the path of a file; for arrays call "
            "pantiny.fuse"
        )
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise OptionError(f"{name}: got {text!r}; need the path of a file; check how it was made")
    return text


def printable(text: str) -> str:
    """One line for a terminal: names of files may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


def is_local(path: str) -> bool:
    """Whether a path is of this machine's file system, not one of GDAL's."""
    return "://" not in path and not path.startswith("/vsi")


def is_special(path: Path) -> bool:
    """Whether a path is a device, a pipe or a socket, or stands for one as /dev/stdout does."""
    try:
        if path.is_symlink() and os.readlink(path).startswith("/proc/"):
            return True
        if os.path.realpath(path.parent).startswith("/proc/"):
            return True
        return path.exists() and not path.is_file() and not path.is_dir()
    except (OSError, ValueError):  # no path at all, which is said elsewhere
        return False


def exists_error(path: Path) -> OutputExistsError:
    """The refusal to overwrite."""
    return OutputExistsError(
        f"out: {path} exists; need a new name, or overwrite=True (--overwrite) to replace it"
    )


def check_target(out: Any, inputs: Sequence[str], overwrite: bool) -> Path:
    """The output path, if it may be written.

    Raises
    ------
    OptionError, OutputExistsError, SceneWriteError
    """
    text = check_path(out, "out")
    if not is_local(text):
        raise OptionError(f"out: got {text}; need a local file; write to one and copy it there")
    path = Path(text)
    try:
        if path.is_dir():
            raise SceneWriteError(f"out: {path} is a folder; need a file name such as sharp.tif")
        if is_special(path):  # a rename would put a file in its place
            raise SceneWriteError(
                f"out: {path} is a device, a pipe or a socket; need a file name such as sharp.tif; "
                "write to a file and copy it there"
            )
        if path.exists():
            for source in map(Path, inputs):
                if source.exists() and path.samefile(source):
                    raise OptionError(f"out: {path} is one of the inputs; need another name")
            if not overwrite:
                raise exists_error(path)
        if not path.parent.is_dir():
            missing = "does not exist; create it first"
            what = "is not a folder; choose another" if path.parent.exists() else missing
            raise SceneWriteError(f"out: folder {path.parent} {what}")
    except OSError as error:
        if isinstance(error, SceneWriteError | OutputExistsError):
            raise
        raise SceneWriteError(
            f"out: {path} cannot be created ({error.strerror or error}); choose another name"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise SceneWriteError(f"out: folder {path.parent} is not writable; choose another")
    return path


def check_creation(creation: Any) -> dict[str, str]:
    """GDAL creation options with keys in lower case.

    Raises
    ------
    OptionError
        If they are no mapping of texts, or name what the inputs fix.
    """
    if creation is None:
        return {}
    if not isinstance(creation, Mapping) or not all(isinstance(k, str) for k in creation):
        raise OptionError(
            f"creation: got {creation!r}; need a dict of GDAL creation options; for example "
            "{'compress': 'zstd'}"
        )
    options = {key.lower(): value for key, value in creation.items()}
    if fixed := _NOT_OPTIONS & options.keys():
        raise OptionError(
            f"creation: got {', '.join(sorted(fixed)).upper()}, which pantiny sets itself; need "
            "options of the GTiff driver such as COMPRESS or BLOCKXSIZE; leave it out, or change "
            "it afterwards with gdal_translate"
        )
    return options
