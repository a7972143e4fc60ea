"""Pairs in host memory on emulated devices: bands, devices and copies change no bit."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from scenes import make_pair, textured

import pantiny
from pantiny import cuda, cuda_lanes, cuda_layout
from pantiny.cuda_layout import DeviceLayout
from pantiny.cuda_part import Part
from pantiny.errors import BackendError, DataError, MemoryBudgetError, OptionError

from .emulated import OnDevice, emulated  # noqa: F401

pytestmark = pytest.mark.usefixtures("emulated", "small_slots")
STEP = {"fp32": 84, "fp16": 8}  # rows of tiles that bands are made of


@pytest.fixture
def small_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies in several pieces."""
    monkeypatch.setattr(cuda_lanes, "SLOT_BYTES", 3000)


@pytest.fixture
def three_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANTINY_EMULATED_DEVICES", "3")


def pair(
    height: int = 27, width: int = 5, bands: int = 4, dtype: str = "uint16"
) -> tuple[np.ndarray, np.ndarray]:
    ms = textured((bands, height, width), dtype, 1)
    return ms, textured((4 * height, 4 * width), dtype, 2)


def only(monkeypatch: pytest.MonkeyPatch, keep: bool, resident: bool, rows: int) -> None:
    """This layout, whatever would fit."""

    def one(*given: Any) -> Iterator[DeviceLayout]:
        yield DeviceLayout(given[4], False, keep, resident, rows, 1, 0)

    monkeypatch.setattr(cuda_layout, "candidates", one)


KINDS = [(True, True), (False, True), (False, False), (True, False)]


