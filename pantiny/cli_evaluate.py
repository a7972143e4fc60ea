"""``pantiny evaluate`` and ``pantiny assess``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_common import numbers, quiet_option, reported, set_verbosity, verbose_option
from .evaluate.indices import FULL_RESOLUTION, INDICES, VARIANTS, WITH_TRUTH, indices_of, misses

if TYPE_CHECKING:
    from .evaluate.outputs import Outputs

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
    click.option("--gains", callback=numbers,
                 help="MTF gain of each band, e.g. 0.34,0.32,0.3,0.22. Default: the sensor's."),
    click.option("--variant", type=click.Choice(VARIANTS), default=VARIANTS[0], show_default=True,
                 help="Of D_lambda, D_s, QNR, HQNR; the others take whole images into memory."),
    click.option("--min-coverage", type=click.FloatRange(0, 1), metavar="X",
                 help=f"Exit code {GATE_FAILED} where a product has less of the truth's (or PAN's) "
                 "valid pixels, 0 to 1."),
    click.option("--nodata", type=float, help="Marks missing pixels. Default: what the files say."),
    click.option("--json", "json_path", metavar="FILE", help="Write JSON too; - is stdout, alone."),
    click.option("--html", "html_path", metavar="FILE",
                 help="Write a page with pictures, error maps and a swipe comparison."),
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


def _write(
    products: Sequence[Any], results: dict[str, Any], options: dict[str, Any], outputs: Outputs
) -> None:
    from .evaluate.table import json_of, text_of

    texts: dict[str, str] = {}
    if outputs.html_path is not None:
        from .evaluate.pictures import draw, on_one_scale
        from .evaluate.report import html_of

        drawn = {
            p.name: draw(p, options["nodata"], options["gains"])
            for p in products
            if results[p.name].error is None
        }
        texts[outputs.html_path] = html_of(results, on_one_scale(drawn), options)
    shown = json_of(results, options)
    if outputs.json_path != "-":
        if outputs.json_path is not None:
            texts[outputs.json_path] = shown + "\n"
        shown = text_of(results)
    outputs.write(texts)
    click.echo(shown)


def _judge(results: dict[str, Any], limits: dict[str, float], least_coverage: float | None) -> None:
    """Exit 1 where a product could not be measured, else 3 where one misses a limit."""
    from .paths import printable

    failed = False
    for name, result in results.items():
        if result.error is not None:
            continue
        sentences = misses(result.flat, limits, result.left_out)
        if least_coverage is not None and not result.coverage.share >= least_coverage:
            share = f"{result.coverage.share:.6g}"
            sentences.append(f"coverage is {share}; need at least {least_coverage:g}")
        for sentence in sentences:
            click.echo(f"pantiny: {printable(name)}: {sentence}", err=True)
            failed = True
    broken = sum(r.error is not None for r in results.values())
    if broken:
        click.echo(f"pantiny: {broken} of {len(results)} products not measured", err=True)
        sys.exit(1)
    if failed:
        sys.exit(GATE_FAILED)


def _run(
    products: Sequence[Any],
    several: bool,
    options: dict[str, Any],
    outputs: Outputs,
) -> None:
    """Measure, write, judge."""
    from .evaluate.run import measure_product, measure_products

    limits, least_coverage = _split(options), options.pop("min_coverage")
    if several:
        results = measure_products(products, **options)
    else:
        results = {p.name: measure_product(p, **options) for p in products}
    try:
        _write(products, results, options, outputs)
        _judge(results, limits, least_coverage)
    except KeyboardInterrupt:
        done = ", ".join(outputs.complete)
        raise KeyboardInterrupt(f"complete: {done}" if done else "") from None


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
    html_path: str | None,
    overwrite: bool,
    sensor: str | None,
    **options: Any,
) -> None:
    """Full-resolution indices of one product: FUSED against the MS and PAN it was made from.

    Exit code 3 where an index or the coverage misses its limit.
    """
    set_verbosity(quiet, verbose)
    from .evaluate.outputs import Outputs
    from .evaluate.products import Product

    if len(images) < 3:
        raise click.UsageError("need MS (one or more files), PAN and FUSED, in this order")
    *ms, pan, fused = images
    product = Product(Path(fused).stem, fused, None, list(ms), pan, sensor)
    outputs = Outputs(json_path, html_path, overwrite)
    outputs.check([product])
    _run([product], False, options, outputs)


@click.command("evaluate")
@click.argument("what", metavar="FUSED|FOLDER|MANIFEST")
@click.option("--truth", help="The truth of FUSED (reduced resolution).")
@click.option("--ms", multiple=True, help="What FUSED was made from; may be given several times.")
@click.option("--pan", help="What FUSED was made from.")
@click.option("--sensor", help="Gives bits and MTF gains; a manifest's own column wins.")
@click.option(
    "--peak",
    type=float,
    help="Largest possible DN, for PSNR and SSIM. Default: of the product's tag or the sensor.",
)
@click.option(
    "--ratio",
    type=float,
    help="For ERGAS. Default: of MS and PAN, or the product's tag; a manifest's own column wins.",
)
@_common
@_limits(WITH_TRUTH, FULL_RESOLUTION)
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
    html_path: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Indices of one product, of a folder of products, or of those that a manifest lists.

    A folder holds NAME_fused.tif and beside it NAME_truth.tif, or NAME_ms.tif and NAME_pan.tif; a
    manifest is a .csv or .json with columns name, fused, truth, ms, pan, sensor, ratio. Exit code
    1 where a product could not be measured (the others are), 3 where an index or the coverage
    misses its limit.
    """
    set_verbosity(quiet, verbose)
    from .evaluate.outputs import Outputs
    from .evaluate.products import Product, find_products
    from .evaluate.run import check_exists
    from .sensors import get_sensor

    check_exists(what)
    get_sensor(sensor)  # unknown ones are refused for all products at once
    several = Path(what).is_dir() or Path(what).suffix.lower() in (".csv", ".json")
    if several and (truth or ms or pan):
        raise click.UsageError("--truth, --ms and --pan go with one product, not with several")
    if several:
        products = find_products(what)
    else:
        stack: Any = list(ms) if ms else None
        products = [Product(Path(what).stem, what, truth, stack, pan)]
    products = [replace(p, sensor=p.sensor or sensor) for p in products]
    outputs = Outputs(json_path, html_path, overwrite)
    outputs.check(products, what)
    _run(products, several, options, outputs)
