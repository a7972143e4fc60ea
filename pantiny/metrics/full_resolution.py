"""Indices without a truth (full resolution): of the fused image, MS and PAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import core
from ..errors import OptionError
from ..sensors import Sensor
from ..system import as_int
from ._grids import both, coarse_mask, degrade, ms_gains, pan_gain
from ._inputs import as_images, as_mask, as_pan, grid_ratio, over_images, positive
from ._pixels import Angles, Moments
from ._variants import Request, Spectra, get_variant
from ._windows import check_window, window_means
from .with_truth import check_block, ergas_of, error_pairs, q2n_planes

Gains = Sequence[float] | None


class _Scene:
    """Checked images of a call: fused [N, K, H, W], ms [N, K, h, w], pan [N, H, W]."""

    def __init__(
        self, fused: Any, ms: Any, pan: Any, mask: Any, sensor: str | Sensor | None, gains: Gains
    ) -> None:
        self.fused = as_images(fused, "fused")
        self.ms = None if ms is None else as_images(ms, "ms")
        self.pan = None if pan is None else as_pan(pan, self.fused)
        self.mask = as_mask(mask, self.fused)
        self.count, self.bands, self.height, self.width = self.fused.shape
        self.sensor, self.gains = sensor, ms_gains(sensor, gains, self.bands)
        self.ratio = 1 if self.ms is None else grid_ratio(self.fused, self.ms)

    def valid(self, i: int) -> np.ndarray | None:
        return None if self.mask is None else self.mask[i]

    def spectra(
        self,
        i: int,
        variant: str,
        window: int,
        pan_low: np.ndarray | None = None,
        *,
        spectral: bool = True,
    ) -> Spectra:
        """What the variant compares, of image ``i``."""
        assert self.ms is not None
        request = Request(
            self.fused[i],
            self.ms[i],
            None if self.pan is None else self.pan[i],
            None if pan_low is None else pan_low[i],
            self.ratio,
            window,
            pan_gain(self.sensor),
            self.valid(i),
            spectral,
        )
        return get_variant(variant)(request)

    def reprojected(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The fused image on the MS grid, MS, and what is valid in both."""
        assert self.ms is not None
        low, valid = degrade(self.fused[i], self.ratio, self.gains, self.valid(i))
        return low, self.ms[i], both(valid, coarse_mask(self.valid(i), self.ratio))


def _norm(first: np.ndarray, second: np.ndarray, p: float) -> float:
    """Mean of |first - second|^p, to the 1/p; 0 where there is nothing to compare."""
    if not len(first):
        return 0.0
    return float(np.mean(np.abs(first - second) ** p) ** (1 / p))


def _pan_low(pan_low: Any, scene: _Scene) -> np.ndarray | None:
    if pan_low is None:
        return None
    assert scene.ms is not None
    return as_pan(pan_low, scene.ms)


