"""The CUDA kernels against torch on the same GPU: ``python -m pantiny.benchmarks.gpu OUT.json``.

Times are of CUDA events around calls that follow each other; variants take turns, medians are
quoted. Every variant is checked against float64 on a small tile before anything is timed.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pantiny
from pantiny import cuda, metrics
from pantiny.weights import load_model

from .baselines.common import torch_network
from .inputs import BITS, PEAK, gate_tile, make_tile
from .machine import commit

SIZES = ((128, 1), (256, 1), (512, 1), (1024, 1), (2048, 1), (4096, 1), (128, 16), (512, 16))
ROUNDS = 7
ENOUGH_MS = 30.0  # of calls in one measurement
EAGER_LIMIT = 2048 * 2048 * 2  # pixels: eager needs some 30 kB for each
COMPILED_SIZES = ((128, 1), (1024, 1), (128, 16))  # each compiles for half a minute
LIMIT_S = 200.0
Call = Callable[[], object]


def timed(call: Call, count: int) -> float:
    """Milliseconds of one call, of ``count`` that follow each other."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / count


def compare(calls: dict[str, Call]) -> dict[str, dict[str, float]]:
    """Median, least and most milliseconds of each, measured in turns."""
    counts, found = {}, {name: [] for name in calls}
    for name, call in calls.items():
        call()
        torch.cuda.synchronize()
        counts[name] = max(1, min(200, round(ENOUGH_MS / max(timed(call, 1), 1e-3))))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(timed(call, counts[name]))
    return {
        name: {"ms": statistics.median(t), "least_ms": min(t), "most_ms": max(t)}
        for name, t in found.items()
    }


def roofs() -> dict[str, float]:
    """What the device can do: bytes read and written by a copy, products in half and float."""
    a = torch.empty(1 << 28, device="cuda")
    b = torch.empty_like(a)
    copy = timed(lambda: b.copy_(a), 10)
    found = {"copy_gbytes": 2 * a.nbytes / copy / 1e6}
    for dtype in (torch.float16, torch.float32):
        x = torch.randn(8192, 8192, device="cuda", dtype=dtype)
        y = x.t().contiguous()
        timed(lambda x=x, y=y: x @ y, 2)
        ms = timed(lambda x=x, y=y: x @ y, 5)
        found[f"product_{str(dtype)[6:]}_tflops"] = 2 * 8192**3 / ms / 1e9
    return found


class Network:
    """The variants of the network on one batch."""

    def __init__(self, side: int, batch: int, seed: int = 0) -> None:
        tiles = [make_tile(side, side, seed + i) for i in range(min(batch, 2))]
        tiles = [tiles[i % len(tiles)] for i in range(batch)]
        self.model = load_model("tiny")
        self.ms = torch.from_numpy(np.stack([t.ms for t in tiles]).view(np.int16)).cuda()
        self.pan = torch.from_numpy(np.stack([t.pan for t in tiles]).view(np.int16)).cuda()
        ms_up = np.stack([t.ms_up for t in tiles]) / PEAK
        self.ms_up = torch.from_numpy(ms_up.astype(np.float32)).cuda()
        self.pan_float = (self.pan.float() / PEAK)[:, None]
        self.side, self.batch = side, batch

    def ours(self, precision: str, consistency: int = 0) -> Call:
        out = torch.empty((self.batch, 4, self.side, self.side), dtype=torch.int16, device="cuda")
        return lambda: pantiny.fuse(
            self.ms, self.pan, bits=BITS, precision=precision, consistency=consistency, out=out
        )

    def graphed(self, precision: str) -> Call:
        call = self.ours(precision)
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            call()
            side.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=side):
                call()
        return graph.replay

    def eager(self, dtype: torch.dtype, mode: str | None = None) -> Call:
        net = torch_network(self.model).cuda().to(dtype).to(memory_format=torch.channels_last)
        ms_up = self.ms_up.to(dtype).contiguous(memory_format=torch.channels_last)
        pan = self.pan_float.to(dtype).contiguous(memory_format=torch.channels_last)
        run = torch.compile(net, dynamic=False, mode=mode) if mode else net

        def call() -> object:
            with torch.inference_mode():
                return run(ms_up, pan)

        return call


