"""``pantiny evaluate`` and ``pantiny assess``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .cli_common import quiet_option, reported, set_verbosity, verbose_option
from .evaluate.indices import FULL_RESOLUTION, INDICES, indices_of, misses

GATE_FAILED = 3


def _options(*options: Any) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_common = _options(
    click.option("--window", type=int, default=32, show_default=True,
                 help="Of D_lambda and D_s, in PAN pixels."),
    click.option("--block", type=int, default=32, show_default=True, help="Of Q2n, in pixels."),
    click.option("--nodata", type=float, help="Marks missing pixels. Default: what the files say."),
    click.option("--json", "json_path", metavar="FILE", help="Write JSON too; - is stdout, alone."),
    click.option("--overwrite", is_flag=True, help="Replace an existing FILE."),
)  # fmt: skip


def _limits(*families: str) -> Callable[[Any], Any]:
    return _options(
        *(
            click.option(f"--{index.option}", f"limit_{index.key}", type=float, metavar="X",
                         help=f"Exit code {GATE_FAILED} where {index.label} misses X.")
            for family in families
            for index in indices_of(family)
        )
    )  # fmt: skip


def _split(options: dict[str, Any]) -> dict[str, float]:
    """The limits, taken out of the options."""
    found = {k: options.pop(f"limit_{k}", None) for k in INDICES}
    return {k: v for k, v in found.items() if v is not None}


def _write(text: str, table: str, json_path: str | None, overwrite: bool) -> None:
    from .paths import check_target

    if json_path == "-":
        click.echo(text)
        return
    if json_path is not None:
        target = check_target(json_path, [], overwrite)
        part = target.with_name(f".{target.name[:60]}.part")
        part.write_text(text + "\n")
        os.replace(part, target)
    click.echo(table)


def _judge(results: dict[str, Any], limits: dict[str, float]) -> None:
    failed = False
    for name, families in results.items():
        values = {k: v for family in families.values() for k, v in family.items()}
        for sentence in misses(values, limits):
            click.echo(f"pantiny: {name}: {sentence}", err=True)
            failed = True
    if failed:
        sys.exit(GATE_FAILED)


@click.command("assess")
@click.argument("images", nargs=-1, required=True, metavar="MS... PAN FUSED")
@click.option("--sensor", help="Gives the MTF gains; see `pantiny info`.")
@_common
@_limits(FULL_RESOLUTION)
@quiet_option
@verbose_option
@reported
def assess_command(
    images: tuple[str, ...],
    quiet: bool,
    verbose: int,
    json_path: str | None,
    overwrite: bool,
    sensor: str | None,
    **options: Any,
) -> None:
    """Full-resolution indices of one product: FUSED against the MS and PAN it was made from.

    Exit code 3 where an index misses its limit.
    """
    set_verbosity(quiet, verbose)
    from .evaluate.measure import assess_files
    from .evaluate.table import json_of, text_of

    if len(images) < 3:
        raise click.UsageError("need MS (one or more files), PAN and FUSED, in this order")
    limits = _split(options)
    *ms, pan, fused = images
    found = assess_files(ms, pan, fused, sensor=sensor, **options)
    results = {Path(fused).stem: {FULL_RESOLUTION: found}}
    text = json_of(results, {"sensor": sensor, **options})
    _write(text, text_of(results), json_path, overwrite)
    _judge(results, limits)


@click.command("evaluate")
@click.argument("what", metavar="FUSED|FOLDER|MANIFEST")
@click.option("--truth", help="The truth of FUSED (reduced resolution).")
@click.option("--ms", multiple=True, help="What FUSED was made from; may be given several times.")
@click.option("--pan", help="What FUSED was made from.")
@click.option("--sensor", help="Gives bits and MTF gains; a manifest's own column wins.")
@click.option("--peak", type=float, help="Largest possible DN, for PSNR and SSIM.")
@click.option("--ratio", type=float, default=4, show_default=True, help="For ERGAS.")
@_common
@_limits(*("with_truth", "full_resolution"))
@quiet_option
@verbose_option
@reported
def evaluate_command(
    what: str,
    truth: str | None,
    ms: tuple[str, ...],
    pan: str | None,
    sensor: str | None,
    quiet: bool,
    verbose: int,
    json_path: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Indices of one product, of a folder of products, or of those that a manifest lists.

    A folder holds NAME_fused.tif and beside it NAME_truth.tif, or NAME_ms.tif and NAME_pan.tif; a
    manifest is CSV or JSON with columns name, fused, truth, ms, pan, sensor. Exit code 3 where an
    index misses its limit.
    """
    set_verbosity(quiet, verbose)
    from .evaluate.products import Product, find_products, measure_product
    from .evaluate.table import json_of, text_of

    limits = _split(options)
    several = Path(what).is_dir() or Path(what).suffix.lower() in (".csv", ".json")
    if several and (truth or ms or pan):
        raise click.UsageError("--truth, --ms and --pan go with one product, not with several")
    if several:
        products = find_products(what)
    else:
        stack: Any = list(ms) if ms else None
        products = [Product(Path(what).stem, what, truth, stack, pan).check()]
    results = {}
    for product in products:
        known = Product(**{**vars(product), "sensor": product.sensor or sensor})
        results[product.name] = measure_product(known, **options)
    text = json_of(results, {"sensor": sensor, **options})
    _write(text, text_of(results), json_path, overwrite)
    _judge(results, limits)
