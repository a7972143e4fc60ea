"""What the consistency steps leave: the fused image, degraded again, against the MS it came from.

    python benchmarks/consistency.py --data DIR [--out FILE]

The pairs are those of the val split at reduced resolution, those of them that are native, and
the WorldView-2 scenes of DIR/georef at full resolution. Writes JSON and prints a line per pair.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import rasterio

sys.path.insert(0, str(Path(__file__).parent))

import pairs as data
from quality import commit, machine

import pantiny
from pantiny.degrade import degrade_ms
from pantiny.sensors import UNKNOWN_GAIN

ROOT = Path(__file__).resolve().parents[1]
STEPS = (0, 3)  # the network as published; the default
PROTOCOL = (
    "pantiny.fuse on whole images in their own dtype, then pantiny.degrade.degrade_ms with the "
    "gains of the sensor, against MS. relative_rmse: per band the RMSE over the mean of MS, in "
    "order of the bands. r_ergas: 100 / ratio times the quadratic mean of relative_rmse."
)


class Native(NamedTuple):
    """One pair: ms [K, h, w], pan [H, W], what exists [H, W]."""

    scale: str
    name: str
    sensor: str
    ratio: int
    bits: int
    ms: np.ndarray
    pan: np.ndarray
    valid: np.ndarray


def native_pairs(folder: Path) -> Iterator[Native]:
    """Full-resolution pairs: of the val split, then the georeferenced WorldView-2 scenes."""
    for record in json.loads((folder / "manifest.json").read_text()):
        if record["split"] != "val" or record["kind"] != "FR":
            continue
        with np.load(folder / record["file"]) as archive:
            ms, pan = archive["ms"].transpose(2, 0, 1), archive["pan"]
        ms = ms[:4] if record["ratio"] == 4 else ms
        yield Native(
            "full", record["id"], record["sensor"], record["ratio"], record["bits"], ms, pan,
            np.ones(pan.shape, bool),
        )  # fmt: skip
    for path in sorted((folder / "georef").glob("wv2_*_ms.tif")):
        with rasterio.open(path) as file:
            ms = file.read()
        with rasterio.open(path.with_name(path.name.replace("_ms", "_pan"))) as file:
            pan = file.read(1)
        there = (ms != 0).all(0).repeat(4, 0).repeat(4, 1) & (pan != 0)
        yield Native("full", path.stem.removesuffix("_ms"), "WV2", 4, 11, ms, pan, there)


def reduced_pairs(folder: Path) -> Iterator[Native]:
    """The pairs of the quality benchmark."""
    for p in data.load(folder):
        valid = np.ones(p.pan.shape, bool)
        name = f"{p.name} ({p.group})"
        yield Native("reduced", name, p.sensor, p.ratio, p.bits, p.ms, p.pan, valid)


def residual(pair: Native, steps: int) -> dict[str, Any]:
    """Relative RMSE of each band and R-ERGAS after ``steps`` consistency steps."""
    known = data.known_sensor(pair.sensor, len(pair.ms))
    bands = len(pair.ms)
    gains = known.gains_for(bands) if known else (UNKNOWN_GAIN,) * bands
    mask = None if pair.valid.all() else pair.valid
    fused = pantiny.fuse(
        pair.ms,
        pair.pan,
        sensor=pair.sensor if known else None,
        bits=pair.bits,
        consistency=steps,
        mask=mask,
    )
    low = degrade_ms(fused, pair.ratio, gains, valid=mask)
    keep = np.isfinite(low).all(0)
    ms = pair.ms.astype(np.float64)[:, keep]
    relative = np.sqrt(((low[:, keep] - ms) ** 2).mean(1)) / ms.mean(1)
    return {
        "scale": pair.scale,
        "pair": pair.name,
        "sensor": pair.sensor,
        "ratio": pair.ratio,
        "consistency": steps,
        "relative_rmse": relative.tolist(),
        "relative_rmse_mean": float(relative.mean()),
        "r_ergas": float(100 / pair.ratio * np.sqrt((relative**2).mean())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.json")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/consistency.json")
    args = parser.parse_args()
    rows = []
    for pair in (*reduced_pairs(args.data), *native_pairs(args.data)):
        for steps in STEPS:
            row = residual(pair, steps)
            rows.append(row)
            bands = " ".join(f"{100 * r:.1f}" for r in row["relative_rmse"])
            print(f"{row['scale']:8}{row['pair']}, {steps} steps: {bands} %", file=sys.stderr)
    summary = {}
    for scale in ("reduced", "full"):
        for steps in STEPS:
            found = [r for r in rows if r["scale"] == scale and r["consistency"] == steps]
            means = [r["relative_rmse_mean"] for r in found]
            spread = {"smallest": min(means), "median": median(means), "largest": max(means)}
            summary[f"{scale}, {steps} steps"] = spread
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "commit": commit(),
        "machine": machine(),
        "protocol": PROTOCOL,
        "relative_rmse_mean": summary,
        "rows": rows,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
