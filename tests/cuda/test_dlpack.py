"""Arrays that speak DLPack only in fuse and in the indices; results that speak it."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest

import pantiny
from pantiny import metrics
from pantiny.cuda.views import DeviceArray, is_device_array, view
from pantiny.errors import BackendError, DtypeError, OptionError

from .dlpack import CPU, CUDA, MANAGED, Lent, Taken
from .emulated import OnDevice

pytestmark = pytest.mark.usefixtures("emulated")


def pair(dtype: str = "uint16") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ms = rng.integers(100, 1500, (4, 5, 6)).astype(dtype)
    return ms, rng.integers(100, 1500, (20, 24)).astype(dtype)


def fused(*images: Any, **options: Any) -> np.ndarray:
    result = pantiny.fuse(*images, consistency=0, **options)
    assert isinstance(result, DeviceArray)
    return result.to_host()


@pytest.mark.parametrize("kind", [CUDA, MANAGED])
@pytest.mark.parametrize("style", [{}, {"versioned": True}, {"old": True}, {"packed": True}])
def test_fuse_reads_them_where_they_are(kind: int, style: dict[str, bool]) -> None:
    ms, pan = pair()
    lent = [Lent(a, kind, **style) for a in (ms, pan)]
    assert np.array_equal(fused(*lent), fused(OnDevice(ms), OnDevice(pan)))
    gc.collect()
    for a in lent:
        assert set(a.streams) == {1} and a.out == 0  # the legacy default stream; all given back


def test_strided_and_batched_ones() -> None:
    ms, pan = pair("float32")
    wide = np.zeros((4, 5, 12), ms.dtype)
    wide[:, :, ::2] = ms
    expected = fused(OnDevice(ms), OnDevice(pan))
    assert np.array_equal(fused(Lent(wide[:, :, ::2]), Lent(pan)), expected)
    flipped = Lent(np.ascontiguousarray(pan[::-1])[::-1])
    assert np.array_equal(fused(Lent(ms[None]), Lent(flipped.array[None])), expected[None])


def test_beside_other_arrays_on_the_device() -> None:
    ms, pan = pair()
    expected = fused(OnDevice(ms), OnDevice(pan))
    assert np.array_equal(fused(Lent(ms), OnDevice(pan)), expected)
    assert np.array_equal(fused(OnDevice(ms), Lent(pan)), expected)
    mask = np.ones(pan.shape, np.uint8)
    assert np.array_equal(fused(Lent(ms), Lent(pan), mask=Lent(mask)), expected)
    out = np.zeros_like(expected)
    pantiny.fuse(Lent(ms), Lent(pan), consistency=0, out=Lent(out))
    assert np.array_equal(out, expected)


def test_the_work_is_over_before_they_are_given_back(
    emulated: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ms, pan = Lent(pair()[0]), Lent(pair()[1])
    out = Lent(np.zeros((4, 20, 24), np.uint16))
    waits = []

    def wait(stream: int) -> None:
        waits.append((stream, ms.out, pan.out, out.out))

    monkeypatch.setattr(emulated, "wait", wait)
    pantiny.fuse(ms, pan, consistency=0)
    pantiny.fuse(OnDevice(ms.array), OnDevice(pan.array), consistency=0, out=out)
    assert waits == [(0, 1, 1, 0), (0, 0, 0, 1)]


def test_arrays_in_host_memory_stay_there() -> None:
    ms, pan = pair()
    assert not is_device_array(ms) and not is_device_array(Lent(ms, CPU))
    assert isinstance(pantiny.fuse(ms, pan), np.ndarray)


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (lambda a: Lent(a, old=True, lanes=2), DtypeError, "ms: got dtype uint16x2 on the device"),
        (lambda a: Lent(a.astype("int32")), DtypeError, "ms: got dtype int32 on the device"),
        (lambda a: Lent(a.astype("float16")), DtypeError, "ms: got dtype float16 on the device"),
        (lambda a: Lent(a, versioned=True, major=2), BackendError, "ms: .*version 1.*host memory"),
        (lambda a: Lent(a, device=3), BackendError, "ms, pan: got devices cuda:3 and cuda:0"),
    ],
)
def test_what_cannot_be_read(given: Any, kind: type[Exception], text: str) -> None:
    ms, pan = pair()
    with pytest.raises(kind, match=text):
        pantiny.fuse(given(ms), Lent(pan))


class Liar(Lent):
    """Says one device and hands over another."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, 0


