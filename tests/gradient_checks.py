"""Checks of the explicit gradients: against autograd of the torch twin, and without it.

The twin knows no masks; it gets them from outside: the result of every convolution is
zeroed where not valid, which is what the segments do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pantiny.kernels.boundary import cases as boundary_cases
from pantiny.kernels.boundary.boundary_backward_ref import block_backward_ref
from pantiny.kernels.boundary.boundary_ref import statistics_ref
from pantiny.kernels.consistency import cases as consistency_cases
from pantiny.kernels.consistency.consistency_backward_ref import consistency_backward_ref
from pantiny.kernels.consistency.consistency_ref import consistency_ref
from pantiny.kernels.fold import cases as fold_cases
from pantiny.kernels.fold.fold_backward_ref import fold_backward_ref
from pantiny.kernels.fold.fold_ref import attention_ref, block_diagonal, cosines_ref
from pantiny.kernels.fusion.fusion_backward_ref import fuse_pan_backward_ref
from pantiny.kernels.head.head_backward_ref import head_backward_ref
from pantiny.kernels.tail.tail_backward_ref import tail_backward_ref
from pantiny.kernels.testing import (
    Case,
    assert_within,
    case_features,
    case_image,
    case_valid,
    generator,
    random_weights,
)
from pantiny.nn import PanTiny
from pantiny.nn.modules import Block
from pantiny.reference import fuse_ref, network_ref
from pantiny.reference_backward import fuse_backward_ref, network_backward_ref
from pantiny.variants import get_variant

Arrays = Mapping[str, np.ndarray]
RTOL = 1e-12  # of the largest value of a tensor
NETWORK_RTOL = 1e-11  # the same, through all blocks
STEP = 1e-5  # of differences; small beside what lies between a relu's input and its kink


def assert_gradients(actual: Arrays, expected: Arrays, rtol: float = RTOL) -> None:
    """Every tensor to ``rtol`` of its largest value."""
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert_within(actual[name], value, rtol * np.abs(value).max(initial=0.0), name)


def with_masks(net: nn.Module, valid: Tensor) -> nn.Module:
    """The module whose convolutions give zeros where ``valid`` [N, 1, H, W] is False."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda _, args, out: out.where(valid, 0.0))
    return net


