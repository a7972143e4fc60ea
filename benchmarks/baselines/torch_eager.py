"""PyTorch eager, in both memory layouts; whole and cut where the package's passes are cut."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..inputs import Tile
from ..subject import Job
from .common import TorchSubject, in_dn, network_inputs

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


class Eager(TorchSubject):
    """Option ``layout``: "NCHW" or "channels_last"."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.format = LAYOUTS[job.options["layout"]]
        self.net = self.net.to(memory_format=self.format)

    def tensors(self, tile: Tile) -> list[Tensor]:
        """``ms_up`` and ``pan``."""
        return [
            torch.from_numpy(a).contiguous(memory_format=self.format) for a in network_inputs(tile)
        ]

    def forward(self, inputs: list[Tensor]) -> Tensor:
        with torch.inference_mode():
            out: Tensor = self.net(*inputs)
            return out

    def result(self, tile: Tile) -> np.ndarray:
        return in_dn(self.forward(self.tensors(tile)).numpy())

    def prepare(self) -> None:
        for tile in self.tiles():
            inputs = self.tensors(tile)
            self.calls.append(partial(self.forward, inputs))


def _weights_and_values(block: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Attention weights [B, heads, C/heads, C/heads] and v [B, C, H, W] of a block."""
    attention = block.attention
    q, k, v = attention.qkv_dw(attention.qkv(block.norm1(x))).chunk(3, 1)
    shape = (x.shape[0], attention.temperature.shape[0], -1, x.shape[2] * x.shape[3])
    q, k = (F.normalize(t.reshape(shape), dim=-1) for t in (q, k))
    return (q @ k.transpose(-1, -2) * attention.temperature).softmax(-1), v


def _apply(block: Any, x: Tensor, weights: Tensor, v: Tensor) -> Tensor:
    """A block whose attention weights are known."""
    mixed = weights @ v.reshape(*weights.shape[:3], -1)
    x = x + block.attention.project(mixed.reshape(v.shape))
    return x + block.ffn(block.norm2(x))


class EagerPasses(Eager):
    """The same modules, cut at the global reductions. v is made with q and k, as eager does."""

    def sweep(self, inputs: list[Tensor], mark: Callable[[], object]) -> Tensor:
        """The network; ``mark`` is called at the end of every pass."""
        net, (ms_up, pan) = self.net, inputs
        blocks = [*net.encoder, *net.body]
        with torch.inference_mode():
            x = net.head(ms_up)
            known = _weights_and_values(blocks[0], x)
            mark()
            for i, (block, following) in enumerate(pairwise(blocks)):
                x = _apply(block, x, *known)
                if i == len(net.encoder) - 1:
                    x = net.fusion(x, pan)
                known = _weights_and_values(following, x)
                mark()
            x = _apply(blocks[-1], x, *known)
            out: Tensor = net.output(net.refine(x)) + ms_up
            mark()
        return out

    def result(self, tile: Tile) -> np.ndarray:
        return in_dn(self.sweep(self.tensors(tile), lambda: None).numpy())

    def prepare(self) -> None:
        self.sets = [self.tensors(tile) for tile in self.tiles()]

    def run(self, buffer: int) -> dict[str, float]:
        marks = [time.perf_counter()]
        self.sweep(self.sets[buffer], lambda: marks.append(time.perf_counter()))
        return {str(i): b - a for i, (a, b) in enumerate(pairwise(marks))}
