"""Every index of a scene that comes in rows: memory constant in its height, the same bits.

The results equal those of the functions on the whole images, bit for bit, however the rows are
cut into pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..engine import core
from ..errors import OptionError, ShapeError
from ..sensors import Sensor
from ..system import as_int
from ._gather import Absent, Gather, apart, degrees, mean
from ._grids import Degrade, Phase, both, coarse_mask, ms_gains, pan_gain
from ._hypercomplex import q2n_of_blocks, q2n_pairs
from ._inputs import as_values, check_peak, pan_per_ms, warn_of_units
from ._pixels import Angles, Edges, Moments
from ._rows import Queue, RowFeed
from ._variants import coarse_window, pairs_of
from ._windows import GAUSSIAN, BlockMeans, WindowMeans, check_window
from .full_resolution import qnr_of, rho_pairs, rho_window, scatter_pairs, unexplained
from .with_truth import cc_of, check_block, ergas_of, error_pairs, psnr_of, rmse_of

UQI_WINDOW = 8
NO_PEAK = Absent("peak: got none; PSNR and SSIM need the largest possible value; give peak=")
NO_RATIO = Absent("ratio: got none; ERGAS needs PAN pixels per MS pixel; give ratio=")


def _rows(image: Any, bands: int, width: int, name: str) -> np.ndarray:
    """[K, n, W]

    Raises
    ------
    ShapeError, DtypeError
    """
    rows = as_values(image, name)
    if rows.ndim != 3 or rows.shape[0] != bands or rows.shape[2] != width or not rows.shape[1]:
        raise ShapeError(
            f"{name}: got rows of shape {rows.shape}; need [{bands}, n, {width}], the next n rows, "
            "one at least; leave a call without rows out"
        )
    return rows


def _check_bands(bands: object) -> int:
    """Raises OptionError"""
    found = as_int(bands)
    if found is None or found < 1:
        raise OptionError(f"bands: got {bands!r}; need a whole number, 1 or more")
    return found


def _mask_rows(mask: Any, rows: np.ndarray) -> np.ndarray | None:
    if mask is None:
        return None
    found = as_values(mask, "mask") != 0
    if found.shape != rows.shape[1:]:
        raise ShapeError(
            f"mask: got shape {found.shape} for rows {rows.shape}; need [n, W] of the same rows"
        )
    return found.astype(np.uint8)


class _Steady:
    """Masks come always or never: rows that were summed cannot be masked later."""

    def __init__(self) -> None:
        self.masked: bool | None = None

    def check(self, mask: np.ndarray | None) -> None:
        masked = mask is not None
        if self.masked not in (None, masked):
            raise OptionError(
                "mask: rows came both with and without; need a mask with every piece or with none; "
                "pass one that is True everywhere"
            )
        self.masked = masked


def _q2n(bands: int, block: int) -> BlockMeans:
    """Planes: the truth's bands, then the fused image's."""
    values = partial(q2n_of_blocks, bands=bands, samples=block * block)
    return BlockMeans(q2n_pairs(bands), block, values, mirror=True)


def _quiet() -> np.errstate:
    """No warnings on the way to the error that names NaN."""
    return np.errstate(invalid="ignore", over="ignore", divide="ignore")


class WithTruth:
    """All indices with a truth: psnr, rmse, cc, sam (degrees), ergas, scc, uqi, ssim, q2n.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the scene; at least 11 each for SSIM.
    bands : int
    ratio : float or None
        PAN pixels per MS pixel, for ERGAS; at least 1; None leaves it out.
    peak : float or None
        Largest possible value, for PSNR and SSIM; None leaves them out.
    block : int
        Of Q2n.

    Attributes
    ----------
    missing : dict of str
        After ``compute``: the reason for each index that has no value.

    Raises
    ------
    OptionError, ShapeError
    """

    def __init__(
        self,
        shape: tuple[int, int],
        bands: int,
        *,
        ratio: float | None,
        peak: float | None,
        block: int = 32,
    ) -> None:
        self._shape, self._bands = shape, _check_bands(bands)
        self._ratio = NO_RATIO if ratio is None else pan_per_ms(ratio)
        self._peak = NO_PEAK if peak is None else check_peak(peak)
        pairs = [(k, bands + k) for k in range(bands)]
        self._moments = Moments(error_pairs(bands), errors=True)
        self._angles, self._edges = Angles(), Edges()
        self._windows = {"uqi": WindowMeans(pairs, UQI_WINDOW, core().UQI)}
        if not isinstance(self._peak, Absent):
            check_window(GAUSSIAN, *shape, "SSIM")
            constants = (0.01 * self._peak) ** 2, (0.03 * self._peak) ** 2
            self._windows["ssim"] = WindowMeans(pairs, GAUSSIAN, core().SSIM, *constants)
        self._q2n = _q2n(bands, check_block(block))
        self._steady, self._came = _Steady(), 0
        self.missing: dict[str, str] = {}

    @_quiet()
    def update(self, fused: Any, truth: Any, mask: Any = None) -> None:
        """The next rows, top to bottom.

        Parameters
        ----------
        fused, truth : array [K, n, W]
        mask : array [n, W], optional
            True where pixels count.
        """
        fused = _rows(fused, self._bands, self._shape[1], "fused")
        truth = _rows(truth, self._bands, self._shape[1], "truth")
        if fused.shape != truth.shape:
            raise ShapeError(f"fused, truth: got rows {fused.shape} and {truth.shape}")
        valid = _mask_rows(mask, fused)
        self._steady.check(valid)
        self._came += fused.shape[1]
        for sums in (self._moments, self._angles, self._edges):
            sums.update((fused, truth), valid)
        for windows in self._windows.values():
            windows.update([*fused, *truth], valid)
        self._q2n.update([*truth, *fused], valid)

    @_quiet()
    def compute(self) -> dict[str, float]:
        """The indices, once all rows came, but for those in ``missing``.

        Raises
        ------
        ShapeError
            If rows are missing.
        DataError
            If no index is left or an image holds NaN.
        """
        _all_came(self._came, self._shape[0], "rows")
        found = Gather()
        self.missing = found.missing
        moments = found.part(self._moments.compute)
        found.index("psnr", psnr_of, moments, self._peak)
        found.index("rmse", rmse_of, moments)
        found.index("cc", cc_of, moments)
        found.index("sam", degrees, found.part(self._angles.compute))
        found.index("ergas", ergas_of, moments, self._ratio)
        found.index("scc", float, found.part(self._edges.compute))
        found.index("uqi", mean, found.part(self._windows["uqi"].compute))
        ssim = self._windows.get("ssim")
        found.index("ssim", mean, found.part(ssim.compute) if ssim else NO_PEAK)
        found.index("q2n", mean, found.part(self._q2n.compute))
        return found.result()


def _all_came(came: int, wanted: int, what: str) -> None:
    if came != wanted:
        raise ShapeError(f"{what}: {came} came of {wanted}; need all, once; call update with them")


class FullResolution:
    """All indices without a truth, of the fused image, PAN and MS.

    Gives d_lambda, d_s, qnr (``alparone08``), d_lambda_k, hqnr, d_s_r, rqnr, r_ergas, r_sam
    (degrees), r_q2n and d_rho.

    Parameters
    ----------
    bands : int
    shape, ms_shape : (int, int)
        PAN and MS grid; the one is a whole number of times the other.
    sensor : str or Sensor, optional
        Gives the MTF gains; 0.30 and 0.15 (PAN) for an unknown one.
    gains : sequence of float, optional
        MTF gain of each band, in place of the sensor's.
    phase : float or (float, float), optional
        PAN row and column under the centre of MS pixel 0; default the middle, ``(r - 1) / 2``.
    window : int
        Of D_lambda and D_s, in PAN pixels.
    block : int
        Of Q2n, in MS pixels.

    Attributes
    ----------
    missing : dict of str
        After ``compute``: the reason for each index that has no value.

    Raises
    ------
    OptionError, ShapeError
    """

    def __init__(
        self,
        bands: int,
        shape: tuple[int, int],
        ms_shape: tuple[int, int],
        *,
        sensor: str | Sensor | None = None,
        gains: Sequence[float] | None = None,
        phase: Phase = None,
        window: int = 32,
        block: int = 32,
    ) -> None:
        bands = _check_bands(bands)
        self._ratio = shape[1] // max(1, ms_shape[1])
        if self._ratio < 1 or tuple(shape) != tuple(self._ratio * n for n in ms_shape):
            raise ShapeError(
                f"fused, ms: got {shape[0]}x{shape[1]} and {ms_shape[0]}x{ms_shape[1]} pixels; "
                "need sizes that differ by one whole ratio both ways"
            )
        self._bands, self._shape, self._ms_shape = bands, shape, ms_shape
        wide = check_window(window, *shape)
        small, side = coarse_window(wide, self._ratio), rho_window(self._ratio)
        check_window(side, *shape, "d_rho")
        spectral = pairs_of(bands, spectral=True, spatial=False)
        spatial, index = pairs_of(bands, spectral=False, spatial=True), core().UQI
        self._spectral = len(spectral)
        self._fine = WindowMeans(spectral + spatial, wide, index)
        self._bands_low = WindowMeans(spectral, small, index)
        self._pan_low = WindowMeans(spatial, small, index)
        self._rho = WindowMeans(rho_pairs(bands), side, core().DECORRELATION)
        self._scatter = Moments(scatter_pairs(bands))
        band_gains = ms_gains(sensor, gains, bands)
        self._degrade_fused = Degrade(shape, self._ratio, band_gains, phase)
        self._degrade_pan = Degrade(shape, self._ratio, (pan_gain(sensor),), phase)
        self._under = RowFeed(self._ratio, 0)
        self._moments, self._angles = Moments(error_pairs(bands), errors=True), Angles()
        self._q2n = _q2n(bands, check_block(block))
        self._queues: dict[str, Queue] = {}
        self._steady, self._ms_steady = _Steady(), _Steady()
        self._came, self._ms_came = 0, 0
        self.missing: dict[str, str] = {}

    def _put(self, name: str, rows: np.ndarray | None) -> None:
        if rows is not None:
            self._queues.setdefault(name, Queue()).put(rows)

    @_quiet()
    def update(self, fused: Any, pan: Any, mask: Any = None) -> None:
        """The next rows of the PAN grid, top to bottom.

        Parameters
        ----------
        fused : array [K, n, W]
        pan : array [n, W]
        mask : array [n, W], optional
            True where pixels count.
        """
        fused = _rows(fused, self._bands, self._shape[1], "fused")
        pan = _rows(as_values(pan, "pan")[None], 1, self._shape[1], "pan")
        if pan.shape[1] != fused.shape[1]:
            raise ShapeError(f"fused, pan: got {fused.shape[1]} and {pan.shape[1]} rows")
        valid = _mask_rows(mask, fused)
        self._steady.check(valid)
        self._came += fused.shape[1]
        planes = [*fused, pan[0]]
        self._fine.update(planes, valid)
        self._rho.update(planes, valid)
        self._scatter.update((fused, pan), valid)
        for name, degrade, image in (
            ("fused", self._degrade_fused, fused),
            ("pan", self._degrade_pan, pan),
        ):
            low, reached = degrade.update(image, valid)
            self._put(name, low)
            self._put(f"{name} valid", reached)
        if valid is not None:
            for chunk in self._under.update([valid]):
                self._put("under", coarse_mask(chunk[0], self._ratio))
        self._match()

    @_quiet()
    def update_ms(self, ms: Any, mask: Any = None) -> None:
        """The next rows of MS, top to bottom, in any order with those of the PAN grid.

        Parameters
        ----------
        ms : array [K, m, w]
        mask : array [m, w], optional
            True where MS counts, beside what ``update`` gets.
        """
        ms = _rows(ms, self._bands, self._ms_shape[1], "ms")
        valid = _mask_rows(mask, ms)
        self._ms_steady.check(valid)
        self._ms_came += ms.shape[1]
        self._put("ms", ms)
        self._put("ms valid", valid)
        self._match()

    def _match(self) -> None:
        """Rows of the MS grid that every source has."""
        needed = ["ms", "fused", "pan"]
        needed += [n for n in ("under", "fused valid", "pan valid", "ms valid") if self._has(n)]
        count = min(len(self._queues[n]) if n in self._queues else 0 for n in needed)
        if not count:
            return
        rows = {name: self._queues[name].take(count) for name in needed}
        valid = both(rows.get("under"), rows.get("ms valid"))
        with_fused = both(valid, rows.get("fused valid"))
        planes = [*rows["ms"], rows["pan"][0]]
        if self._spectral:
            self._bands_low.update(planes, valid)
        self._pan_low.update(planes, both(valid, rows.get("pan valid")))
        pair = (rows["fused"], rows["ms"])
        self._moments.update(pair, with_fused)
        self._angles.update(pair, with_fused)
        self._q2n.update([*rows["ms"], *rows["fused"]], with_fused)

    def _has(self, name: str) -> bool:
        steady = self._ms_steady if name == "ms valid" else self._steady
        return bool(steady.masked)

    def compute(self) -> dict[str, float]:
        """The indices, once all rows came, but for those in ``missing``.

        Raises
        ------
        ShapeError
            If rows are missing.
        DataError
            If no index is left or an image holds NaN.

        Notes
        -----
        A ``UnitWarning`` if PAN and MS cannot be in one unit.
        """
        _all_came(self._came, self._shape[0], "rows of the PAN grid")
        _all_came(self._ms_came, self._ms_shape[0], "rows of ms")
        found, pan, ms = self._gathered()
        values = found.result()
        if "d_s" in values and "r_ergas" in values:
            n = self._bands
            warn_of_units(pan.rms([n]), ms.rms(range(n, 2 * n)))
        return values

    @_quiet()
    def _gathered(self) -> tuple[Gather, Moments, Moments]:
        """The indices, moments of the PAN grid and of the MS grid."""
        found, n = Gather(), self._spectral
        self.missing = found.missing
        fine = found.part(self._fine.compute)
        low = found.part(self._pan_low.compute)
        low_bands = found.part(self._bands_low.compute) if n else np.zeros(0)
        spectral = found.index("d_lambda", lambda f, m: apart(f[:n], m), fine, low_bands)
        spatial = found.index("d_s", lambda f, p: apart(f[n:], p), fine, low)
        found.index("qnr", qnr_of, spectral, spatial)
        q2n = found.part(self._q2n.compute)
        khan = found.index("d_lambda_k", lambda q: 1 - mean(q), q2n)
        found.index("hqnr", qnr_of, khan, spatial)
        scatter = found.part(self._scatter.compute)
        regression = found.index("d_s_r", partial(unexplained, bands=self._bands), scatter)
        found.index("rqnr", qnr_of, khan, regression)
        moments = found.part(self._moments.compute)
        found.index("r_ergas", partial(ergas_of, ratio=self._ratio), moments)
        found.index("r_sam", degrees, found.part(self._angles.compute))
        found.index("r_q2n", mean, q2n)
        found.index("d_rho", mean, found.part(self._rho.compute))
        return found, scatter, moments
