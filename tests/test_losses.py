"""SSIM and the indices without a truth as losses: values, gradients, compilation, errors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pantiny import metrics  # noqa: E402
from pantiny.errors import BackendError, DtypeError, OptionError, ShapeError  # noqa: E402
from pantiny.nn import _windows, losses, ops  # noqa: E402
from pantiny.nn.losses import (  # noqa: E402
    DLambdaLoss,
    DRhoLoss,
    DSLoss,
    QNRLoss,
    SSIMLoss,
    d_lambda,
    d_rho,
    d_s,
    qnr,
    ssim,
)

OP = torch.ops.pantiny.window_means.default
BACK = torch.ops.pantiny.window_means_backward.default


def scene(ratio: int, bands: int = 3, side: int = 12, count: int = 2, dtype: str = "float64"):
    """fused, ms, pan of one ground, about 400, contrast 60."""
    rng = np.random.default_rng([ratio, bands, side])
    ground = rng.normal(size=(count, 1, side * ratio, side * ratio))

    def some(size: int, base: np.ndarray, planes: int) -> torch.Tensor:
        noise = rng.normal(size=(count, planes, size, size))
        return torch.from_numpy((400 + 40 * base + 30 * noise).astype(dtype))

    low = ground.reshape(count, 1, side, ratio, side, ratio).mean((3, 5))
    fine = side * ratio
    return some(fine, ground, bands), some(side, low, bands), some(fine, ground, 1)


CALLS = {
    "d_lambda": lambda m, f, ms, pan, w: m.d_lambda(f, ms, window=w),
    "d_lambda p=2": lambda m, f, ms, pan, w: m.d_lambda(f, ms, window=w, p=2),
    "d_s": lambda m, f, ms, pan, w: m.d_s(f, ms, pan, window=w, sensor="WV3"),
    "d_s q=3": lambda m, f, ms, pan, w: m.d_s(f, ms, pan, window=w, q=3),
    "qnr": lambda m, f, ms, pan, w: m.qnr(f, ms, pan, window=w, sensor="WV2"),
    "qnr powers": lambda m, f, ms, pan, w: m.qnr(f, ms, pan, window=w, alpha=2, beta=0.5),
    "d_rho": lambda m, f, ms, pan, w: m.d_rho(f, pan, ratio=w),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("ratio", "window"), [(2, 8), (4, 12), (4, 32)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_are_those_of_the_metrics(name: str, ratio: int, window: int, dtype: str) -> None:
    images = scene(ratio, dtype=dtype)
    expected = CALLS[name](metrics, *images, window)
    got = CALLS[name](losses, *images, window)
    assert got.dtype == images[0].dtype
    bound = 1e-12 if dtype == "float64" else 1e-7  # float32: the result is rounded
    assert abs(got.item() - expected) <= bound


def test_ssim_inside_is_that_of_the_metrics() -> None:
    fused, _, _ = scene(2)
    truth = fused + 5 * torch.randn(fused.shape, generator=torch.Generator().manual_seed(1))
    expected = metrics.ssim(fused, truth, peak=2047)
    assert ssim(fused, truth, 2047, "valid").item() == pytest.approx(expected, abs=1e-12)
    assert SSIMLoss(2047, "valid")(fused, truth).item() == pytest.approx(1 - expected, abs=1e-12)


def test_modules_are_the_functions() -> None:
    f, ms, pan = scene(2)
    pairs = [
        (DLambdaLoss(8, 2)(f, ms), d_lambda(f, ms, window=8, p=2)),
        (DSLoss(8, 2, "QB")(f, ms, pan), d_s(f, ms, pan, window=8, q=2, sensor="QB")),
        (QNRLoss(8, 2, 3)(f, ms, pan), 1 - qnr(f, ms, pan, window=8, alpha=2, beta=3)),
        (DRhoLoss(2)(f, pan), d_rho(f, pan, ratio=2)),
    ]
    for got, expected in pairs:
        assert got.item() == expected.item()
    low = pan[..., ::2, ::2]
    expected = metrics.qnr(f, ms, pan, window=8, pan_low=low[:, 0])
    assert qnr(f, ms, pan, window=8, pan_low=low).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("index", ["uqi", "decorrelation", "ssim"])
@pytest.mark.parametrize("window", [1, 2, 5, 7, 8, 11])
def test_torch_means_are_those_of_the_core(index: str, window: int) -> None:
    """What runs on other devices, flat patches included."""
    if index == "ssim" and window != 11:
        pytest.skip("SSIM has one window")
    fused, _, pan = scene(2)
    fused[0, 0, :14, :14] = 400.1
    fused[0, 1, :14] = 0.3
    pan[0, 0, 2:16, 2:16] = 17.7
    fused[1, 2, :12, :12] = 0
    options = ([0, 1, 1, 2, 2, 3, 0, 3], window, index, 1.0, 9.0)
    by_core = OP(fused, pan, *options)
    by_torch = _windows.means(fused, pan, *options)
    torch.testing.assert_close(by_torch, by_core, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("index", "window"),
    [("uqi", 2), ("uqi", 3), ("uqi", 8), ("decorrelation", 2), ("decorrelation", 4), ("ssim", 11)],
)
def test_gradcheck_of_the_operator(index: str, window: int) -> None:
    g = torch.Generator().manual_seed(window)
    first = (1 + torch.rand(2, 2, 12, 13, generator=g, dtype=torch.float64)).requires_grad_()
    second = torch.rand(2, 1, 12, 13, generator=g, dtype=torch.float64)
    if index != "decorrelation":  # which jumps there
        second[0, 0, :11, :11] = 0.7  # constant in one plane of a pair
    second.requires_grad_()

    def run(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return ops.window_means(a, b, [(0, 1), (1, 2), (2, 0)], window, index, 0.01, 0.09)

    assert torch.autograd.gradcheck(run, (first, second), eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("ratio", "window"), [(2, 4), (4, 8)])
def test_gradcheck_of_the_losses(name: str, ratio: int, window: int) -> None:
    images = [x / 400 for x in scene(ratio, bands=2, side=3 if ratio == 4 else 5)]
    for x in images:
        x.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *x: CALLS[name](losses, *x, window), images, eps=1e-6, atol=1e-7, rtol=1e-5
    )


@pytest.mark.parametrize("padding", ["zero", "valid"])
def test_gradcheck_of_ssim(padding: str) -> None:
    fused, _, _ = scene(2, bands=2, side=6)
    truth = (fused / 400).roll(1, -1).requires_grad_()
    fused = (fused / 400).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: ssim(a, b, 1.0, padding), (fused, truth))


@pytest.mark.parametrize("value", [0.0, 0.1, 400.0])
def test_flat_images_have_finite_gradients(value: float) -> None:
    fused = torch.full((1, 3, 16, 16), value, dtype=torch.float64, requires_grad=True)
    ms, pan = fused.detach()[..., ::2, ::2].clone(), fused.detach()[:, :1].clone()
    for call in CALLS.values():
        fused.grad = None
        call(losses, fused, ms, pan, 8).backward()
        assert torch.equal(fused.grad, torch.zeros_like(fused))


def test_flat_patch_among_texture_is_finite() -> None:
    fused, ms, pan = scene(4)
    fused[:, :, :20, :20] = 500.3
    pan[:, :, :20, :20] = 500.3
    fused.requires_grad_()
    for call in CALLS.values():
        (grad,) = torch.autograd.grad(call(losses, fused, ms, pan, 8), fused)
        assert torch.isfinite(grad).all() and grad.abs().sum() > 0
        # windows of the patch's middle hold two constants of one mean
        assert grad[:, :, 8:12, 8:12].abs().max() <= 1e-6 * grad.abs().max()


def test_an_exact_match_is_a_stationary_point() -> None:
    fused, _, _ = scene(2)
    fused.requires_grad_()
    (grad,) = torch.autograd.grad(d_lambda(fused, fused.detach(), window=8, p=2), fused)
    assert torch.equal(grad, torch.zeros_like(grad))


def test_one_band_has_no_spectral_distortion() -> None:
    fused, ms, _ = scene(2, bands=1)
    fused.requires_grad_()
    loss = d_lambda(fused, ms, window=8)
    loss.backward()
    assert loss.item() == 0 and torch.equal(fused.grad, torch.zeros_like(fused))


@pytest.mark.parametrize("name", [*CALLS, "ssim"])
def test_float32_gradient_against_float64(name: str) -> None:
    """Within 3 roundings of the largest, as all between input and output is float64; SSIM within
    22: its gradient is float32 inside, where a window's sum alone is as many additions."""
    images = scene(4, dtype="float32")

    def grad(dtype: torch.dtype) -> torch.Tensor:
        f, ms, pan = (x.to(dtype) for x in images)
        f.requires_grad_()
        if name == "ssim":
            loss = ssim(f, f.detach().roll(1, -1), 2047)
        else:
            loss = CALLS[name](losses, f, ms, pan, 8)
        return torch.autograd.grad(loss, f)[0].double()

    exact = grad(torch.float64)
    roundings = 22 if name == "ssim" else 3
    error = ((grad(torch.float32) - exact).abs().max() / exact.abs().max()).item()
    print(f"{name}: {error * 2**24:.2f} roundings")
    assert error <= roundings * 2**-24


