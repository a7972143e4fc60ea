"""The command line. Data to stdout only when asked; progress and logs to stderr.

Exit codes: 0 done, 1 failed, 2 bad usage, 3 a product missed a limit, 130 interrupted.
"""

from __future__ import annotations

import copy
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from . import __version__
from .cli_common import numbers, quiet_option, reported, set_verbosity, verbose_option
from .cli_evaluate import assess_command, evaluate_command

log = logging.getLogger("pantiny")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pantiny")
def main() -> None:
    """Pan-sharpen satellite images with a small neural network."""


def _creation(_: Any, __: Any, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [v.partition("=") for v in values]
    for key, equals, _value in pairs:
        if not equals or not key:
            raise click.BadParameter("need KEY=VALUE, for example --co COMPRESS=ZSTD")
    return {key: value for key, _, value in pairs}


@main.command("fuse")
@click.argument("inputs", nargs=-1, required=True, metavar="MS.tif [MS2.tif ...] PAN.tif OUT.tif")
@click.option(
    "--method",
    type=click.Choice(["pantiny", "cubic", "brovey", "gsa", "mtf-glp-hpm", "mtf-glp-hpm-r"]),
    default="pantiny",
    show_default=True,
    help="The network, or a classical method as a yardstick.",
)
@click.option("--model", default="tiny", show_default=True, help="Packaged name or model file.")
@click.option("--sensor", help="Sensor of the table: gives bit depth and MTF gains.")
@click.option("--bit-depth", "bits", type=int, help="Bits of the DN, 1 to 16.")
@click.option("--bands", help="Band names in file order, e.g. red,green,blue,nir or rgbn.")
@click.option("--nodata", type=float, help="Missing pixels in both inputs and the output.")
@click.option(
    "--extent",
    type=click.Choice(["intersection", "union", "error"]),
    default="intersection",
    show_default=True,
    help="What to do where the two do not cover the same ground.",
)
@click.option("--consistency", type=int, help="Back-projection steps, 0 to 8.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="16 bits: operands of products. On the CPU bf16 where it has them; fp16 on a GPU.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: the CPU, or the GPUs of --device.",
)
@click.option("--device", help="GPUs that share the scene, e.g. 0 or 0,1.")
@click.option("-j", "--threads", type=int, help="Default: every usable core.")
@click.option(
    "--memory", default="1GiB", show_default=True, help="Bound on the whole process, e.g. 96MiB."
)
@click.option("--tile", type=int, help="Side of a tile in pixels; never changes the result.")
@click.option("--co", "creation", multiple=True, callback=_creation, help="GDAL creation option.")
@click.option("--overwrite", is_flag=True, help="Replace OUT.tif if it exists.")
@click.option("--dry-run", is_flag=True, help="Check and plan, write nothing.")
@quiet_option
@verbose_option
@reported
def fuse_command(
    inputs: tuple[str, ...], quiet: bool, verbose: int, memory: str, **options: Any
) -> None:
    """Pan-sharpen MS.tif (one or more files) with PAN.tif into OUT.tif."""
    set_verbosity(quiet, verbose)
    if len(inputs) < 3:
        raise click.UsageError("need at least MS.tif, PAN.tif and OUT.tif")
    from .scene import fuse_files

    fuse_files(
        list(inputs[:-2]),
        inputs[-2],
        inputs[-1],
        memory=_process_budget(memory),
        progress=not quiet,
        command=shlex.join(["pantiny", *sys.argv[1:]]),
        **options,
    )
    if not options["dry_run"]:
        log.info("wrote %s", inputs[-1])


# ``rio pantiny``: the same command under the name that rasterio's own tool lists.
rio_command = copy.copy(fuse_command)
rio_command.name = "pantiny"


@main.command("degrade")
@click.argument(
    "inputs", nargs=-1, required=True, metavar="MS.tif [MS2.tif ...] PAN.tif OUT_MS.tif OUT_PAN.tif"
)
@click.option("--sensor", help="Sensor of the table: gives MTF gains and bit depth.")
@click.option("--gains", callback=numbers, help="MTF gain of each band, e.g. 0.34,0.32,0.3,0.22.")
@click.option("--ratio", type=int, help="Asserts the ratio that the geotransforms give.")
@click.option("--bit-depth", "bits", type=int, help="Bits of the DN, 1 to 16.")
@click.option("--nodata", type=float, help="Missing pixels in both inputs and both outputs.")
@click.option("-j", "--threads", type=int, help="Default: every usable core.")
@click.option(
    "--memory", default="1GiB", show_default=True, help="Bound on the whole process, e.g. 96MiB."
)
@click.option("--co", "creation", multiple=True, callback=_creation, help="GDAL creation option.")
@click.option("--overwrite", is_flag=True, help="Replace the outputs if they exist.")
@quiet_option
@verbose_option
@reported
def degrade_command(
    inputs: tuple[str, ...], quiet: bool, verbose: int, memory: str, **options: Any
) -> None:
    """Make the reduced-resolution pair of Wald's protocol; MS.tif is its truth."""
    set_verbosity(quiet, verbose)
    if len(inputs) < 4:
        raise click.UsageError("need at least MS.tif, PAN.tif, OUT_MS.tif and OUT_PAN.tif")
    from .degrade import degrade_files

    written = degrade_files(
        list(inputs[:-3]),
        *inputs[-3:],
        memory=_process_budget(memory),
        progress=not quiet,
        command=shlex.join(["pantiny", *sys.argv[1:]]),
        **options,
    )
    log.info("wrote %s and %s", *written)


def _process_budget(memory: str) -> int:
    """What is left of a bound on the whole process."""
    from .errors import MemoryBudgetError
    from .system import format_bytes, parse_bytes, resident_bytes

    allowed, held = parse_bytes(memory), resident_bytes()
    if allowed <= held:
        raise MemoryBudgetError(
            f"memory: {format_bytes(allowed)} is less than the {format_bytes(held)} that the "
            "program itself holds; give at least 96MiB"
        )
    log.info(
        "memory: %s allowed, the program itself holds %s",
        format_bytes(allowed),
        format_bytes(held),
    )
    return allowed - held


@main.command("info")
@reported
def info_command() -> None:
    """Say what is usable here, and why the rest is not."""
    from .info import lines

    for line in lines():
        click.echo(line)


@main.command("demo")
@click.argument("outdir", type=click.Path(path_type=Path))
@click.option("--size", type=int, default=1024, show_default=True, help="Side in PAN pixels.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-j", "--threads", type=int, help="Default: every usable core.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo.")
@quiet_option
@verbose_option
@reported
def demo_command(outdir: Path, quiet: bool, verbose: int, **options: Any) -> None:
    """Make a synthetic scene with known truth, fuse it, score it, draw it."""
    set_verbosity(quiet, verbose)
    from .demo import run_demo

    run_demo(outdir, echo=(lambda _: None) if quiet else click.echo, **options)


@main.command("bench")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="pantiny-bench",
    show_default=True,
    help="Folder of the results.",
)
@click.option("--size", type=int, help="Side of the tile. Default: 1024, 256 with --quick.")
@click.option("-j", "--threads", type=int, help="Default: every usable core.")
@click.option(
    "--level",
    type=click.Choice(["op", "indices", "network", "files", "all"]),
    default="all",
    show_default=True,
)
@click.option("--quick", is_flag=True, help="Small and few: under a minute without baselines.")
@click.option(
    "--baselines/--no-baselines",
    default=True,
    show_default=True,
    help="Time torch, torch.compile, ONNX Runtime, OpenVINO and gdal_pansharpen too.",
)
@click.option("--rounds", type=int, help="Samples per row. Default: 5, 3 with --quick.")
@click.option(
    "--scene", type=float, help="Mpx of the file to file runs. Default: 16, 0.25 with --quick."
)
@click.option(
    "--growth",
    callback=numbers,
    help="Mpx of the memory growth. Default: 1,4,16; 0.0625,0.25 with --quick.",
)
@click.option(
    "--memory", default="3GiB", show_default=True, help="Budget of the file to file runs."
)
@click.option(
    "--growth-memory", default="192MiB", show_default=True, help="Budget of the memory growth."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@quiet_option
@verbose_option
@reported
def bench_command(output: Path, quiet: bool, verbose: int, **options: Any) -> None:
    """Measure this machine: single passes, the network, file to file."""
    set_verbosity(quiet, verbose)
    from .benchmarks.run import run_bench

    log.info("wrote %s", run_bench(output, **options))


@main.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--variant", help="tiny, huge, ...; default: found from the shapes.")
@click.option("--contract", type=click.Choice(["peak", "scene"]), help="Scale contract.")
@click.option("--consistency", type=int, help="Default number of back-projection steps.")
@click.option("--licence", default="unspecified", show_default=True, help="Licence of the weights.")
@click.option("--overwrite", is_flag=True)
@reported
def convert_command(source: Path, target: Path, **options: Any) -> None:
    """Convert a torch checkpoint (the authors' or ours) to a model file."""
    set_verbosity(False, 0)
    from .convert import convert_checkpoint

    model = convert_checkpoint(source, target, **options)
    log.info("wrote %s: %s, sha256 %s", target, model.variant.name, model.sha256)


main.add_command(assess_command)
main.add_command(evaluate_command)


if __name__ == "__main__":
    main()
