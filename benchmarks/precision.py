"""What precision="bf16" costs in quality on the real pairs, against fp32.

    python benchmarks/precision.py --data FOLDER --json benchmarks/results/precision.json

On a processor without AVX512-BF16 the core must be built with -DPANTINY_EMULATE_BF16=ON, which
computes the same roundings slowly; the result says so.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import pairs as data
from quality import commit, machine, score

import pantiny
from pantiny import _core


def compare(pair: data.Pair, steps: int) -> dict[str, Any]:
    """Indices of both precisions and how far the results lie apart."""
    known = data.known_sensor(pair.sensor, len(pair.ms))
    options: dict[str, Any] = {"sensor": pair.sensor if known else None, "bits": pair.bits}
    ms, pan = pair.ms.astype(np.float32), pair.pan.astype(np.float32)
    results = {
        precision: pantiny.fuse(ms, pan, consistency=steps, precision=precision, **options)
        for precision in ("fp32", "bf16")
    }
    apart = np.linalg.norm(results["bf16"].astype(np.float64) - results["fp32"])
    return {
        "group": pair.group,
        "pair": pair.name,
        "consistency": steps,
        "fp32": score(results["fp32"], pair),
        "bf16": score(results["bf16"], pair),
        "relative_difference": float(apart / np.linalg.norm(results["fp32"].astype(np.float64))),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [compare(pair, steps) for pair in data.load(args.data) for steps in (0, 3)]
    lost = [row["fp32"]["psnr"] - row["bf16"]["psnr"] for row in rows]
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "commit": commit(),
        "machine": machine(),
        "bf16": "emulated" if _core.BF16_EMULATED else "native",
        "psnr_lost_db": {"mean": mean(lost), "worst": max(lost)},
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"PSNR lost: mean {mean(lost):.4f} dB, worst {max(lost):.4f} dB over {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
