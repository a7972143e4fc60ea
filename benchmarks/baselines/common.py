"""What the baselines share: the torch twin with the model's weights, and its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pantiny.nn import PanTiny
from pantiny.weights import Model

from ..inputs import PEAK, Tile
from ..subject import Job, Subject

OPSET = 20  # of ONNX: has Gelu as one operator


def torch_network(model: Model) -> Any:
    """``pantiny.nn.PanTiny`` in float32 with the weights of a model, for inference."""
    net = PanTiny(model.variant)
    net.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in model.tensors.items()})
    return net.eval().requires_grad_(False)


def network_inputs(tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """``ms_up`` [1, 4, H, W] and ``pan`` [1, 1, H, W], float32 network values."""
    ms_up = np.ascontiguousarray(tile.ms_up[None] / PEAK, np.float32)
    return ms_up, (tile.pan[None, None] / PEAK).astype(np.float32)


def in_dn(fused: np.ndarray) -> np.ndarray:
    """[1, 4, H, W] network values to [4, H, W] DN."""
    return fused[0].astype(np.float64) * PEAK


def export_onnx(net: Any, example: tuple[torch.Tensor, ...], path: Path) -> None:
    """Write a network of one shape; inputs ``ms_up`` and ``pan``, output ``fused``."""
    torch.onnx.export(
        net,
        example,
        str(path),
        input_names=["ms_up", "pan"],
        output_names=["fused"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


class TorchSubject(Subject):
    """Base of the baselines: torch with the job's number of threads."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        torch.set_num_threads(job.threads)
        self.net = torch_network(self.model)
