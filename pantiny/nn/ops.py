"""Custom operators: ``pantiny::window_means`` and its gradient."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine import core
from ..errors import BackendError, OptionError, ShapeError
from . import _windows

SMALL = 1 << 16  # samples of an image that the core does not deal out to threads


@lru_cache(maxsize=1)
def _has_core() -> bool:
    return importlib.util.find_spec("pantiny._core") is not None


def _core_means(
    first: Tensor, second: Tensor, pairs: list[int], window: int, index: str, c1: float, c2: float
) -> Tensor:
    """By the compiled core, which reads the tensors where they are."""
    from ..metrics._windows import window_means as of_planes

    both = list(zip(pairs[::2], pairs[1::2]))
    number = getattr(core(), index.upper())
    images = [t.detach().numpy() for t in (first, second)]

    def one(i: int) -> np.ndarray:
        planes = [*images[0][i], *images[1][i]]
        return of_planes(planes, both, window, number, None, c1, c2)

    count, threads = first.shape[0], torch.get_num_threads()
    if count > 1 and threads > 1 and first.shape[-1] * first.shape[-2] <= SMALL:
        with ThreadPoolExecutor(min(threads, count)) as pool:
            rows = list(pool.map(one, range(count)))
    else:
        rows = [one(i) for i in range(count)]
    return torch.from_numpy(np.stack(rows))


@torch.library.custom_op("pantiny::window_means", mutates_args=())
def _window_means(
    first: Tensor,
    second: Tensor,
    pairs: Sequence[int],
    window: int,
    index: str,
    c1: float,
    c2: float,
) -> Tensor:
    numbers = list(pairs)
    if not numbers or not first.shape[0]:
        return first.new_zeros((first.shape[0], len(numbers) // 2), dtype=torch.float64)
    if first.device.type == "cpu" and _has_core():
        return _core_means(first, second, numbers, window, index, c1, c2)
    return _windows.means(first, second, numbers, window, index, c1, c2)


@_window_means.register_fake
def _(
    first: Tensor,
    second: Tensor,
    pairs: Sequence[int],
    window: int,
    index: str,
    c1: float,
    c2: float,
) -> Tensor:
    return first.new_empty((first.shape[0], len(pairs) // 2), dtype=torch.float64)


@torch.library.custom_op("pantiny::window_means_backward", mutates_args=())
def _window_means_backward(
    grad: Tensor,
    first: Tensor,
    second: Tensor,
    pairs: Sequence[int],
    window: int,
    index: str,
    c1: float,
    c2: float,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    # C2 bounds what SSIM divides by; Q and the correlation divide by variances of any size
    dtype = first.dtype if index == "ssim" else torch.float64
    options = list(pairs), window, index, c1, c2
    return _windows.gradient(grad, first, second, *options, (wanted[0], wanted[1]), dtype)


@_window_means_backward.register_fake
def _(
    grad: Tensor,
    first: Tensor,
    second: Tensor,
    pairs: Sequence[int],
    window: int,
    index: str,
    c1: float,
    c2: float,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    return (
        first.new_empty(first.shape if wanted[0] else (0,)),
        second.new_empty(second.shape if wanted[1] else (0,)),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    first, second, *ctx.options = inputs
    ctx.save_for_backward(first, second)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    wanted = list(ctx.needs_input_grad[:2])
    made = _window_means_backward(grad, *ctx.saved_tensors, *ctx.options, wanted)
    return (*(g if w else None for g, w in zip(made, wanted)), *(None,) * 5)


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise BackendError(
        "pantiny::window_means: asked for a second derivative; it has the first one only; "
        "leave create_graph out, or differentiate twice through another loss"
    )


_window_means.register_autograd(_backward, setup_context=_save)
_window_means_backward.register_autograd(_refuse)


def window_means(
    first: Tensor,
    second: Tensor,
    pairs: Sequence[tuple[int, int]],
    window: int,
    index: str,
    c1: float = 0.0,
    c2: float = 0.0,
) -> Tensor:
    """Mean of an index over every window that lies inside, per image and pair of planes.

    Parameters
    ----------
    first : Tensor [N, A, H, W]
        float32 or float64, any device.
    second : Tensor [N, B, H, W]
        Further planes, of the same dtype; B may be 0.
    pairs : sequence of (int, int)
        Numbers of planes, those of ``first``, then those of ``second``.
    window : int
        Side in pixels; 11 for ``ssim``.
    index : {"uqi", "decorrelation", "ssim"}
        Q and 1 - correlation over uniform windows; SSIM over Gaussians of sigma 1.5.
    c1, c2 : float
        Of SSIM.

    Returns
    -------
    Tensor [N, pairs] float64
        Differentiable once. On the CPU by the compiled core; elsewhere the same in torch.

    Raises
    ------
    ShapeError, OptionError
    """
    if index not in _windows.INDICES:
        raise OptionError(f"index: got {index!r}; need one of {', '.join(_windows.INDICES)}")
    most = _windows.GAUSSIAN if index == "ssim" else 256
    least = most if index == "ssim" else 1
    if isinstance(window, bool) or not isinstance(window, int) or not least <= window <= most:
        raise OptionError(
            f"window: got {window!r}; need a whole number of pixels, {least} to {most}"
        )
    height, width = first.shape[-2:]
    if window > min(height, width):
        raise ShapeError(
            f"window: a window of {window} pixels does not fit into {height}x{width}; need one "
            "that does; give a smaller one or a larger image"
        )
    flat = [plane for pair in pairs for plane in pair]
    planes = first.shape[1] + second.shape[1]
    if any(not 0 <= plane < planes for plane in flat):
        raise OptionError(f"pairs: got {list(pairs)}; need numbers of planes below {planes}")
    return _window_means(first, second, flat, window, index, float(c1), float(c2))
