"""OpenVINO's CPU plugin on the torch module it converts itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import openvino
import torch

from ..candidate import Unavailable
from ..inputs import Tile
from ..subject import Job
from .common import TorchSubject, in_dn, network_inputs


class OpenVino(TorchSubject):
    """Option ``precision``: "f32" or "bf16", the plugin's inference precision hint."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        example = (torch.zeros(1, 4, 64, 64), torch.zeros(1, 1, 64, 64))
        self.core = openvino.Core()
        self.converted = openvino.convert_model(self.net, example_input=example)

    def request(self, height: int, width: int) -> Any:
        """Compile for one shape."""
        self.converted.reshape({0: [1, 4, height, width], 1: [1, 1, height, width]})
        asked = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.job.threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": self.job.options["precision"],
        }
        compiled = self.core.compile_model(self.converted, "CPU", asked)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != self.job.options["precision"]:
            asked_for = self.job.options["precision"]
            raise Unavailable(
                "unusable", f"asked for {asked_for}, OpenVINO computes in {used} on this CPU"
            )
        return compiled.create_infer_request()

    def result(self, tile: Tile) -> np.ndarray:
        return in_dn(self.request(*tile.pan.shape).infer(network_inputs(tile))[0].copy())

    def prepare(self) -> None:
        request = self.request(self.job.height, self.job.width)
        for tile in self.tiles():
            pair = network_inputs(tile)
            self.calls.append(partial(request.infer, pair, share_inputs=True))