@pytest.mark.parametrize("index", ["uqi", "decorrelation", "ssim"])
def test_opcheck(index: str) -> None:
    for dtype in (torch.float32, torch.float64):
        first = torch.rand(2, 2, 13, 14, dtype=dtype, requires_grad=True)
        second = torch.rand(2, 1, 13, 14, dtype=dtype)
        options = ([0, 1, 1, 2], 11, index, 0.01, 0.09)
        torch.library.opcheck(OP, (first, second, *options))
        grad = torch.rand(2, 2, dtype=torch.float64)
        inputs = (grad, first.detach(), second, *options, [True, False])
        torch.library.opcheck(BACK, inputs)


def test_meta_tensors() -> None:
    first = torch.empty(3, 2, 20, 24, device="meta")
    options = ([0, 1, 1, 2], 8, "uqi", 0.0, 0.0)
    made = OP(first, first[:, :1], *options)
    assert made.shape == (3, 2) and made.dtype == torch.float64 and made.device.type == "meta"
    grads = BACK(made, first, first[:, :1], *options, [True, False])
    assert grads[0].shape == first.shape and grads[1].shape == (0,)
    assert grads[0].dtype == torch.float32


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_compiled_without_a_break() -> None:
    fused, ms, pan = scene(2, dtype="float32")
    for backend in ("aot_eager", "inductor"):
        torch.compiler.reset()

        def loss(f: torch.Tensor) -> torch.Tensor:
            return ssim(f, f.detach() + 1, 2047) + 1 - qnr(f, ms, pan, window=8)

        one, two = (fused.clone().requires_grad_() for _ in range(2))
        expected = loss(one)
        expected.backward()
        got = torch.compile(loss, fullgraph=True, backend=backend)(two)
        got.backward()
        torch.testing.assert_close(got, expected)
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-5, atol=1e-9)


