"""Degradation and upsampling of arrays, float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..kernels.consistency.consistency_ref import MIN_COVERAGE
from ..kernels.resample.resample_ref import (
    Taps,
    apply_taps,
    cubic_antialias_taps,
    cubic_taps,
    gaussian_radius,
    gaussian_taps,
)
from ..sensors import UNKNOWN_GAIN, Sensor, get_sensor

Phase = float | tuple[float, float] | None


def check_ratio(ratio: Any) -> int:
    """A whole number from 2 to 8."""
    if not isinstance(ratio, int) or isinstance(ratio, bool) or not 2 <= ratio <= 8:
        raise OptionError(
            f"ratio: got {ratio!r}; need a whole number from 2 to 8; give MS pixel size over "
            "PAN pixel size"
        )
    return ratio


def _coarse_shape(image: np.ndarray, ratio: int, name: str) -> tuple[int, int]:
    check_ratio(ratio)
    height, width = image.shape[-2:]
    if height % ratio or width % ratio or not height or not width:
        raise ShapeError(
            f"{name}: its last two sizes are {height}x{width}; need multiples of the ratio "
            f"{ratio}; crop it to {height // ratio * ratio}x{width // ratio * ratio}"
        )
    return height // ratio, width // ratio


def tap_offsets(phase: Any, ratio: int) -> tuple[float, float]:
    """``offset`` of the tap tables, rows and columns, for a phase in fine pixels.

    Raises
    ------
    OptionError
        If a phase lies further than ``ratio`` pixels from the centred one.
    """
    centred = (ratio - 1) / 2
    if phase is None:
        return 0.0, 0.0
    both = tuple(phase) if isinstance(phase, (tuple, list)) else (phase, phase)
    good = len(both) == 2 and all(isinstance(p, Real) and not isinstance(p, bool) for p in both)
    if not good or not all(abs(p - centred) <= ratio for p in both):
        raise OptionError(
            f"phase: got {phase!r}; need the place of coarse sample 0 in fine pixels, one number "
            f"or (rows, columns), from {centred - ratio:g} to {centred + ratio:g}; leave it out "
            f"for the centred {centred:g}"
        )
    return (centred - both[0]) / ratio, (centred - both[1]) / ratio


def check_gains(gains: Any, bands: int) -> tuple[float, ...]:
    """One MTF gain per band, each between 0 and 1."""
    try:
        found = tuple(float(gain) for gain in gains)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"gains: got {gains!r}; need one number per band; take them from pantiny.sensors"
        ) from error
    if len(found) != bands:
        raise ShapeError(
            f"gains: got {len(found)} gains for {bands} bands; need one per band; "
            "take them from pantiny.sensors"
        )
    if not all(0 < gain < 1 for gain in found):
        raise OptionError(
            f"gains: got {found}; need amplitudes between 0 and 1; take them from pantiny.sensors"
        )
    return found


def choose_gains(
    sensor: str | Sensor | None,
    gains: Sequence[float] | None,
    bands: int,
    names: Sequence[str] | None = None,
) -> tuple[float, ...]:
    """Gains as given, else the sensor's, else those of an unknown sensor."""
    if sensor is not None and gains is not None:
        raise OptionError(
            "sensor, gains: got both; need one of them, each gives the MTF; leave one out"
        )
    if gains is not None:
        return check_gains(gains, bands)
    known = get_sensor(sensor, bands)
    return known.gains_for(bands, names) if known else (UNKNOWN_GAIN,) * bands


def _reduce(image: np.ndarray, valid: np.ndarray | None, rows: Taps, cols: Taps) -> np.ndarray:
    """Tap tables on one band; NaN where the valid pixels hold too little of the weight."""
    if valid is None:
        return apply_taps(image, rows, cols)
    total = apply_taps(np.where(valid, image, 0), rows, cols)
    weight = apply_taps(valid, rows, cols)
    whole = apply_taps(np.ones(image.shape), rows, cols)
    out = np.full(total.shape, math.nan)
    np.divide(total, weight, out=out, where=weight >= MIN_COVERAGE)
    np.copyto(out, total, where=weight == whole)  # nothing missing: the bits without a mask
    return out