def accuracy() -> dict[str, dict[str, float]]:
    """Errors against float64 on a tile that is no multiple of any tile of a kernel."""
    tile = gate_tile()
    floats = tile.ms.astype(np.float32), tile.pan.astype(np.float32)
    on_device = [torch.from_numpy(a).cuda() for a in floats]
    model = load_model("tiny")
    found = {}
    for steps in (0, model.consistency):
        truth = pantiny.fuse(*floats, backend="reference", bits=BITS, consistency=steps)
        for precision in cuda.PRECISIONS:
            fused = pantiny.fuse(*on_device, bits=BITS, consistency=steps, precision=precision)
            off = fused.cpu().numpy().astype(np.float64) - truth
            residual = truth - tile.ms_up
            found[f"{precision}, {steps} steps"] = {
                "of_result": float(np.linalg.norm(off) / np.linalg.norm(truth)),
                "of_residual": float(np.linalg.norm(off) / np.linalg.norm(residual)),
                "most_dn": float(np.abs(off).max()),
            }
    return found


LIMITS = {"fp32": 2e-6, "fp16": 1e-2, "bf16": 6e-2}  # of the residual; fp32: of the result


def check(found: dict[str, dict[str, float]]) -> list[str]:
    """Precisions over their limit."""
    return [
        f"{name}: {errors}"
        for name, errors in found.items()
        if errors["of_result" if name.startswith("fp32") else "of_residual"]
        > LIMITS[name.split(",")[0]]
    ]


def network_table(deadline: float) -> list[dict[str, Any]]:
    """Every size that the time allows, ours and torch's."""
    rows = []
    for side, batch in SIZES:
        if time.monotonic() > deadline:
            rows.append({"side": side, "batch": batch, "skipped": "out of time"})
            continue
        net = Network(side, batch)
        calls: dict[str, Call] = {f"pantiny {p}": net.ours(p) for p in cuda.PRECISIONS}
        calls["pantiny fp16, 3 steps"] = net.ours("fp16", 3)
        failed: dict[str, str] = {}

        def add(name: str, make: Callable[[], Call], calls=calls, failed=failed) -> None:
            try:
                call = make()
                call()
                torch.cuda.synchronize()
                calls[name] = call
            except Exception as error:  # a baseline that cannot run is a row that says so
                failed[name] = f"{type(error).__name__}: {str(error)[:200]}"

        if side <= 512:
            add("pantiny fp16, graph", lambda net=net: net.graphed("fp16"))
        if side * side * batch <= EAGER_LIMIT:
            add("torch eager fp32", lambda net=net: net.eager(torch.float32))
            add("torch eager fp16", lambda net=net: net.eager(torch.float16))
        if (side, batch) in COMPILED_SIZES:
            add("torch.compile fp16", lambda net=net: net.eager(torch.float16, "default"))
            add(
                "torch.compile max-autotune fp16",
                lambda net=net: net.eager(torch.float16, "max-autotune"),
            )
        torch.cuda.reset_peak_memory_stats()
        times = compare(calls)
        pixels = side * side * batch / 1e6
        for t in times.values():
            t["ms_per_mpx"] = t["ms"] / pixels
        rows.append({"side": side, "batch": batch, "times": times, "failed": failed})
        print(table_of(rows[-1]), flush=True)
        cuda.clear()
        del net, calls
        torch.cuda.empty_cache()
    return rows


def _queued(planes: list[torch.Tensor], pairs: list[tuple[int, int]], **options: Any) -> Call:
    """The kernels of an index over windows, without what a call of the index does around them."""
    core = cuda.module()
    at = [
        (p.data_ptr(), cuda.DTYPES[str(p.dtype)[6:]], 0, p.stride(0), p.stride(1)) for p in planes
    ]
    shape = tuple(planes[0].shape)
    made = core.Windows(planes=at, pairs=pairs, shape=shape, images=1, valid=(0, 0, 0), **options)
    need = made.bytes
    scratch, sums = core.Memory(need), core.Memory(8 * (len(pairs) + 1))
    return lambda: made.run(
        memory=scratch.address,
        bytes=need,
        sums=sums.address,
        count=sums.address + 8 * len(pairs),
        stream=torch.cuda.current_stream().cuda_stream,
    )


