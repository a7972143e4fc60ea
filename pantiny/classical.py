"""The yardsticks: classical pan-sharpening on whole arrays, float64.

Every method injects PAN detail into ``ms_up``, the cubic upsampling of MS. ``pan_low``
is PAN seen through the sensor's MTF at MS scale (`pantiny.degrade.degrade_ms`), so that
statistics of PAN and MS are compared at one and the same resolution.

``pantiny.fuse(method=...)`` runs these methods on scenes of any size, with masks and any
phase (`pantiny.classical_stream`); the functions here are what it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .degrade import degrade_ms, upsample_ms
from .errors import DataError, OptionError, RatioError, ShapeError, SwappedInputsError

# Relative to the largest magnitude of an image: a spread below is rounding (a constant
# image), a divisor below is not divided by.
_FLAT = 1e-9


def _flatness(image: np.ndarray) -> float:
    return _FLAT * float(np.abs(image).max())


def _spread(image: np.ndarray) -> float:
    """Standard deviation; exactly 0 where it is only the rounding of a constant."""
    std = float(image.std())
    return std if std > _flatness(image) else 0.0


def _gain(wanted: float, given: float) -> float:
    return wanted / given if given > 0 else 0.0


def _modulate(ms_up: np.ndarray, pan: np.ndarray, low: np.ndarray) -> np.ndarray:
    """``ms_up * pan / low``; ``ms_up`` where ``low`` is not positive."""
    usable = low > _flatness(low)
    quotient = np.ones_like(pan)
    np.divide(pan, low, out=quotient, where=usable)
    return ms_up * quotient


def _pan_low(pan: np.ndarray, ratio: int, gains: Sequence[float]) -> np.ndarray:
    """PAN [H, W] through each gain's MTF: [K, h, w]; equal gains are computed once."""
    distinct = sorted(set(gains))
    stack = np.broadcast_to(pan, (len(distinct), *pan.shape))
    low = degrade_ms(stack, ratio, distinct)
    return np.stack([low[distinct.index(gain)] for gain in gains])


def _mean_gain(gains: Sequence[float]) -> tuple[float]:
    return (sum(gains) / len(gains),)


