"""The indices of torchmetrics, on float32 tensors that are made before the clock starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import (
    spatial_distortion_index,
    spectral_angle_mapper,
    spectral_distortion_index,
    structural_similarity_index_measure,
)

from ..index_images import Images, gate_images, make_images
from ..inputs import PEAK
from ..subject import Job, Warm


class Tensors:
    """Images as torchmetrics wants them: [1, 4, ...], PAN repeated for every band."""

    def __init__(self, images: Images) -> None:
        def batch(image: np.ndarray) -> Tensor:
            return torch.from_numpy(image.astype(np.float32))[None]

        self.fused, self.truth, self.ms = map(batch, (images.fused, images.truth, images.ms))
        self.pan = batch(images.pan)[:, None].repeat(1, len(images.ms), 1, 1)
        self.pan_low = batch(images.pan_low)[:, None].repeat(1, len(images.ms), 1, 1)


def _distortions(t: Tensors) -> list[Tensor]:
    return [
        spectral_distortion_index(t.fused, t.ms),
        spatial_distortion_index(t.fused, t.ms, t.pan, t.pan_low),
    ]


INDICES: dict[str, Callable[[Tensors], list[Any]]] = {
    "distortions": _distortions,
    "ssim": lambda t: [structural_similarity_index_measure(t.fused, t.truth, data_range=PEAK)],
    "sam": lambda t: [spectral_angle_mapper(t.fused, t.truth)],
}


class TorchMetrics(Warm):
    """Option ``index``: a key of ``INDICES``."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        torch.set_num_threads(job.threads)

    def index(self, tensors: Tensors) -> list[float]:
        with torch.inference_mode():
            return [float(v) for v in INDICES[self.job.options["index"]](tensors)]

    def check(self) -> np.ndarray:
        return np.array(self.index(Tensors(gate_images())))

    def prepare(self) -> None:
        for seed in range(self.job.buffers):
            tensors = Tensors(make_images(self.job.height, seed))
            self.calls.append(partial(self.index, tensors))
