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
from ..errors import DataError, OptionError, ShapeError
from ..sensors import Sensor
from ._grids import Degrade, Phase, both, coarse_mask, ms_gains, pan_gain
from ._hypercomplex import q2n_of_blocks, q2n_pairs
from ._inputs import as_values, positive
from ._pixels import Angles, Edges, Moments
from ._rows import RowFeed
from ._variants import coarse_window, pairs_of
from ._windows import GAUSSIAN, BlockMeans, WindowMeans, check_window
from .full_resolution import qnr_of, rho_pairs, rho_window, scatter_pairs, unexplained
from .with_truth import cc_of, check_block, ergas_of, error_pairs, psnr_of, rmse_of

UQI_WINDOW = 8


def _rows(image: Any, bands: int, width: int, name: str) -> np.ndarray:
    """[K, n, W]

    Raises
    ------
    ShapeError, DtypeError
    """
    rows = as_values(image, name)
    if rows.ndim != 3 or rows.shape[0] != bands or rows.shape[2] != width:
        raise ShapeError(
            f"{name}: got rows of shape {rows.shape}; need [{bands}, n, {width}], the next n rows"
        )
    return rows


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


def _finite(values: dict[str, float]) -> dict[str, float]:
    bad = [name for name, value in values.items() if np.isnan(value)]
    if bad:
        raise DataError(
            f"{', '.join(bad)}: the index is NaN; an image holds NaN or infinity; mark such pixels "
            "with mask="
        )
    return values


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
        PAN pixels per MS pixel, for ERGAS; None leaves it out.
    peak : float or None
        Largest possible value, for PSNR and SSIM; None leaves them out.
    block : int
        Of Q2n.

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
        self._shape, self._bands = shape, bands
        self._ratio = None if ratio is None else positive(ratio, "ratio")
        self._peak = None if peak is None else positive(peak, "peak")
        pairs = [(k, bands + k) for k in range(bands)]
        self._moments = Moments(error_pairs(bands), errors=True)
        self._angles, self._edges = Angles(), Edges()
        self._uqi = WindowMeans(pairs, UQI_WINDOW, core().UQI)
        self._windows = [self._uqi]
        if self._peak is not None:
            check_window(GAUSSIAN, *shape, "SSIM")
            constants = (0.01 * self._peak) ** 2, (0.03 * self._peak) ** 2
            self._ssim = WindowMeans(pairs, GAUSSIAN, core().SSIM, *constants)
            self._windows.append(self._ssim)
        self._q2n = _q2n(bands, check_block(block))
        self._steady, self._came = _Steady(), 0

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
        for windows in self._windows:
            windows.update([*fused, *truth], valid)
        self._q2n.update([*truth, *fused], valid)

    @_quiet()
    def compute(self) -> dict[str, float]:
        """The indices, once all rows came.

        Raises
        ------
        ShapeError
            If rows are missing.
        DataError
            If nothing valid is left or an image holds NaN.
        """
        _all_came(self._came, self._shape[0], "rows")
        moments = self._moments.compute()
        found = {
            "psnr": None if self._peak is None else psnr_of(moments, self._peak),
            "rmse": rmse_of(moments),
            "cc": cc_of(moments),
            "sam": float(np.degrees(self._angles.compute())),
            "ergas": None if self._ratio is None else ergas_of(moments, self._ratio),
            "scc": self._edges.compute(),
            "uqi": float(self._uqi.compute().mean()),
            "ssim": None if self._peak is None else float(self._ssim.compute().mean()),
            "q2n": float(self._q2n.compute()[0]),
        }
        return _finite({key: value for key, value in found.items() if value is not None})


def _all_came(came: int, wanted: int, what: str) -> None:
    if came != wanted:
        raise ShapeError(f"{what}: {came} came of {wanted}; need all, once; call update with them")


class _Queue:
    """Rows that wait for those of other sources."""

    def __init__(self) -> None:
        self._rows: np.ndarray | None = None

    def put(self, rows: np.ndarray) -> None:
        held = self._rows
        self._rows = rows if held is None else np.concatenate((held, rows), axis=-2)

    def __len__(self) -> int:
        return 0 if self._rows is None else int(self._rows.shape[-2])

    def take(self, count: int) -> np.ndarray:
        assert self._rows is not None
        taken = self._rows[..., :count, :]
        self._rows = self._rows[..., count:, :].copy()
        return taken


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
        self._queues: dict[str, _Queue] = {}
        self._steady, self._ms_steady = _Steady(), _Steady()
        self._came, self._ms_came = 0, 0

    def _put(self, name: str, rows: np.ndarray | None) -> None:
        if rows is not None:
            self._queues.setdefault(name, _Queue()).put(rows)

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

    @_quiet()
    def compute(self) -> dict[str, float]:
        """The indices, once all rows came.

        Raises
        ------
        ShapeError
            If rows are missing.
        DataError
            If nothing valid is left or an image holds NaN.
        """
        _all_came(self._came, self._shape[0], "rows of the PAN grid")
        _all_came(self._ms_came, self._ms_shape[0], "rows of ms")
        fine, low = self._fine.compute(), self._pan_low.compute()
        spatial = float(np.abs(fine[self._spectral :] - low).mean())
        spectral = 0.0
        if self._spectral:
            spectral = float(np.abs(fine[: self._spectral] - self._bands_low.compute()).mean())
        reprojected = float(self._q2n.compute()[0])
        khan = 1 - reprojected
        regression = unexplained(self._scatter.compute(), self._bands)
        return _finite(
            {
                "d_lambda": spectral,
                "d_s": spatial,
                "qnr": qnr_of(spectral, spatial),
                "d_lambda_k": khan,
                "hqnr": qnr_of(khan, spatial),
                "d_s_r": regression,
                "rqnr": qnr_of(khan, regression),
                "r_ergas": ergas_of(self._moments.compute(), self._ratio),
                "r_sam": float(np.degrees(self._angles.compute())),
                "r_q2n": reprojected,
                "d_rho": float(self._rho.compute().mean()),
            }
        )
