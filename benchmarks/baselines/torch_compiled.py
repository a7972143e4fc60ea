"""torch.compile: Inductor's C++ backend, weights frozen into the graph."""

from __future__ import annotations

import os

import torch
import torch._inductor.config as inductor
from torch import Tensor

from ..subject import Job
from .torch_eager import Eager


class Compiled(Eager):
    """One graph per shape, compiled before anything is timed."""

    def __init__(self, job: Job) -> None:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(job.folder, "inductor")
        super().__init__(job)
        inductor.freezing = True
        inductor.compile_threads = 1
        self.compiled = torch.compile(self.net, dynamic=False)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        with torch.no_grad():  # freezing asks for it
            out: Tensor = self.compiled(*inputs)
            return out

    def prepare(self) -> None:
        super().prepare()
        self.calls[0]()  # compiles