class Refuses(Lent):
    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("on loan elsewhere")


def test_producers_that_fail() -> None:
    ms, pan = pair()
    with pytest.raises(BackendError, match=r"ms: got a Liar .* device type 1; need CUDA"):
        pantiny.fuse(Liar(ms, CPU), Lent(pan))
    with pytest.raises(BackendError, match=r"pan: got a Refuses .*on loan elsewhere"):
        pantiny.fuse(Lent(ms), Refuses(pan))
    with pytest.raises(OptionError, match="out: got a read-only array"):
        locked = Lent(np.zeros((4, 20, 24), ms.dtype), versioned=True, read_only=True)
        pantiny.fuse(Lent(ms), Lent(pan), out=locked)


def test_a_capsule_is_taken_once(emulated: Any) -> None:
    capsule = Lent(pair()[0]).__dlpack__(stream=1)
    held = emulated.Imported(capsule)
    assert held.shape == [4, 5, 6] and held.strides == [30, 6, 1] and held.dtype == "uint16"
    with pytest.raises(ValueError, match="nobody has taken"):
        emulated.Imported(capsule)


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 3)])
def test_a_result_is_handed_on_without_a_copy(version: Any) -> None:
    ms, pan = pair("float32")
    result = pantiny.fuse(Lent(ms), Lent(pan), consistency=0)
    assert result.__dlpack_device__() == (CUDA, 0)
    taken = Taken(result.__dlpack__(stream=1, max_version=version))
    versioned = version is not None and version[0] >= 1
    assert taken.name == (b"dltensor_versioned" if versioned else b"dltensor")
    assert taken.version == int(versioned) and taken.device == (CUDA, 0)
    assert taken.array.ctypes.data == result.__cuda_array_interface__["data"][0]
    expected = result.to_host()
    del result
    gc.collect()
    assert np.array_equal(taken.array, expected)  # its memory is still there
    taken.give_back()


def test_capsules_keep_the_memory_and_let_it_go() -> None:
    result = DeviceArray((2, 3, 4), "uint16", 0)
    memory = result._memory
    before = sys.getrefcount(memory)
    capsule = result.__dlpack__()
    assert sys.getrefcount(memory) == before + 1
    taken = Taken(capsule)
    del capsule  # its tensor is the taker's
    assert sys.getrefcount(memory) == before + 1
    taken.give_back()
    assert sys.getrefcount(memory) == before
    unused = result.__dlpack__(max_version=(1, 0))
    assert sys.getrefcount(memory) == before + 1
    del unused
    assert sys.getrefcount(memory) == before


def test_a_result_waits_for_another_stream(
    emulated: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(emulated, "wait", waits.append)
    on_default, on_own = DeviceArray((3,), "uint8", 0), DeviceArray((3,), "uint8", 77)
    for stream in (None, 1, -1):
        on_default.__dlpack__(stream=stream)
    for stream in (77, -1):
        on_own.__dlpack__(stream=stream)
    assert waits == []
    on_default.__dlpack__(stream=77)
    on_own.__dlpack__()
    on_default.__dlpack__(stream=2)
    assert waits == [0, 77, 0]


@pytest.mark.parametrize("bad", [{"copy": True}, {"dl_device": (CPU, 0)}])
def test_what_a_result_cannot_do(bad: dict[str, Any]) -> None:
    with pytest.raises(BufferError, match=r"__dlpack__: got .*to_host"):
        DeviceArray((3,), "uint8", 0).__dlpack__(**bad)


def test_a_result_is_read_again() -> None:
    ms, pan = pair()
    result = pantiny.fuse(Lent(ms), Lent(pan), consistency=0)
    v = view(result, "fused")
    again = view(type("Wrapped", (), {
        "__dlpack__": result.__dlpack__, "__dlpack_device__": result.__dlpack_device__
    })(), "fused")  # fmt: skip
    assert (v.address, v.shape, v.strides, v.dtype) == (
        again.address, again.shape, again.strides, again.dtype
    )  # fmt: skip
    assert again.lent and not v.lent


def test_indices_of_them() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(100, 1500, (4, 40, 44)).astype(np.uint16)
    images = truth + rng.integers(0, 90, truth.shape, dtype=np.uint16)
    lent = Lent(images), Lent(truth, versioned=True)
    assert metrics.uqi(*lent) == metrics.uqi(OnDevice(images), OnDevice(truth))
    gc.collect()
    assert [a.out for a in lent] == [0, 0]
