"""Quality indices of the package, and the same in numpy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pantiny import metrics
from pantiny.engine import core

from .index_images import WINDOW, Images, gate_images, make_images, q4_numpy
from .inputs import PEAK
from .subject import Warm

Index = Callable[[Images], list[float]]


class IndexSubject(Warm):
    """Base: ``index`` of a scene, on its images as they are."""

    def index(self, images: Images) -> list[float]:
        """The values, of which the first is not 0."""
        raise NotImplementedError

    def check(self) -> np.ndarray:
        return np.array(self.index(gate_images()))

    def prepare(self) -> None:
        for seed in range(self.job.buffers):
            images = make_images(self.job.height, seed)
            self.calls.append(partial(self.index, images))


def _distortions(images: Images, variant: str) -> list[float]:
    low = images.pan_low
    spectral = metrics.d_lambda(images.fused, images.ms, variant=variant, window=WINDOW)
    spatial = metrics.d_s(
        images.fused, images.ms, images.pan, variant=variant, window=WINDOW, pan_low=low
    )
    return [spectral, spatial]


OURS: dict[str, Index] = {
    "distortions": partial(_distortions, variant="alparone08"),
    "distortions, torchmetrics": partial(_distortions, variant="torchmetrics"),
    "qnr": lambda i: [metrics.qnr(i.fused, i.ms, i.pan, window=WINDOW)],
    "ssim": lambda i: [metrics.ssim(i.fused, i.truth, peak=PEAK)],
    "q4": lambda i: [metrics.q2n(i.fused, i.truth)],
    "sam": lambda i: [metrics.sam(i.fused, i.truth, units="radians")],
}


class Ours(IndexSubject):
    """Option ``index``: a key of ``OURS``. uint16 images."""

    def index(self, images: Images) -> list[float]:
        return OURS[self.job.options["index"]](images)

    def facts(self) -> dict[str, Any]:
        return {"isa": core().isa(), **super().facts()}


class Numpy(IndexSubject):
    """Q4 over whole arrays."""

    def index(self, images: Images) -> list[float]:
        return [q4_numpy(images.fused, images.truth)]
