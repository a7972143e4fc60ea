"""fuse() on a real GPU, with torch tensors; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest

import pantiny
from pantiny import cuda

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