@pytest.mark.parametrize("keep, resident", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_bands_change_no_bit(
    keep: bool, resident: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ms, pan = pair(26 if precision == "fp32" else 15, 5)
    options = {"backend": "cuda", "precision": precision, "consistency": 2, "bits": 11}
    expected = pantiny.fuse(ms, pan, **options)
    only(monkeypatch, keep, resident, STEP[precision])
    assert np.array_equal(pantiny.fuse(ms, pan, **options), expected)


@pytest.mark.usefixtures("three_devices")
@pytest.mark.parametrize("keep", [True, False])
def test_devices_change_no_bit(keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = pair(30, 6)
    mask = np.random.default_rng(0).random(pan.shape) < 0.95
    options = {"backend": "cuda", "precision": "fp16", "mask": mask, "bits": 11}
    expected = pantiny.fuse(ms, pan, **options)
    only(monkeypatch, keep, True, 24)
    assert np.array_equal(pantiny.fuse(ms, pan, device=[2, 0, 1], **options), expected)
    assert np.array_equal(pantiny.fuse(ms, pan, device="cuda:1", **options), expected)


@pytest.mark.usefixtures("three_devices")
def test_more_devices_than_rows_of_tiles() -> None:
    ms, pan = pair(3, 5)
    options = {"backend": "cuda", "precision": "fp16", "bits": 11}
    shared = pantiny.fuse(ms, pan, device=[0, 1, 2], **options)
    assert np.array_equal(shared, pantiny.fuse(ms, pan, **options))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_groups_and_masks(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = pair(12, 6, bands=8, dtype=dtype)
    ms[:, :3, 2:4] = 5
    pan[-9:] = 5
    options = {"backend": "cuda", "nodata": 5, "sensor": "WV2", "precision": "fp16"}
    options |= {"bits": 8} if dtype == "uint8" else {}
    whole = pantiny.fuse(ms, pan, **options)
    assert (whole[:, -9:] == 5).all() and (whole[:, 20:30] != 5).all()
    only(monkeypatch, False, False, 16)
    assert np.array_equal(pantiny.fuse(ms, pan, **options), whole)


@pytest.mark.parametrize("bands", [4, 8])
def test_a_batch(bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = (np.stack([a, a[..., ::-1], a // 3]) for a in pair(6, 5, bands))
    mask = np.ones(pan.shape, bool)
    mask[1, :, :7] = False
    options = {"backend": "cuda", "precision": "fp16", "bits": 11}
    monkeypatch.setattr("pantiny.cuda_batch.RUN_PIXELS", 2 * pan[0].size)
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


def test_groups_whose_margins_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = (0.35,) * 7 + (0.05,)
    sensor = replace(pantiny.sensors.get_sensor("WV2", 8), gains=gains)
    ms, pan = pair(60, 1, bands=8)
    options = {"backend": "cuda", "precision": "fp16", "sensor": sensor, "consistency": 2}
    whole = pantiny.fuse(ms, pan, **options)
    only(monkeypatch, False, False, 64)
    assert np.array_equal(pantiny.fuse(ms, pan, **options), whole)


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


def fused(out: Path) -> np.ndarray:
    with rasterio.open(out) as file:
        return file.read()


@pytest.mark.parametrize("offset", [(0.0, 0.0), (21.3, -13.9)])
def test_files(offset: tuple[float, float], tmp_path: Path) -> None:
    files = make_pair(tmp_path, height=60, width=44, nodata=0, ms_offset=offset)
    kinds = {
        "cpu": {"backend": "cpu"},
        "whole": {"backend": "cuda", "precision": "fp32"},
        "half": {"device": 0, "precision": "fp16"},
        "bands": {"backend": "cuda", "precision": "fp16", "tile": 10},
    }
    results = {}
    for name, options in kinds.items():
        extent = "union" if any(offset) else "intersection"
        out = tmp_path / f"{name}.tif"
        pantiny.fuse_files(*files, out, bits=11, extent=extent, consistency=1, **options)
        results[name] = fused(out).astype(int)
    assert np.abs(results["whole"] - results["cpu"]).max() <= 1
    assert ((results["half"] == 0) == (results["cpu"] == 0)).all()
    assert np.array_equal(results["half"], results["bands"])


@pytest.mark.usefixtures("three_devices")
def test_files_on_several_devices(tmp_path: Path) -> None:
    files = make_pair(tmp_path, height=60, width=44)
    for name, device in (("one", 0), ("three", "0,1,2")):
        out = tmp_path / f"{name}.tif"
        pantiny.fuse_files(*files, out, bits=11, precision="fp16", device=device)
    assert np.array_equal(fused(tmp_path / "one.tif"), fused(tmp_path / "three.tif"))


def layout_in(memory: int, monkeypatch: pytest.MonkeyPatch, ms: Any, pan: Any) -> DeviceLayout:
    """What is chosen with so much memory."""
    monkeypatch.setenv("PANTINY_EMULATED_MEMORY", str(memory))
    found = []
    chosen = cuda_layout.choose_device_layout

    def spy(*args: Any) -> DeviceLayout:
        found.append(chosen(*args))
        return found[-1]

    monkeypatch.setattr("pantiny.fusers.choose_device_layout", spy)
    monkeypatch.setattr("pantiny.fusers.run_source", lambda *_: None)
    pantiny.fuse(ms, pan, backend="cuda", precision="fp16", bits=11)
    return found[0]


def test_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = pair(400, 4)
    kinds = []
    for memory in (1 << 32, 9_000_000, 5_000_000, 2_300_000):
        layout = layout_in(memory, monkeypatch, ms, pan)
        assert layout.bytes <= 0.9 * memory
        kinds.append((layout.whole, layout.keep, layout.resident))
    whole, kept, recomputed, read_again = (
        (True, False, True),
        (False, True, True),
        (False, False, True),
        (False, False, False),
    )
    assert kinds == [whole, kept, recomputed, read_again]
    monkeypatch.setenv("PANTINY_EMULATED_MEMORY", "100000")
    with pytest.raises(MemoryBudgetError, match="bands of 8 rows"):
        pantiny.fuse(ms, pan, backend="cuda", precision="fp16", bits=11)


def test_progress() -> None:
    ms, pan = pair(12, 5)
    shares: list[float] = []
    options = {"backend": "cuda", "precision": "fp16", "bits": 11, "tile": 10}
    pantiny.fuse(ms, pan, progress=shares.append, **options)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == 7 * 6


@pytest.mark.parametrize("tile", [None, 8])
def test_errors_of_callbacks_stay_what_they_are(tile: int | None) -> None:
    class Stop(RuntimeError):
        pass

    def stop(_: float) -> None:
        raise Stop("enough")

    ms, pan = pair(6, 5)
    options = {"backend": "cuda", "precision": "fp16", "bits": 11, "tile": tile}
    with pytest.raises(Stop, match="enough"):
        pantiny.fuse(ms, pan, progress=stop, **options)
    assert pantiny.fuse(ms, pan, **options).shape == (4, 24, 20)


@pytest.mark.usefixtures("three_devices")
@pytest.mark.parametrize(
    "device, text",
    [
        (3, "not there"),
        ("cuda:7", "not there"),
        ("gpu", "no device"),
        (-1, "no device"),
        (True, "no device"),
        (1.5, "no device"),
        ("9" * 5000, "not there"),
        ([0, 0], "twice"),
        ([], "none"),
    ],
)
def test_bad_devices(device: Any, text: str) -> None:
    with pytest.raises(OptionError, match=f"device: got .*{text}.*; need .*; leave"):
        pantiny.fuse(*pair(3, 3), device=device)


@pytest.mark.usefixtures("three_devices")
def test_devices_and_backends(tmp_path: Path) -> None:
    ms, pan = pair(3, 3)
    with pytest.raises(OptionError, match=r"device: got 1 with backend 'cpu'"):
        pantiny.fuse(ms, pan, device=1, backend="cpu")
    with pytest.raises(BackendError, match=r"device: got 1 for images on cuda:0"):
        pantiny.fuse(OnDevice(ms), OnDevice(pan), device=1)
    with pytest.raises(BackendError, match="does not stream"):
        pantiny.fuse_files("ms", "pan", tmp_path / "out.tif", backend="reference")
    assert pantiny.fuse(ms, pan, device="cuda", bits=11).shape == (4, 12, 12)


def test_what_is_read_is_checked_first() -> None:
    ms, pan = pair(3, 3, dtype="float32")
    pan[0, 0] = np.nan
    with pytest.raises(DataError, match="pan"):
        pantiny.fuse(ms, pan, backend="cuda")


class Broken:
    """The emulated core with one thing left out."""

    def __init__(self, core: Any, what: str) -> None:
        made = core.Event

        class Event:
            def __init__(self) -> None:
                self._event = made()

            def record(self, stream: int) -> None:
                self._event.record(stream)

            def wait_in(self, stream: int) -> None:
                if what != "streams wait for nothing":
                    self._event.wait_in(stream)

            def wait(self) -> None:
                if what != "the host waits for nothing":
                    self._event.wait()

        self._all = {**vars(core), "Event": Event}
        self.core = SimpleNamespace(**self._all)


@pytest.mark.parametrize("what", ["streams wait for nothing", "the host waits for nothing"])
def test_the_emulator_notices_who_does_not_wait(
    what: str,
    emulated: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ms, pan = pair(15, 5)
    options = {"backend": "cuda", "precision": "fp16", "bits": 11}
    only(monkeypatch, False, False, 16)
    expected = pantiny.fuse(ms, pan, **options)
    cuda.clear()
    broken = Broken(emulated, what).core
    monkeypatch.setattr(cuda, "_compiled", lambda: broken)
    assert not np.array_equal(pantiny.fuse(ms, pan, **options), expected)


def test_slots_of_several_sizes() -> None:
    slots = cuda_lanes._Slots()
    for size in (4000, 3000, 3000, 3500, 3500, 5000, 4000, 4500):
        assert slots.next(size).bytes.size >= size
