"""Group of the windowed indices: our kernels, the calls around them, torchmetrics, fused-ssim."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from pantiny import cuda, metrics

from ..candidate import Unavailable
from ..index_images import GAUSSIAN, WINDOW, Images, gate_images, make_images
from ..inputs import PEAK
from ..macs import RATIO
from .bench import Bench
from .device import Call, Gpu
from .rows import OK, WRONG

SIDES, DRY_SIDES = (4096, 1024), (36,)
TILE = 512
LIMIT = 1e-6  # against the CPU
QNR_KERNELS, QNR, QNR_LOW = "QNR family, kernels", "metrics.qnr", "metrics.qnr, pan_low given"
SSIM_KERNELS, SSIM = "SSIM float32, kernel", "metrics.ssim float32"
TM_QNR, TM_SSIM = "torchmetrics D_lambda + D_s", "torchmetrics SSIM"
FUSED_SSIM = "fused-ssim"
CALL_S = 25.0
Planes = dict[str, torch.Tensor]


def placed(device: Gpu, side: int) -> Planes:
    """Images on the device; large ones repeat a tile."""
    edge = min(side, TILE)
    images, times = make_images(edge, 0), side // edge

    def tiled(array: np.ndarray) -> torch.Tensor:
        t = device.tensor(array)
        return t.repeat(*(1,) * (t.dim() - 2), times, times)

    found = {n: tiled(getattr(images, n)) for n in ("fused", "truth", "ms", "pan", "pan_low")}
    found["pan_low"] = found["pan_low"].float()
    return found


def queued(
    device: Gpu, planes: list[torch.Tensor], pairs: list[tuple[int, int]], **options: Any
) -> Call:
    """The kernels of an index over windows, without what a call of the index does around them."""
    core = cuda.module()
    dtypes = [cuda.DTYPES[str(p.dtype).removeprefix("torch.")] for p in planes]
    made = core.Windows(
        planes=[(p.data_ptr(), d, 0, *p.stride()) for p, d in zip(planes, dtypes)],
        pairs=pairs,
        shape=tuple(planes[0].shape),
        images=1,
        valid=(0, 0, 0),
        **options,
    )
    scratch, sums = core.Memory(max(1, made.bytes)), core.Memory(8 * (len(pairs) + 1))

    def call() -> None:
        assert planes  # whose memory is read
        made.run(
            memory=scratch.address,
            bytes=made.bytes,
            sums=sums.address,
            count=sums.address + 8 * len(pairs),
            stream=device.stream(),
        )

    return call


def family(device: Gpu, p: Planes) -> Call:
    """All of D_lambda and D_s that goes over windows: on the PAN grid and on the MS grid."""
    core, count = cuda.module(), len(p["fused"])
    pairs = [(i, j) for i in range(count + 1) for j in range(i)]
    fine = queued(device, [*p["fused"], p["pan"]], pairs, index=core.UQI, window=WINDOW)
    low = [*p["ms"], p["pan_low"]]
    coarse = queued(device, low, pairs, index=core.UQI, window=WINDOW // RATIO)
    return lambda: (fine(), coarse())


def ssim_kernel(device: Gpu, a: torch.Tensor, b: torch.Tensor) -> Call:
    """SSIM of every band."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    pairs = [(i, len(a) + i) for i in range(len(a))]
    index = cuda.module().SSIM
    return queued(device, [*a, *b], pairs, index=index, window=GAUSSIAN, c1=c1, c2=c2)


def torchmetrics_calls(p: Planes) -> dict[str, Call]:
    """The baseline's indices on float32 images."""
    try:
        from ..baselines.torchmetrics_indices import INDICES, Tensors
    except ImportError as error:
        raise Unavailable("missing", f"{error.name or error} is not installed") from error
    t = Tensors.__new__(Tensors)
    t.fused, t.truth, t.ms = (p[n][None].float() for n in ("fused", "truth", "ms"))
    bands = len(p["ms"])
    t.pan, t.pan_low = (p[n].float()[None, None].repeat(1, bands, 1, 1) for n in ("pan", "pan_low"))

    def call(name: str) -> object:
        with torch.inference_mode():
            return INDICES[name](t)

    return {TM_QNR: partial(call, "distortions"), TM_SSIM: partial(call, "ssim")}