def test_strided_inputs_and_half_precision() -> None:
    fused, _, pan = scene(2)
    wide = torch.empty(*fused.shape[:2], fused.shape[3], fused.shape[2] * 2, dtype=torch.float64)
    wide[..., ::2] = fused.transpose(-1, -2)
    strided = wide[..., ::2].transpose(-1, -2)
    assert d_rho(strided, pan, ratio=2).item() == d_rho(fused, pan, ratio=2).item()
    half = fused.bfloat16().requires_grad_()
    loss = d_rho(half, pan, ratio=2)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad.dtype == torch.bfloat16


def test_empty_batch_of_the_operator() -> None:
    none = torch.empty(0, 2, 8, 8, requires_grad=True)
    made = ops.window_means(none, none[:, :0], [(0, 1)], 4, "uqi")
    assert made.shape == (0, 1)
    made.sum().backward()
    assert none.grad is not None and none.grad.shape == none.shape


@pytest.mark.parametrize(
    "loss",
    [
        lambda f, ms, pan: d_lambda(f, ms, window=8),
        lambda f, ms, pan: d_s(f, ms, pan, window=8),
        lambda f, ms, pan: 1 - qnr(f, ms, pan, window=8),
        lambda f, ms, pan: d_rho(f, pan, ratio=4),
        lambda f, ms, pan: 1 - ssim(f, pan.expand_as(f), 2047),
    ],
    ids=["d_lambda", "d_s", "qnr", "d_rho", "ssim"],
)
def test_a_loss_falls_when_optimised(loss) -> None:  # type: ignore[no-untyped-def]
    fused, ms, pan = scene(4)
    fused.requires_grad_()
    optimiser = torch.optim.Adam([fused], 2.0)
    first = loss(fused, ms, pan).item()
    for _ in range(15):
        optimiser.zero_grad()
        loss(fused, ms, pan).backward()
        optimiser.step()
    assert loss(fused, ms, pan).item() < 0.85 * first


