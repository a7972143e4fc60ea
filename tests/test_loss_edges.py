"""Losses at their limits: NaN, large exponents, distortions above 1."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from indices import batch  # noqa: E402
from indices import scene as bundle  # noqa: E402

from pantiny import metrics  # noqa: E402
from pantiny.nn import quality  # noqa: E402
from pantiny.nn.losses import QNRLoss, d_lambda, d_s, qnr  # noqa: E402


def scene(seed: int):
    """fused [2, 3, H, W], ms [2, 3, h, w], pan [2, 1, H, W]"""
    s = batch([bundle(seed + i, 3, 48, 48) for i in range(2)])
    return tuple(torch.from_numpy(x.copy()) for x in (s.fused, s.ms, s.pan[:, None]))


@pytest.mark.parametrize("bad", [0, slice(None)])
def test_nan_is_not_hidden_by_an_exponent(bad: int | slice) -> None:
    f, ms, pan = scene(2)
    f[bad] = torch.nan
    for value in (
        d_lambda(f, ms, window=8, p=2),
        d_s(f, ms, pan, window=8, q=3),
        qnr(f, ms, pan, window=8, alpha=2, beta=0.5),
    ):
        assert value.isnan()


@pytest.mark.parametrize("p", [0.5, 300.0, 500.0, 5000.0])
def test_exponents_do_not_underflow(p: float) -> None:
    f, ms, _ = scene(2)
    f.requires_grad_()
    value = d_lambda(f, ms, window=8, p=p)
    assert value.item() == pytest.approx(metrics.d_lambda(f, ms, window=8, p=p), rel=1e-12)
    largest = d_lambda(f, ms, window=8, p=5000).item()
    assert p < 1 or value.item() == pytest.approx(largest, rel=0.02)
    value.backward()
    assert torch.isfinite(f.grad).all() and f.grad.abs().max() > 0


def inverted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bands against each other on F and alike on M: D_lambda near 2."""
    rng = np.random.default_rng(5)
    x, y, p = (torch.from_numpy(30 * rng.normal(size=(1, 1, n, n))) for n in (32, 8, 32))
    own = torch.from_numpy(10 * rng.normal(size=(1, 1, 32, 32)))
    fused = torch.cat([500 + x + own, 500 - x], 1)
    return fused, torch.cat([500 + y, 500 + y], 1), 500 + p


@pytest.mark.parametrize("powers", [(1, 1), (2, 0.5), (0.5, 3)])
def test_qnr_has_a_slope_where_a_distortion_exceeds_one(powers: tuple[float, float]) -> None:
    fused, ms, pan = inverted()
    alpha, beta = powers
    spectral, spatial = d_lambda(fused, ms, window=8), d_s(fused, ms, pan, window=8)
    assert spectral > 1.8 and spatial < 1
    assert metrics.qnr(fused, ms, pan, window=8, alpha=alpha, beta=beta) == 0
    loss = QNRLoss(8, alpha, beta)
    assert loss(fused, ms, pan).item() == pytest.approx(spectral.item(), abs=1e-12)
    fused.requires_grad_()
    optimiser = torch.optim.Adam([fused], lr=1.0)
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(fused, ms, pan)
        if value < 1:  # back where QNR is above 0
            return
        value.backward()
        assert fused.grad is not None and fused.grad.abs().max() > 1e-6
        optimiser.step()
    raise AssertionError(f"loss is still {value.item():.3f}")


def test_qnr_never_rises_with_a_distortion(monkeypatch: pytest.MonkeyPatch) -> None:
    fused, ms, pan = inverted()
    grid = torch.linspace(0, 2, 21, dtype=torch.float64)
    first, second = (t.reshape(-1) for t in torch.meshgrid(grid, grid, indexing="ij"))
    for alpha, beta in ((1, 1), (2, 0.5)):
        found = torch.empty(21, 21, dtype=torch.float64)
        for i, (a, b) in enumerate(zip(first, second)):
            monkeypatch.setattr(quality._Scene, "spectral", lambda *_, a=a: a[None])
            monkeypatch.setattr(quality._Scene, "spatial", lambda *_, b=b: b[None])
            found.view(-1)[i] = qnr(fused, ms, pan, window=8, alpha=alpha, beta=beta)
        for axis in (0, 1):
            assert (found.diff(dim=axis) <= 1e-15).all()
        expected = (1 - grid[:11, None]) ** alpha * (1 - grid[None, :11]) ** beta
        assert torch.allclose(found[:11, :11], expected, atol=1e-15)
        assert found[-1, -1] == -2
