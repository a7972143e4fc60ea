"""The explicit gradients: equal to autograd and to differences."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import gradient_checks as g
import numpy as np

from pantiny.errors import OptionError
from pantiny.kernels.boundary import cases as boundary_cases
from pantiny.kernels.consistency import cases as consistency_cases
from pantiny.kernels.fold import cases as fold_cases
from pantiny.kernels.fusion import cases as fusion_cases
from pantiny.kernels.head import cases as head_cases
from pantiny.kernels.layers_backward_ref import (
    channel_norm_backward,
    conv1x1_backward,
    over_pixels,
    unfold_norm_backward,
)
from pantiny.kernels.layers_ref import channel_norm, normalised
from pantiny.kernels.tail import cases as tail_cases
from pantiny.kernels.testing import Case, case_valid, random_weights
from pantiny.reference_backward import network_backward_ref

LOCAL = ("tiny", "tiny-conv1x1", "tiny-gated_conv", "large", "huge")
SIZES = ((5, 7), (1, 1), (1, 9), (9, 1))


def not_empty(cases: tuple[Case, ...]) -> list[Case]:
    """Torch refuses an image without pixels."""
    return [case for case in cases if case.height and case.width]


def by_name(case: Any) -> str:
    return str(case.name)


@pytest.mark.parametrize("case", not_empty(head_cases.CASES), ids=by_name)
def test_head(case: Case) -> None:
    g.check_head(case)


@pytest.mark.parametrize("case", not_empty(boundary_cases.CASES), ids=by_name)
def test_block(case: Case) -> None:
    one = case_valid(case).sum() == 1  # D k and alpha q, of any size, are equal
    g.check_block(case, 10 * g.RTOL if one else g.RTOL)


@pytest.mark.parametrize("case", fold_cases.CASES, ids=by_name)
def test_fold(case: fold_cases.FoldCase) -> None:
    g.check_fold(case, g.RTOL * max(1.0, abs(case.temperature) / 100))  # exp of logits that large


@pytest.mark.parametrize("case", not_empty(fusion_cases.CASES), ids=by_name)
def test_fusion(case: Case) -> None:
    g.check_fusion(case)


@pytest.mark.parametrize("case", not_empty(tail_cases.CASES), ids=by_name)
def test_tail(case: Case) -> None:
    g.check_tail(case)


@pytest.mark.parametrize("case", consistency_cases.CASES, ids=by_name)
def test_consistency(case: consistency_cases.ConsistencyCase) -> None:
    g.check_consistency(case)


def test_a_norm_folded_into_its_1x1() -> None:
    rng = np.random.default_rng(1)
    x, dt = rng.standard_normal((5, 3, 4)), rng.standard_normal((7, 3, 4))
    weight, gain, bias = rng.standard_normal((7, 5, 1, 1)), *rng.standard_normal((2, 5))
    w = {"norm.weight": gain, "norm.bias": bias}
    dy, dweight = conv1x1_backward(dt, channel_norm(x, w, "norm"), weight)
    expected = {"weight": dweight, **channel_norm_backward(dy, x, w, "norm")[1]}
    dfolded = over_pixels(dt, np.concatenate([normalised(x)[0], np.ones((1, 3, 4))]))
    actual = dict(zip(expected, unfold_norm_backward(dfolded, weight, gain, bias)))
    g.assert_gradients(actual, expected)


@pytest.mark.parametrize("variant", LOCAL)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_network(variant: str, sizes: tuple[int, int]) -> None:
    g.check_network(variant, sizes)


@pytest.mark.parametrize("variant", LOCAL)
def test_network_of_a_masked_batch(variant: str) -> None:
    g.check_network(variant, (6, 9), ("speckle", "rim"))
    g.check_network(variant, (4, 5), ("all", "point"))


@pytest.mark.parametrize("variant", LOCAL)
def test_network_against_differences(variant: str) -> None:
    g.check_differences(variant)


@pytest.mark.parametrize("masks", [False, True], ids=["whole", "masked"])
def test_fusion_of_dn_against_differences(masks: bool) -> None:
    g.check_fuse_differences(masks)


@pytest.mark.parametrize("variant", LOCAL)
@pytest.mark.parametrize("sizes", [(0, 9), (6, 0)], ids=str)
def test_an_image_without_pixels_has_zero_gradients(variant: str, sizes: tuple[int, int]) -> None:
    w, image = random_weights(variant), np.ones((4, *sizes))
    made = network_backward_ref(image, w, variant, image, image[0])
    assert {k: a.shape for k, a in made.tensors.items()} == {k: a.shape for k, a in w.items()}
    assert not any(a.any() for a in made.tensors.values())
    assert (made.ms_up.shape, made.pan.shape) == (image.shape, image[0].shape)


def test_fusions_with_global_sums_are_refused() -> None:
    w, image = random_weights("tiny-deep_fusion"), np.ones((4, 3, 3))
    with pytest.raises(OptionError, match="deep_fusion"):
        network_backward_ref(image, w, "tiny-deep_fusion", image, image[0])
