"""Sums over pixels: moments, errors, angles, edges; chunk by chunk in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from ._rows import RowFeed

ROWS = 16  # of a chunk: what numpy makes on the way is small, and stays in the cache

Chunk = Sequence[np.ndarray | None]


def _values(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Valid pixels [K, n] float64 of [K, rows, W], in C order: that of the sums."""
    if mask is None:
        return image.reshape(image.shape[0], -1).astype(np.float64, order="C")
    return image[:, mask != 0].astype(np.float64, order="C")


class _Chunks:
    """Rows in pieces; ``_add`` gets chunks of ``ROWS`` rows and ``overlap`` more."""

    overlap = 0

    def __init__(self) -> None:
        self._feed = RowFeed(ROWS, self.overlap)

    def update(self, images: Sequence[np.ndarray], mask: np.ndarray | None = None) -> None:
        """Rows of every image [K, n, W] and of the mask [n, W] uint8, top to bottom."""
        for chunk in self._feed.update([*images, mask]):
            self._add(chunk)

    def _finish(self) -> None:
        for chunk in self._feed.finish(self.overlap):
            self._add(chunk)

    def _add(self, chunk: Chunk) -> None:
        raise NotImplementedError


def nothing_valid() -> DataError:
    """The error of an image without a pixel to measure."""
    return DataError("mask: no pixel is left; need one at least; mark pixels that count with True")


class Moments(_Chunks):
    """Means and products of bands, about the first valid pixel, merged chunk by chunk.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Numbers of bands whose product is wanted, in all images one after the other.

    Attributes
    ----------
    count : int
    mean : array [K]
    product : array [pairs]
        Sums of products of the deviations from the means.
    square_error : array [K/2]
        Of the second half of the bands against the first, where ``errors`` is set.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], *, errors: bool = False) -> None:
        super().__init__()
        self._pairs, self._errors = list(pairs), errors
        self.count = 0
        self._anchor = self._mean = np.zeros(0)
        self.product, self.square_error = np.zeros(len(self._pairs)), np.zeros(1)

    def _add(self, chunk: Chunk) -> None:
        *images, mask = chunk
        values = np.concatenate([_values(i, mask) for i in images if i is not None])
        n = values.shape[1]
        if not n:
            return
        if self._errors:
            half = len(values) // 2
            self.square_error = self.square_error + ((values[half:] - values[:half]) ** 2).sum(1)
        if not self.count:
            self._anchor, self._mean = values[:, 0].copy(), np.zeros(len(values))
        values -= self._anchor[:, None]
        mean = values.mean(1)
        values -= mean[:, None]
        gap = mean - self._mean
        total = self.count + n
        for p, (i, j) in enumerate(self._pairs):
            within = (values[i] * values[j]).sum()
            self.product[p] += within + gap[i] * gap[j] * (self.count / total * n)
        self._mean = self._mean + gap * (n / total)
        self.count = total

    def compute(self) -> Moments:
        """Itself, with the last rows in it.

        Raises
        ------
        DataError
            If no pixel is valid.
        """
        self._finish()
        if not self.count:
            raise nothing_valid()
        return self

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self._anchor + self._mean)

    def rms(self, bands: Sequence[int]) -> float:
        """Root of the mean square of bands whose squares are among the pairs."""
        mean, at = self.mean, self._pairs.index
        squares = [self.product[at((k, k))] / self.count + mean[k] ** 2 for k in bands]
        return float(np.sqrt(np.mean(squares)))


class Angles(_Chunks):
    """Mean spectral angle in radians; pixels where either spectrum is zero are left out."""

    def __init__(self) -> None:
        super().__init__()
        self._sum, self._count, self._valid = 0.0, 0, 0

    def _add(self, chunk: Chunk) -> None:
        *images, mask = chunk
        f, t = (_values(i, mask) for i in images if i is not None)
        norm_f, norm_t = np.sqrt((f**2).sum(0)), np.sqrt((t**2).sum(0))
        # 2 atan2(|u - v|, |u + v|): exact where a cosine next to 1 is not
        u, v = f * norm_t, t * norm_f
        apart, along = ((u - v) ** 2).sum(0), ((u + v) ** 2).sum(0)
        angle = 2 * np.arctan2(np.sqrt(apart), np.sqrt(along))
        # NaN and infinity are kept, to be seen
        keep = ((norm_f != 0) & (norm_t != 0)) | ~np.isfinite(norm_f + norm_t)
        self._sum += float(angle[keep].sum())
        self._count += int(keep.sum())
        self._valid += keep.size

    def compute(self) -> float:
        """Radians.

        Raises
        ------
        DataError
            If no pixel is valid, or none has an angle.
        """
        self._finish()
        if not self._valid:
            raise nothing_valid()
        if not self._count:
            raise DataError(
                "SAM: one of the spectra is zero in every valid pixel; need one pixel at least "
                "where both are not, a zero spectrum has no angle; check that neither image is "
                "empty"
            )
        return self._sum / self._count


def _sobel(image: np.ndarray) -> np.ndarray:
    """Gradient magnitude [K, H-2, W-2] of [K, H, W]."""
    x = image.astype(np.float64, order="C")
    rows = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    cols = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
    across, down = rows[:, :, 2:] - rows[:, :, :-2], cols[:, 2:] - cols[:, :-2]
    return np.sqrt(across**2 + down**2)


def _all_of_3x3(mask: np.ndarray) -> np.ndarray:
    rows = mask[:-2] & mask[1:-1] & mask[2:]
    return rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]


class Edges(_Chunks):
    """Uncentred cosine of two gradient magnitudes."""

    overlap = 2

    def __init__(self) -> None:
        super().__init__()
        self._sums = np.zeros(3)
        self._count = 0

    def _add(self, chunk: Chunk) -> None:
        *images, mask = chunk
        f, t = (_sobel(_blank(i, mask)) for i in images if i is not None)
        if mask is not None:
            keep = _all_of_3x3(mask)
            f, t = f * keep, t * keep
        self._count += f.size if mask is None else int(keep.sum())
        self._sums += [(f * t).sum(), (f * f).sum(), (t * t).sum()]

    def compute(self) -> float:
        """1 where both have no edge, 0 where one has none."""
        self._finish()
        if not self._count:
            raise nothing_valid()
        product, ff, tt = (float(s) for s in self._sums)
        if ff == 0 or tt == 0:
            return float(ff == tt)
        return product / (ff**0.5 * tt**0.5)


def _blank(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Zero where masked, so that what is there does no harm."""
    return image if mask is None else np.where(mask != 0, image, 0)