def fused_ssim(p: Planes) -> Call:
    """The package's forward; values in 0 to 1, as it takes them."""
    try:
        package = importlib.import_module("fused_ssim")
    except ImportError as error:
        raise Unavailable("missing", f"{error.name or error} is not installed") from error
    a, b = (p[n][None].float() / PEAK for n in ("fused", "truth"))
    return lambda: package.fused_ssim(a, b, train=False)


def _gate(bench: Bench) -> None:
    """The values are those of the CPU."""
    images: Images = make_images(DRY_SIDES[0], 1) if bench.dry else gate_images()
    t = {n: bench.device.tensor(getattr(images, n)) for n in ("fused", "truth", "ms", "pan")}
    there = {n: bench.device.ours(v) for n, v in t.items()}
    scene = ("fused", "ms", "pan")
    indices: dict[str, Callable[[dict[str, Any]], float]] = {
        QNR: lambda i: metrics.qnr(*(i[n] for n in scene), window=WINDOW),
        "metrics.d_lambda": lambda i: metrics.d_lambda(i["fused"], i["ms"], window=WINDOW),
        "metrics.d_s": lambda i: metrics.d_s(*(i[n] for n in scene), window=WINDOW),
        "metrics.ssim": lambda i: metrics.ssim(i["fused"], i["truth"], peak=PEAK),
        "metrics.q2n": lambda i: metrics.q2n(i["fused"], i["truth"]),
    }
    for name, index in indices.items():
        error = bench.attempt(name, lambda i=index: abs(i(there) - i(vars(images))), CALL_S)
        if error is not None:
            right = error <= LIMIT
            why = "" if right else f"error {error:.2g} against the CPU, allowed {LIMIT:g}"
            bench.add(name, OK if right else WRONG, why, error=error)


def indices(bench: Bench) -> None:
    """Values against the CPU, then times at two sizes."""
    _gate(bench)
    for side in DRY_SIDES if bench.dry else SIDES:
        bench.about = {"side": side, "images": 1}
        p = bench.attempt("inputs", lambda side=side: placed(bench.device, side), CALL_S)
        if p is None:
            continue
        there = {n: bench.device.ours(t.contiguous()) for n, t in p.items()}
        floats = [p[n].float() for n in ("fused", "truth")]
        on = [bench.device.ours(f) for f in floats]
        scene = [there[n] for n in ("fused", "ms", "pan")]
        makers: dict[str, Callable[[], Call]] = {
            QNR_KERNELS: partial(family, bench.device, p),
            SSIM_KERNELS: partial(ssim_kernel, bench.device, *floats),
            QNR: lambda s=scene: partial(metrics.qnr, *s, window=WINDOW),
            QNR_LOW: lambda s=scene, t=there: partial(
                metrics.qnr, *s, window=WINDOW, pan_low=t["pan_low"]
            ),
            SSIM: lambda on=on: partial(metrics.ssim, *on, peak=PEAK),
            "metrics.d_lambda": lambda s=scene: partial(metrics.d_lambda, *s[:2], window=WINDOW),
            "metrics.d_s": lambda s=scene: partial(metrics.d_s, *s, window=WINDOW),
            FUSED_SSIM: partial(fused_ssim, p),
        }
        theirs = bench.attempt(TM_QNR, partial(torchmetrics_calls, p), CALL_S)
        makers.update({n: (lambda c=c: c) for n, c in (theirs or {}).items()})
        calls = {}
        for name, make in makers.items():
            call = bench.attempt(name, make, CALL_S)
            if call is not None:
                calls[name] = call
        bench.rows(bench.compare(calls, CALL_S), side * side)
