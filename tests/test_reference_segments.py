"""The numpy reference of the single segments: properties, masks, every case of every op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pantiny.errors import OptionError
from pantiny.kernels.boundary import cases as boundary_cases
from pantiny.kernels.boundary.boundary_ref import apply_ref, boundary_ref, statistics_ref
from pantiny.kernels.consistency import cases as consistency_cases
from pantiny.kernels.consistency.consistency_ref import consistency_ref, degrade_masked_ref
from pantiny.kernels.fold import cases as fold_cases
from pantiny.kernels.fold.fold_ref import fold_ref
from pantiny.kernels.fusion import cases as fusion_cases
from pantiny.kernels.fusion.fusion_ref import fuse_pan_ref, fusion_ref
from pantiny.kernels.head import cases as head_cases
from pantiny.kernels.head.head_ref import head_ref
from pantiny.kernels.resample.resample_masked_ref import upsample_masked_ref
from pantiny.kernels.tail import cases as tail_cases
from pantiny.kernels.tail.tail_ref import tail_ref
from pantiny.kernels.testing import Case, assert_close, assert_within, random_weights

GAINS = (0.355, 0.36, 0.365, 0.22)
QUARTER = (0.25, 0.25)


def image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def rectangle(height: int, width: int, rows: slice, cols: slice) -> np.ndarray:
    valid = np.zeros((height, width), bool)
    valid[rows, cols] = True
    return valid


def by_name(case: Any) -> str:
    return str(case.name)


def test_the_comparison_names_the_worst_element() -> None:
    expected = image(47, 3, 4)
    bound = np.full((3, 4), 0.25)
    actual = expected.copy()
    actual[1, 2] += 0.2
    assert_within(actual, expected, bound)
    actual[0, 3] += 0.4
    actual[2, 1] -= 0.6
    with pytest.raises(AssertionError, match=r"x\[2, 1\].* 2 of 12 are off"):
        assert_within(actual, expected, bound, "x")
    actual[1, 0] = np.nan
    with pytest.raises(AssertionError, match=r"\[1, 0\]: .*nan"):
        assert_within(actual, expected, np.inf)
    with pytest.raises(AssertionError, match="shape"):
        assert_within(actual[:2], expected, bound)


# The segments


@pytest.mark.parametrize("case", head_cases.CASES, ids=by_name)
def test_head_case(case: Any) -> None:
    ms_up, valid, w = head_cases.inputs(case)
    x = head_ref(ms_up, valid, w)
    assert np.isfinite(x).all()
    assert not x[:, ~valid].any()
    assert_within(head_ref(np.where(valid, ms_up, np.nan), valid, w), x, 0.0)
    other = image(14, *ms_up.shape) * np.abs(ms_up).max(initial=0.0)
    combined = 2.0 * np.float64(ms_up) - 3.0 * other
    expected = 2.0 * x - 3.0 * head_ref(other, valid, w)
    assert_within(head_ref(combined, valid, w), expected, 1e-13 * np.abs(x).max(initial=1.0))


@pytest.mark.parametrize("case", boundary_cases.CASES, ids=by_name)
def test_boundary_case(case: Any) -> None:
    x, valid, matrix, w, block, next_block = boundary_cases.inputs(case)
    out, stats = boundary_ref(x, valid, matrix, w, block, next_block)
    assert np.isfinite(out).all()
    assert not out[:, ~valid].any()
    heads, c = stats.gram.shape[:2]
    bound = np.sqrt(stats.qq.reshape(heads, c, 1) * stats.kk.reshape(heads, 1, c))
    assert (np.abs(stats.gram) <= bound * (1 + 1e-12)).all()  # Cauchy and Schwarz
    assert stats.qq.any() == stats.kk.any() == valid.any()


@pytest.mark.parametrize("case", fusion_cases.CASES, ids=by_name)
def test_fusion_case(case: Any) -> None:
    case_inputs = fusion_cases.inputs(case)
    out, stats = fusion_ref(*case_inputs)
    valid = case_inputs.valid
    poisoned = case_inputs._replace(pan=np.where(valid, case_inputs.pan, np.nan))
    assert_within(fusion_ref(*poisoned)[0], out, 0.0)
    assert np.isfinite(out).all()
    assert not out[:, ~valid].any()
    assert stats.qq.any() == stats.kk.any() == valid.any()


@pytest.mark.parametrize("case", tail_cases.CASES, ids=by_name)
def test_tail_case(case: Any) -> None:
    x, ms_up, valid, matrix, w, block = tail_cases.inputs(case)
    fused = tail_ref(x, ms_up, valid, matrix, w, block)
    assert np.isfinite(fused).all()
    assert not fused[:, ~valid].any()
    poisoned = np.where(valid, ms_up, np.nan)
    assert_within(tail_ref(x, poisoned, valid, matrix, w, block), fused, 0.0)
    detail = tail_ref(x, np.zeros_like(ms_up), valid, matrix, w, block)
    expected = np.where(valid, detail + ms_up, 0.0)
    assert_within(fused, expected, 1e-13 * np.abs(expected).max(initial=1.0))


@pytest.mark.parametrize("case", fold_cases.CASES, ids=by_name)
def test_fold_case(case: Any) -> None:
    stats, temperature, project = fold_cases.inputs(case)
    heads, c = stats.gram.shape[:2]
    identity = np.eye(heads * c)[:, :, None, None]
    attention = fold_ref(stats, temperature, identity)
    inside = np.kron(np.eye(heads), np.ones((c, c))) > 0
    assert (attention >= 0).all()
    assert not attention[~inside].any()
    assert_within(attention.sum(1), np.ones(heads * c), 1e-14)
    # Attention looks at angles only. (Not where the floor of the norms decides.)
    if case.kind != "small":
        longer = stats._replace(gram=stats.gram * 12.0, qq=stats.qq * 16.0, kk=stats.kk * 9.0)
        assert_within(fold_ref(longer, temperature, identity), attention, 1e-11)
    assert_close(fold_ref(stats, temperature, project), project[:, :, 0, 0] @ attention, 1e-13)
    if case.kind in ("small", "silent", "equal"):
        assert_within(attention[inside], np.full(inside.sum(), 1.0 / c), 1e-3)


def test_fold_of_a_sharp_temperature_picks_the_nearest_channel() -> None:
    stats, temperature, _ = fold_cases.inputs(fold_cases.FoldCase("sharp", pixels=4000))
    heads, c = stats.gram.shape[:2]
    same = stats._replace(gram=stats.gram + np.eye(c) * np.sqrt(stats.qq * stats.kk).min())
    matrix = fold_ref(same, temperature * 1000, np.eye(heads * c)[:, :, None, None])
    assert_within(matrix, np.eye(heads * c), 1e-12)


def test_statistics_ignore_what_the_norm_removes() -> None:
    x, valid, _, w, block, _ = boundary_cases.inputs(Case("s", 6, 7, mask="speckle"))
    stats = statistics_ref(x, valid, w, block)
    shifted = statistics_ref(x + image(15, 6, 7), valid, w, block)
    for name, value in stats._asdict().items():
        assert_close(getattr(shifted, name), value)
    negated = {**w, f"{block}.attention.qkv.weight": -w[f"{block}.attention.qkv.weight"]}
    assert_within(statistics_ref(x, valid, negated, block).gram, stats.gram, 0.0)


def test_apply_with_no_attention_leaves_the_feed_forward() -> None:
    x, valid, matrix, w, block, _ = boundary_cases.inputs(Case("a", 6, 7))
    attention = f"{block}.attention.qkv.weight"
    ignored = {**w, attention: w[attention] * np.repeat([5.0, -2.0, 1.0], 28)[:, None, None, None]}
    expected = apply_ref(x, valid, matrix, w, block)
    assert_within(apply_ref(x, valid, matrix, ignored, block), expected, 0.0)  # no q, no k
    silent = {**w, f"{block}.ffn.project.weight": np.zeros((28, 56, 1, 1))}
    only_v = apply_ref(x, valid, matrix, silent, block) - x
    assert_close(apply_ref(x, valid, 4.0 * matrix, silent, block) - x, 4.0 * only_v)
    silent_too = apply_ref(x, valid, 0.0 * matrix, silent, block)
    assert_within(silent_too, x, 0.0)


@pytest.mark.parametrize("kind", ["conv1x1", "enhanced_conv"])
def test_fusions_without_gelu_scale_with_their_input(kind: str) -> None:
    w = random_weights("tiny" if kind == "enhanced_conv" else "tiny-conv1x1", 16)
    x, pan, valid = image(17, 28, 6, 9) - 0.5, image(18, 6, 9), image(19, 6, 9) < 0.7
    out = fuse_pan_ref(x, pan, valid, w, kind)
    assert_close(fuse_pan_ref(8.0 * x, 8.0 * pan, valid, w, kind), 8.0 * out)
    assert np.abs(out - fuse_pan_ref(x, pan[::-1], valid, w, kind)).max() > 1e-3


def test_fuse_pan_refuses_a_fusion_with_global_sums() -> None:
    with pytest.raises(OptionError, match="deep_fusion"):
        fuse_pan_ref(image(0, 28, 2, 2), image(1, 2, 2), np.ones((2, 2), bool), {}, "deep_fusion")


# Upsampling and consistency


def run_consistency(i: consistency_cases.Inputs, **changed: Any) -> np.ndarray:
    i = i._replace(**changed)
    return consistency_ref(
        i.fused,
        i.ms,
        i.gains,
        i.steps,
        scale=i.scale,
        offset=i.offset,
        valid=i.valid,
        ms_valid=i.ms_valid,
    )


@pytest.mark.parametrize("case", consistency_cases.CASES, ids=by_name)
def test_consistency_case(case: Any) -> None:
    i = consistency_cases.inputs(case)
    out = run_consistency(i)
    size = np.abs(out).max(initial=1.0)
    assert np.isfinite(out).all()
    assert out.shape == i.fused.shape
    other = i._replace(fused=image(24, *i.fused.shape), ms=image(25, *i.ms.shape))
    if i.valid is None or i.ms_valid is None:
        ones = np.ones(out.shape[1:], bool), np.ones(i.ms.shape[1:], bool)
        assert_within(run_consistency(i, valid=ones[0], ms_valid=ones[1]), out, 1e-12 * size)
    else:
        assert not out[:, ~i.valid].any()
        poisoned = np.where(i.valid, i.fused, np.nan), np.where(i.ms_valid, i.ms, np.nan)
        again = run_consistency(i, fused=poisoned[0], ms=poisoned[1])
        assert np.array_equal(again, np.where(i.valid, out, np.nan), equal_nan=True)
        other = other._replace(fused=np.where(i.valid, other.fused, 0.0))
    combined = (2.0 * np.float64(a) - 3.0 * b for a, b in zip(i[:2], other[:2], strict=True))
    fused, ms = combined
    linear = run_consistency(i, fused=fused, ms=ms)
    assert_within(linear, 2.0 * out - 3.0 * run_consistency(other), 1e-11 * size)


def test_masked_consistency_stays_inside_and_works_there() -> None:
    valid, ms_valid = (
        rectangle(32, 40, slice(6, 27), slice(8, 31)),
        rectangle(8, 10, slice(1, 8), slice(2, 8)),
    )
    fused, ms = image(26, 4, 32, 40), image(27, 4, 8, 10)
    ms[:, ~ms_valid] = np.nan
    out = consistency_ref(fused, ms, GAINS, 4, valid=valid, ms_valid=ms_valid)
    assert np.array_equal(out[:, ~valid], fused[:, ~valid])
    assert np.isfinite(out).all()

    def residual(candidate: np.ndarray) -> float:
        low, exists = degrade_masked_ref(candidate, valid, (8, 10), GAINS, QUARTER)
        return float(np.abs(ms - low)[exists & ms_valid].mean())

    assert residual(out) < 0.3 * residual(fused)


def test_masked_degradation_is_a_mean_of_what_exists() -> None:
    # Nothing exists from column 14 and row 20 on. The sample at column 13.5 keeps exactly
    # half of its kernel, and less than half where it also loses some of it to the rows.
    valid = rectangle(24, 28, slice(0, 20), slice(0, 14))
    low, exists = degrade_masked_ref(np.full((1, 24, 28), 3.25), valid, (6, 7), (0.3,), QUARTER)
    expected = rectangle(6, 7, slice(0, 5), slice(0, 3))
    expected[:3, 3] = True
    assert exists[0].tolist() == expected.tolist()
    assert_within(low, np.where(exists, 3.25, 0.0), 1e-14)


def test_degradation_shares_the_radius_of_the_wider_axis() -> None:
    impulse = np.zeros((1, 32, 32))
    impulse[0, 16, 16] = 1.0
    scale = (0.25, 0.5)  # radius 8 from the rows; the columns alone would have 4
    low, _ = degrade_masked_ref(impulse, impulse[0] == impulse[0], (8, 16), (0.3,), scale)
    reach = np.flatnonzero(low[0].any(0))
    assert (reach.min(), reach.max()) == (4, 11)  # columns 8.5 to 22.5, 8 from the impulse


def test_consistency_leaves_a_consistent_image_alone() -> None:
    valid, ms_valid = image(43, 24, 28) < 0.8, image(44, 6, 7) < 0.8
    fused, ms = np.where(valid, 5.5, 0.0)[None], np.where(ms_valid, 5.5, -7.0)[None]
    out = consistency_ref(fused, ms, (0.3,), 2, valid=valid, ms_valid=ms_valid)
    assert_within(out, fused, 1e-13)


def test_consistency_assumes_grids_that_share_their_corners() -> None:
    fused, ms = image(45, 4, 16, 10), image(46, 4, 4, 5)
    expected = consistency_ref(fused, ms, GAINS, 2, scale=(0.25, 0.5))
    assert_within(consistency_ref(fused, ms, GAINS, 2), expected, 0.0)


def test_masked_upsampling_by_hand() -> None:
    ms = np.array([[[10.0, 20.0, 30.0, np.nan]]])
    ms_valid = np.array([[True, True, True, False]])
    up = upsample_masked_ref(ms, ms_valid, (1, 8), (1.0, 0.5))[0, 0]
    # Columns 0 to 2 read samples 0, 1, 2 only: cubic. 3 and 4 read sample 3 too: linear.
    # 5 and 6 have one neighbour left, 7 has none.
    keys = 10 * (-0.0234375 + 0.2265625) + 20 * 0.8671875 + 30 * -0.0703125  # at 0.75
    assert_within(up[2:], np.array([keys, 22.5, 27.5, 30.0, 30.0, 0.0]), 1e-13)
    assert_within(up[0], np.array(10 - 10 * 0.0703125), 1e-13)  # at -0.25: w(1.25) of the 20


def test_masked_upsampling_at_the_centre_of_a_sample_reads_no_neighbour() -> None:
    ms = np.arange(1.0, 50.0).reshape(1, 7, 7)
    ms_valid = image(28, 7, 7) < 0.5
    for offset in (0.0, 1e-16, -1e-16):
        up = upsample_masked_ref(ms, ms_valid, (21, 21), (1 / 3, 1 / 3), (offset, offset))
        assert_within(up[:, 1::3, 1::3], np.where(ms_valid, ms, 0.0), 1e-12)


def test_masked_upsampling_of_a_constant_is_constant_where_it_exists() -> None:
    ms_valid = np.stack([image(29, 6, 8) < 0.4, rectangle(6, 8, slice(1, 4), slice(2, 7))])
    up = upsample_masked_ref(np.full((2, 6, 8), 5.5), ms_valid, (24, 32), QUARTER)
    assert_within(np.where(up == 0, 5.5, up), np.full(up.shape, 5.5), 1e-14)
    # A PAN pixel has a neighbour where its sample lies inside the rectangle or next to it.
    assert (up[1] != 0).tolist() == rectangle(24, 32, slice(2, 18), slice(6, 30)).tolist()
