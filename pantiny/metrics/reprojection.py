"""Reprojection indices: the fused image, degraded to the MS grid, against MS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..sensors import Sensor
from ._inputs import by_image, over_images
from ._pixels import Angles, Moments
from ._scene import WITHOUT, Gains, Scene
from .with_truth import check_block, ergas_of, error_pairs, q2n_planes


def _reprojection(index: Callable[..., Any], *, device: bool = False) -> Callable[..., Any]:
    """Scene and reduction around an index of (degraded, ms, valid, ratio)."""

    def run(
        fused: Any,
        ms: Any,
        *,
        sensor: str | Sensor | None = None,
        gains: Gains = None,
        phase: float | None = None,
        mask: Any = None,
        reduction: str = "mean",
        **options: Any,
    ) -> Any:
        scene = Scene(fused, ms, WITHOUT, mask, sensor, gains, phase, device=device)

        def values(i: int) -> Any:
            return index(*scene.reprojected(i), scene.ratio, **options)

        found = by_image(scene.fused, values)
        return over_images(scene.count, reduction, lambda i: float(found(i)))

    return run


def _q2n(low: Any, ms: Any, valid: Any, ratio: int, block: int) -> np.ndarray:
    return q2n_planes(ms, low, check_block(block), valid)


def _ergas(low: np.ndarray, ms: np.ndarray, valid: np.ndarray | None, ratio: int) -> float:
    moments = Moments(error_pairs(len(ms)), errors=True)
    moments.update((low, ms), valid)
    return ergas_of(moments.compute(), ratio)


def _sam(low: np.ndarray, ms: np.ndarray, valid: np.ndarray | None, ratio: int) -> float:
    angles = Angles()
    angles.update((low, ms), valid)
    return float(np.degrees(angles.compute()))


_run_q2n = _reprojection(_q2n, device=True)
_run_ergas, _run_sam = _reprojection(_ergas), _reprojection(_sam)


def r_q2n(
    fused: Any,
    ms: Any,
    *,
    block: int = 32,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Reprojection Q2n: of the fused image, degraded to the MS grid, against MS.

    0 to 1, higher is better. Each band is degraded by the sensor's Gaussian MTF and decimated
    at MS pixel centres (``pantiny.degrade.degrade_ms``; its taps, edges and phase: "The MTF
    filter" in docs/degrade.md). F and M must be in one unit.

    Parameters
    ----------
    sensor : str or Sensor, optional
        Gives the gains; without it and without ``gains`` 0.30 in every band. Three bands are taken
        for blue, green, red, four for blue, green, red, nir; of a count that the table lacks the
        mean gain is taken, with a ``GainWarning`` where gains differ.
    gains : sequence of K float, optional
        MTF gain of each band at MS Nyquist.
    phase : float, optional
        PAN pixel under the centre of MS pixel 0: MS pixel i lies at ``r * i + phase``; default
        the middle of the pixels it covers, ``(r - 1) / 2``.
    block : int
        Of Q2n, in MS pixels.

    Notes
    -----
    Source: Scarpa, Ciotola, Remote Sens. 14(18), 2022. With a mask, MS pixels whose MTF reaches a
    masked pixel are left out. Other parameters, returns and errors as ``d_lambda``.
    """
    return _run_q2n(
        fused,
        ms,
        sensor=sensor,
        gains=gains,
        phase=phase,
        mask=mask,
        reduction=reduction,
        block=block,
    )


def r_ergas(
    fused: Any,
    ms: Any,
    *,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Reprojection ERGAS, with the ratio of the grids; lower is better. See ``r_q2n``."""
    return _run_ergas(
        fused, ms, sensor=sensor, gains=gains, phase=phase, mask=mask, reduction=reduction
    )


def r_sam(
    fused: Any,
    ms: Any,
    *,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Reprojection SAM in degrees; lower is better. See ``r_q2n``."""
    return _run_sam(
        fused, ms, sensor=sensor, gains=gains, phase=phase, mask=mask, reduction=reduction
    )


def d_lambda_k(
    fused: Any,
    ms: Any,
    *,
    block: int = 32,
    sensor: str | Sensor | None = None,
    gains: Gains = None,
    phase: float | None = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Khan's spectral distortion, ``1 - r_q2n``; 0 to 1, lower is better.

    Source: Khan, Alparone, Chanussot, IEEE Trans. Geosci. Remote Sens. 47(11), 2009. Parameters,
    returns and errors as ``r_q2n``.
    """
    found = _run_q2n(
        fused,
        ms,
        sensor=sensor,
        gains=gains,
        phase=phase,
        mask=mask,
        reduction=reduction,
        block=block,
    )
    return 1 - found
