"""``python -m pantiny.training --data DIR --out DIR``: train one model on all sensors."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path

import click
import torch

from .loop import Recipe, train


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--threads", type=int, default=0, help="torch threads; 0: torch's own choice")
@click.option("--validate-every", type=int, default=500)
def main(data: Path, out: Path, threads: int, validate_every: int, **options: object) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if threads:
        torch.set_num_threads(threads)
    train(Recipe(**options), data, out, validate_every=validate_every)  # type: ignore[arg-type]


for _field in fields(Recipe):
    main = click.option(
        "--" + _field.name.replace("_", "-"), default=_field.default, show_default=True
    )(main)

if __name__ == "__main__":
    main()
