"""Everything that runs the network on a batch that lies on the device."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pantiny
from pantiny import cuda
from pantiny.nn.resample import upsample
from pantiny.weights import load_model

from ..baselines.common import torch_network
from ..inputs import BITS, PEAK, make_tile, surveyed
from ..macs import RATIO
from .device import Call, Gpu

TILE = 512  # larger images repeat it: arithmetic on the CPU would take longer than all rows
EAGER32 = "torch eager fp32"
EAGER_TF32 = "torch eager fp32, TF32 convolutions"  # torch's default
EAGER16 = "torch eager fp16"
GRAPHED16 = "torch eager fp16, CUDA graph"
COMPILED = "torch.compile fp16"
AUTOTUNED = "torch.compile max-autotune fp16"
ALONE = "pantiny fp16, plan without Python"
MODES = {COMPILED: "default", AUTOTUNED: "max-autotune"}


def ours_name(precision: str, steps: int = 0) -> str:
    """Of a row of ours."""
    return f"pantiny {precision}" + (f", {steps} steps" if steps else "")


class Batch:
    """Images of one size, as DN for us and as network values, channels last, for torch.

    Attributes
    ----------
    ms, pan : Tensor [N, 4, h, w], [N, H, W]
        int16 DN.
    out : Tensor [N, 4, H, W]
        int16, where our engines write.
    """

    def __init__(self, device: Gpu, side: int, images: int, seed: int = 0) -> None:
        self.device, self.side, self.images = device, side, images
        edge = min(side, TILE)
        tiles = [make_tile(edge, edge, seed + i) for i in range(min(images, 2))]
        tiles = [tiles[i % len(tiles)] for i in range(images)]
        cuda.KEPT_PLANS = 16  # a row each, in turns; those captured by torch must not go

        def laid(arrays: list[np.ndarray]) -> torch.Tensor:
            t = device.tensor(np.stack(arrays))
            return t.repeat(*(1,) * (t.dim() - 2), side // edge, side // edge).contiguous()

        self.ms, self.pan = laid([t.ms for t in tiles]), laid([t.pan for t in tiles])
        self.out = torch.empty((images, 4, side, side), dtype=torch.int16, device=device.kind)
        self.model = load_model("tiny")
        scales = [surveyed(self.model, t) for t in tiles]
        self.scale = torch.tensor(scales, device=device.kind)[:, None, None, None]

    @property
    def pixels(self) -> int:
        """Of PAN, in all."""
        return self.side * self.side * self.images

    def values(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """``ms_up`` [N, 4, H, W] and ``pan`` [N, 1, H, W]."""
        ms_up = torch.empty(
            self.out.shape, dtype=dtype, device=self.device.kind, memory_format=torch.channels_last
        )
        for i in range(self.images):
            ms_up[i] = upsample(self.ms[i : i + 1] / self.scale[i], RATIO)[0]
        pan = (self.pan[:, None] / self.scale).to(dtype)
        return ms_up, pan.contiguous(memory_format=torch.channels_last)

    def net(self, dtype: torch.dtype) -> Any:
        """The torch twin with the packaged weights."""
        net = torch_network(self.model).to(self.device.kind).to(dtype)
        return net.to(memory_format=torch.channels_last)

    def ours(self, precision: str, steps: int = 0) -> Call:
        """``pantiny.fuse`` on arrays that lie on the device."""
        ms, pan, out = (self.device.ours(t) for t in (self.ms, self.pan, self.out))
        return lambda: pantiny.fuse(
            ms, pan, bits=BITS, precision=precision, consistency=steps, out=out
        )

    def alone(self, precision: str) -> Call:
        """The plan that ``fuse`` made, run by its binding: one call into the core."""
        self.ours(precision)()
        kept, core = cuda.store.kept()[-1], cuda.module()
        h, side = self.side // RATIO, self.side
        of = cuda.DTYPES["int16"]
        given = core.Input(
            ms=(self.ms.data_ptr(), of, [4 * h * h, h * h, h, 1]),
            pan=(self.pan.data_ptr(), of, [side * side, 0, side, 1]),
            ms_bands=[0, 1, 2, 3],
            valid=cuda.NO_MASK,
            ms_valid=cuda.NO_MASK,
            dn_per_unit=kept.dn_per_unit.address,
        )
        into = core.Output(
            out=(self.out.data_ptr(), of, [4 * side * side, side * side, side, 1]),
            bands=[0, 1, 2, 3],
            low=0.0,
            high=PEAK,
            fill=0.0,
            reserve=False,
        )
        return lambda: kept.plan.run(given, into, self.device.stream())

    def eager(
        self, dtype: torch.dtype, mode: str | None = None, tf32: bool = False
    ) -> Callable[[], Any]:
        """The torch twin; ``mode`` compiles it, ``tf32`` lets convolutions round floats to TF32."""
        net, inputs = self.net(dtype), self.values(dtype)
        run = self.device.compiled(net, mode) if mode else net

        def call() -> Any:
            torch.backends.cudnn.allow_tf32 = tf32
            with torch.no_grad():
                return run(*inputs)

        return call

    def module(self, dtype: torch.dtype) -> tuple[Any, tuple[torch.Tensor, torch.Tensor]]:
        """Module and inputs in plain layout, for exporters."""
        net = copy.deepcopy(self.net(dtype)).to(memory_format=torch.contiguous_format)
        ms_up, pan = self.values(dtype)
        return net, (ms_up.contiguous(), pan.contiguous())

    def error(self, fused: Any, truth: torch.Tensor) -> float:
        """Of the residual, against network values of ``truth`` [N, 4, H, W] float32.

        Ours are DN: rounding is in it.
        """
        if fused is self.out:
            fused = self.out / self.scale
        off = (fused.float() - truth).norm()
        return float(off / (truth - self.values(torch.float32)[0]).norm())


def own(batch: Batch, steps: int) -> dict[str, Callable[[], Call]]:
    """Our engines."""
    made: dict[str, Callable[[], Call]] = {
        ours_name(p): (lambda p=p: batch.ours(p))  # type: ignore[misc]
        for p in ("fp16", "bf16", "fp32")
    }
    made[ours_name("fp16", steps)] = lambda: batch.ours("fp16", steps)
    made[ALONE] = lambda: batch.alone("fp16")
    return made
