"""ONNX Runtime on the graph that torch exports, CPU provider, all optimisations on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from ..inputs import Tile
from .common import TorchSubject, export_onnx, in_dn, network_inputs


class OnnxRuntime(TorchSubject):
    """One session per shape."""

    def session(self, height: int, width: int) -> Any:
        """Export for one shape and load."""
        path = Path(self.job.folder) / f"network-{self.job.threads}-{height}x{width}.onnx"
        example = (torch.zeros(1, 4, height, width), torch.zeros(1, 1, height, width))
        export_onnx(self.net, example, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.job.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])

    @staticmethod
    def feed(tile: Tile) -> dict[str, np.ndarray]:
        return dict(zip(("ms_up", "pan"), network_inputs(tile)))

    def result(self, tile: Tile) -> np.ndarray:
        return in_dn(self.session(*tile.pan.shape).run(None, self.feed(tile))[0])

    def prepare(self) -> None:
        session = self.session(self.job.height, self.job.width)
        for tile in self.tiles():
            feed = self.feed(tile)
            self.calls.append(partial(session.run, None, feed))