def indices_table(side: int = 1024, bands: int = 4) -> dict[str, Any]:
    """The windowed sums of the QNR family, and SSIM, against torchmetrics where it is there."""
    core = cuda.module()
    rng = np.random.default_rng(0)
    host = rng.integers(100, 1500, (bands + 1, side, side)).astype(np.int16)
    fine = list(torch.from_numpy(host).cuda())
    coarse = [p[::4, ::4].contiguous() for p in fine]
    other = list(torch.from_numpy(np.roll(host, 1, 2).copy()).cuda())
    pairs = [(i, j) for i in range(bands) for j in range(i + 1, bands + 1)]
    family = [
        _queued(fine, pairs, index=core.UQI, window=32),
        _queued(coarse, pairs, index=core.UQI, window=8),
    ]
    constants = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    against = [(i, bands + i) for i in range(bands)]
    ssim = _queued(
        [*fine[:bands], *other[:bands]],
        against,
        index=core.SSIM,
        window=11,
        c1=constants[0],
        c2=constants[1],
    )
    images = [torch.stack(some) for some in (fine[:bands], coarse[:bands], other[:bands])]
    calls: dict[str, Call] = {
        "QNR family": lambda: [run() for run in family],
        "SSIM": ssim,
        "metrics.qnr": lambda: metrics.qnr(images[0], images[1], fine[bands]),
        "metrics.ssim": lambda: metrics.ssim(images[0], images[2], peak=PEAK),
    }
    truth = metrics.ssim(host[:bands], np.roll(host, 1, 2)[:bands].copy(), peak=PEAK)
    found: dict[str, Any] = {"ssim_error": abs(calls["metrics.ssim"]() - truth)}
    try:
        from torchmetrics.functional.image import (
            spatial_distortion_index,
            spectral_distortion_index,
            structural_similarity_index_measure,
        )
    except ImportError:
        found["torchmetrics"] = "not installed"
    else:
        sharp, ms = images[0][None].float(), images[1][None].float()
        pan = fine[bands][None, None].float().expand_as(sharp)
        moved = images[2][None].float()
        calls["torchmetrics D_lambda + D_s"] = lambda: (
            spectral_distortion_index(sharp, ms),
            spatial_distortion_index(sharp, ms, pan),
        )
        calls["torchmetrics SSIM"] = lambda: structural_similarity_index_measure(
            sharp, moved, data_range=PEAK
        )
    return {**found, "side": side, "bands": bands, "times": compare(calls)}


def table_of(row: dict[str, Any]) -> str:
    """One size as text."""
    lines = [f"{row['side']}^2 x {row['batch']}"]
    for name, t in sorted(row.get("times", {}).items(), key=lambda item: item[1]["ms"]):
        lines.append(f"  {name:34} {t['ms']:9.3f} ms  {t['ms_per_mpx']:8.3f} ms/Mpx")
    lines += [f"  {name:34} {why}" for name, why in row.get("failed", {}).items()]
    return "\n".join(lines)


def main(out: Path) -> int:
    """Check, measure, write; 1 if a precision is over its limit."""
    started = time.monotonic()
    properties = torch.cuda.get_device_properties(0)
    result: dict[str, Any] = {
        "command": "benchmarks/gpu.sh",
        "device": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        **commit(),
        "accuracy": accuracy(),
    }
    wrong = check(result["accuracy"])
    result["wrong"] = wrong
    print(json.dumps(result["accuracy"], indent=1), flush=True)
    result["roofs"] = roofs()
    print(json.dumps(result["roofs"]), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    try:
        result["indices"] = indices_table()
        print(json.dumps(result["indices"], indent=1), flush=True)
    except Exception as error:  # the network's rows are worth having without
        result["indices"] = {"failed": f"{type(error).__name__}: {error}"}
    result["network"] = network_table(started + LIMIT_S)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
