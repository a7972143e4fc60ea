"""Means over windows that slide by one sample and moments of distinct blocks, by the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import core
from ..errors import CoreError, DataError, OptionError, ShapeError
from ..system import as_int, resolve_threads
from . import _device
from ._rows import BLOCK_ROWS, RowFeed

GAUSSIAN = 11  # side of the Gaussian window
Pair = tuple[int, int]
SIDE = 8  # bands of a group of pairs along each side: as many planes as the core takes


def check_side(window: object, name: str = "window") -> int:
    """A window that fits into some image.

    Raises
    ------
    OptionError
    """
    side = as_int(window)
    most = int(core().MAX_WINDOW)
    if side is None or not 1 <= side <= most:
        raise OptionError(f"{name}: got {window!r}; need a whole number of pixels, 1 to {most}")
    return side


def check_window(window: object, height: int, width: int, name: str = "window") -> int:
    """A window that fits into the image.

    Raises
    ------
    OptionError, ShapeError
    """
    side = check_side(window, name)
    if side > min(height, width):
        raise ShapeError(
            f"{name}: a window of {side} pixels does not fit into {height}x{width}; need one that "
            "does; give a smaller one or a larger image"
        )
    return side


def _groups(pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    """Pairs dealt out so that each group reads few planes: (planes, numbers of the pairs)."""
    found: dict[Pair, list[int]] = {}
    for number, (i, j) in enumerate(pairs):
        found.setdefault((i // SIDE, j // SIDE), []).append(number)
    groups = []
    for numbers in found.values():
        for first in range(0, len(numbers), int(core().MAX_PAIRS)):
            some = numbers[first : first + int(core().MAX_PAIRS)]
            groups.append((sorted({p for n in some for p in pairs[n]}), some))
    return groups


Planes = Sequence[np.ndarray] | Sequence[_device.Plane]  # [H, W] each, or [N, H, W] on a device


def _images_of(planes: Sequence[Any]) -> tuple[int, ...]:
    """(N,) of planes on a device, else nothing."""
    return (planes[0].shape[0],) if isinstance(planes[0], _device.Plane) else ()


class _Planes:
    """Pairs of planes, and the groups in which the cores take them.

    The calls below are the one place where indices meet them: the CPU's for arrays [H, W], the
    CUDA one for planes [N, H, W] on a device.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        planes = sorted({p for pair in pairs for p in pair})
        few = len(planes) <= int(core().MAX_PLANES) and len(self.pairs) <= int(core().MAX_PAIRS)
        self.groups = [(planes, list(range(len(pairs))))] if few else _groups(self.pairs)
        self.threads = resolve_threads(None)

    def local(self, planes: list[int], numbers: list[int]) -> list[Pair]:
        return [(planes.index(self.pairs[n][0]), planes.index(self.pairs[n][1])) for n in numbers]

    def add_windows(
        self,
        group: int,
        planes: Sequence[Any],
        mask: Any,
        window: int,
        index: int,
        constants: tuple[float, float],
        sums: np.ndarray,
        count: np.ndarray,
    ) -> None:
        """Sums of an index over windows, [pairs] or [N, pairs], and their number, [..., 1]."""
        used, numbers = self.groups[group]
        some, pairs = [planes[i] for i in used], self.local(used, numbers)
        if _images_of(some):
            found = _device.windows_run(some, pairs, mask, index, window, *constants)
            sums += found[0]
            count += found[1]
            return
        try:
            core().windows_run(
                planes=some,
                pairs=pairs,
                valid=mask,
                index=index,
                window=window,
                threads=self.threads,
                c1=constants[0],
                c2=constants[1],
                sums=sums,
                count=count,
            )
        except RuntimeError as error:
            raise CoreError(f"windows: refused by the core: {error}") from error

    def _moments(
        self, planes: Sequence[Any], pairs: list[Pair], mask: Any, block: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if _images_of(planes):
            return _device.moments_run(planes, pairs, mask, block)
        try:
            return core().moments_run(
                planes=planes, pairs=pairs, valid=mask, window=block, threads=self.threads
            )
        except RuntimeError as error:
            raise CoreError(f"blocks: refused by the core: {error}") from error

    def moments(
        self, planes: Sequence[Any], mask: Any, block: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means and variances [..., planes], covariances [..., pairs] of blocks, and which of
        them have no masked sample."""
        size = 1 + max(max(pair) for pair in self.pairs)
        found: list[np.ndarray] = []
        for used, numbers in self.groups:
            moments, count = self._moments(
                [planes[i] for i in used], self.local(used, numbers), mask, block
            )
            if not found:
                found = [np.zeros((*count.shape, n)) for n in (size, size, len(self.pairs))]
            mean, variance, covariance = found
            mean[..., used] = moments[..., : len(used)]
            variance[..., used] = moments[..., len(used) : 2 * len(used)]
            covariance[..., numbers] = moments[..., 2 * len(used) :]
            whole = count == block**2
        return mean, variance, covariance, whole


class WindowMeans:
    """Mean of an index over all windows without an invalid sample, for pairs of planes.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Numbers of planes.
    window : int
    index : int
        Of the core: ``UQI``, ``DECORRELATION``, ``SSIM``, ``GAUSSIAN_UQI``.
    c1, c2 : float
    images : tuple of int
        (N,) of planes on a device.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        window: int,
        index: int,
        c1: float = 0.0,
        c2: float = 0.0,
        images: tuple[int, ...] = (),
    ) -> None:
        self._planes = _Planes(pairs)
        self._window, self._index, self._c = window, index, (c1, c2)
        self._images = images
        self._sums = [np.zeros((*images, len(numbers))) for _, numbers in self._planes.groups]
        self._count = [np.zeros((*images, 1), np.int64) for _ in self._planes.groups]
        self._feed = RowFeed(BLOCK_ROWS, window - 1)

    def update(self, planes: Sequence[np.ndarray], mask: np.ndarray | None = None) -> None:
        """Rows of every plane [n, W] and of the mask [n, W] uint8, top to bottom."""
        for chunk in self._feed.update([*planes, mask]):
            self.add(chunk)

    def add(self, chunk: Sequence[Any]) -> None:
        """A whole image, or its next chunk of the feed: planes and mask."""
        *planes, mask = chunk
        how = self._window, self._index, self._c
        for group, (sums, count) in enumerate(zip(self._sums, self._count)):
            self._planes.add_windows(group, planes, mask, *how, sums, count)

    def compute(self) -> np.ndarray:
        """Mean per pair [pairs], or [N, pairs], float64; takes what rows are left.

        Raises
        ------
        DataError
            If no window is free of masked pixels.
        """
        for chunk in self._feed.finish(self._window - 1):
            self.add(chunk)
        if not self._count[0].all():
            raise DataError(
                f"mask: no window of {self._window} x {self._window} pixels is free of masked "
                "ones; need one at least; give a smaller window or a larger image"
            )
        means = np.empty((*self._images, len(self._planes.pairs)))
        for (_, numbers), sums, count in zip(self._planes.groups, self._sums, self._count):
            means[..., numbers] = sums / count
        return means


def window_means(
    planes: Planes,
    pairs: Sequence[Pair],
    window: int,
    index: int,
    mask: Any = None,
    c1: float = 0.0,
    c2: float = 0.0,
) -> np.ndarray:
    """`WindowMeans` of whole planes: [pairs] of [H, W], [N, pairs] of [N, H, W] on a device."""
    means = WindowMeans(pairs, window, index, c1, c2, _images_of(planes))
    means.add([*planes, mask])
    return means.compute()


Values = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class BlockMeans:
    """Mean over distinct blocks, from the top left, of what ``values`` makes of their moments.

    Parameters
    ----------
    pairs : sequence of (int, int)
    block : int
        Side in samples.
    values : callable
        Gets means and variances [blocks, planes] and covariances [blocks, pairs], population
        ones, of blocks without a masked pixel; gives [blocks, m].
    mirror : bool
        Blocks that stick out are filled by the image mirrored at its right and bottom edges;
        without it they are left out.
    """

    def __init__(self, pairs: Sequence[Pair], block: int, values: Values, *, mirror: bool) -> None:
        self._planes, self._block, self._mirror = _Planes(pairs), block, mirror
        self._values = values
        # so many rows more that mirrored ones are still there when the last block comes
        self._feed = RowFeed(max(1, BLOCK_ROWS // block) * block, block)
        self._found: list[np.ndarray] = []

    def update(self, planes: Sequence[np.ndarray], mask: np.ndarray | None = None) -> None:
        """Rows of every plane [n, W] and of the mask [n, W] uint8, top to bottom."""
        for chunk in self._feed.update([*planes, mask]):
            self._add([None if c is None else c[: -self._block] for c in chunk])

    def _add(self, chunk: Sequence[np.ndarray | None]) -> None:
        rows, width = next(p.shape for p in chunk if p is not None)
        if not self._mirror:
            rows, width = rows - rows % self._block, width - width % self._block
            chunk = [None if p is None else p[:rows, :width] for p in chunk]
        if not rows or not width:
            return
        *planes, mask = chunk
        mask = None if mask is None else np.ascontiguousarray(mask)
        *moments, whole = self._planes.moments(planes, mask, self._block)
        self._found.append(self._values(*(m[whole] for m in moments)))

    def finish(self, chunk: Sequence[np.ndarray | None]) -> None:
        """A whole image, or the rows that are left: planes and mask."""
        rows = next(p.shape[0] for p in chunk if p is not None)
        if self._mirror and rows % self._block:
            index = np.arange(-(-rows // self._block) * self._block) % (2 * rows)
            index = np.where(index < rows, index, 2 * rows - 1 - index)
            edge = rows - rows % self._block  # whole blocks are not copied
            self._add([None if p is None else p[:edge] for p in chunk])
            chunk = [None if p is None else p[index[edge:]] for p in chunk]
        self._add(chunk)

    def compute(self) -> np.ndarray:
        """Mean of the values over blocks [m]; takes what rows are left.

        Raises
        ------
        DataError
            If no block is free of masked pixels.
        """
        for chunk in self._feed.finish(0):
            self.finish(chunk)
        values = np.concatenate(self._found) if self._found else np.empty((0, 1))
        return _mean_of_blocks(values, self._block)


def _mean_of_blocks(values: np.ndarray, block: int) -> np.ndarray:
    """[m] of [blocks, m]."""
    if not len(values):
        raise DataError(
            f"mask: no block of {block} x {block} pixels is free of masked ones; "
            "need one at least; give a smaller block or a larger image"
        )
    return np.asarray(values.sum(axis=0) / len(values))


def _block_means_there(
    planes: Sequence[_device.Plane],
    pairs: Sequence[Pair],
    block: int,
    values: Values,
    mask: _device.Plane | None,
    mirror: bool,
) -> np.ndarray:
    """[N, m]: the kernel mirrors by itself; values of blocks are made of their moments here."""
    _, rows, width = planes[0].shape
    if not mirror:
        planes = [p.cut(rows - rows % block, width - width % block) for p in planes]
    *moments, whole = _Planes(pairs).moments(planes, mask, block)
    return np.stack(
        [
            _mean_of_blocks(values(*(m[i][inside] for m in moments)), block)
            for i, inside in enumerate(whole)
        ]
    )


def block_means(
    planes: Planes,
    pairs: Sequence[Pair],
    block: int,
    values: Values,
    mask: Any = None,
    *,
    mirror: bool,
) -> np.ndarray:
    """`BlockMeans` of whole planes: [m] of [H, W], [N, m] of [N, H, W] on a device."""
    if isinstance(planes[0], _device.Plane):
        return _block_means_there(planes, pairs, block, values, mask, mirror)  # type: ignore[arg-type]
    means = BlockMeans(pairs, block, values, mirror=mirror)
    means.finish([*planes, mask])
    return means.compute()


def uqi_of_blocks(
    mean: np.ndarray, variance: np.ndarray, covariance: np.ndarray, pairs: Sequence[Pair]
) -> np.ndarray:
    """Q per block and pair, [blocks, pairs], from the moments of blocks."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    mx, my = mean[:, first], mean[:, second]
    power, spread = mx**2 + my**2, variance[:, first] + variance[:, second]
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.where(power == 0, 1.0, 2 * mx * my / power)
        structure = np.where(spread == 0, 1.0, 2 * covariance / spread)
    return np.asarray(bias * structure)
