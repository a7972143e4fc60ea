"""The ops of a precision against their float64 truths; what tests and seeded faults share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pantiny.kernels import testing
from pantiny.kernels.boundary.boundary_ref import (
    Statistics,
    feed_forward_ref,
    mix_ref,
    statistics_ref,
)
from pantiny.kernels.fold.fold_ref import fold_ref
from pantiny.kernels.fusion.fusion_ref import fuse_pan_ref
from pantiny.kernels.head.head_ref import head_ref
from pantiny.kernels.layers_ref import channel_norm, conv1x1, conv3x3, depthwise3x3, masked, tensor
from pantiny.kernels.resample.resample_masked_ref import upsample_masked_ref
from pantiny.kernels.testing import Case
from pantiny.reference import network_ref
from pantiny.variants import get_variant

from .segment_ops import BY_IMAGE, Call, Ops

RATIO = 4


def tolerance_of(ops: Ops, cases: Sequence[Case]) -> float:
    """Twice as much where pixels are alike: their errors are too, and nothing averages."""
    alike = any(c.content != "noise" or c.mask == "point" for c in cases)
    return ops.tolerance * (2 if alike else 1)


def check(actual: np.ndarray, expected: np.ndarray, tolerance: float, name: str) -> float:
    """Relative error in norm within the tolerance, no element far outside it; returns it."""
    assert actual.shape == expected.shape, f"{name}: shape {actual.shape}"
    error = np.abs(actual - expected)
    assert np.isfinite(error).all(), f"{name}: not finite"
    scale = float(np.linalg.norm(expected))
    relative = float(np.linalg.norm(error)) / scale if scale else float(error.max(initial=0))
    assert relative <= tolerance, f"{name}: relative error {relative:.2e} over {tolerance:.0e}"
    worst = 16 * tolerance * scale / np.sqrt(max(np.count_nonzero(expected), 1))
    assert error.max(initial=0) <= worst, f"{name}: an element is off by {error.max():.2e}"
    return relative


def check_sums(actual: Statistics, expected: Statistics, tolerance: float, name: str) -> None:
    """Products of two rounded numbers: twice the tolerance."""
    for field in Statistics._fields:
        check(getattr(actual, field), getattr(expected, field), 2 * tolerance, f"{name} {field}")


def value_ref(x: np.ndarray, valid: np.ndarray, w: dict, block: str) -> np.ndarray:
    """v of a block, zero where not valid."""
    c = x.shape[0]
    weight = tensor(w, f"{block}.attention.qkv.weight")[2 * c :]
    v = masked(conv1x1(channel_norm(x, w, f"{block}.norm1"), weight), valid)
    return masked(depthwise3x3(v, tensor(w, f"{block}.attention.qkv_dw.weight")[2 * c :]), valid)


def check_block(ops: Ops, cases: Sequence[Case], w: dict, tile: int = BY_IMAGE) -> None:
    """boundary, apply and statistics of a batch of cases of one size."""
    tol, block, following = tolerance_of(ops, cases), "encoder.0", "encoder.1"
    valid = np.stack([testing.case_valid(c) for c in cases])
    x = np.stack([testing.case_features(c) for c in cases])
    v = np.stack([testing.case_features(c, "v") for c in cases])
    matrix = np.stack([testing.case_matrix(c) for c in cases])
    call = Call(valid, tile=tile)
    x_bits, v_bits = ops.given(x), ops.given(v)
    x_out, v_out, partials = ops.block(call, block, x_bits, v_bits, matrix)
    alone, _, _ = ops.block(call, block, x_bits, v_bits, matrix, sums=False)
    assert np.array_equal(x_out, alone), "apply is not the boundary's x"
    v_alone, partials_alone = ops.statistics(call, following, x_out)
    fused, following_v = ops.taken(x_out), ops.taken(v_out)
    statistics = ops.statistics_of(partials)
    for i, case in enumerate(cases):
        given, there = ops.rounded(x[i]), valid[i]
        mixed = masked(given + mix_ref(ops.rounded(v[i]), matrix[i]), there)
        expected = feed_forward_ref(mixed, there, w, block)
        check(fused[i], expected, tol, f"{case.name} x")
        check(following_v[i], value_ref(expected, there, w, following), tol, f"{case.name} v")
        check_sums(statistics[i], statistics_ref(expected, there, w, following), tol, case.name)
        assert not fused[i][:, ~there].any() and not following_v[i][:, ~there].any()
        # the sums alone start from the rounded x
        stored = fused[i]
        alone_v = ops.taken(v_alone)[i]
        check(alone_v, value_ref(stored, there, w, following), tol, f"{case.name} v alone")
        check_sums(
            ops.statistics_of(partials_alone)[i],
            statistics_ref(stored, there, w, following),
            tol,
            f"{case.name} alone",
        )


def _with_nan(image: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.where(there, image, np.nan).astype(np.float32)


def check_head(ops: Ops, cases: Sequence[Case], w: dict, tile: int = BY_IMAGE) -> None:
    """head of a batch, MS on the PAN grid; what is masked is NaN."""
    valid = np.stack([testing.case_valid(c) for c in cases])
    ms = np.stack([testing.case_image(c, 4, "ms_up") for c in cases])
    call = Call(valid, ms=_with_nan(ms, valid[:, None]), ms_valid=valid, units=0.5, tile=tile)
    x = ops.taken(ops.head(call))
    for i, case in enumerate(cases):
        expected = head_ref(0.5 * ms[i].astype(np.float64), valid[i], w)
        check(x[i], expected, tolerance_of(ops, cases), f"{case.name} head")
        assert not x[i][:, ~valid[i]].any()


def coarse(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """MS [4, h, w] and which of its samples exist, a quarter of the case's size."""
    h, w = (-(-n // RATIO) for n in (case.height, case.width))
    rng = testing.generator(case.name, "coarse")
    exists = rng.random((h, w)) < (1.0 if case.mask == "none" else 0.8)
    ms, wrong = rng.random((4, h, w)), rng.choice([np.nan, 30.0], (h, w))
    return np.where(exists, ms, wrong).astype(np.float32), exists


def check_upsampled(ops: Ops, case: Case, w: dict, tile: int = BY_IMAGE) -> None:
    """head and tail with MS four times coarser."""
    tol, there = ops.tolerance, testing.case_valid(case)
    ms, ms_valid = coarse(case)
    call = Call(
        there[None],
        ms=ms[None],
        ms_valid=None if ms_valid.all() else ms_valid[None],
        scale=(1 / RATIO, 1 / RATIO),
        tile=tile,
    )
    ms_up = upsample_masked_ref(ms, ms_valid, there.shape, (1 / RATIO, 1 / RATIO))
    check(ops.taken(ops.head(call))[0], head_ref(ms_up, there, w), tol, f"{case.name} head")
    x = testing.case_features(case)
    expected = tail_of(ops.rounded(x), ms_up, there, w)
    check(ops.tail(call, ops.given(x[None]))[0], expected, tol, f"{case.name} tail")


def tail_of(x: np.ndarray, ms_up: np.ndarray, valid: np.ndarray, w: dict) -> np.ndarray:
    """The tail without its block."""
    x = masked(conv3x3(x, tensor(w, "refine.weight")), valid)
    return masked(conv3x3(x, tensor(w, "output.weight")) + ms_up, valid)


def check_convolutions(ops: Ops, cases: Sequence[Case], w: dict, tile: int = BY_IMAGE) -> None:
    """fuse and tail of a batch."""
    tol = tolerance_of(ops, cases)
    valid = np.stack([testing.case_valid(c) for c in cases])
    x = np.stack([testing.case_features(c) for c in cases])
    pan = np.stack([testing.case_image(c, 1, "pan")[0] for c in cases])
    ms = np.stack([testing.case_image(c, 4, "ms_up") for c in cases])
    call = Call(
        valid,
        ms=_with_nan(ms, valid[:, None]),
        ms_valid=valid,
        pan=_with_nan(pan, valid),
        tile=tile,
    )
    bits = ops.given(x)
    fused, tail = ops.taken(ops.fuse(call, bits)), ops.tail(call, bits)
    for i, case in enumerate(cases):
        given = ops.rounded(x[i])
        expected = fuse_pan_ref(given, pan[i], valid[i], w, "enhanced_conv")
        check(fused[i], expected, tol, f"{case.name} fuse")
        check(tail[i], tail_of(given, ms[i], valid[i], w), tol, f"{case.name} tail")
        assert not fused[i][:, ~valid[i]].any() and not tail[i][:, ~valid[i]].any()


def outputs(ops: Ops, cases: Sequence[Case], tile: int = BY_IMAGE) -> list[np.ndarray]:
    """Every op's bits of a batch."""
    valid = np.stack([testing.case_valid(c) for c in cases])
    x = ops.given(np.stack([testing.case_features(c) for c in cases]))
    v = ops.given(np.stack([testing.case_features(c, "v") for c in cases]))
    matrix = np.stack([testing.case_matrix(c) for c in cases])
    call = Call(
        valid,
        ms=np.stack([testing.case_image(c, 4, "ms_up") for c in cases]),
        pan=np.stack([testing.case_image(c, 1, "pan")[0] for c in cases]),
        tile=tile,
    )
    x_out, v_out, partials = ops.block(call, "encoder.0", x, v, matrix)
    return [
        ops.head(call),
        x_out,
        v_out,
        ops.fuse(call, x),
        ops.tail(call, x),
        partials,
        *ops.statistics(call, "encoder.2", x)[::-1],
    ]


def network(ops: Ops, case: Case, w: dict, ms: np.ndarray, pan: np.ndarray) -> np.ndarray:
    """All segments in their order, folded by the truth."""
    arch = get_variant(case.variant)
    call = Call(testing.case_valid(case)[None], ms=ms[None], pan=pan[None])

    def folded(block: str, partials: np.ndarray) -> np.ndarray:
        attention = (w[f"{block}.attention.{n}"] for n in ("temperature", "project.weight"))
        return fold_ref(ops.statistics_of(partials)[0], *attention)[None]

    x = ops.head(call)
    for part, blocks in (("encoder", arch.encoder_blocks), ("body", arch.body_blocks)):
        v, partials = ops.statistics(call, f"{part}.0", x)
        for i in range(blocks - 1):
            x, v, partials = ops.block(call, f"{part}.{i}", x, v, folded(f"{part}.{i}", partials))
        last = f"{part}.{blocks - 1}"
        x, _, _ = ops.block(call, last, x, v, folded(last, partials), sums=False)
        if part == "encoder":
            x = ops.fuse(call, x)
    return ops.tail(call, x)[0]


def check_network(ops: Ops, case: Case, w: dict) -> None:
    there, ms = testing.case_valid(case), testing.case_image(case, 4, "ms_up")
    pan = testing.case_image(case, 1, "pan")[0]
    fused = network(ops, case, w, ms, pan)
    expected = network_ref(w, case.variant, ms, pan, there)
    check(fused - ms * there, expected - ms * there, ops.tolerance_of_network, "residual")


def check_wild(ops: Ops, case: Case, w: dict) -> None:
    """Samples a million times the rest leave everything finite."""
    ms, pan = testing.case_image(case, 4, "ms_up"), testing.case_image(case, 1, "pan")[0]
    y, x = case.height // 2, case.width // 2
    for of_ms, of_pan in ((1e6, 1), (1, 1e6), (-1e6, 1e6)):
        wild_ms, wild_pan = ms.copy(), pan.copy()
        wild_ms[:, y, x] *= of_ms
        wild_pan[y, x] *= of_pan
        fused = network(ops, case, w, wild_ms, wild_pan)
        assert np.isfinite(fused).all(), f"MS by {of_ms}, PAN by {of_pan}"
    call = Call(testing.case_valid(case)[None], ms=1e6 * ms[None], pan=pan[None])
    large = ops.given(np.full((1, ops.channels, case.height, case.width), 6e4))
    for op, out in (
        ("head", ops.taken(ops.head(call))),
        ("fuse", ops.taken(ops.fuse(call, large))),
        ("tail", ops.tail(call, large)),
    ):
        assert np.isfinite(out).all(), f"{op} of large values"
