"""Indices without a truth (full resolution): of the fused image, MS and PAN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import core
from ..errors import OptionError
from ..sensors import Sensor
from ..system import as_int
from ._inputs import as_pan, by_image, over_images, positive
from ._pixels import Moments
from ._scene import WITHOUT, Gains, Scene
from ._variants import Spectra
from ._windows import check_window, window_means
from .reprojection import d_lambda_k

OfImage = Callable[[int], Spectra]


def _norm(first: np.ndarray, second: np.ndarray, p: float) -> float:
    """Mean of |first - second|^p, to the 1/p; 0 where there is nothing to compare."""
    if not len(first):
        return 0.0
    apart = np.abs(first - second)
    largest = apart.max()
    if p == 1 or not largest > 0:
        return float(apart.mean())
    # relative to the largest, or a large exponent leaves nothing
    return float(largest * np.mean((apart / largest) ** p) ** (1 / p))


def _pan_low(pan_low: Any, scene: Scene) -> Any:
    if pan_low is None:
        return None
    assert scene.ms is not None
    return as_pan(pan_low, scene.ms, "pan_low")


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
    """Spectral distortion; 0 to 2, lower is better, 0 is perfect.

    ``(mean over pairs i < j of |Q(F_i, F_j) - Q(M_i, M_j)|^p)^(1/p)``; 0 for one band.

    Parameters
    ----------
    fused : array [K, H, W] or [N, K, H, W]
        Any real dtype and linear unit; numpy or torch. On a CUDA device with all other images and
        the mask: uint8, uint16, int16, float32 or float64, measured there.
    ms : array [K, h, w] or [N, K, h, w]
        Native MS of the same ground and unit, ``H = r h`` and ``W = r w``. A factor between the
        units of F and M goes unseen here.
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
    BackendError
        Images on a device and beside it, or a variant without a device path.

    Notes
    -----
    Source: Alparone et al., Photogramm. Eng. Remote Sens. 74(2), 2008. The ``toolbox`` layout is
    that of Vivone et al., IEEE Trans. Geosci. Remote Sens. 53(5), 2015; ``pantiny``: arXiv
    2507.15059.
    """
    scene = Scene(fused, ms, WITHOUT, mask, None, None, device=True)
    power = positive(p, "p")
    spectra: OfImage = by_image(scene.fused, lambda i: scene.spectra(i, variant, window))

    return over_images(scene.count, reduction, lambda i: _norm(*spectra(i).bands(), power))


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
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Spatial distortion; 0 to 2, lower is better, 0 is perfect.

    ``(mean over bands of |Q(F_k, P) - Q(M_k, P_L)|^q)^(1/q)`` with P_L PAN on the MS grid.

    Parameters
    ----------
    pan : array [H, W], [N, H, W] or [N, 1, H, W]
        In the unit of ``fused`` and ``ms``: in another one every Q with PAN, and so D_s, is near
        0. A ``UnitWarning`` is given where the root mean squares of PAN and MS lie more than 20
        times apart.
    sensor : str or Sensor, optional
        Its PAN gain makes P_L: a Gaussian with that gain at MS Nyquist ("The MTF filter" in
        docs/degrade.md); 0.15 for an unknown one. ``pantiny`` always takes 0.15 and samples it at
        index r*i, 1.5 pixels off the centre for r = 4.
    pan_low : array [h, w] or [N, h, w], optional
        P_L itself. ``torchmetrics`` otherwise takes a 7x7 box and a bilinear resampling.
    phase : float, optional
        PAN pixel under the centre of MS pixel 0 where P_L is made from PAN: MS pixel i lies at
        ``r * i + phase``; default the middle of the pixels it covers, ``(r - 1) / 2``.

    Notes
    -----
    Other parameters, returns, errors and sources as ``d_lambda``.
    """
    scene = Scene(fused, ms, pan, mask, sensor, None, phase, device=True)
    power = positive(q, "q")
    low = _pan_low(pan_low, scene)
    scene.check_units()

    spectra: OfImage = by_image(
        scene.fused, lambda i: scene.spectra(i, variant, window, low, spectral=False)
    )
    return over_images(scene.count, reduction, lambda i: _norm(*spectra(i).with_pan(), power))


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
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Quality with no reference; 0 to 1, higher is better.

    ``(1 - D_lambda)^alpha (1 - D_s)^beta``, both with exponent 1, in one pass over the data. In
    every variant a distortion above 1 counts as 1, so that QNR is 0: the published formula does
    not say, and its product of two negative factors would be positive. Parameters, returns,
    errors and sources as ``d_lambda`` and ``d_s``.
    """
    scene = Scene(fused, ms, pan, mask, sensor, None, phase, device=True)
    powers = positive(alpha, "alpha"), positive(beta, "beta")
    low = _pan_low(pan_low, scene)
    scene.check_units()
    spectra: OfImage = by_image(scene.fused, lambda i: scene.spectra(i, variant, window, low))

    def one(i: int) -> float:
        found = spectra(i)
        spectral, spatial = _norm(*found.bands(), 1.0), _norm(*found.with_pan(), 1.0)
        return qnr_of(spectral, spatial, *powers)

    return over_images(scene.count, reduction, one)


def qnr_of(spectral: float, spatial: float, alpha: float = 1.0, beta: float = 1.0) -> float:
    """``(1 - spectral)^alpha (1 - spatial)^beta``; a distortion above 1 counts as 1."""
    left = np.maximum(1 - np.array([spectral, spatial]), 0.0)  # NaN stays
    return float(left[0] ** alpha * left[1] ** beta)


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
    scene = Scene(fused, WITHOUT, pan, mask, None, None)
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
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Hybrid QNR, ``(1 - D_lambda_K)(1 - D_s)``; 0 to 1, higher is better.

    A D_s above 1 counts as 1, as in ``qnr``. Source: Aiazzi et al., IGARSS 2014. Parameters,
    returns and errors as ``d_lambda_k`` and ``d_s``.
    """
    spectral = d_lambda_k(
        fused, ms, block=block, sensor=sensor, gains=gains, phase=phase, mask=mask, reduction="none"
    )
    spatial = d_s(
        fused, ms, pan, variant=variant, window=window, sensor=sensor, pan_low=pan_low, phase=phase,
        mask=mask, reduction="none",
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
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Regression-based QNR, ``(1 - D_lambda_K)(1 - D_s_R)``; 0 to 1, higher is better.

    Source: as ``d_s_r``. Parameters, returns and errors as ``d_lambda_k`` and ``d_s_r``.
    """
    spatial = d_s_r(fused, pan, mask=mask, reduction="none")
    spectral = d_lambda_k(
        fused, ms, block=block, sensor=sensor, gains=gains, phase=phase, mask=mask, reduction="none"
    )
    return over_images(len(spatial), reduction, lambda i: qnr_of(spectral[i], spatial[i]))


def rho_window(ratio: Any) -> int:
    """Side of the windows of D_rho, ``2 ceil(r / 2)``.

    Raises
    ------
    OptionError
    """
    found = as_int(ratio)
    if found is None or not 1 <= found <= 64:
        raise OptionError(
            f"ratio: got {ratio!r}; need a whole number of PAN pixels per MS pixel, 1 to 64"
        )
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
    scene = Scene(fused, WITHOUT, pan, mask, None, None, device=True)
    side, pairs = rho_window(ratio), rho_pairs(scene.bands)
    check_window(side, scene.height, scene.width)

    def means(i: int) -> np.ndarray:
        return window_means(scene.planes(i), pairs, side, core().DECORRELATION, scene.valid(i))

    found = by_image(scene.fused, means)
    return over_images(scene.count, reduction, lambda i: float(found(i).mean()))
