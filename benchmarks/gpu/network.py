"""Groups of the network: its accuracy, and its time at every size beside what else runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

import pantiny
from pantiny import cuda
from pantiny.weights import load_model

from ..inputs import BITS, GATE_SEED, gate_tile, make_tile
from .bench import Bench
from .device import Call, Gpu
from .engines import ALONE, EAGER16, EAGER32, EAGER_TF32, GRAPHED16, MODES, Batch, ours_name, own
from .exported import ORT16, ORT32, TENSORRT, onnx_runtime, tensorrt
from .rows import OK, WRONG

LIMITS = {"fp32": 2e-6, "fp16": 1e-2, "bf16": 6e-2}  # of the residual; fp32: of the result
WAITED = "pantiny fp16, waited for"
FAR_OFF = 0.1  # of the residual: rounding in 16 bits and to DN explains a tenth of it
CHECKED = 1 << 22  # pixels: above, outputs are not compared, for their memory
CROWDED = 1 << 25  # pixels: above, the memory of one plan is all there is room for
REPLAYED = 1 << 20  # pixels up to which torch is asked to capture us: launches matter there
DRY_GATE_SHAPE = (12, 20)
CALL_S = 20.0
PATIENCE_S = {**dict.fromkeys(MODES, 75.0), **dict.fromkeys((ORT16, ORT32, TENSORRT), 40.0)}


def accuracy(bench: Bench) -> None:
    """Errors against float64 with the packaged weights, on a tile that no kernel's tile divides."""
    tile = make_tile(*DRY_GATE_SHAPE, GATE_SEED) if bench.dry else gate_tile()
    floats = tile.ms.astype(np.float32), tile.pan.astype(np.float32)
    there = [bench.device.ours(bench.device.tensor(a)) for a in floats]
    model = load_model("tiny")

    def errors(precision: str, steps: int, truth: np.ndarray) -> dict[str, float]:
        fused = pantiny.fuse(*there, bits=BITS, consistency=steps, precision=precision)
        bench.device.sync()
        host = fused.to_host() if bench.dry else fused.cpu().numpy()
        off = host.astype(np.float64) - truth
        if not np.isfinite(off).all():
            raise ValueError(f"{(~np.isfinite(off)).sum()} values are not finite")
        return {
            "of_result": float(np.linalg.norm(off) / np.linalg.norm(truth)),
            "of_residual": float(np.linalg.norm(off) / np.linalg.norm(truth - tile.ms_up)),
            "most_dn": float(np.abs(off).max()),
        }

    for steps in (0, model.consistency):
        truth = pantiny.fuse(*floats, backend="reference", bits=BITS, consistency=steps)
        for precision in cuda.PRECISIONS:
            name = ours_name(precision, steps)
            found = bench.attempt(name, partial(errors, precision, steps, truth), CALL_S)
            if found is None:
                continue
            which = "of_result" if precision == "fp32" else "of_residual"
            right = found[which] <= LIMITS[precision]
            why = f"error {found[which]:.2g} {which}, allowed {LIMITS[precision]:g}"
            bench.add(name, OK if right else WRONG, "" if right else why, **found)


def waited(device: Gpu, call: Call) -> Call:
    """A call whose end is waited for, as one does who needs the result."""

    def both() -> object:
        result = call()
        device.sync()
        return result

    return both


def engines(batch: Batch, compiled: bool, exported: bool) -> dict[str, Callable[[], Call]]:
    """Everything that is asked to run a batch, ours first; each makes its call."""
    half = torch.float16
    made = own(batch, batch.model.consistency)
    if batch.pixels > CROWDED:
        made = {name: make for name, make in made.items() if name in (ours_name("fp16"), ALONE)}
    if batch.pixels <= REPLAYED:
        made[WAITED] = lambda: waited(batch.device, batch.ours("fp16"))
        made["pantiny fp16, captured by torch"] = lambda: batch.device.graphed(batch.ours("fp16"))
    made[EAGER32] = lambda: batch.eager(torch.float32)
    made[EAGER_TF32] = lambda: batch.eager(torch.float32, tf32=True)
    made[EAGER16] = lambda: batch.eager(half)
    made[GRAPHED16] = lambda: batch.device.graphed(batch.eager(half))
    if compiled:
        made.update({n: partial(batch.eager, half, mode) for n, mode in MODES.items()})
    if exported:
        made[ORT16] = lambda: onnx_runtime(batch, half)
        if not batch.device.dry:  # the same again
            made[ORT32] = lambda: onnx_runtime(batch, torch.float32)
        made[TENSORRT] = lambda: tensorrt(batch)
    return made


def network(bench: Bench, side: int, images: int, compiled: bool, exported: bool) -> None:
    """One size: made, checked against torch's float32, then timed in turns."""
    bench.about = {"side": side, "images": images}
    batch = bench.attempt("inputs", lambda: Batch(bench.device, side, images), CALL_S)
    if batch is None:
        return
    truth: torch.Tensor | None = None
    calls: dict[str, Call] = {}
    facts: dict[str, dict[str, Any]] = {}
    every = engines(batch, compiled, exported)
    if batch.pixels <= CHECKED:
        truth = bench.attempt("truth", lambda: batch.eager(torch.float32)().clone(), CALL_S)

    def ready(name: str, make: Callable[[], Call]) -> tuple[Call, dict[str, Any]]:
        started = time.perf_counter()
        call = make()
        call()
        bench.device.sync()
        facts: dict[str, Any] = {"first_s": time.perf_counter() - started}
        batch.out.fill_(-1)
        fused = call()  # the same again: small ones are a graph from here on
        bench.device.sync()
        if name.startswith("pantiny"):
            facts["graphs"] = cuda.store.kept()[-1].plan.graphs
        if truth is not None and name != ours_name("fp16", batch.model.consistency):
            whose = fused if isinstance(fused, torch.Tensor) else batch.out
            facts["error"] = batch.error(whose, truth)
        return call, facts

    for name, make in every.items():
        got = bench.attempt(name, partial(ready, name, make), PATIENCE_S.get(name, CALL_S))
        if got is None:
            continue
        if not got[1].get("error", 0.0) <= FAR_OFF:
            why = f"error {got[1]['error']:.2g} of the residual; not timed"
            bench.add(name, WRONG, why, **got[1])
            continue
        calls[name], facts[name] = got
    bench.rows(bench.compare(calls), batch.pixels, facts)
