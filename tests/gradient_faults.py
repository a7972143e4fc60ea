"""Faults to seed into the explicit gradients; each must be found.

What is checked, what is wrong: (module, text, replacement); the text occurs once.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

_LAYERS = "kernels.layers_backward_ref"
_FOLD = "kernels.fold.fold_backward_ref"
_BLOCK = "kernels.boundary.boundary_backward_ref"
_HEAD = "kernels.head.head_backward_ref"
_TAIL = "kernels.tail.tail_backward_ref"
_FUSION = "kernels.fusion.fusion_backward_ref"
_STEP = "kernels.consistency.consistency_backward_ref"
_RESAMPLE = "kernels.resample.resample_backward_ref"
_WINDOWS = "kernels.windows.windows_backward_ref"
_GAUSSIAN = "kernels.gaussian.gaussian_backward_ref"
_BLOCKS = "kernels.blocks.blocks_backward_ref"
_NETWORK = "reference_backward"

Fault = tuple[str, str, str]

FAULTS: dict[str, Fault] = {
    # LayerNorm
    "block: norm lacks the mean": (_LAYERS, "(g - g.mean(axis=0) - n", "(g - n"),
    "block: norm lacks the projection": (_LAYERS, " - n * (g * n).mean(axis=0)", ""),
    "block: norm forgets the deviation": (_LAYERS, ".mean(axis=0)) / deviation", ".mean(axis=0))"),
    "block: norm forgets the gain": (
        _LAYERS,
        "[:, None, None] * dy\n    dx",
        "[:, None, None]\n    g = dy\n    dx",
    ),
    "block: gain sees x": (_LAYERS, "(dy * n).sum", "(dy * x).sum"),
    "block: bias sees the gain": (
        _LAYERS,
        "dy.sum(axis=(1, 2))\n    return dx",
        "g.sum(axis=(1, 2))\n    return dx",
    ),
    # gates
    "block: gelu lacks x phi": (_LAYERS, "normal_cdf(x) + x *", "normal_cdf(x) + 0 *"),
    "block: gelu's phi": (_LAYERS, "math.sqrt(2.0 * math.pi)", "math.sqrt(math.pi)"),
    "block: gate lacks b": (_LAYERS, "dgated * b *", "dgated *"),
    "block: gates swapped": (
        _LAYERS,
        "gelu_derivative(a), dgated * gelu(a)]",
        "gelu_derivative(a), dgated * gelu(b)]",
    ),
    # taps
    "block: depthwise taps not reversed": (
        _LAYERS,
        "depthwise3x3(dy, weight[:, :, ::-1, ::-1])",
        "depthwise3x3(dy, weight)",
    ),
    "block: depthwise columns not reversed": (
        _LAYERS,
        "depthwise3x3(dy, weight[:, :, ::-1, ::-1])",
        "depthwise3x3(dy, weight[:, :, ::-1])",
    ),
    "block: depthwise weights transposed": (_LAYERS, "dweight[:, 0, i, j]", "dweight[:, 0, j, i]"),
    "tail: taps not reversed": (
        _LAYERS,
        "conv3x3(dy, weight[:, :, ::-1, ::-1]",
        "conv3x3(dy, weight",
    ),
    "tail: weights transposed": (_LAYERS, "dweight[:, :, i, j]", "dweight[:, :, j, i]"),
    # masks
    "block: bias outside": (
        _LAYERS,
        "masked(conv1x1(x, pointwise), valid)",
        "conv1x1(x, pointwise)",
    ),
    "block: gradient of what is outside": (_LAYERS, "masked(dt, valid)", "dt"),
    "block: garbage in the gradient": (_BLOCK, "masked(dout, valid)", "dout"),
    "block: garbage in x, B1": (_BLOCK, "x, dout = masked(x, valid), ", "x, dout = x, "),
    "block: garbage in x, B3": (_BLOCK, "x = masked(x, valid)\n    qk", "qk"),
    "head: garbage in the gradient": (_HEAD, "masked(dx, valid)", "dx"),
    "head: garbage in ms_up": (_HEAD, "masked(ms_up, valid)", "ms_up"),
    "head: gradient of what is outside": (_HEAD, "return masked(dms_up, valid)", "return dms_up"),
    "tail: garbage in the gradient": (_TAIL, "masked(dfused, valid)", "dfused"),
    "tail: mask of refine": (_TAIL, "masked(conv3x3(x, refine), valid)", "conv3x3(x, refine)"),
    "tail: mask of refine's gradient": (_TAIL, "masked(dy, valid)", "dy"),
    "tail: gradient of what is outside": (_TAIL, "return masked(dx, valid)", "return dx"),
    "fusion: garbage in the gradient": (_FUSION, "masked(dout, valid)", "dout"),
    "fusion: garbage in x, pan": (
        _FUSION,
        "masked(np.concatenate([x, pan[None]]), valid)",
        "np.concatenate([x, pan[None]])",
    ),
    "fusion: mask of the first 3x3": (
        _FUSION,
        "masked(np.maximum(conv3x3(xp, first), 0.0), valid)",
        "np.maximum(conv3x3(xp, first), 0.0)",
    ),
    "fusion: gradient of what is outside": (_FUSION, "dxp = masked(dxp, valid)", "dxp = dxp"),
    # attention
    "fold: softmax lacks the inner product": (_FOLD, "(dattention - inner)", "dattention"),
    "fold: softmax lacks the attention": (
        _FOLD,
        "attention * (dattention - inner)",
        "dattention - inner",
    ),
    "fold: a head is missing": (
        _FOLD,
        "dmixing[b, b] for b in blocks",
        "dmixing[b, b] * (b.start > 0) for b in blocks",
    ),
    "fold: the first head for all": (
        _FOLD,
        "dmixing[b, b] for b in blocks",
        "dmixing[:c, :c] for b in blocks",
    ),
    "fold: no temperature": (_FOLD, "np.asarray(temperature, np.float64) * dlogits", "dlogits"),
    "fold: temperature sees the attention": (_FOLD, "(dlogits * cosines)", "(dlogits * attention)"),
    "fold: project sees the transposed": (
        _FOLD,
        "block_diagonal(attention).T",
        "block_diagonal(attention)",
    ),
    "fold: project not transposed": (_FOLD, "[:, :, 0, 0].T @", "[:, :, 0, 0] @"),
    "fold: norm of q is constant": (_FOLD, "along.sum(axis=2, keepdims=True)", "0 * q"),
    "fold: norm of k is constant": (_FOLD, "along.sum(axis=1, keepdims=True)", "0 * k"),
    "fold: the floor has a gradient": (_FOLD, "np.where(q > NORM_FLOOR", "np.where(q > 0"),
    "fold: d lacks the norm of k": (_FOLD, "dcosines / q / k", "dcosines / q"),
    "block: z without the matrix": (_BLOCK, "z = x + mix_ref(v, matrix)", "z = x + v"),
    "block: no alpha": (_BLOCK, " - alpha[:, :, None] * q", ""),
    "block: no beta": (_BLOCK, " - beta[:, :, None] * k", ""),
    "block: d not transposed": (_BLOCK, "gradient.d.transpose(0, 2, 1)", "gradient.d"),
    "block: matrix not transposed": (_BLOCK, "matrix.T", "matrix"),
    "block: dmatrix without the feed-forward": (
        _BLOCK,
        "over_pixels(dz, v)",
        "over_pixels(dout, v)",
    ),
    "block: residual of B1": (_BLOCK, "dz = dout + of_branch", "dz = of_branch"),
    "block: residual of B3": (_BLOCK, "return dz + of_branch", "return of_branch"),
    # around the blocks
    "fusion: relu ignored": (_FUSION, "np.where(y > 0.0, dy, 0.0)", "dy"),
    "fusion: pan is another channel": (_FUSION, "dxp[-1]", "dxp[0]"),
    "network: the fusion's place": (_NETWORK, "i == v.encoder_blocks - 1", "i == v.encoder_blocks"),
    "network: ms_up by the tail alone": (_NETWORK, "dms_up + of_head", "dms_up"),
    "network: ms_up by the head alone": (_NETWORK, "dms_up + of_head", "of_head"),
    "fuse: tensors per DN": (_NETWORK, "scale_dn * g", "g"),
    "fuse: ms by consistency alone": (_NETWORK, "dms += upsample_masked", "upsample_masked"),
    # indices
    "uqi: mean of one window": (_WINDOWS, "(mean[:, None] + varied)", "varied"),
    "uqi: variances": (_WINDOWS, "varied = 2 * variance[:, None]", "varied = variance[:, None]"),
    "uqi: covariance sees its own": (
        _WINDOWS,
        "s.covariance[:, None] * other.deviation",
        "s.covariance[:, None] * own.deviation",
    ),
    "uqi: one plane of the pair": (_WINDOWS, "(j, b, a, s.mean[1]", "(j, b, a, s.mean[0]"),
    "uqi: bias without its power": (
        _WINDOWS,
        "(b.mean - bias * a.mean), power",
        "b.mean, power",
    ),
    "uqi: spread": (_WINDOWS, "quotient(-bias * structure, spread", "quotient(-bias, spread"),
    "uqi: windows with holes": (_WINDOWS, "x : x + side].all()", "x : x + side].any()"),
    "decorrelation: half": (_WINDOWS, "half = 0.5 *", "half ="),
    "decorrelation: sign": (_WINDOWS, "-quotient(np.ones", "quotient(np.ones"),
    "ssim: power": (_GAUSSIAN, " - value * own.mean * by_power", ""),
    "ssim: c2 of the spread": (_GAUSSIAN, "(spread + c2), spread + c2,", "(spread + c2), spread,"),
    "ssim: covariance": (_GAUSSIAN, "2 * bias / below)", "bias / below)"),
    "ssim: windows are not weighted": (
        _GAUSSIAN,
        "pairs, gaussian_weights(),",
        "pairs, np.full((11, 11), 1 / 121),",
    ),
    "gaussian_uqi: spread": (_GAUSSIAN, "spread + c1, power\n", "spread, power\n"),
    "blocks: variance": (_BLOCKS, "by[k] + 2 * by[n + k]", "by[k] + by[n + k]"),
    "blocks: one side of a pair": (_BLOCKS, "dx[j] = dx[j] + g * d[i]", "dx[j] = dx[j] + 0"),
    "blocks: a mirrored sample counts once": (
        _BLOCKS,
        "np.add.at(out[k], at, dx[k])",
        "out[k][at] = dx[k]",
    ),
    "blocks: holes": (_BLOCKS, "if not good[at].all()", "if not good[at].any()"),
    # back-projection and upsampling
    "consistency: sign": (_STEP, "dfused[k] -=", "dfused[k] +="),
    "consistency: coverage": (_STEP, "dresidual, coverage, out", "dresidual, coverage + 0.1, out"),
    "consistency: masked ms": (_STEP, "MIN_COVERAGE) & known", "MIN_COVERAGE) & (known | True)"),
    "consistency: masked update": (_STEP, "np.where(valid, dfused, 0.0)", "dfused"),
    "consistency: masked degradation": (
        _STEP,
        "np.where(valid, apply_taps_backward",
        "np.where(valid | True, apply_taps_backward",
    ),
    "consistency: one band's taps": (_STEP, "dtotal[k], *taps, fine", "dtotal[0], *taps, fine"),
    "consistency: cubic everywhere": (_RESAMPLE, "np.where(plan.complete, dout, 0.0)", "dout"),
    "consistency: nearest weights": (
        _RESAMPLE,
        "np.divide(dout, plan.weight, out",
        "np.divide(dout, 1.0, out",
    ),
}


@contextmanager
def seeded(fault: Fault) -> Iterator[None]:
    """The module's functions compute with the replacement, wherever they were imported to."""
    name, text, replacement = fault
    module = importlib.import_module(f"pantiny.{name}")
    source = inspect.getsource(module)
    assert source.count(text) == 1, f"{text!r} occurs {source.count(text)} times in {name}"
    changed: dict[str, object] = {"__name__": module.__name__, "__package__": module.__package__}
    exec(compile(source.replace(text, replacement), f"{name}, seeded", "exec"), changed)
    own = {
        key: f
        for key, f in vars(module).items()
        if isinstance(f, FunctionType) and f.__module__ == module.__name__
    }
    kept = {key: f.__code__ for key, f in own.items()}
    try:
        for key, f in own.items():
            f.__code__ = changed[key].__code__
        yield
    finally:
        for key, f in own.items():
            f.__code__ = kept[key]
