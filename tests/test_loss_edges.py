"""Losses at their limits: NaN and large exponents."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from indices import batch  # noqa: E402
from indices import scene as bundle  # noqa: E402

from pantiny import metrics  # noqa: E402
from pantiny.nn.losses import d_lambda, d_s, qnr  # noqa: E402


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