def cubic(ms: np.ndarray, pan: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """MS upsampled, PAN unused: what every method must beat.

    Keys' cubic convolution, a = -0.5, pixel centres aligned, edges replicated
    (R. Keys, IEEE Trans. ASSP 29(6), 1981).

    Parameters
    ----------
    ms : array [K, h, w]
    pan : array [H, W]
    gains : sequence of K floats
        Not used.

    Returns
    -------
    array [K, H, W] float64
    """
    return upsample_ms(ms, pan.shape[0] // ms.shape[1])


def brovey(ms: np.ndarray, pan: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """Brovey transform: every band times one ratio image, so spectral angles stay.

    ``fused_k = ms_up_k * P / I`` with ``I = mean_k ms_up_k`` and P = PAN brought to the
    mean and the standard deviation that ``mean_k ms_k`` has at MS scale, both taken on
    ``pan_low``. Where ``I`` is not positive the band is left as it is.

    Source: Gillespie, Kahle, Walker, Remote Sens. Environ. 22(3), 1987; equalisation
    as in Vivone et al., IEEE Geosci. Remote Sens. Mag. 9(1), 2021.

    Parameters
    ----------
    ms : array [K, h, w]
    pan : array [H, W]
    gains : sequence of K floats
        MTF gains at MS Nyquist; their mean degrades PAN.

    Returns
    -------
    array [K, H, W] float64
    """
    ratio = pan.shape[0] // ms.shape[1]
    ms_up, intensity = upsample_ms(ms, ratio), ms.mean(0)
    low = _pan_low(pan, ratio, _mean_gain(gains))[0]
    gain = _gain(_spread(intensity), _spread(low))
    return _modulate(ms_up, (pan - low.mean()) * gain + intensity.mean(), ms_up.mean(0))


def gsa(ms: np.ndarray, pan: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """Gram-Schmidt Adaptive (GSA): the intensity is PAN regressed on the bands.

    Weights ``w`` minimise ``|pan_low - mean - sum_k w_k (ms_k - mean)|^2`` at MS scale.
    With ``I = sum_k w_k ms_up_k``, both ``I`` and PAN centred,
    ``fused_k = ms_up_k + cov(ms_up_k, I) / var(I) * (PAN - I)``.
    Where the bands explain nothing of PAN (``var(I) = 0``) the gains are 0.

    Source: Aiazzi, Baronti, Selva, IEEE Trans. Geosci. Remote Sens. 45(10), 2007.

    Parameters
    ----------
    ms : array [K, h, w]
    pan : array [H, W]
    gains : sequence of K floats
        MTF gains at MS Nyquist; their mean degrades PAN.

    Returns
    -------
    array [K, H, W] float64
    """
    ratio = pan.shape[0] // ms.shape[1]
    ms_up = upsample_ms(ms, ratio)
    low = _pan_low(pan, ratio, _mean_gain(gains))[0]
    spread = [_spread(band) for band in ms]
    # Unit variance first, so that lstsq's cut-off judges correlation and not units; a
    # constant band takes no part.
    columns = np.stack([_gain(1.0, s) * (b - b.mean()).ravel() for b, s in zip(ms, spread)], 1)
    weights = np.linalg.lstsq(columns, (low - low.mean()).ravel(), rcond=1e-10)[0]
    weights = weights * [_gain(1.0, s) for s in spread]
    centred = ms_up - ms_up.mean((1, 2), keepdims=True)
    intensity = np.tensordot(weights, centred, 1)
    variance = float(np.mean(intensity**2))
    if variance <= _flatness(pan) ** 2:
        return ms_up
    injection = (centred * intensity).mean((1, 2)) / variance
    return ms_up + injection[:, None, None] * (pan - pan.mean() - intensity)


def mtf_glp_hpm(ms: np.ndarray, pan: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """Generalised Laplacian pyramid, MTF-matched, high-pass modulation.

    ``fused_k = ms_up_k * P_k / up(low(P_k))``: P_k is PAN brought to the mean and the
    standard deviation of ``ms_up_k``, ``low`` the MTF of band k with decimation, ``up``
    the cubic upsampling. Where the divisor is not positive the band is left as it is.

    Source: Aiazzi, Alparone, Baronti, Garzelli, Selva, Photogramm. Eng. Remote Sens.
    72(5), 2006; equalisation as in Vivone et al., IEEE Trans. Geosci. Remote Sens.
    53(5), 2015.

    Parameters
    ----------
    ms : array [K, h, w]
    pan : array [H, W]
    gains : sequence of K floats
        MTF gains at MS Nyquist.

    Returns
    -------
    array [K, H, W] float64
    """
    ratio = pan.shape[0] // ms.shape[1]
    ms_up, low = upsample_ms(ms, ratio), _pan_low(pan, ratio, gains)
    centre, spread = pan.mean(), _spread(pan)
    for band, pan_low in zip(ms_up, low):
        gain, mean = _gain(_spread(band), spread), band.mean()
        # The equalisation is affine and low and up keep constants: filter first, then map.
        smooth = (upsample_ms(pan_low, ratio) - centre) * gain + mean
        band[:] = _modulate(band, (pan - centre) * gain + mean, smooth)
    return ms_up


def mtf_glp_hpm_r(ms: np.ndarray, pan: np.ndarray, gains: Sequence[float]) -> np.ndarray:
    """MTF-GLP-HPM with a regression in place of the moment matching (HPM-R).

    As `mtf_glp_hpm`, but ``P_k = a_k PAN + b_k`` is the least-squares fit of ``ms_k`` on
    ``pan_low_k`` at MS scale: ``a_k = cov(ms_k, pan_low_k) / var(pan_low_k)``.

    Source: Vivone, Restaino, Chanussot, "A regression-based high-pass modulation
    pansharpening approach", IEEE Trans. Geosci. Remote Sens. 56(2), 2018.

    Parameters
    ----------
    ms : array [K, h, w]
    pan : array [H, W]
    gains : sequence of K floats
        MTF gains at MS Nyquist.

    Returns
    -------
    array [K, H, W] float64
    """
    ratio = pan.shape[0] // ms.shape[1]
    ms_up, low = upsample_ms(ms, ratio), _pan_low(pan, ratio, gains)
    for band_up, band, pan_low in zip(ms_up, ms, low):
        covariance = float(np.mean((band - band.mean()) * (pan_low - pan_low.mean())))
        gain = _gain(covariance, _spread(pan_low) ** 2)
        offset = band.mean() - gain * pan_low.mean()
        smooth = gain * upsample_ms(pan_low, ratio) + offset
        band_up[:] = _modulate(band_up, gain * pan + offset, smooth)
    return ms_up


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, Sequence[float]], np.ndarray]] = {
    "cubic": cubic,
    "brovey": brovey,
    "gsa": gsa,
    "mtf-glp-hpm": mtf_glp_hpm,
    "mtf-glp-hpm-r": mtf_glp_hpm_r,
}


def _check(ms: np.ndarray, pan: np.ndarray, gains: Sequence[float]) -> None:
    if ms.ndim == 2 and pan.ndim == 3:
        raise SwappedInputsError(
            f"ms, pan: got shapes {ms.shape} and {pan.shape}; need ms [K, h, w] and pan [H, W]; "
            "exchange the two"
        )
    if ms.ndim != 3 or pan.ndim != 2 or not ms.size or not pan.size:
        raise ShapeError(
            f"ms, pan: got shapes {ms.shape} and {pan.shape}; need ms [K, h, w] and pan [H, W], "
            "none of them empty; put the bands first"
        )
    ratio = pan.shape[0] // ms.shape[1]
    if not 2 <= ratio <= 8 or pan.shape != (ms.shape[1] * ratio, ms.shape[2] * ratio):
        raise RatioError(
            f"ms, pan: got {ms.shape[1]}x{ms.shape[2]} and {pan.shape[0]}x{pan.shape[1]} pixels; "
            "need PAN 2 to 8 times MS, one whole number both ways; crop them to that"
        )
    if len(gains) != ms.shape[0]:
        raise ShapeError(
            f"gains: got {len(gains)} for {ms.shape[0]} bands; need one per band; "
            "take them from pantiny.sensors"
        )
    if not all(0 < gain < 1 for gain in gains):
        raise OptionError(
            f"gains: got {tuple(gains)}; need amplitudes between 0 and 1; "
            "take them from pantiny.sensors"
        )
    for name, image in (("ms", ms), ("pan", pan)):
        if not np.isfinite(image).all():
            raise DataError(
                f"{name}: holds NaN or infinity; need finite DN; replace them or crop them away"
            )


def fuse_classical(
    ms: np.ndarray, pan: np.ndarray, method: str = "cubic", *, gains: Sequence[float]
) -> np.ndarray:
    """Fuse by a classical method, for comparison with the network.

    Parameters
    ----------
    ms : array [K, h, w]
        DN or any other linear unit; any real dtype, any K.
    pan : array [H, W]
        H = r*h, W = r*w with r a whole number from 2 to 8.
    method : {"cubic", "brovey", "gsa", "mtf-glp-hpm", "mtf-glp-hpm-r"}
        See the function of that name for its formula and source.
    gains : sequence of K floats
        MTF gain of each band at the Nyquist frequency of the MS grid, in (0, 1).

    Returns
    -------
    array [K, H, W] float64
        In the unit of ``ms``, neither rounded nor clipped.

    Raises
    ------
    ShapeError
        If the shapes do not form a pair, or ``gains`` is not one per band.
    OptionError
        If ``method`` is unknown or a gain is not between 0 and 1.
    DataError
        If ``ms`` or ``pan`` holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> ms = np.array([[[100, 200], [300, 400]]], np.uint16)
    >>> pan = np.arange(64).reshape(8, 8)
    >>> fuse_classical(ms, pan, "gsa", gains=(0.3,)).shape
    (1, 8, 8)
    """
    if method not in METHODS:
        raise OptionError(
            f"method: {method!r} is not known; need one of {', '.join(METHODS)}; "
            "leave it out for cubic"
        )
    ms, pan = np.asarray(ms, np.float64), np.asarray(pan, np.float64)
    _check(ms, pan, gains)
    return METHODS[method](ms, pan, gains)
