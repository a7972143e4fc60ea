"""Runs of pairs in host memory on emulated devices: batches, graphs, memory, errors."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pantiny
from pantiny import cuda
from pantiny.cuda import lanes
from pantiny.cuda.part import Part
from pantiny.errors import CoreError, MemoryBudgetError

from .emulated import OnDevice
from .host_pairs import only, pair

pytestmark = pytest.mark.usefixtures("emulated", "small_slots")


@pytest.mark.parametrize("bands", [4, 8])
def test_a_batch(bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = (np.stack([a, a[..., ::-1], a // 3]) for a in pair(6, 5, bands))
    mask = np.ones(pan.shape, bool)
    mask[1, :, :7] = False
    options = {"backend": "cuda", "precision": "fp16", "bits": 11}
    monkeypatch.setattr("pantiny.cuda.whole.RUN_PIXELS", 2 * pan[0].size)
    shares: list[float] = []
    all_ = pantiny.fuse(ms, pan, mask=mask, progress=shares.append, **options)
    assert shares == sorted(shares) and shares[-1] == 1.0
    for i in range(3):
        assert np.array_equal(all_[i], pantiny.fuse(ms[i], pan[i], mask=mask[i], **options))


def test_a_batch_of_small_images() -> None:
    ms, pan = (np.stack([a, a // 2]) for a in pair(2, 1))
    options = {"backend": "cuda", "precision": "fp16", "bits": 11}
    both = pantiny.fuse(ms, pan, **options)
    for i in range(2):
        assert np.array_equal(both[i], pantiny.fuse(ms[i], pan[i], **options))


def test_a_batch_where_one_has_nodata() -> None:
    rng = np.random.default_rng(1)
    ms = rng.uniform(1, 2000, (4, 8, 2, 6)).astype(np.float32)
    pan = rng.uniform(1, 2000, (4, 8, 24)).astype(np.float32)
    ms[1, :, 1, 3] = pan[1, 0] = 0
    options = {"backend": "cuda", "nodata": 0, "sensor": "WV2", "consistency": 3}
    options["precision"] = "fp32"
    shares: list[float] = []
    all_ = pantiny.fuse(ms, pan, progress=shares.append, **options)
    assert shares == sorted(shares) and shares[-1] == 1.0
    for i in range(4):
        assert np.array_equal(all_[i], pantiny.fuse(ms[i], pan[i], **options))


def test_a_group_leaves_its_memory_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[Any] = []

    def one_at_a_time(make: Any) -> Any:
        def made(*given: Any) -> Any:
            if any(ref() is not None for ref in alive):
                raise MemoryBudgetError("no room for a second one")
            found = make(*given)
            alive.append(weakref.ref(found))
            return found

        return made

    ms, pan = pair(6, 3, bands=8)
    options = {"backend": "cuda", "precision": "fp16", "sensor": "WV2", "bits": 11}
    expected = pantiny.fuse(ms, pan, **options)
    cuda.clear()
    monkeypatch.setattr(cuda._Store, "_made", staticmethod(one_at_a_time(cuda._Store._made)))
    monkeypatch.setattr(Part, "scan", one_at_a_time(Part.scan))
    assert np.array_equal(pantiny.fuse(ms, pan, **options), expected)
    assert np.array_equal(pantiny.fuse(OnDevice(ms), OnDevice(pan), **options).to_host(), expected)
    stacked = np.stack([ms, ms]), np.stack([pan, pan])
    assert np.array_equal(pantiny.fuse(*stacked, **options)[1], expected)
    cuda.clear()
    only(monkeypatch, True, True, 8)
    assert np.array_equal(pantiny.fuse(ms, pan, **options), expected)
    assert len(alive) == 8


def test_runs_that_repeat_become_graphs() -> None:
    ms, pan = pair(6, 5)
    options = {"backend": "cuda", "precision": "fp16", "bits": 11}
    results, graphs = [], []
    for i in range(4):
        results.append(pantiny.fuse(ms + 10 * (i == 3), pan, **options))
        graphs.append(cuda.store.kept()[-1].plan.graphs)
    assert graphs == [0, 1, 1, 1]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    cuda.clear()
    assert np.array_equal(pantiny.fuse(ms + 10, pan, **options), results[3])


def test_graphs_of_arrays_on_a_device() -> None:
    pairs = [tuple(OnDevice(a + 10 * i) for a in pair(6, 5)) for i in range(6)]
    options = {"precision": "fp16", "bits": 11}
    outs = [OnDevice(np.empty((4, 24, 20), np.uint16)) for _ in pairs]
    expected = [pantiny.fuse(ms.array, pan.array, backend="cuda", **options) for ms, pan in pairs]
    for _ in range(2):
        for (ms, pan), out, right in zip(pairs, outs, expected, strict=True):
            for _ in range(3):
                out.array[:] = 0
                pantiny.fuse(ms, pan, out=out, **options)
                assert np.array_equal(out.array, right)
    assert cuda.store.kept()[-1].plan.graphs == 4


def test_slots_of_several_sizes() -> None:
    slots = lanes._Slots()
    for size in (4000, 3000, 3000, 3500, 3500, 5000, 4000, 4500):
        assert slots.next(size).bytes.size >= size


@pytest.mark.parametrize("tile", [None, 16])
def test_an_error_of_the_caller_stays_the_callers(tile: int | None) -> None:
    def fail(_: float) -> None:
        raise RuntimeError("mine")

    ms, pan = pair(6, 5)
    options = {"backend": "cuda", "precision": "fp16", "bits": 11, "tile": tile}
    with pytest.raises(RuntimeError, match=r"^mine$") as raised:
        pantiny.fuse(ms, pan, progress=fail, **options)
    assert type(raised.value) is RuntimeError
    shared = pantiny.fuse(ms, pan, **options)  # the lane is free again
    assert shared.shape == (4, 24, 20)


@pytest.mark.parametrize("tile", [None, 16])
def test_work_that_fails_late_is_an_error(
    tile: int | None,
    emulated: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wait(_: int) -> None:
        raise emulated.Error("kernels: unspecified launch failure")

    failing = SimpleNamespace(**{**vars(emulated), "wait": wait})
    monkeypatch.setattr(cuda, "_compiled", lambda: failing)
    with pytest.raises(CoreError, match=r"the CUDA core refuses the pair: .*launch failure"):
        pantiny.fuse(*pair(6, 5), backend="cuda", precision="fp16", bits=11, tile=tile)


def test_scenes_that_are_too_tall_for_a_launch() -> None:
    model = cuda.store.model(pantiny.load_model("tiny"), "fp16", 0)
    core = cuda.module()

    def bytes_of(height: int) -> int:
        g = cuda.Geometry(1, (height, 8), (height // 4, 2), (0.25,) * 2, (0.0,) * 2, 0, (0.3,) * 4)
        return core.plan_bytes(model, cuda.scene_of(g))

    assert bytes_of(65535 * 4) > 0
    with pytest.raises(core.Error):
        bytes_of(65535 * 8 + 8)
