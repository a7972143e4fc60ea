"""Groups of what the device can do, and of what its kernels do of it."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import torch

from pantiny import cuda

from .bench import Bench
from .engines import Batch, ours_name
from .rows import SKIPPED

COPY = "copy"
SIDE, DRY_SIDE = 8192, 64
COPIED, DRY_COPIED = 1 << 30, 1 << 16  # bytes
KERNELS_SIDE, DRY_KERNELS_SIDE = 2048, 8  # 2048: no graph, no cache that holds the features
CALL_S = 20.0
COUNTED = Path(__file__).resolve().parents[2] / "tests" / "cuda" / "instructions.json"
NAMES = {  # of kernels in instructions.json
    "boundary fp16": r"^BlockHalf<Half, Width<28, 2>.*BlockPart\)0>",
    "fuse fp16": r"^FuseHalf<Half, Width<28, 2>",
    "tail fp16": r"^TailHalf<Half, Width<28, 2>",
    "boundary fp32": r"^FloatSegment<Width<28, 2>, true, true>",
}
# Bytes a pixel without halos: x and v read and written; x and PAN read, x written; x and MS read,
# the result written.
BYTES = {"boundary fp16": 256, "fuse fp16": 130, "tail fp16": 72.5, "boundary fp32": 448}


def product_name(dtype: str) -> str:
    """Of a row."""
    return f"product {dtype}"


def roofs(bench: Bench) -> None:
    """Bytes read and written by a copy; matrix products of random data."""
    kind = bench.device.kind
    size, side = (DRY_COPIED, DRY_SIDE) if bench.dry else (COPIED, SIDE)

    def copy() -> float:
        a = torch.rand(size // 4, device=kind)
        b = torch.empty_like(a)
        bench.device.timed(lambda: b.copy_(a), 3)
        return 2 * a.nbytes / bench.device.timed(lambda: b.copy_(a), 20) / 1e6

    def product(dtype: torch.dtype, tf32: bool) -> float:
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32
        try:
            x, y = (torch.randn(side, side, device=kind).to(dtype) for _ in range(2))
            bench.device.timed(lambda: x @ y, 2)
            return 2 * side**3 / bench.device.timed(lambda: x @ y, 5) / 1e9
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    gbytes = bench.attempt(COPY, copy, CALL_S)
    if gbytes is not None:
        bench.add(COPY, gbytes_per_s=gbytes)
    for name, dtype, tf32 in (
        ("fp16", torch.float16, False),
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        tflops = bench.attempt(product_name(name), partial(product, dtype, tf32), CALL_S)
        if tflops is not None:
            bench.add(product_name(name), tflops=tflops)


def short(name: str) -> str:
    """``BlockHalf<Half, ...>`` of a kernel of ours, the beginning of any other."""
    found = re.search(r"entry<(.*)>\s*\(", name)
    inner = found[1].strip() if found else name
    for noise in ("pantiny::cuda::", "(anonymous namespace)::", "pantiny::", "<unnamed>::"):
        inner = inner.replace(noise, "")
    return re.sub(r"> (?=>)", ">", inner)[:100]


def _counted(capability: str) -> dict[str, float]:
    """Thread instructions a pixel of the kernels that the tests count, of the nearest target."""
    if not COUNTED.is_file():
        return {}
    every = json.loads(COUNTED.read_text())
    target = f"sm_{capability.replace('.', '')}"
    return {k: v["all"] for k, v in every.get(target, {}).items()}


def kernels(bench: Bench) -> None:
    """Every kernel of a run, by torch's profiler; those that are counted, against their counts."""
    side = DRY_KERNELS_SIDE if bench.dry else KERNELS_SIDE
    bench.about = {"side": side, "images": 1}
    counted = _counted(str(bench.device.about()["capability"]))
    for precision in cuda.PRECISIONS:
        engine = ours_name(precision)

        def profile(precision: str = precision) -> list[tuple[str, float, float]]:
            call = Batch(bench.device, side, 1).ours(precision)
            for _ in range(1 if bench.dry else 3):
                call()
            bench.device.sync()
            return bench.device.kernels(call, 1 if bench.dry else 5)

        found = bench.attempt(engine, profile, CALL_S)
        if found == []:
            bench.add(engine, SKIPPED, "the profiler saw no kernel")
        for name, runs, us in sorted(found or [], key=lambda f: -f[2]):
            told = short(name)
            row = {"runs": runs, "us_a_run": us / runs, "ms": us / 1e3}
            row["ms_per_mpx"] = us * 1e3 / (side * side)
            kind = next((k for k, pattern in NAMES.items() if re.search(pattern, told)), None)
            if kind:
                mpx_per_s = side * side / (us / runs)
                row["gbytes_per_s"] = BYTES[kind] * mpx_per_s / 1e3
                if kind in counted:
                    row["instructions_a_pixel"] = counted[kind]
                    row["tera_instructions_per_s"] = counted[kind] * mpx_per_s / 1e6
            bench.add(f"{engine}: {told}", **row, kernel=kind)
