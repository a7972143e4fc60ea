"""The classical methods as the stream runs them: sums of pixels, coefficients, rows.

The formulas and their sources are those of `pantiny.classical`. Here every method is cut in
three: what to sum over the scene at MS scale (``coarse``) and at PAN scale (``fine``), the
coefficients that follow (``fit_*``), and how rows are fused with them (``apply``).

Sums are of deviations from the middle of the range of each image, so that nothing cancels.
Where `pantiny.classical` takes the largest magnitude of a derived image as its measure of
rounding, that of the DN it derives from serves here: it is known before the first sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .classical import _FLAT, METHODS, _gain
from .errors import DataError

Pairs = Sequence[tuple[int, int]]
# Of the largest eigenvalue of the bands' correlations: one below is rounding of the sums.
_COLLINEAR = 1e-12


def row_sums(planes: Sequence[np.ndarray], pairs: Pairs, counted: np.ndarray | None) -> np.ndarray:
    """Number, sums and sums of products of every row: [rows, 1 + planes + pairs].

    Each row is summed by itself, whatever rows it is computed with.

    Parameters
    ----------
    planes : sequence of arrays [rows, W] float64, contiguous
    pairs : sequence of (int, int)
        Planes whose products are summed.
    counted : array [rows, W] bool, optional
        Pixels that take part; None: all.
    """
    rows, width = planes[0].shape
    number = np.full(rows, float(width))
    if counted is not None:
        number = counted.sum(axis=1, dtype=np.float64)
        planes = [np.where(counted, plane, 0.0) for plane in planes]
    sums = [plane.sum(axis=1) for plane in planes]
    products = [(planes[i] * planes[j]).sum(axis=1) for i, j in pairs]
    return np.stack([number, *sums, *products], axis=1)


class Moments:
    """Means and covariances of a scene, from the sums of its rows in their order.

    Parameters
    ----------
    pivots : sequence of float
        What was subtracted from each plane.
    pairs : sequence of (int, int)
    """

    def __init__(self, pivots: Sequence[float], pairs: Pairs) -> None:
        self._pivots = list(pivots)
        self._at = {pair: 1 + len(self._pivots) + i for i, pair in enumerate(pairs)}
        self._total = np.zeros(1 + len(self._pivots) + len(self._at))

    def add(self, rows: np.ndarray) -> None:
        """Rows of ``row_sums``, from the top of the scene down."""
        for row in rows:
            self._total += row

    def require_pixels(self, method: str) -> None:
        """Refuse statistics of nothing."""
        if not self._total[0]:
            raise DataError(
                f"ms, pan: no MS pixel has half of its neighbourhood in PAN valid, so that there "
                f"is nothing to take the statistics of {method!r} from; need some whole area "
                "that both have; check the masks, or use method='cubic'"
            )

    def mean(self, plane: int) -> float:
        return float(self._pivots[plane] + self._total[1 + plane] / self._total[0])

    def covariance(self, a: int, b: int) -> float:
        n = self._total[0]
        product = self._total[1 + a] / n * (self._total[1 + b] / n)
        return float(self._total[self._at[a, b]] / n - product)

    def spread(self, plane: int, largest: float) -> float:
        """Standard deviation; exactly 0 where it is only the rounding of a constant."""
        std = float(np.sqrt(max(0.0, self.covariance(plane, plane))))
        return std if std > _FLAT * largest else 0.0


class Cubic:
    """MS upsampled, and the frame of the other methods.

    Attributes
    ----------
    low_gains : tuple of float
        Gains of the MTF that PAN is seen through, each once.
    coarse_pairs, fine_pairs : Pairs
        Products to sum at MS and at PAN scale; empty: nothing is summed there.
    upsamples_low : bool
        Whether ``apply`` needs ``pan_low`` on the PAN grid.
    """

    low_gains: tuple[float, ...] = ()
    coarse_pairs: Pairs = ()
    fine_pairs: Pairs = ()
    upsamples_low = False

    def __init__(self, name: str, gains: Sequence[float]) -> None:
        self.name, self.bands = name, len(gains)

    def see(self, ms_range: np.ndarray, pan_range: np.ndarray) -> None:
        """Smallest and largest valid DN of the bands [2, K] and of PAN [2]."""
        self.ms_pivots = (ms_range[0] + ms_range[1]) / 2
        self.pan_pivot = float(pan_range[0] + pan_range[1]) / 2
        self.ms_largest = np.abs(ms_range).max(axis=0)
        self.pan_largest = float(np.abs(pan_range).max())
        self.pan_range = pan_range

    def coarse_pivots(self) -> list[float]:
        raise NotImplementedError

    def coarse(self, ms: np.ndarray, low: np.ndarray) -> list[np.ndarray]:
        """Planes to sum, from MS [K, rows, w] and ``pan_low`` [low_gains, rows, w]."""
        raise NotImplementedError

    def fit_coarse(self, found: Moments) -> None:
        raise NotImplementedError

    def fine_pivots(self) -> list[float]:
        raise NotImplementedError

    def fine(self, ms_up: np.ndarray, pan: np.ndarray) -> list[np.ndarray]:
        """Planes to sum, from ``ms_up`` [K, rows, W] and PAN [rows, W]."""
        raise NotImplementedError

    def fit_fine(self, found: Moments) -> None:
        raise NotImplementedError

    def apply(
        self, ms_up: np.ndarray, pan: np.ndarray, low: np.ndarray, known: np.ndarray | None
    ) -> None:
        """Fuse rows in place of ``ms_up``; ``known``: where ``low`` [low_gains, rows, W] is."""


def _mean_of_bands(ms: np.ndarray) -> np.ndarray:
    total = ms[0].copy()
    for band in ms[1:]:  # one by one: numpy's own order would depend on the shape
        total += band
    total /= len(ms)
    return total


def _equalised(pan: np.ndarray, centre: float, gain: float, mean: float) -> np.ndarray:
    return (pan - centre) * gain + mean


def _modulate(
    band: np.ndarray, pan: np.ndarray, low: np.ndarray, flat: float, known: np.ndarray | None
) -> None:
    """``band *= pan / low``, where ``low`` is known and positive."""
    usable = low > flat
    if known is not None:
        usable &= known
    np.divide(pan, low, out=pan, where=usable)
    np.multiply(band, pan, out=band, where=usable)


class Brovey(Cubic):
    """Moments of the mean of the bands and of ``pan_low`` at MS scale."""

    coarse_pairs = ((0, 0), (1, 1))

    def __init__(self, name: str, gains: Sequence[float]) -> None:
        super().__init__(name, gains)
        self.low_gains = (sum(gains) / len(gains),)

    def coarse_pivots(self) -> list[float]:
        self._pivot = float(sum(self.ms_pivots)) / self.bands
        return [self._pivot, self.pan_pivot]

    def coarse(self, ms: np.ndarray, low: np.ndarray) -> list[np.ndarray]:
        return [_mean_of_bands(ms) - self._pivot, low[0] - self.pan_pivot]

    def fit_coarse(self, found: Moments) -> None:
        largest = float(sum(self.ms_largest)) / self.bands
        self._gain = _gain(found.spread(0, largest), found.spread(1, self.pan_largest))
        self._mean, self._centre = found.mean(0), found.mean(1)
        self._flat = _FLAT * largest

    def apply(
        self, ms_up: np.ndarray, pan: np.ndarray, low: np.ndarray, known: np.ndarray | None
    ) -> None:
        quotient = _equalised(pan, self._centre, self._gain, self._mean)
        intensity = _mean_of_bands(ms_up)
        usable = intensity > self._flat
        np.divide(quotient, intensity, out=quotient, where=usable)
        for band in ms_up:
            np.multiply(band, quotient, out=band, where=usable)


class Gsa(Cubic):
    """Covariances of bands and ``pan_low`` at MS scale, of bands and intensity at PAN scale."""

    def __init__(self, name: str, gains: Sequence[float]) -> None:
        super().__init__(name, gains)
        self.low_gains = (sum(gains) / len(gains),)
        k = self.bands
        self.coarse_pairs = [(i, j) for i in range(k) for j in range(i, k + 1)]
        self.fine_pairs = [(i, k) for i in range(k + 1)]

    def coarse_pivots(self) -> list[float]:
        return [*map(float, self.ms_pivots), self.pan_pivot]

    def coarse(self, ms: np.ndarray, low: np.ndarray) -> list[np.ndarray]:
        return [*(ms - self.ms_pivots[:, None, None]), low[0] - self.pan_pivot]

    def fit_coarse(self, found: Moments) -> None:
        """Weights of the regression, by the eigenvectors of the bands' correlations.

        Unit variance first, so that the cut-off judges correlation and not units; a constant
        band takes no part; of bands that say the same the shortest weights are taken.
        """
        k = self.bands
        spread = [found.spread(i, self.ms_largest[i]) for i in range(k)]
        self._weights = np.zeros(k)
        used = [i for i in range(k) if spread[i] > 0]
        if not used:
            return
        matrix = np.array(
            [
                [found.covariance(min(i, j), max(i, j)) / (spread[i] * spread[j]) for j in used]
                for i in used
            ]
        )
        target = np.array([found.covariance(i, k) / spread[i] for i in used])
        values, vectors = np.linalg.eigh(matrix)
        kept = values > _COLLINEAR * values[-1]
        solution = vectors[:, kept] @ ((vectors[:, kept].T @ target) / values[kept])
        self._weights[used] = solution / np.array([spread[i] for i in used])

    def fine_pivots(self) -> list[float]:
        return [*map(float, self.ms_pivots), 0.0, self.pan_pivot]

    def fine(self, ms_up: np.ndarray, pan: np.ndarray) -> list[np.ndarray]:
        planes = list(ms_up - self.ms_pivots[:, None, None])
        return [*planes, self._intensity(planes), pan - self.pan_pivot]

    def _intensity(self, planes: Sequence[np.ndarray]) -> np.ndarray:
        total = np.zeros(planes[0].shape)
        for weight, plane in zip(self._weights, planes):
            total += weight * plane
        return total

    def fit_fine(self, found: Moments) -> None:
        k = self.bands
        self._means = [found.mean(i) for i in range(k)]
        self._pan_mean = found.mean(k + 1)
        variance = found.covariance(k, k)
        if variance <= (_FLAT * self.pan_largest) ** 2:
            self._injection = [0.0] * k
        else:
            self._injection = [found.covariance(i, k) / variance for i in range(k)]

    def apply(
        self, ms_up: np.ndarray, pan: np.ndarray, low: np.ndarray, known: np.ndarray | None
    ) -> None:
        if not any(self._injection):
            return
        centred = [band - mean for band, mean in zip(ms_up, self._means)]
        detail = pan - self._pan_mean
        detail -= self._intensity(centred)
        for band, injection in zip(ms_up, self._injection):
            band += injection * detail


class MtfGlpHpm(Cubic):
    """Moments of the bands and of PAN at PAN scale."""

    upsamples_low = True

    def __init__(self, name: str, gains: Sequence[float]) -> None:
        super().__init__(name, gains)
        self.low_gains = tuple(sorted(set(gains)))
        self._low_of = [self.low_gains.index(gain) for gain in gains]
        self.fine_pairs = [(i, i) for i in range(self.bands + 1)]

    def fine_pivots(self) -> list[float]:
        return [*map(float, self.ms_pivots), self.pan_pivot]

    def fine(self, ms_up: np.ndarray, pan: np.ndarray) -> list[np.ndarray]:
        return [*(ms_up - self.ms_pivots[:, None, None]), pan - self.pan_pivot]

    def fit_fine(self, found: Moments) -> None:
        k = self.bands
        spread = found.spread(k, self.pan_largest)
        self._centres = [found.mean(k)] * k
        self._gains = [_gain(found.spread(i, self.ms_largest[i]), spread) for i in range(k)]
        self._means = [found.mean(i) for i in range(k)]

    def apply(
        self, ms_up: np.ndarray, pan: np.ndarray, low: np.ndarray, known: np.ndarray | None
    ) -> None:
        bands = zip(ms_up, self._low_of, self._centres, self._gains, self._means)
        for band, at, *line in bands:
            flat = _FLAT * float(np.abs(_equalised(self.pan_range, *line)).max())
            _modulate(band, _equalised(pan, *line), _equalised(low[at], *line), flat, known)


class MtfGlpHpmR(MtfGlpHpm):
    """Covariances of each band with its own ``pan_low`` at MS scale."""

    def __init__(self, name: str, gains: Sequence[float]) -> None:
        super().__init__(name, gains)
        k = self.bands
        pairs = {(i, k + at) for i, at in enumerate(self._low_of)}
        self.coarse_pairs = sorted(pairs | {(k + at, k + at) for at in self._low_of})
        self.fine_pairs = ()

    def coarse_pivots(self) -> list[float]:
        return [*map(float, self.ms_pivots), *[self.pan_pivot] * len(self.low_gains)]

    def coarse(self, ms: np.ndarray, low: np.ndarray) -> list[np.ndarray]:
        return [*(ms - self.ms_pivots[:, None, None]), *(low - self.pan_pivot)]

    def fit_coarse(self, found: Moments) -> None:
        k = self.bands
        self._centres = [found.mean(k + at) for at in self._low_of]
        self._gains = [
            _gain(found.covariance(i, k + at), found.spread(k + at, self.pan_largest) ** 2)
            for i, at in enumerate(self._low_of)
        ]
        self._means = [found.mean(i) for i in range(k)]


_CLASSES: dict[str, type[Cubic]] = {
    "cubic": Cubic,
    "brovey": Brovey,
    "gsa": Gsa,
    "mtf-glp-hpm": MtfGlpHpm,
    "mtf-glp-hpm-r": MtfGlpHpmR,
}
assert _CLASSES.keys() == METHODS.keys()


def classical_method(name: str, gains: Sequence[float]) -> Cubic:
    """The method of that name for bands with these MTF gains."""
    return _CLASSES[name](name, gains)
