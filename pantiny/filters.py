"""Resampling of bands of rows: the bits that `apply_taps` gives on the whole image.

Every sample is the sum of the same products in the same order whatever rows it is computed
with, so that bands, pieces and threads change no bit. Tap tables cover the whole of their
axis and are made once: weights do not depend on where a band begins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .kernels.consistency.consistency_ref import MIN_COVERAGE
from .kernels.resample.resample_masked_ref import MIN_WEIGHT, linear_taps
from .kernels.resample.resample_ref import Taps, cubic_taps


def _index(taps: Taps, size: int) -> np.ndarray:
    """[n, T] samples that the taps read; beyond the edges the outermost ones."""
    return np.clip(taps.first[:, None] + np.arange(taps.weight.shape[1]), 0, size - 1)


def _along(image: np.ndarray, index: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """Sum of weighted samples along the last axis (-1) or the one before it (-2)."""
    shape = list(image.shape)
    shape[axis] = len(index)
    out, part = np.zeros(shape), np.empty(shape)
    for t in range(index.shape[1]):
        w = weight[:, t]
        if w.any():  # else the products are zeros, whatever the image holds
            np.take(image, index[:, t], axis=axis, out=part, mode="clip")
            part *= w if axis == -1 else w[:, None]
            out += part
    return out


class Resampler:
    """Separable taps on bands of rows.

    Parameters
    ----------
    rows, cols : Taps
        Tables of the whole output; indices clamped to the input's edges.
    shape : (int, int)
        Rows and columns of the whole input.
    """

    def __init__(self, rows: Taps, cols: Taps, shape: tuple[int, int]) -> None:
        self.shape = (len(rows.first), len(cols.first))
        self.bytes = 2 * (rows.weight.nbytes + cols.weight.nbytes)
        self.rows, self._row_weight = _index(rows, shape[0]), rows.weight
        self.cols, self._col_weight = _index(cols, shape[1]), cols.weight

    def reads(self, start: int, stop: int) -> tuple[int, int]:
        """First and one past the last input row of output rows ``start .. stop-1``."""
        return int(self.rows[start, 0]), int(self.rows[stop - 1, -1]) + 1

    def across(self, image: np.ndarray) -> np.ndarray:
        """The columns' taps alone: [..., rows, W] to [..., rows, columns out] float64."""
        return _along(np.asarray(image, np.float64), self.cols, self._col_weight, -1)

    def down(self, image: np.ndarray, first: int, start: int, stop: int) -> np.ndarray:
        """The rows' taps on what ``across`` made of the input rows from ``first`` on."""
        index = self.rows[start:stop] - first
        return _along(image, index, self._row_weight[start:stop], -2)

    def __call__(self, image: np.ndarray, first: int, start: int, stop: int) -> np.ndarray:
        """Output rows ``start .. stop-1``.

        Parameters
        ----------
        image : array [..., rows, W]
            Input rows from ``first`` on, all that ``reads(start, stop)`` names; finite.

        Returns
        -------
        array [..., stop - start, columns out] float64
        """
        low, high = self.reads(start, stop)
        return self.down(self.across(image[..., low - first : high - first, :]), low, start, stop)


class Degrader:
    """A blur with decimation, normalised over the pixels that exist.

    ``sum(w valid image) / sum(w valid)`` where the valid pixels hold at least half of the
    kernel's weight (``kernels/consistency``). Where all of the kernel's pixels are valid
    that is the plain sum, bit for bit.
    """

    def __init__(self, taps: Resampler) -> None:
        self._taps = taps
        self.shape, self.bytes, self.reads = taps.shape, taps.bytes, taps.reads
        width = int(taps.cols.max()) + 1
        self._whole = taps.across(np.ones((1, width)))

    def __call__(
        self, image: np.ndarray, valid: np.ndarray | None, first: int, start: int, stop: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Coarse rows ``start .. stop-1``.

        Parameters
        ----------
        image : array [..., rows, W]
            Fine rows from ``first`` on; anything, also NaN, where not valid.
        valid : array [rows, W], optional
            Nonzero where a pixel exists; None: all do.

        Returns
        -------
        values : array [..., stop - start, w] float64
            0 where a sample does not exist.
        exists : array [stop - start, w] bool or None
            None where ``valid`` is None or all True in these rows.
        """
        low, high = self.reads(start, stop)
        image = image[..., low - first : high - first, :]
        good = None if valid is None else valid[low - first : high - first] != 0
        if good is None or good.all():
            return self._taps(image, low, start, stop), None
        total = self._taps(np.where(good, image, 0), low, start, stop)
        weight = self._taps(good, low, start, stop)
        ones = np.broadcast_to(self._whole, (high - low, self._whole.shape[1]))
        whole = self._taps.down(ones, low, start, stop)
        exists = weight >= MIN_COVERAGE
        values = np.divide(total, weight, out=np.zeros(total.shape), where=exists)
        np.copyto(values, total, where=weight == whole)
        return values, exists


class Upsampler:
    """MS on the PAN grid in bands of rows: `upsample_masked_ref`, or the cubic without a mask.

    Parameters
    ----------
    shape, ms_shape : (int, int)
        H, W of the PAN grid and h, w of the MS grid.
    scale, offset : (float, float)
        Rows and columns, as in ``cubic_taps``.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        ms_shape: tuple[int, int],
        scale: tuple[float, float],
        offset: tuple[float, float],
    ) -> None:
        def made(kind: Callable[..., Taps]) -> Resampler:
            rows, cols = (kind(0, shape[i], scale[i], offset[i]) for i in range(2))
            return Resampler(rows, cols, ms_shape)

        self._cubic, self._linear = made(cubic_taps), made(linear_taps)
        self.bytes = self._cubic.bytes + self._linear.bytes
        self.reads = self._cubic.reads

    def __call__(
        self, ms: np.ndarray, exists: np.ndarray | None, first: int, start: int, stop: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """PAN rows ``start .. stop-1``.

        Parameters
        ----------
        ms : array [..., rows, w]
            MS rows from ``first`` on; anything, also NaN, where a sample is missing.
        exists : array [rows, w], optional
            Nonzero where a sample exists; None: all do.

        Returns
        -------
        values : array [..., stop - start, W] float64
            0 where none of the nearest samples exists.
        known : array [stop - start, W] bool or None
            False there; None where every value is known.
        """
        low, high = self.reads(start, stop)
        ms = ms[..., low - first : high - first, :]
        good = None if exists is None else exists[low - first : high - first] != 0
        if good is None or good.all():
            return self._cubic(ms, low, start, stop), None
        ms = np.where(good, ms, 0)
        cubic, complete = self._cubic(ms, low, start, stop), self._complete(good, low, start, stop)
        weight = self._linear(good, low, start, stop)
        enough = weight > MIN_WEIGHT
        near = self._linear(ms, low, start, stop)
        np.divide(near, weight, out=cubic, where=enough & ~complete)
        known = enough | complete
        np.copyto(cubic, 0.0, where=~known)
        return cubic, known

    def _complete(self, good: np.ndarray, first: int, start: int, stop: int) -> np.ndarray:
        """Whether all 16 samples of the cubic exist."""
        across = np.asarray(good[:, self._cubic.cols].all(axis=-1))
        found: np.ndarray = across[self._cubic.rows[start:stop] - first].all(axis=1)
        return found
