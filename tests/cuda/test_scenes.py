"""Pairs in host memory on emulated devices: bands, devices and copies change no bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from scenes import make_pair

import pantiny
from pantiny import cuda
from pantiny.cuda import layout as cuda_layout
from pantiny.cuda.layout import DeviceLayout
from pantiny.errors import (
    BackendError,
    DataError,
    MemoryBudgetError,
    OptionError,
)

from .emulated import OnDevice
from .host_pairs import only, pair

pytestmark = pytest.mark.usefixtures("emulated", "small_slots")
STEP = {"fp32": 84, "fp16": 8}  # rows of tiles that bands are made of


@pytest.fixture
def three_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANTINY_EMULATED_DEVICES", "3")


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


def test_groups_whose_margins_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = (0.35,) * 7 + (0.05,)
    sensor = replace(pantiny.sensors.get_sensor("WV2", 8), gains=gains)
    ms, pan = pair(60, 1, bands=8)
    options = {"backend": "cuda", "precision": "fp16", "sensor": sensor, "consistency": 2}
    whole = pantiny.fuse(ms, pan, **options)
    only(monkeypatch, False, False, 64)
    assert np.array_equal(pantiny.fuse(ms, pan, **options), whole)


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
    emulated: Any,
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
