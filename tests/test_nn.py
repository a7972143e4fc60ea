"""The torch twin, its loss and the consistency step."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pantiny.degrade import degrade_ms, upsample_ms  # noqa: E402
from pantiny.errors import OptionError, ShapeError  # noqa: E402
from pantiny.nn import Consistency, PanTiny, PanTinyLoss, ssim  # noqa: E402
from pantiny.variants import VARIANTS  # noqa: E402

COUNTS = {
    "tiny": 81_744,
    "tiny-conv1x1": 68_192,
    "tiny-gated_conv": 70_292,
    "tiny-channel_attention": 71_358,
    "tiny-deep_fusion": 113_590,
    "large": 172_352,
    "huge": 195_912,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    net = PanTiny(name)
    assert sum(p.numel() for p in net.parameters()) == COUNTS[name]
    shapes = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    assert shapes == VARIANTS[name].shapes()
    assert VARIANTS[name].parameter_count() == COUNTS[name]


def test_every_variant_is_counted() -> None:
    assert set(COUNTS) == set(VARIANTS)


@pytest.mark.parametrize("name", COUNTS)
def test_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    net = PanTiny(name)
    out = net(torch.rand(2, 4, 8, 12), torch.rand(2, 1, 8, 12))
    assert out.shape == (2, 4, 8, 12)
    out.square().sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize(
    ("ms_shape", "pan_shape"),
    [((4, 8, 8), (1, 1, 8, 8)), ((1, 3, 8, 8), (1, 1, 8, 8)), ((1, 4, 8, 8), (1, 8, 8))],
)
def test_wrong_shapes_are_said(ms_shape: tuple[int, ...], pan_shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"got shape .* need"):
        PanTiny()(torch.rand(ms_shape), torch.rand(pan_shape))


def test_unknown_variant() -> None:
    with pytest.raises(OptionError, match="'giant' is not known"):
        PanTiny("giant")


def test_batch_is_independent() -> None:
    torch.manual_seed(1)
    net = PanTiny().double()
    ms, pan = torch.rand(3, 4, 6, 7).double(), torch.rand(3, 1, 6, 7).double()
    with torch.no_grad():
        whole = net(ms, pan)
        for i in range(3):
            torch.testing.assert_close(whole[i], net(ms[i : i + 1], pan[i : i + 1])[0])


def test_consistency_is_the_project_definition() -> None:
    rng = np.random.default_rng(0)
    fused, ms, gains = rng.random((4, 24, 32)), rng.random((4, 6, 8)), (0.2, 0.3, 0.35, 0.4)
    expected = fused + upsample_ms(ms - degrade_ms(fused, 4, gains), 4)
    got = Consistency(1)(torch.from_numpy(fused)[None], torch.from_numpy(ms)[None], gains)
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-6)
    untouched = Consistency(0)(torch.from_numpy(fused)[None], torch.from_numpy(ms)[None], gains)
    np.testing.assert_array_equal(untouched[0].numpy(), fused)


def test_ssim_of_equal_and_opposite_images() -> None:
    torch.manual_seed(2)
    image = torch.rand(1, 4, 24, 24).double()
    assert ssim(image, image).item() == pytest.approx(1.0, abs=1e-12)
    assert ssim(image, 1 - image).item() < 0.1


def test_ssim_against_a_loop_over_windows() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((9, 13)), rng.random((9, 13))
    axis = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    w = np.outer(axis, axis) / axis.sum() ** 2
    pa, pb = np.pad(a, 5), np.pad(b, 5)
    values = []
    for y in range(9):
        for x in range(13):
            wa, wb = pa[y : y + 11, x : x + 11], pb[y : y + 11, x : x + 11]
            ma, mb = (w * wa).sum(), (w * wb).sum()
            va, vb = (w * (wa - ma) ** 2).sum(), (w * (wb - mb) ** 2).sum()
            cov = (w * (wa - ma) * (wb - mb)).sum()
            luminance = (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
            values.append(luminance * (2 * cov + 9e-4) / (va + vb + 9e-4))
    ta, tb = (torch.from_numpy(z)[None, None] for z in (a, b))
    assert ssim(ta, tb).item() == pytest.approx(np.mean(values), abs=1e-12)


def test_loss_weights() -> None:
    torch.manual_seed(4)
    a, b = torch.rand(1, 4, 16, 16), torch.rand(1, 4, 16, 16)
    l1 = (a - b).abs().mean()
    assert PanTinyLoss(l1=1, ssim=0)(a, b).item() == pytest.approx(l1.item(), rel=1e-6)
    both = 3 * l1 + 4 * (1 - ssim(a, b))
    assert PanTinyLoss()(a, b).item() == pytest.approx(both.item(), rel=1e-6)
    assert PanTinyLoss()(a, a).item() == pytest.approx(0.0, abs=1e-5)