def autograd(
    net: nn.Module,
    run: Callable[..., Tensor],
    inputs: Arrays,
    valid: np.ndarray,
    dout: np.ndarray,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Gradients of ``run`` of the inputs [N, C, H, W]: of the parameters, of the inputs."""
    inside = torch.from_numpy(valid)[:, None]
    with_masks(net.double(), inside)
    leaves = [torch.from_numpy(np.float64(a)).requires_grad_() for a in inputs.values()]
    out = run(*(leaf.where(inside, 0.0) for leaf in leaves))
    named = dict(net.named_parameters())
    wanted = [*named.values(), *leaves]
    given = torch.from_numpy(dout).where(inside, 0.0)
    made = torch.autograd.grad(out, wanted, given, allow_unused=True)
    arrays = [None if g is None else g.numpy() for g in made]
    of = {k: a for k, a in zip(named, arrays) if a is not None}
    return of, {k: np.asarray(a) for k, a in zip(inputs, arrays[len(named) :])}


def poisoned(dout: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """NaN where not valid: nothing may read it."""
    return np.where(valid, dout, np.nan)


def load(net: nn.Module, w: Arrays, prefix: str = "") -> nn.Module:
    tensors = {k[len(prefix) :]: v for k, v in w.items() if k.startswith(prefix)}
    net.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()})
    return net


# One op


def check_block(case: Case, rtol: float = RTOL) -> None:
    x, valid, _, w, block, _ = boundary_cases.inputs(case)
    v = get_variant(case.variant)
    net = load(Block(v.channels, v.heads), w, f"{block}.")
    dout = generator(case.name, "dout").standard_normal(x.shape)
    expected, (dx,) = _of_one(autograd(net, net, {"x": x[None]}, valid[None], dout[None]))
    stats = statistics_ref(x, valid, w, block)
    garbage = poisoned(dout, valid), poisoned(x, valid)
    actual, of = block_backward_ref(*garbage, stats, valid, w, block)
    assert_gradients(of, {f"{block}.{k}": g for k, g in expected.items()}, rtol)
    assert_gradients({"x": actual}, {"x": dx}, rtol)


def _of_one(made: tuple[Arrays, Arrays]) -> tuple[Arrays, list[np.ndarray]]:
    return made[0], [a[0] for a in made[1].values()]


def check_head(case: Case) -> None:
    valid, w, v = case_valid(case), random_weights(case.variant), get_variant(case.variant)
    ms_up = case_image(case, v.bands, "ms_up")
    dout = generator(case.name, "dout").standard_normal((v.channels, *valid.shape))
    net = load(PanTiny(v), w)
    expected = autograd(net, net.head, {"ms_up": ms_up[None]}, valid[None], dout[None])
    of, (dms_up,) = _of_one(expected)
    actual, gradients = head_backward_ref(poisoned(dout, valid), poisoned(ms_up, valid), valid, w)
    assert_gradients({**gradients, "ms_up": actual}, {**of, "ms_up": dms_up})


def check_fusion(case: Case) -> None:
    valid, w, v = case_valid(case), random_weights(case.variant), get_variant(case.variant)
    x, pan = case_features(case), case_image(case, 1, "pan")
    dout = generator(case.name, "dout").standard_normal(x.shape)
    net = load(PanTiny(v), w)
    inputs = {"x": x[None], "pan": pan[None]}
    of, (dx, dpan) = _of_one(autograd(net, net.fusion, inputs, valid[None], dout[None]))
    garbage = poisoned(dout, valid), poisoned(x, valid), poisoned(pan[0], valid)
    *actual, gradients = fuse_pan_backward_ref(*garbage, valid, w, v.fusion)
    made = {**gradients, "x": actual[0], "pan": actual[1][None]}
    assert_gradients(made, {**of, "x": dx, "pan": dpan})


def check_tail(case: Case) -> None:
    valid, w, v = case_valid(case), random_weights(case.variant), get_variant(case.variant)
    x, ms_up = case_features(case), case_image(case, v.bands, "ms_up")
    dout = generator(case.name, "dout").standard_normal(ms_up.shape)
    net = load(PanTiny(v), w)

    def run(x: Tensor, ms_up: Tensor) -> Tensor:
        return net.output(net.refine(x)) + ms_up

    inputs = {"x": x[None], "ms_up": ms_up[None]}
    of, (dx, dms_up) = _of_one(autograd(net, run, inputs, valid[None], dout[None]))
    *actual, gradients = tail_backward_ref(poisoned(dout, valid), x, valid, w)
    made = {**gradients, "x": actual[0], "ms_up": actual[1]}
    assert_gradients(made, {**of, "x": dx, "ms_up": dms_up})


def check_fold(case: fold_cases.FoldCase, rtol: float = RTOL) -> None:
    """Of the statistics and, through them, of q and k."""
    stats, temperature, project = fold_cases.inputs(case)
    heads, c = stats.gram.shape[:2]
    vectors = [a.reshape(heads, c, -1) for a in fold_cases.vectors(case)[:2]]
    arrays = [*vectors, temperature, project[:, :, 0, 0]]
    q, k, tau, weight = (torch.from_numpy(np.float64(a)).requires_grad_() for a in arrays)
    cosines = nn.functional.normalize(q, dim=-1) @ nn.functional.normalize(k, dim=-1).mT
    matrix = weight @ torch.block_diag(*(tau * cosines).softmax(-1))
    dmatrix = generator(case.name, "dmatrix").standard_normal(matrix.shape)
    made = torch.autograd.grad(matrix, [q, k, tau, weight], torch.from_numpy(dmatrix))
    dq, dk, dtau, dweight = (g.numpy() for g in made)

    of, *actual = fold_backward_ref(dmatrix, stats, temperature, project)
    assert_gradients({"project": actual[1]}, {"project": dweight[:, :, None, None]}, rtol)
    # terms cancel where all cosines are equal or there is one pixel: relative to their sizes
    attention = attention_ref(cosines_ref(stats)[0], temperature)
    reach = np.abs(project[:, :, 0, 0]).T @ np.abs(dmatrix) * block_diagonal(attention)
    bound = rtol * reach.reshape(heads, -1).sum(axis=1).reshape(temperature.shape)
    assert_within(actual[0], dtau, bound, "temperature")
    q, k = vectors
    alpha, beta = (a.reshape(heads, c, 1) for a in (of.alpha, of.beta))
    for name, d, x, y, factor, expected in (
        ("q", of.d, q, k, alpha, dq),
        ("k", of.d.transpose(0, 2, 1), k, q, beta, dk),
    ):
        bound = rtol * (np.abs(d) @ np.abs(y) + np.abs(factor * x))
        assert_within(d @ y - factor * x, expected, bound, name)


def check_consistency(case: consistency_cases.ConsistencyCase) -> None:
    """``<dout, A x> = <A^T dout, x>``, exact for a linear A; no autograd."""
    fused, ms, gains, steps, scale, offset, valid, ms_valid = consistency_cases.inputs(case)
    place: dict[str, Any] = {"scale": scale, "offset": offset}
    place |= {"valid": valid, "ms_valid": ms_valid}
    rng = generator(case.name, "adjoint")
    for _ in range(3):
        dout, x = rng.standard_normal((2, *fused.shape))
        y = rng.standard_normal(ms.shape)
        out = consistency_ref(x, y, gains, steps, **place)
        dfused, dms = consistency_backward_ref(dout, ms.shape[1:], gains, steps, **place)
        if ms_valid is not None:
            assert not dms[:, ~ms_valid].any()
        terms = dout * out, dfused * x, dms * y
        size = sum(float(np.abs(t).sum()) for t in terms)
        forward, *backward = (float(t.sum()) for t in terms)
        assert_within(np.array(sum(backward)), np.array(forward), RTOL * size, "adjoint")


# The whole network and the whole fusion


def check_network(
    variant: str,
    sizes: tuple[int, int],
    masks: Sequence[str] = ("none",),
    rtol: float = NETWORK_RTOL,
) -> None:
    """A batch, one mask per image, against autograd."""
    w, v = random_weights(variant, 3), get_variant(variant)
    cases = [Case(f"{variant}-{sizes}-{i}", *sizes, variant, mask=m) for i, m in enumerate(masks)]
    valid = np.stack([case_valid(case) for case in cases])
    ms_up = np.stack([case_image(case, v.bands, "ms_up") for case in cases])
    pan = np.stack([case_image(case, 1, "pan") for case in cases])
    dout = generator(variant, "dout").standard_normal(ms_up.shape)
    net = load(PanTiny(variant), w)
    of, of_inputs = autograd(net, net, {"ms_up": ms_up, "pan": pan}, valid, dout)
    made = [
        network_backward_ref(
            *(poisoned(dout[i], m), w, variant, poisoned(ms_up[i], m), poisoned(pan[i, 0], m), m)
        )
        for i, m in enumerate(valid)
    ]
    summed = {k: np.sum([m.tensors[k] for m in made], axis=0) for k in w}
    assert_gradients(summed, of, rtol)
    of_images = {"ms_up": np.stack([m.ms_up for m in made])}
    of_images["pan"] = np.stack([m.pan[None] for m in made])
    assert_gradients(of_images, of_inputs, rtol)


def slope(value: Callable[[float], float], step: float) -> float:
    """Of ``value`` at 0, by central differences of fourth order."""
    near, far = (value(s) - value(-s) for s in (step, 2 * step))
    return (8 * near - far) / (12 * step)


def directions(arrays: Arrays, rng: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """Random directions: one per kind of tensor and input, one of all."""

    def kind(name: str) -> str:
        return ".".join(p for p in name.split(".") if not p.isdigit())

    every = {k: rng.standard_normal(a.shape) * np.std(a) for k, a in arrays.items()}
    every = {k: np.where(d == 0, 0.3 * rng.standard_normal(d.shape), d) for k, d in every.items()}
    kinds = dict.fromkeys(kind(k) for k in arrays)
    return {"all": every, **{g: {k: d for k, d in every.items() if kind(k) == g} for g in kinds}}


def check_differences(variant: str, rtol: float = 1e-8) -> None:
    """The network under a mask against differences of ``network_ref``."""
    case = Case(f"differences-{variant}", 5, 6, variant, mask="speckle")
    valid, v = case_valid(case), get_variant(variant)
    point = {
        **{k: np.float64(a) for k, a in random_weights(variant, 5).items()},
        "ms_up": np.float64(case_image(case, v.bands, "ms_up")),
        "pan": np.float64(case_image(case, 1, "pan")[0]),
    }
    dout = generator(case.name, "dout").standard_normal(point["ms_up"].shape)

    def loss(p: Arrays) -> float:
        return float((dout * network_ref(p, variant, p["ms_up"], p["pan"], valid)).sum())

    made = network_backward_ref(dout, point, variant, point["ms_up"], point["pan"], valid)
    gradient = {**made.tensors, "ms_up": made.ms_up, "pan": made.pan}
    assert {k: a.shape for k, a in gradient.items()} == {k: a.shape for k, a in point.items()}
    _compare_slopes(loss, point, gradient, generator(case.name, "directions"), rtol)


def check_fuse_differences(masks: bool, rtol: float = 1e-7) -> None:
    """The whole fusion against differences of ``fuse_ref``."""
    rng = generator("fuse-differences")
    point = {k: np.float64(a) for k, a in random_weights("tiny", 6).items()}
    point["ms"], point["pan"] = 2047 * rng.random((4, 3, 3)), 2047 * rng.random((10, 9))
    options: dict[str, Any] = {"scale_dn": 1500.0, "gains": (0.3, 0.35, 0.4, 0.2)}
    options |= {"consistency": 2, "scale": (0.25, 0.3), "offset": (0.1, -0.1)}
    if masks:
        options |= {"valid": rng.random((10, 9)) < 0.8, "ms_valid": rng.random((3, 3)) < 0.8}
    dout = rng.standard_normal((4, 10, 9))

    def loss(p: Arrays) -> float:
        return float((dout * fuse_ref(p, "tiny", p["ms"], p["pan"], **options)).sum())

    made = fuse_backward_ref(dout, point, "tiny", point["ms"], point["pan"], **options)
    gradient = {**made.tensors, "ms": made.ms, "pan": made.pan}
    _compare_slopes(loss, point, gradient, rng, rtol)


def _compare_slopes(
    loss: Callable[[Arrays], float],
    point: Arrays,
    gradient: Arrays,
    rng: np.random.Generator,
    rtol: float,
) -> None:
    for name, direction in directions(point, rng).items():

        def value(t: float, direction: Arrays = direction) -> float:
            return loss({**point, **{k: point[k] + t * d for k, d in direction.items()}})

        terms = [gradient[k] * d for k, d in direction.items()]
        size = np.sqrt(sum(float((t * t).sum()) for t in terms))
        expected = np.array(slope(value, STEP))
        assert_within(np.array(sum(float(t.sum()) for t in terms)), expected, rtol * size, name)
