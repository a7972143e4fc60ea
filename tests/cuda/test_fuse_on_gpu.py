"""fuse() on a real GPU, with torch tensors; skipped where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pantiny
from pantiny import cuda
from pantiny.cuda import layout as cuda_layout

if not cuda.usable():
    pytest.skip(cuda.describe()[0], allow_module_level=True)
torch = pytest.importorskip("torch")
LIMITS = {"fp32": 2e-6, "fp16": 2e-3, "bf16": 2e-2}  # of the result


def pair(height: int, width: int, images: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(height * width)
    ms = rng.integers(100, 1500, (images, 4, height, width)).astype(np.float32)
    return ms, rng.integers(100, 1500, (images, 4 * height, 4 * width)).astype(np.float32)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b))


@pytest.mark.parametrize("precision", cuda.PRECISIONS)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (33, 65), (64, 64)])
def test_the_result_is_that_of_the_cpu(precision: str, size: tuple[int, int]) -> None:
    ms, pan = pair(*size)
    on = torch.from_numpy(ms).cuda(), torch.from_numpy(pan).cuda()
    fused = pantiny.fuse(*on, precision=precision)
    assert fused.device == on[0].device
    assert relative(fused.cpu().numpy(), pantiny.fuse(ms, pan)) < LIMITS[precision]


@pytest.mark.parametrize("precision", cuda.PRECISIONS)
def test_a_batch_changes_no_bit_and_a_second_run_neither(precision: str) -> None:
    ms, pan = (torch.from_numpy(a).cuda() for a in pair(24, 40, 3))
    together = pantiny.fuse(ms, pan, precision=precision)
    for i in range(3):
        alone = pantiny.fuse(ms[i], pan[i], precision=precision)
        assert torch.equal(together[i], alone)
    assert torch.equal(together, pantiny.fuse(ms, pan, precision=precision))


def test_work_is_put_on_the_callers_stream() -> None:
    ms, pan = (torch.from_numpy(a).cuda() for a in pair(64, 64))
    expected = pantiny.fuse(ms, pan)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        fused = pantiny.fuse(ms, pan)
    stream.synchronize()
    assert torch.equal(fused, expected)


def test_a_graph_replays() -> None:
    rng = np.random.default_rng(0)
    ms = torch.from_numpy(rng.integers(100, 1500, (4, 16, 16)).astype(np.int16)).cuda()
    pan = torch.from_numpy(rng.integers(100, 1500, (64, 64)).astype(np.int16)).cuda()
    out = torch.zeros((4, 64, 64), dtype=torch.int16, device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        pantiny.fuse(ms, pan, out=out)
        expected = out.clone()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            pantiny.fuse(ms, pan, out=out)
    out.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(out, expected)


@pytest.mark.parametrize("precision", cuda.PRECISIONS)
@pytest.mark.parametrize("tile", [1, 300])
def test_bands_change_no_bit(precision: str, tile: int) -> None:
    ms, pan = (a[0] for a in pair(150, 90))
    mask = np.random.default_rng(0).random(pan.shape) < 0.97
    options = {"backend": "cuda", "precision": precision, "mask": mask}
    whole = pantiny.fuse(ms, pan, **options)
    assert np.array_equal(whole, pantiny.fuse(ms, pan, tile=tile, **options), equal_nan=True)


def test_bands_that_recompute_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = (a[0] for a in pair(150, 90))
    whole = pantiny.fuse(ms, pan, backend="cuda")
    every = cuda_layout.candidates

    def recomputing(*given: Any) -> Any:
        return (c for c in every(*given) if not (c.whole or c.keep or c.resident))

    monkeypatch.setattr(cuda_layout, "candidates", recomputing)
    assert np.array_equal(whole, pantiny.fuse(ms, pan, backend="cuda", tile=200))


def test_runs_that_repeat_become_graphs() -> None:
    ms, pan = pair(32, 32, 3)
    expected = [pantiny.fuse(m, p, backend="cpu") for m, p in zip(ms, pan, strict=True)]
    for _ in range(3):
        for m, p, right in zip(ms, pan, expected, strict=True):
            fused = pantiny.fuse(m, p, backend="cuda", precision="fp32")
            assert relative(fused, right) < LIMITS["fp32"]
    assert cuda.store.kept()[-1].plan.graphs == 1


def test_a_batch_in_host_memory() -> None:
    ms, pan = pair(24, 40, 5)
    fused = pantiny.fuse(ms, pan, backend="cuda")
    for one, m, p in zip(fused, ms, pan, strict=True):
        assert np.array_equal(one, pantiny.fuse(m, p, backend="cuda"))
