"""``pantiny bench``: measure, judge, write."""

from __future__ import annotations

import datetime
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pantiny.errors import DependencyError, OptionError, OutputExistsError, SceneWriteError
from pantiny.system import as_int, parse_bytes, resolve_threads

from .files import files_groups
from .groups import Bench, Group, Options
from .indices import index_groups
from .inputs import get_model
from .machine import machine
from .network import network_groups
from .ops import op_groups
from .plot import draw
from .report import render
from .schema import check
from .targets import targets

log = logging.getLogger("pantiny")

FORMAT = 1
JSON, MARKDOWN, PLOT = "bench.json", "bench.md", "roofline.png"
LEVELS: dict[str, Callable[[Bench], Iterator[Group]]] = {
    "op": op_groups,
    "indices": index_groups,
    "network": network_groups,
    "files": files_groups,
}
MAX_SIDE, MAX_ROUNDS, MAX_MPX = 8192, 1000, 4096.0
# size, rounds, scene, growth
FULL: tuple[int, int, float, tuple[float, ...]] = (1024, 5, 16.0, (1.0, 4.0, 16.0))
QUICK: tuple[int, int, float, tuple[float, ...]] = (256, 3, 0.25, (0.0625, 0.25))


def _whole(name: str, value: Any, low: int, high: int, multiple: int = 1) -> int:
    found = as_int(value)
    if found is None or not low <= found <= high or found % multiple:
        kind = f"a multiple of {multiple}" if multiple > 1 else "a whole number"
        raise OptionError(
            f"bench: {name} is {value!r}; need {kind} from {low} to {high}; leave --{name} out "
            "for the usual one"
        )
    return found


def _mpx(name: str, value: float) -> float:
    if not 0 < value <= MAX_MPX:
        raise OptionError(
            f"bench: {name} is {value!r}; need megapixels, more than 0 and at most {MAX_MPX:g}; "
            f"leave --{name} out for the usual ones"
        )
    return float(value)


def resolve(
    *,
    level: str = "all",
    size: int | None = None,
    threads: int | None = None,
    rounds: int | None = None,
    quick: bool = False,
    baselines: bool = True,
    scene: float | None = None,
    growth: tuple[float, ...] | None = None,
    memory: str = "3GiB",
    growth_memory: str = "192MiB",
) -> Options:
    """Options with their defaults filled in.

    Raises
    ------
    OptionError
        If one cannot be honoured.
    """
    usual = QUICK if quick else FULL
    if level not in (*LEVELS, "all"):
        raise OptionError(
            f"bench: level is {level!r}; need one of {', '.join(LEVELS)}, all; use --level all"
        )
    for budget in (memory, growth_memory):
        parse_bytes(budget)
    return Options(
        level=level,
        size=_whole("size", usual[0] if size is None else size, 64, MAX_SIDE, 4),
        threads=resolve_threads(threads),
        rounds=_whole("rounds", usual[1] if rounds is None else rounds, 1, MAX_ROUNDS),
        quick=quick,
        baselines=baselines,
        scene_mpx=_mpx("scene", usual[2] if scene is None else scene),
        growth_mpx=tuple(_mpx("growth", g) for g in (usual[3] if growth is None else growth)),
        memory=memory,
        growth_memory=growth_memory,
    )


def _prepare(folder: Path, overwrite: bool) -> None:
    """Make the folder; refuse to replace a result unasked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SceneWriteError(
            f"bench: cannot make the folder {str(folder)!r} ({error.strerror or error}); need a "
            "folder that can be written to; choose another --output"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SceneWriteError(
            f"bench: the folder {str(folder)!r} is not writable; need one that is; choose another "
            "--output"
        )
    present = [name for name in (JSON, MARKDOWN, PLOT) if (folder / name).exists()]
    if present and not overwrite:
        raise OutputExistsError(
            f"bench: {', '.join(present)} already in {str(folder)!r}; need a folder without them; "
            "choose another --output, or give --overwrite to replace them"
        )


def measure_all(options: Options, folder: Path, say: Callable[[str], object]) -> dict[str, Any]:
    """Every level asked for, as the JSON of a result; ``folder`` is for temporary files."""
    block = machine()  # first: the load is that of before
    bench = Bench(options, folder, say)
    chosen = LEVELS if options.level == "all" else {options.level: LEVELS[options.level]}
    groups = [group for level in chosen.values() for group in level(bench)]
    model = get_model("tiny")
    now = datetime.datetime.now(datetime.timezone.utc)
    settings = {**asdict(options), "growth_mpx": list(options.growth_mpx)}
    return {
        "format": FORMAT,
        "command": options.command(),
        "date": now.isoformat(timespec="seconds"),
        "machine": block,
        "settings": settings,
        "model": {"name": model.name, "sha256": model.sha256},
        "groups": groups,
        "targets": targets(groups, options),
    }


def run_bench(output: str | os.PathLike[str], *, overwrite: bool = False, **asked: Any) -> Path:
    """Run the benchmarks and write ``bench.json``, ``bench.md`` and ``roofline.png``.

    Parameters
    ----------
    output : path-like
        Folder; made if it does not exist. Temporary files are made in it too.
    overwrite : bool
        Replace an earlier result.
    **asked
        See ``resolve``.

    Returns
    -------
    Path
        Of the Markdown.

    Raises
    ------
    OptionError, OutputExistsError, SceneWriteError, BackendError
    """
    options = resolve(**asked)
    folder = Path(output)
    _prepare(folder, overwrite)
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        result = measure_all(options, Path(work).resolve(), lambda text: log.info("%s", text))
    check(result)
    picture: str | None = PLOT
    try:
        draw(result, folder / PLOT)
    except DependencyError as error:
        (folder / PLOT).unlink(missing_ok=True)  # of an earlier result
        picture = None
        log.info("%s", error)
    try:
        (folder / JSON).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
        (folder / MARKDOWN).write_text(render(result, JSON, picture=picture))
    except OSError as error:
        raise SceneWriteError(
            f"bench: cannot write into {str(folder)!r} ({error.strerror or error}); need a "
            "writable folder with free space; choose another --output"
        ) from error
    return folder / MARKDOWN