def _valid(valid: Any, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    if valid is None:
        return None
    found = np.asarray(valid)
    if found.shape != shape or found.dtype.kind not in "bui":
        raise ShapeError(
            f"{name}: got {found.dtype} {found.shape}; need bool {shape}, True where a pixel "
            "exists in every band; merge masks of bands with mask.all(axis=0)"
        )
    return found != 0


def degrade_ms(
    ms: np.ndarray,
    ratio: int,
    gains: Sequence[float],
    *,
    phase: Phase = None,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """MS blurred by the sensor's MTF and decimated.

    Parameters
    ----------
    ms : array [K, H, W]
        Any real dtype and unit; finite where valid.
    ratio : int
        2 to 8; must divide H and W.
    gains : sequence of K floats
        MTF gain of each band at the Nyquist frequency of the coarse grid, in (0, 1).
    phase : float or (float, float), optional
        Place of coarse sample 0 in fine pixels, both axes or (rows, columns): sample ``i``
        lies at ``ratio*i + phase``. Default: ``(ratio-1)/2``, shared corners.
    valid : array [H, W] bool, optional
        Pixels that exist; the others may hold anything and are left out.

    Returns
    -------
    array [K, H/ratio, W/ratio] float64
        In the unit of ``ms``; NaN, in all bands, where the valid pixels hold less than half
        of the kernel's weight in any.

    Raises
    ------
    ShapeError, OptionError

    Notes
    -----
    Source: Aiazzi et al., Photogramm. Eng. Remote Sens. 72(5), 2006 (Gaussian of the MTF).

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.broadcast_to(np.arange(32.0), (1, 32, 32))
    >>> float(degrade_ms(ramp, 4, (0.3,))[0, 4, 4].round(9))  # 4*4 + 1.5
    17.5
    >>> float(degrade_ms(ramp, 4, (0.3,), phase=(1.5, 0))[0, 4, 4].round(9))
    16.0
    """
    ms = np.asarray(ms)
    if ms.ndim != 3:
        raise ShapeError(
            f"ms: got shape {ms.shape}; need [K, H, W]; put the bands first, one band as ms[None]"
        )
    gains = check_gains(gains, ms.shape[0])
    height, width = _coarse_shape(ms, ratio, "ms")
    offset = tap_offsets(phase, ratio)
    known = _valid(valid, ms.shape[1:], "valid")
    out = np.empty((ms.shape[0], height, width))
    radius = gaussian_radius(ratio, tuple(gains)) if len(gains) else 0
    for k, gain in enumerate(gains):
        rows = gaussian_taps(0, height, 1.0 / ratio, offset[0], gain, radius)
        cols = gaussian_taps(0, width, 1.0 / ratio, offset[1], gain, radius)
        out[k] = _reduce(ms[k], known, rows, cols)
    if known is not None:
        out[:, np.isnan(out).any(axis=0)] = math.nan
    return out


def degrade_pan(
    pan: np.ndarray, ratio: int, *, phase: Phase = None, valid: np.ndarray | None = None
) -> np.ndarray:
    """PAN shrunk by an antialiased cubic (a = -0.5, stretched by the ratio).

    Parameters
    ----------
    pan : array [H, W]
        Any real dtype and unit; finite where valid.
    ratio : int
        2 to 8; must divide H and W.
    phase, valid
        As in `degrade_ms`.

    Returns
    -------
    array [H/ratio, W/ratio] float64
        NaN where the valid pixels hold less than half of the kernel's weight.

    Raises
    ------
    ShapeError, OptionError
    """
    pan = np.asarray(pan)
    if pan.ndim != 2:
        raise ShapeError(f"pan: got shape {pan.shape}; need [H, W]; select the band, pan[0]")
    height, width = _coarse_shape(pan, ratio, "pan")
    offset = tap_offsets(phase, ratio)
    rows = cubic_antialias_taps(0, height, ratio, offset[0])
    cols = cubic_antialias_taps(0, width, ratio, offset[1])
    return _reduce(pan, _valid(valid, pan.shape, "valid"), rows, cols)


def degrade_pair(
    ms: np.ndarray,
    pan: np.ndarray,
    ratio: int,
    *,
    sensor: str | Sensor | None = None,
    gains: Sequence[float] | None = None,
    phase: Phase = None,
    ms_valid: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The reduced-resolution pair of Wald's protocol; the original MS is its truth.

    Parameters
    ----------
    ms : array [K, h, w]
    pan : array [H, W]
        ``H = ratio*h``, ``W = ratio*w``.
    ratio : int
        2 to 8; must divide h and w.
    sensor : str, optional
        A sensor of the table, for its MTF gains; or
    gains : sequence of K floats, optional
        the gains themselves. Default: 0.30 in every band.
    phase : float or (float, float), optional
        Where MS sample 0 lies on the PAN grid, in PAN pixels, both axes or (rows, columns).
        Both images are degraded with it, so that PAN lands on the grid of ``ms`` and the
        reduced pair has the phase of the pair. Default: ``(ratio-1)/2``, shared corners.
    ms_valid, valid : arrays [h, w] and [H, W] bool, optional
        Pixels of MS and of PAN that exist.

    Returns
    -------
    ms_low : array [K, h/ratio, w/ratio] float64
    pan_low : array [h, w] float64
        In the units of the inputs, neither rounded nor clipped; NaN where missing.

    Raises
    ------
    ShapeError, OptionError

    Examples
    --------
    >>> import numpy as np
    >>> ms, pan = np.full((4, 8, 8), 300), np.full((32, 32), 310)
    >>> ms_low, pan_low = degrade_pair(ms, pan, 4, sensor="WV2")
    >>> ms_low.shape, pan_low.shape
    ((4, 2, 2), (8, 8))
    """
    ms, pan = np.asarray(ms), np.asarray(pan)
    check_ratio(ratio)
    if ms.ndim != 3 or pan.shape != (ms.shape[1] * ratio, ms.shape[2] * ratio):
        raise ShapeError(
            f"ms, pan: got shapes {ms.shape} and {pan.shape} with ratio {ratio}; need [K, h, w] "
            f"and [{ratio}*h, {ratio}*w]; crop both to the same ground"
        )
    chosen = choose_gains(sensor, gains, ms.shape[0])
    return (
        degrade_ms(ms, ratio, chosen, phase=phase, valid=ms_valid),
        degrade_pan(pan, ratio, phase=phase, valid=valid),
    )


def upsample_ms(ms: np.ndarray, ratio: int, *, phase: Phase = None) -> np.ndarray:
    """MS on the PAN grid by cubic convolution (a = -0.5).

    Parameters
    ----------
    ms : array [K, h, w]
    ratio : int
    phase : float or (float, float), optional
        Where MS sample 0 lies on the PAN grid, as in `degrade_ms`.

    Returns
    -------
    array [K, h*ratio, w*ratio] float64

    Notes
    -----
    Source: R. Keys, IEEE Trans. ASSP 29(6), 1981.
    """
    ms = np.asarray(ms)
    offset = tap_offsets(phase, ratio)
    rows = cubic_taps(0, ms.shape[-2] * ratio, 1.0 / ratio, offset[0])
    cols = cubic_taps(0, ms.shape[-1] * ratio, 1.0 / ratio, offset[1])
    return apply_taps(ms, rows, cols)
