"""Arrays of every kind become numpy views; pairs of every shape become [N, K, h, w], [N, H, W]."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scenes import textured

import pantiny
from pantiny.arrays import as_array, check_pair, returner
from pantiny.errors import BackendError, DtypeError, ShapeError, SwappedInputsError

sizes = st.integers(1, 9)
ratios = st.integers(2, 8)


class Interface:
    """Knows nothing but the array interface."""

    def __init__(self, array: np.ndarray) -> None:
        self._kept = array
        self.__array_interface__ = array.__array_interface__


class Capsule:
    """Knows nothing but DLPack."""

    def __init__(self, array: np.ndarray, fails: bool = False) -> None:
        self._array, self._fails = array, fails

    def __dlpack__(self, **options: Any) -> Any:
        if self._fails:
            raise BufferError("lies on a device")
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("wrap", [lambda a: a, Interface, Capsule])
def test_no_copy_is_made(wrap: Any, dtype: str) -> None:
    whole = textured((3, 10, 14), dtype, 0)
    array = whole[:, ::2, 1::3]
    seen = as_array(wrap(array), "ms")
    assert seen.dtype == array.dtype and seen.strides == array.strides
    assert np.shares_memory(seen, whole) and np.array_equal(seen, array)


@pytest.mark.parametrize("dtype", [">u2", ">i2", ">f4"])
def test_a_foreign_byte_order_is_turned(dtype: str) -> None:
    array = textured((5, 7), "uint16", 0).astype(dtype)
    seen = as_array(array, "pan")
    assert seen.dtype.isnative and seen.dtype.kind == array.dtype.kind
    assert np.array_equal(seen, array)


def test_torch_is_shared_and_comes_back() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(12, dtype=torch.float32, requires_grad=True).reshape(3, 4)
    seen = as_array(tensor, "ms")
    assert np.shares_memory(seen, tensor.detach().numpy())
    back = returner(tensor)(seen)
    assert isinstance(back, torch.Tensor) and torch.equal(back, tensor.detach())
    assert returner(np.empty(3))(seen) is seen


def test_what_is_refused() -> None:
    with pytest.raises(
        BackendError, match=r"ms: cannot be read .* DLPack \(lies on a device\); co"
    ):
        as_array(Capsule(np.empty(3, "f4"), fails=True), "ms")
    with pytest.raises(DtypeError, match=r"pan: got dtype uint64; need uint8"):
        as_array(Capsule(np.empty(3, "u8")), "pan")


def test_what_is_refused_of_torch() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(BackendError, match=r"ms: got a tensor on meta; .* pass ms\.cpu\(\)"):
        as_array(torch.empty(3, device="meta"), "ms")
    with pytest.raises(DtypeError, match=r"pan: got torch\.bfloat16; need .* pass pan\.float\(\)"):
        as_array(torch.empty(3, dtype=torch.bfloat16), "pan")
    with pytest.raises(DtypeError, match=r"pan: got dtype float64; need"):
        as_array(torch.empty(3, dtype=torch.float64), "pan")
    with pytest.raises(DtypeError, match=r"ms: got a tensor that numpy cannot view .*to_dense"):
        as_array(torch.eye(3).to_sparse(), "ms")


@settings(deadline=None)
@given(k=st.integers(1, 40), h=sizes, w=sizes, r=ratios, n=st.integers(1, 3), form=st.booleans())
def test_every_good_shape(k: int, h: int, w: int, r: int, n: int, form: bool) -> None:
    ms = np.arange(n * k * h * w, dtype="f4").reshape(n, k, h, w)
    pan = np.arange(n * h * w * r * r, dtype="f4").reshape(n, h * r, w * r)
    got_ms, got_pan, batched = check_pair(ms, pan[:, None] if form else pan)
    assert batched and got_ms is ms
    assert got_pan.base is pan.base and np.array_equal(got_pan, pan)
    got_ms, got_pan, batched = check_pair(ms[-1], pan[-1][None] if form else pan[-1])
    assert not batched
    assert np.array_equal(got_ms, ms[-1:]) and np.array_equal(got_pan, pan[-1:])


@settings(deadline=None)
@given(k=st.integers(1, 12), h=sizes, w=sizes, r=ratios, form=st.integers(0, 3))
def test_swapping_any_good_pair_is_noticed(k: int, h: int, w: int, r: int, form: int) -> None:
    ms, pan = np.zeros((k, h, w), "u2"), np.zeros((h * r, w * r), "u2")
    swapped = [
        (pan, ms),
        (pan[None], ms),
        (pan, ms[0]),
        (pan[None, None], ms[None]),
    ]
    with pytest.raises(SwappedInputsError, match="they look swapped"):
        check_pair(*swapped[form])


@settings(deadline=None)
@given(k=st.integers(1, 12), h=sizes, w=sizes, r=ratios, batch=st.booleans())
def test_bands_last_is_noticed(k: int, h: int, w: int, r: int, batch: bool) -> None:
    ms, pan = np.zeros((h, w, k), "u2"), np.zeros((h * r, w * r), "u2")
    fits = [h * r == w * q and w * r == k * q for q in range(2, 9)]
    assume(not any(fits))  # bands first is possible too
    assume(w <= h * r or k <= w * r)  # more bands than PAN has columns: looks swapped
    if batch:
        ms, pan = ms[None], pan[None]
    with pytest.raises(ShapeError, match="bands-last") as caught:
        check_pair(ms, pan)
    advice = str(caught.value).partition("pass ms")[2]
    turned = eval(f"ms{advice}", {"ms": ms})
    assert check_pair(turned, pan)[0].shape == (1, k, h, w)


@settings(deadline=None)
@given(k=st.integers(1, 6), h=st.integers(3, 9), r=ratios, dh=st.integers(-5, 9))
def test_fuse_takes_whole_ratios_only(k: int, h: int, r: int, dh: int) -> None:
    ms, pan = np.full((k, h, 4), 9, "u1"), np.full((h * r + dh, 4 * r), 9, "u1")
    if dh == 0:
        assert pantiny.fuse(ms, pan, threads=1, consistency=0).shape == (k, *pan.shape)
        return
    with pytest.raises(ShapeError):  # RatioError, or swapped or bands-last where it looks so
        pantiny.fuse(ms, pan)
