"""The numpy reference: equal to the torch twin, and right about masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pantiny.degrade import degrade_ms, upsample_ms
from pantiny.errors import OptionError, ShapeError
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
from pantiny.kernels.testing import Case, assert_within, random_weights
from pantiny.reference import fuse_ref, network_ref
from pantiny.variants import VARIANTS, get_variant

RTOL = 1e-11
GAINS = (0.355, 0.36, 0.365, 0.22)
QUARTER = (0.25, 0.25)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def close(actual: np.ndarray, expected: np.ndarray, rtol: float = RTOL) -> None:
    """Equal to ``rtol`` of the largest expected value."""
    assert_within(actual, expected, rtol * np.abs(expected).max())


def rectangle(height: int, width: int, rows: slice, cols: slice) -> np.ndarray:
    valid = np.zeros((height, width), bool)
    valid[rows, cols] = True
    return valid


def image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def by_name(case: Any) -> str:
    return str(case.name)


# The network against torch, and under masks


def twin(variant: str, weights: dict[str, np.ndarray]) -> Any:
    torch = pytest.importorskip("torch")
    from pantiny.nn import PanTiny

    net = PanTiny(variant).double()
    net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    return net


def run_twin(net: Any, ms_up: np.ndarray, pan: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        out = net(torch.from_numpy(ms_up)[None], torch.from_numpy(pan)[None, None])
    return np.asarray(out[0].numpy())


@every_variant
def test_network_equals_the_torch_twin(variant: str) -> None:
    weights = random_weights(variant, 1)
    net = twin(variant, weights)
    for height, width in ((5, 7), (1, 1), (1, 9)):
        ms_up, pan = image(2, 4, height, width), image(3, height, width)
        close(network_ref(weights, variant, ms_up, pan), run_twin(net, ms_up, pan))


@every_variant
def test_a_masked_rectangle_is_a_crop(variant: str) -> None:
    weights = random_weights(variant, 4)
    rows, cols = slice(1, 6), slice(3, 9)
    valid = rectangle(8, 10, rows, cols)
    ms_up, pan = image(5, 4, 8, 10), image(6, 8, 10)
    expected = network_ref(weights, variant, ms_up[:, rows, cols], pan[rows, cols])
    ms_up[:, ~valid] = np.nan
    pan[~valid] = np.nan
    fused = network_ref(weights, variant, ms_up, pan, valid)
    close(fused[:, rows, cols], expected)
    assert not fused[:, ~valid].any()


@every_variant
def test_random_weights_are_lively(variant: str) -> None:
    weights = random_weights(variant, 7)
    assert {k: v.shape for k, v in weights.items()} == get_variant(variant).shapes()
    ms_up, pan = image(8, 4, 12, 13), image(9, 12, 13)
    fused = network_ref(weights, variant, ms_up, pan)
    assert 0.1 < np.std(fused - ms_up) < 10
    for name, value in weights.items():  # no tensor may be dead, or a fault in it is not seen
        changed = network_ref({**weights, name: value[::-1] * 1.25}, variant, ms_up, pan)
        assert np.abs(changed - fused).max() > 1e-3, name


def test_a_flip_of_image_and_kernels_flips_the_result() -> None:
    weights = random_weights("tiny", 10)
    ms_up, pan = image(11, 4, 6, 9), image(12, 6, 9)
    valid = image(13, 6, 9) < 0.8
    fused = network_ref(weights, "tiny", ms_up, pan, valid)
    for axis in (-1, -2):
        flipped = {k: np.flip(v, axis) if v.shape[-1] == 3 else v for k, v in weights.items()}
        arrays = (np.flip(a, axis) for a in (ms_up, pan, valid))
        close(network_ref(flipped, "tiny", *arrays), np.flip(fused, axis))


def test_network_refuses_other_shapes() -> None:
    weights = random_weights("tiny")
    with pytest.raises(ShapeError, match="ms_up"):
        network_ref(weights, "tiny", image(0, 3, 4, 5), image(0, 4, 5))
    with pytest.raises(ShapeError, match="pan"):
        network_ref(weights, "tiny", image(0, 4, 4, 5), image(0, 5, 4))
    with pytest.raises(ShapeError, match="valid"):
        network_ref(weights, "tiny", image(0, 4, 4, 5), image(0, 4, 5), np.ones((4, 4), bool))


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
    close(fold_ref(stats, temperature, project), project[:, :, 0, 0] @ attention, 1e-13)
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
        close(getattr(shifted, name), value)
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
    close(apply_ref(x, valid, 4.0 * matrix, silent, block) - x, 4.0 * only_v)
    silent_too = apply_ref(x, valid, 0.0 * matrix, silent, block)
    assert_within(silent_too, x, 0.0)


@pytest.mark.parametrize("kind", ["conv1x1", "enhanced_conv"])
def test_fusions_without_gelu_scale_with_their_input(kind: str) -> None:
    w = random_weights("tiny" if kind == "enhanced_conv" else "tiny-conv1x1", 16)
    x, pan, valid = image(17, 28, 6, 9) - 0.5, image(18, 6, 9), image(19, 6, 9) < 0.7
    out = fuse_pan_ref(x, pan, valid, w, kind)
    close(fuse_pan_ref(8.0 * x, 8.0 * pan, valid, w, kind), 8.0 * out)
    assert np.abs(out - fuse_pan_ref(x, pan[::-1], valid, w, kind)).max() > 1e-3


def test_fuse_pan_refuses_a_fusion_with_global_sums() -> None:
    with pytest.raises(OptionError, match="deep_fusion"):
        fuse_pan_ref(image(0, 28, 2, 2), image(1, 2, 2), np.ones((2, 2), bool), {}, "deep_fusion")


# Upsampling and consistency


@pytest.fixture
def float64_tables() -> Iterator[None]:
    """The torch twin rounds its tap tables to float32; here it keeps them."""
    torch = pytest.importorskip("torch")
    from pantiny.nn import resample

    caches = (resample._up_matrix, resample._down_matrix)
    with pytest.MonkeyPatch.context() as patch:
        for cache in caches:
            cache.cache_clear()
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        yield
    for cache in caches:
        cache.cache_clear()


def torch_consistency(fused: np.ndarray, ms: np.ndarray, steps: int) -> np.ndarray:
    torch = pytest.importorskip("torch")
    from pantiny.nn import Consistency

    out = Consistency(steps)(torch.from_numpy(fused)[None], torch.from_numpy(ms)[None], GAINS)
    return np.asarray(out[0].numpy())


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_consistency_equals_the_torch_twin(ratio: int, float64_tables: None) -> None:
    for height, width in ((5, 7), (1, 9), (1, 1)):
        fused, ms = image(20, 4, height * ratio, width * ratio), image(21, 4, height, width)
        close(consistency_ref(fused, ms, GAINS, 3), torch_consistency(fused, ms, 3))


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_consistency_is_that_of_degrade(ratio: int) -> None:
    fused, ms = image(22, 4, 6 * ratio, 7 * ratio), image(23, 4, 6, 7)
    residual = ms - degrade_ms(fused, ratio, GAINS)
    out = consistency_ref(fused, ms, GAINS, 1)
    close(out, fused + upsample_ms(residual, ratio))
    assert np.abs(ms - degrade_ms(out, ratio, GAINS)).mean() < 0.7 * np.abs(residual).mean()


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
    # Columns from 14 on do not exist; the sample at column 13.5 keeps exactly half its kernel.
    valid = rectangle(24, 28, slice(None), slice(0, 14))
    low, exists = degrade_masked_ref(np.full((1, 24, 28), 3.25), valid, (6, 7), (0.3,), QUARTER)
    assert exists[0].tolist() == [[True] * 4 + [False] * 3] * 6
    assert_within(low, np.where(exists, 3.25, 0.0), 1e-14)


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


# From DN to DN


@every_variant
def test_fuse_equals_torch(variant: str, float64_tables: None) -> None:
    weights = random_weights(variant, 30)
    ms, pan, scale_dn = 2047 * image(31, 4, 3, 5), 2047 * image(32, 12, 20), 1500.0
    fused = run_twin(twin(variant, weights), upsample_ms(ms, 4) / scale_dn, pan / scale_dn)
    expected = torch_consistency(fused, ms / scale_dn, 2) * scale_dn
    kwargs: dict[str, Any] = {"scale_dn": scale_dn, "gains": GAINS, "consistency": 2}
    close(fuse_ref(weights, variant, ms, pan, **kwargs), expected)
    ones: dict[str, Any] = {"valid": np.ones((12, 20), bool), "ms_valid": np.ones((3, 5), bool)}
    close(fuse_ref(weights, variant, ms, pan, **kwargs, **ones), expected)


def test_fuse_never_reads_a_masked_pixel() -> None:
    weights = random_weights("tiny", 33)
    ms, pan = 2047 * image(34, 4, 6, 7), 2047 * image(35, 24, 28)
    kwargs: dict[str, Any] = {
        "scale_dn": 1500.0,
        "gains": GAINS,
        "consistency": 2,
        "offset": (0.1, -0.2),
        "scale": QUARTER,
        "valid": image(36, 24, 28) < 0.7,
        "ms_valid": image(37, 6, 7) < 0.7,
    }
    fused = fuse_ref(weights, "tiny", ms, pan, **kwargs)
    assert not fused[:, ~kwargs["valid"]].any()
    assert fused[:, kwargs["valid"]].all()
    ms[:, ~kwargs["ms_valid"]] = np.nan
    pan[~kwargs["valid"]] = np.nan
    assert np.array_equal(fuse_ref(weights, "tiny", ms, pan, **kwargs), fused)
    kwargs["scale_dn"] *= 4  # exact in binary: DN and scale together change nothing but the unit
    assert np.array_equal(fuse_ref(weights, "tiny", 4 * ms, 4 * pan, **kwargs), 4 * fused)


@pytest.mark.parametrize("masks", [False, True], ids=["whole", "masked"])
def test_fuse_looks_at_the_place_of_the_grid_in_ms(masks: bool) -> None:
    weights = random_weights("tiny", 38)
    ms, pan = image(39, 4, 10, 12), image(40, 16, 20)
    kwargs: dict[str, Any] = {"scale_dn": 1.0, "gains": GAINS, "consistency": 2, "scale": QUARTER}
    valid = image(41, 16, 20) < 0.8 if masks else None
    ms_valid = image(42, 10, 12) < 0.8 if masks else np.ones((10, 12), bool)

    def fuse(rows: slice, cols: slice, offset: tuple[float, float]) -> np.ndarray:
        known = ms_valid[rows, cols] if masks else None
        low = ms[:, rows, cols]
        return fuse_ref(
            weights, "tiny", low, pan, offset=offset, valid=valid, ms_valid=known, **kwargs
        )

    # PAN covers MS rows 3 .. 7 and columns 2.75 .. 7.75; the cubic reads rows and columns 1 on.
    fused = fuse(slice(0, 10), slice(0, 12), (3.0, 2.75))
    close(fuse(slice(1, 9), slice(1, 10), (2.0, 1.75)), fused)
    assert np.abs(fuse(slice(0, 10), slice(0, 12), (3.0, 2.25)) - fused).max() > 1e-2
