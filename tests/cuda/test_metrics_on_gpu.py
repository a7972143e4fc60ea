"""Quality indices and DLPack on a real GPU, with torch tensors; skipped where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pantiny
from pantiny import cuda, metrics
from pantiny.errors import BackendError

if not cuda.usable():
    pytest.skip(cuda.describe()[0], allow_module_level=True)
torch = pytest.importorskip("torch")
LIMIT = 1e-6


def scene(dtype: str = "int16") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pan = rng.integers(300, 1500, (3, 128, 160))
    fused = (pan[:, None] + rng.integers(0, 300, (3, 4, 128, 160))).astype(dtype)
    return fused, fused[..., 1::4, 2::4].copy(), pan.astype(dtype)


def on(*arrays: np.ndarray) -> list[Any]:
    return [torch.from_numpy(a).cuda() for a in arrays]


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_values_are_those_of_the_cpu(dtype: str, masked: bool) -> None:
    fused, ms, pan = scene(dtype)
    mask = np.random.default_rng(1).random((3, 128, 160)) > 0.0005
    given, there = ({"mask": mask}, {"mask": on(mask)[0]}) if masked else ({}, {})
    for index, images in (
        (metrics.uqi, (fused, np.roll(fused, 1, -1))),
        (metrics.q2n, (fused, np.roll(fused, 1, -1))),
        (metrics.qnr, (fused, ms, pan)),
        (metrics.hqnr, (fused, ms, pan)),
    ):
        options = {"block": 8} if index in (metrics.q2n, metrics.hqnr) else {}
        options |= {"window": 8} if index is not metrics.q2n else {}
        expected = index(*images, reduction="none", **options, **given)  # type: ignore[operator]
        found = index(*on(*images), reduction="none", **options, **there)  # type: ignore[operator]
        assert np.abs(found - expected).max() < LIMIT
        for i in range(0 if masked else 3):
            assert index(*on(*(a[i] for a in images)), **options) == found[i]  # type: ignore[operator]


def test_the_callers_stream_and_what_has_no_kernel() -> None:
    fused, _, _ = scene()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        there = torch.from_numpy(fused).pin_memory().cuda(non_blocking=True)
        found = metrics.uqi(there, there.roll(1, -1))
    assert abs(found - metrics.uqi(fused, np.roll(fused, 1, -1))) < LIMIT
    with pytest.raises(BackendError, match=r"pass fused\.cpu\(\)"):
        metrics.sam(there, there)


class Lent:
    """A tensor that speaks DLPack only."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        return self._tensor.__dlpack__(**options)


def test_dlpack_in_and_out() -> None:
    _, ms, pan = scene()
    ms_there, pan_there = on(ms, pan)
    fused = torch.from_dlpack(pantiny.fuse(Lent(ms_there), Lent(pan_there)))
    assert torch.equal(fused, pantiny.fuse(ms_there, pan_there))
    assert metrics.uqi(Lent(fused), Lent(fused)) == metrics.uqi(fused, fused)
