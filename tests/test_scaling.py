"""The scale contract: exact order statistics from histograms, bit depths."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pantiny.errors import DataError
from pantiny.scaling import Quantile, array_scene_scale, infer_bits, peak_of, scene_scale

DTYPES = (np.uint8, np.uint16, np.int16, np.float32)
RANKS = ("1/128", "1/2", "63/64", "0.99", "1")  # as exact fractions


def sample(dtype: type, count: int, seed: int) -> np.ndarray:
    """Values over the whole range of the type, with ties, extremes and negatives."""
    rng = np.random.default_rng(seed)
    values: np.ndarray
    if dtype is np.float32:
        values = rng.normal(size=count) * 10 ** rng.uniform(-30, 30, count)
        values[rng.uniform(size=count) < 0.2] = 0.0
        values[rng.uniform(size=count) < 0.1] = -123.456
        return values.astype(np.float32)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, count, endpoint=True)
    values[rng.uniform(size=count) < 0.1] = info.max
    values[rng.uniform(size=count) < 0.1] = info.min
    return values.astype(dtype)


def streamed(values: np.ndarray, q: float, chunks: list[np.ndarray]) -> float:
    quantile = Quantile(values.dtype, q)
    for _ in range(quantile.sweeps):
        for chunk in chunks:
            quantile.add(chunk)
        assert quantile.count == values.size  # the second sweep does not count again
        if quantile.sweeps == 2:
            quantile.end_sweep()
    return quantile.value()


def order_statistic(values: np.ndarray, q: str) -> float:
    """Element of rank ceil(q*n), counting from 1, of the sorted values."""
    rank = -(-Fraction(q) * values.size // 1)
    return float(np.sort(values)[max(int(rank), 1) - 1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3, 99, 100, 101, 1000, 4097])
@pytest.mark.parametrize("q", RANKS)
def test_equals_sorting(dtype: type, count: int, q: str) -> None:
    values = sample(dtype, count, count)
    assert streamed(values, float(Fraction(q)), [values]) == order_statistic(values, q)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chunk", [1, 7, 256, 999])
def test_independent_of_chunks_and_order(dtype: type, chunk: int) -> None:
    values = sample(dtype, 1500, 5)
    shuffled = np.random.default_rng(6).permutation(values)
    chunks = [shuffled[i : i + chunk] for i in range(0, values.size, chunk)]
    chunks.insert(1, values[:0])  # an empty tile
    assert streamed(values, 0.99, chunks) == order_statistic(values, "0.99")


def test_floats_that_share_their_upper_half() -> None:
    """Only the second sweep tells them apart: they differ by units in the last place."""
    first = np.float32(1000.0).view(np.uint32)
    values = (first + np.arange(5000, dtype=np.uint32)).view(np.float32)
    for sign in (np.float32(1), np.float32(-1)):
        signed = np.random.default_rng(7).permutation(sign * values)
        for q in RANKS:
            found = streamed(signed, float(Fraction(q)), [signed])
            assert found == order_statistic(signed, q)


def test_a_strided_view_counts_like_its_copy() -> None:
    values = sample(np.float32, 600, 8)[::3]
    assert streamed(values, 0.5, [values]) == order_statistic(values.copy(), "1/2")


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_valid(dtype: type) -> None:
    with pytest.raises(DataError, match="no valid pixel"):
        Quantile(np.dtype(dtype)).value()
    with pytest.raises(DataError, match="no valid pixel"):
        array_scene_scale(np.ones((4, 3, 3), dtype), np.zeros((3, 3), bool))


@pytest.mark.parametrize("dtype", [*DTYPES, np.float64])
def test_scene_scale_is_twice_the_99th_percentile_of_valid_pixels(dtype: type) -> None:
    ms: np.ndarray = np.arange(1, 101).astype(dtype).repeat(2).reshape(2, 10, 10)
    assert array_scene_scale(ms) == 2 * 99
    valid = np.zeros((10, 10), bool)
    valid[:, :5] = True  # of each ten the first five: up to 48 and 98
    inside = np.sort(ms[:, valid].ravel())
    assert array_scene_scale(ms, valid) == 2 * inside[98]
    assert inside[98] < 99


def test_a_scene_without_positive_values_keeps_its_unit() -> None:
    assert scene_scale(0.0) == 1.0
    assert scene_scale(-5.0) == 1.0
    assert array_scene_scale(np.zeros((2, 3, 3), np.uint16)) == 1.0


@pytest.mark.parametrize(
    "largest, bits",
    list(
        zip(
            (0, 255, 256, 1023, 1024, 2047, 2048, 4095, 4096, 16383, 16384, 65535, 1e6),
            (8, 8, 10, 10, 11, 11, 12, 12, 14, 14, 16, 16, 16),
        )
    ),
)
def test_infer_bits(largest: float, bits: int) -> None:
    for dtype in (np.uint16, np.int16, np.float32):
        assert infer_bits(np.dtype(dtype), largest) == bits
    assert infer_bits(np.dtype(np.uint8), largest) == 8


def test_peaks() -> None:
    assert [peak_of(b) for b in (8, 11, 16)] == [255, 2047, 65535]