MODULES = {
    "sensor of QNR": (lambda: QNRLoss(sensor="nope"), r"'nope' is not in the sensor table"),
    "sensor of D_s": (lambda: DSLoss(sensor="nope"), r"'nope' is not in the sensor table"),
    "alpha": (lambda: QNRLoss(alpha=0), r"alpha: got 0; need a number above 0"),
    "beta": (lambda: QNRLoss(beta=-1), r"beta: got -1; need"),
    "text": (lambda: DLambdaLoss(p="two"), r"p: got 'two'; need"),  # type: ignore[arg-type]
    "p": (lambda: DLambdaLoss(p=float("nan")), r"p: got nan; need"),
    "q": (lambda: DSLoss(q=0), r"q: got 0; need"),
    "window": (lambda: DLambdaLoss(window=0), r"window: got 0; need"),
    "half a window": (lambda: QNRLoss(window=7.5), r"window: got 7.5; need"),  # type: ignore[arg-type]
    "ratio": (lambda: DRhoLoss(ratio=0), r"ratio: got 0; need"),
    "peak": (lambda: SSIMLoss(peak=0), r"peak: got 0; need"),
    "padding": (lambda: SSIMLoss(padding="same"), r"padding: got 'same'; need one of"),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_refuse_options_at_once(name: str) -> None:
    make, text = MODULES[name]
    with pytest.raises(OptionError, match=text):
        make()


def test_second_derivative_is_refused() -> None:
    fused, _, pan = scene(2)
    fused.requires_grad_()
    (grad,) = torch.autograd.grad(d_rho(fused, pan, ratio=2), fused, create_graph=True)
    with pytest.raises(BackendError, match=r"second derivative; it has the first one only; leave"):
        grad.sum().backward()


def test_errors_say_what_is_needed() -> None:
    f, ms, pan = scene(4)
    with pytest.raises(OptionError, match=r"window: 6 pixels .* need a multiple of 4; take 4"):
        d_lambda(f, ms, window=6)
    with pytest.raises(ShapeError, match=r"window of 64 pixels does not fit into 48x48"):
        d_lambda(f, ms, window=64)
    with pytest.raises(ShapeError, match=r"fused, ms: got shapes .* whole ratio"):
        d_lambda(f, ms[..., 1:], window=8)
    with pytest.raises(ShapeError, match=r"pan: got shape \(2, 48, 48\); need \(2, 1, 48, 48\)"):
        d_s(f, ms, pan[:, 0], window=8)
    with pytest.raises(ShapeError, match=r"fused: got shape .* need \[N, K, H, W\]"):
        d_rho(f[0], pan, ratio=4)
    with pytest.raises(DtypeError, match=r"fused: got torch.int32; need floating point"):
        d_rho(f.int(), pan, ratio=4)
    with pytest.raises(OptionError, match=r"ratio: got 2.5; need a whole number"):
        d_rho(f, pan, ratio=2.5)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"p: got 0; need a number above 0"):
        d_lambda(f, ms, window=8, p=0)
    with pytest.raises(OptionError, match=r"padding: got 'same'; need one of zero, valid"):
        ssim(f, f, padding="same")
    with pytest.raises(OptionError, match=r"peak: got 0; need"):
        ssim(f, f, peak=0)
    with pytest.raises(ShapeError, match=r"fused, truth: got shapes"):
        ssim(f, f[:1])
    with pytest.raises(DtypeError, match=r"fused: got ndarray; need a tensor"):
        d_lambda(f.numpy(), ms, window=8)
    with pytest.raises(DtypeError, match=r"pan: got ndarray; need a tensor"):
        d_rho(f, pan.numpy(), ratio=4)
    with pytest.raises(DtypeError, match=r"truth: got ndarray; need a tensor"):
        ssim(f, f.numpy())
    with pytest.raises(OptionError, match=r"window: got None; need a whole number"):
        d_lambda(f, ms, window=None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"p: got 'two'; need a number above 0"):
        d_lambda(f, ms, window=8, p="two")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"peak: got 1e\+300; need .* 1e-60 to 1e60"):
        ssim(f, f, peak=1e300)
    with pytest.raises(OptionError, match=r"ratio: got 65; need .* 1 to 64"):
        d_rho(f, pan, ratio=65)
    with pytest.raises(OptionError, match=r"index: got 'psnr'; need one of uqi"):
        ops.window_means(f, pan, [(0, 1)], 8, "psnr")
    with pytest.raises(OptionError, match=r"window: got 7; need .* 11 to 11"):
        ops.window_means(f, pan, [(0, 1)], 7, "ssim")
    with pytest.raises(OptionError, match=r"pairs: got .* below 4"):
        ops.window_means(f, pan, [(0, 4)], 8, "uqi")