def d_lambda(
    fused: Any,
    ms: Any,
    *,
    variant: str = "alparone08",
    window: int = 32,
    p: float = 1,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Spectral distortion; 0 to 1, lower is better, 0 is perfect.

    ``(mean over pairs i < j of |Q(F_i, F_j) - Q(M_i, M_j)|^p)^(1/p)``; 0 for one band.

    Parameters
    ----------
    fused : array [K, H, W] or [N, K, H, W]
        Any real dtype and linear unit; numpy or torch.
    ms : array [K, h, w] or [N, K, h, w]
        Native MS of the same ground and unit, ``H = r h`` and ``W = r w``.
    variant : {"alparone08", "toolbox", "pantiny", "torchmetrics"}
        * ``alparone08``: Q over every window inside; ``window`` pixels on F and ``window / r`` on
          M, which cover the same ground.
        * ``toolbox``: MS upsampled to the PAN grid (cubic), distinct blocks of ``window``.
        * ``pantiny``: every window of ``window`` pixels on both scales, images floored to uint8.
        * ``torchmetrics``: Q over every 11x11 Gaussian window of sigma 1.5 on both scales, with
          its eps; ``window`` is not used. For comparison only: it depends on the unit.
    window : int
        Pixels of the PAN grid; for ``alparone08`` a multiple of r.
    p : float
        Above 0.
    mask : array [H, W] or [N, H, W], optional
        On the grid of ``fused``, True where pixels count; an MS pixel counts where all pixels it
        covers do. Windows that hold another one are left out.
    reduction : {"mean", "none"}
        The mean over images, or an array [N].

    Returns
    -------
    float, or array [N] float64

    Raises
    ------
    ShapeError, DtypeError, OptionError, DataError

    Notes
    -----
    Source: Alparone et al., Photogramm. Eng. Remote Sens. 74(2), 2008. The ``toolbox`` layout is
    that of Vivone et al., IEEE Trans. Geosci. Remote Sens. 53(5), 2015; ``pantiny``: arXiv
    2507.15059.
    """
    scene, power = _Scene(fused, ms, None, mask, None, None), positive(p, "p")

    def one(i: int) -> float:
        found = scene.spectra(i, variant, window)
        return _norm(*found.bands(), power)

    return over_images(scene.count, reduction, one)


def d_s(
    fused: Any,
    ms: Any,
    pan: Any,
    *,
    variant: str = "alparone08",
    window: int = 32,
    q: float = 1,
    sensor: str | Sensor | None = None,
    pan_low: Any = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Spatial distortion; 0 to 1, lower is better, 0 is perfect.

    ``(mean over bands of |Q(F_k, P) - Q(M_k, P_L)|^q)^(1/q)`` with P_L PAN on the MS grid.

    Parameters
    ----------
    pan : array [H, W], [N, H, W] or [N, 1, H, W]
    sensor : str or Sensor, optional
        Its PAN gain makes P_L: a Gaussian with that gain at MS Nyquist (``pantiny.degrade``);
        0.15 for an unknown one. ``pantiny`` always takes 0.15 and samples it at index r*i, 1.5
        pixels off the centre for r = 4.
    pan_low : array [h, w] or [N, h, w], optional
        P_L itself. ``torchmetrics`` otherwise takes a 7x7 box and a bilinear resampling.

    Notes
    -----
    Other parameters, returns, errors and sources as ``d_lambda``.
    """
    scene, power = _Scene(fused, ms, pan, mask, sensor, None), positive(q, "q")
    low = _pan_low(pan_low, scene)

    def one(i: int) -> float:
        found = scene.spectra(i, variant, window, low, spectral=False)
        return _norm(*found.with_pan(), power)

    return over_images(scene.count, reduction, one)


def qnr(
    fused: Any,
    ms: Any,
    pan: Any,
    *,
    variant: str = "alparone08",
    window: int = 32,
    alpha: float = 1,
    beta: float = 1,
    sensor: str | Sensor | None = None,
    pan_low: Any = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Quality with no reference; 0 to 1, higher is better.

    ``(1 - D_lambda)^alpha (1 - D_s)^beta``, both with exponent 1, in one pass over the data.
    Parameters, returns, errors and sources as ``d_lambda`` and ``d_s``.
    """
    scene = _Scene(fused, ms, pan, mask, sensor, None)
    powers = positive(alpha, "alpha"), positive(beta, "beta")
    low = _pan_low(pan_low, scene)

    def one(i: int) -> float:
        found = scene.spectra(i, variant, window, low)
        spectral, spatial = _norm(*found.bands(), 1.0), _norm(*found.with_pan(), 1.0)
        return qnr_of(spectral, spatial, *powers)

    return over_images(scene.count, reduction, one)


def qnr_of(spectral: float, spatial: float, alpha: float = 1.0, beta: float = 1.0) -> float:
    """``(1 - spectral)^alpha (1 - spatial)^beta``; a distortion above 1 counts as 1."""
    left = np.maximum(1 - np.array([spectral, spatial]), 0.0)  # NaN stays
    return float(left[0] ** alpha * left[1] ** beta)


def _reprojection(index: Callable[..., float]) -> Callable[..., Any]:
    """Scene and reduction around an index of (degraded, ms, valid, ratio)."""

    def run(
        fused: Any,
        ms: Any,
        *,
        sensor: str | Sensor | None = None,
        gains: Gains = None,
        mask: Any = None,
        reduction: str = "mean",
        **options: Any,
    ) -> Any:
        scene = _Scene(fused, ms, None, mask, sensor, gains)

        def one(i: int) -> float:
            return index(*scene.reprojected(i), scene.ratio, **options)

        return over_images(scene.count, reduction, one)

    return run


def _q2n(
    low: np.ndarray, ms: np.ndarray, valid: np.ndarray | None, ratio: int, block: int
) -> float:
    return q2n_planes(ms, low, check_block(block), valid)


def _ergas(low: np.ndarray, ms: np.ndarray, valid: np.ndarray | None, ratio: int) -> float:
    moments = Moments(error_pairs(len(ms)), errors=True)
    moments.update((low, ms), valid)
    return ergas_of(moments.compute(), ratio)


def _sam(low: np.ndarray, ms: np.ndarray, valid: np.ndarray | None, ratio: int) -> float:
    angles = Angles()
    angles.update((low, ms), valid)
    return float(np.degrees(angles.compute()))


_run_q2n, _run_ergas, _run_sam = map(_reprojection, (_q2n, _ergas, _sam))


def r_q2n(
    fused: Any,
    ms: Any,
    *,
    block: int = 32,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Reprojection Q2n: of the fused image, degraded to the MS grid, against MS.

    0 to 1, higher is better. Each band is degraded by the sensor's Gaussian MTF and decimated
    at MS pixel centres (``pantiny.degrade.degrade_ms``).

    Parameters
    ----------
    sensor : str or Sensor, optional
        Gives the gains; without it and without ``gains`` 0.30 in every band.
    gains : sequence of K float, optional
        MTF gain of each band at MS Nyquist.
    block : int
        Of Q2n, in MS pixels.

    Notes
    -----
    Source: Scarpa, Ciotola, Remote Sens. 14(18), 2022. With a mask, MS pixels whose MTF reaches a
    masked pixel are left out. Other parameters, returns and errors as ``d_lambda``.
    """
    return _run_q2n(
        fused, ms, sensor=sensor, gains=gains, mask=mask, reduction=reduction, block=block
    )


def r_ergas(
    fused: Any,
    ms: Any,
    *,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Reprojection ERGAS, with the ratio of the grids; lower is better. See ``r_q2n``."""
    return _run_ergas(fused, ms, sensor=sensor, gains=gains, mask=mask, reduction=reduction)


def r_sam(
    fused: Any,
    ms: Any,
    *,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Reprojection SAM in degrees; lower is better. See ``r_q2n``."""
    return _run_sam(fused, ms, sensor=sensor, gains=gains, mask=mask, reduction=reduction)


def d_lambda_k(
    fused: Any,
    ms: Any,
    *,
    block: int = 32,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Khan's spectral distortion, ``1 - r_q2n``; 0 to 1, lower is better.

    Source: Khan, Alparone, Chanussot, IEEE Trans. Geosci. Remote Sens. 47(11), 2009. Parameters,
    returns and errors as ``r_q2n``.
    """
    found = _run_q2n(
        fused, ms, sensor=sensor, gains=gains, mask=mask, reduction=reduction, block=block
    )
    return 1 - found


def unexplained(moments: Moments, bands: int) -> float:
    """1 - R^2 of the last plane regressed on the ``bands`` before, from ``scatter_pairs``."""
    pairs = scatter_pairs(bands)
    scatter = np.zeros((bands + 1, bands + 1))
    for (i, j), value in zip(pairs, moments.product):
        scatter[i, j] = scatter[j, i] = value
    total = scatter[bands, bands]
    if not np.isfinite(scatter).all():
        return float("nan")
    if total <= 0:
        return 0.0  # a constant is explained by the intercept
    spread = np.sqrt(np.diag(scatter)[:bands])
    spread = np.where(spread > 0, spread, 1.0)
    matrix = scatter[:bands, :bands] / spread[:, None] / spread
    right = scatter[:bands, bands] / spread
    weights = np.linalg.lstsq(matrix, right, rcond=1e-12)[0]
    return float(np.clip(1 - weights @ right / total, 0, 1))


def scatter_pairs(bands: int) -> list[tuple[int, int]]:
    """Every product of the bands and PAN."""
    return [(i, j) for i in range(bands + 1) for j in range(i, bands + 1)]


def d_s_r(fused: Any, pan: Any, *, mask: Any = None, reduction: str = "mean") -> Any:
    """Spatial distortion by regression, ``1 - R^2``; 0 to 1, lower is better.

    R^2 of PAN regressed on the fused bands, least squares with intercept; 0 for a constant PAN.

    Notes
    -----
    Source: Alparone, Garzelli, Vivone, IEEE Geosci. Remote Sens. Lett. 15(6), 2018 (the index of
    RQNR). Parameters, returns and errors as ``d_s``.
    """
    scene = _Scene(fused, None, pan, mask, None, None)
    assert scene.pan is not None
    planes = scene.pan

    def one(i: int) -> float:
        moments = Moments(scatter_pairs(scene.bands))
        moments.update((scene.fused[i], planes[i][None]), scene.valid(i))
        return unexplained(moments.compute(), scene.bands)

    return over_images(scene.count, reduction, one)


def hqnr(
    fused: Any,
    ms: Any,
    pan: Any,
    *,
    variant: str = "alparone08",
    window: int = 32,
    block: int = 32,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    pan_low: Any = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Hybrid QNR, ``(1 - D_lambda_K)(1 - D_s)``; 0 to 1, higher is better.

    Source: Aiazzi et al., IGARSS 2014. Parameters, returns and errors as ``d_lambda_k`` and
    ``d_s``.
    """
    spectral = d_lambda_k(
        fused, ms, block=block, sensor=sensor, gains=gains, mask=mask, reduction="none"
    )
    spatial = d_s(
        fused, ms, pan, variant=variant, window=window, sensor=sensor, pan_low=pan_low, mask=mask,
        reduction="none",
    )  # fmt: skip
    return over_images(len(spatial), reduction, lambda i: qnr_of(spectral[i], spatial[i]))


def rqnr(
    fused: Any,
    ms: Any,
    pan: Any,
    *,
    block: int = 32,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Regression-based QNR, ``(1 - D_lambda_K)(1 - D_s_R)``; 0 to 1, higher is better.

    Source: as ``d_s_r``. Parameters, returns and errors as ``d_lambda_k`` and ``d_s_r``.
    """
    spectral = d_lambda_k(
        fused, ms, block=block, sensor=sensor, gains=gains, mask=mask, reduction="none"
    )
    spatial = d_s_r(fused, pan, mask=mask, reduction="none")
    return over_images(len(spatial), reduction, lambda i: qnr_of(spectral[i], spatial[i]))


def rho_window(ratio: Any) -> int:
    """Side of the windows of D_rho, ``2 ceil(r / 2)``.

    Raises
    ------
    OptionError
    """
    found = as_int(ratio)
    if found is None or not 1 <= found <= 64:
        raise OptionError(f"ratio: got {ratio!r}; need a whole number of PAN pixels per MS pixel")
    return 2 * -(-found // 2)


def rho_pairs(bands: int) -> list[tuple[int, int]]:
    """Every band with PAN, the plane after them."""
    return [(k, bands) for k in range(bands)]


def d_rho(fused: Any, pan: Any, *, ratio: int, mask: Any = None, reduction: str = "mean") -> Any:
    """Spatial distortion by local correlation; 0 to 2, lower is better.

    Mean, over bands and every window of ``2 ceil(r / 2)`` pixels, of 1 minus the correlation of
    band and PAN; 1 where one of them is constant, 0 where both are.

    Notes
    -----
    Source: Scarpa, Ciotola, Remote Sens. 14(18), 2022. Other parameters, returns and errors as
    ``d_s``.
    """
    scene, side = _Scene(fused, None, pan, mask, None, None), rho_window(ratio)
    check_window(side, scene.height, scene.width)
    assert scene.pan is not None
    planes, pairs = scene.pan, rho_pairs(scene.bands)

    def one(i: int) -> float:
        stack = [*scene.fused[i], planes[i]]
        return float(window_means(stack, pairs, side, core().DECORRELATION, scene.valid(i)).mean())

    return over_images(scene.count, reduction, one)
