"""What 16 bits cost in quality on the real pairs, against fp32.

    python benchmarks/precision.py --data FOLDER --json benchmarks/results/precision.json
    python benchmarks/precision.py --data FOLDER --backend emulated --group 4-band --steps 0

On a processor without AVX512-BF16 the core must be built with -DPANTINY_EMULATE_BF16=ON, which
computes the same roundings slowly; the result says so. Backend "emulated" runs the CUDA kernels on
their emulator, which must have been built (-DPANTINY_EMULATED=ON).
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
from pantiny import _core, cuda

PRECISIONS = {"cpu": ("bf16",), "cuda": ("fp16", "bf16"), "emulated": ("fp16", "bf16")}


def compare(pair: data.Pair, steps: int, backend: str) -> dict[str, Any]:
    """Indices of every precision and how far the results lie apart."""
    known = data.known_sensor(pair.sensor, len(pair.ms))
    options: dict[str, Any] = {"sensor": pair.sensor if known else None, "bits": pair.bits}
    ms, pan = pair.ms.astype(np.float32), pair.pan.astype(np.float32)
    where = "cpu" if backend == "cpu" else "cuda"
    exact, *results = (
        pantiny.fuse(ms, pan, consistency=steps, backend=where, precision=p, **options)
        for p in ("fp32", *PRECISIONS[backend])
    )
    row = {
        "group": pair.group,
        "pair": pair.name,
        "consistency": steps,
        "fp32": score(exact, pair),
        "relative_difference": {},
    }
    for precision, result in zip(PRECISIONS[backend], results, strict=True):
        row[precision] = score(result, pair)
        apart = np.linalg.norm(result.astype(np.float64) - exact)
        row["relative_difference"][precision] = float(
            apart / np.linalg.norm(exact.astype(np.float64))
        )
    return row


def lost(rows: list[dict[str, Any]], precision: str) -> dict[str, float]:
    """PSNR in dB over all rows."""
    found = [row["fp32"]["psnr"] - row[precision]["psnr"] for row in rows]
    return {"mean": mean(found), "worst": max(found)}


def kind_of(backend: str) -> str:
    """What ran, for the result; puts the emulator in its place."""
    if backend == "cpu":
        return "bf16 emulated" if _core.BF16_EMULATED else "bf16 native"
    if backend == "emulated":
        from pantiny import _cuda_emulated

        cuda._compiled = lambda: _cuda_emulated
    return cuda.module().devices()[0][0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--backend", choices=PRECISIONS, default="cpu")
    parser.add_argument("--group", help="of pairs, e.g. 4-band; default: all")
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 3], help="of back-projection")
    args = parser.parse_args()
    kind = kind_of(args.backend)
    pairs = [p for p in data.load(args.data) if args.group in (None, p.group)]
    rows = [compare(pair, steps, args.backend) for pair in pairs for steps in args.steps]
    psnr = {p: lost(rows, p) for p in PRECISIONS[args.backend]}
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "commit": commit(),
        "machine": machine(),
        "backend": args.backend,
        "kind": kind,
        "psnr_lost_db": psnr,
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    for name, found in psnr.items():
        print(f"{name}: PSNR lost: mean {found['mean']:.4f} dB, worst {found['worst']:.4f} dB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
