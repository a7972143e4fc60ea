"""What D_lambda and D_s compare, by variant: Q between bands, and of bands with PAN, per scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..degrade import upsample_ms
from ..engine import core
from ..errors import OptionError
from ..kernels.resample.resample_ref import Taps, apply_taps
from ._device import Images, on_the_cpu
from ._grids import both, coarse_mask, degrade
from ._inputs import refuse_nan
from ._windows import (
    GAUSSIAN,
    block_means,
    check_window,
    uqi_of_blocks,
    window_means,
)

Pairs = list[tuple[int, int]]
FLOAT32_EPS = float(np.finfo(np.float32).eps)
BOX = 7  # of torchmetrics' PAN at MS scale
PANTINY_GAIN = 0.15  # of the published code, for every sensor


def band_pairs(bands: int) -> Pairs:
    """i < j."""
    return [(i, j) for i in range(bands) for j in range(i + 1, bands)]


def pairs_of(bands: int, *, spectral: bool, spatial: bool) -> Pairs:
    """Pairs of bands, then each band with the plane after them, PAN."""
    found = band_pairs(bands) if spectral else []
    return found + ([(k, bands) for k in range(bands)] if spatial else [])


@dataclass(frozen=True)
class Request:
    """One image, or on a device all images of the call, and how they are compared.

    Attributes
    ----------
    fused : array [K, H, W] or Images [N, K, H, W]
    ms : array [K, h, w] or Images
    pan : array [H, W], Plane [N, H, W] or None
        None: without PAN.
    pan_low : array [h, w], Plane or None
        None: made from ``pan``.
    ratio, window : int
    pan_gain : float
    mask : array [H, W] uint8, Plane or None
    spectral : bool
        With the pairs of bands.
    phase : float or None
        See ``Degrade``.
    """

    fused: Any
    ms: Any
    pan: Any
    pan_low: Any
    ratio: int
    window: int
    pan_gain: float
    mask: Any
    spectral: bool
    phase: float | None

    @property
    def on_device(self) -> bool:
        return isinstance(self.fused, Images)

    @property
    def bands(self) -> int:
        return int(self.fused.shape[-3])

    @property
    def pairs(self) -> Pairs:
        return pairs_of(self.bands, spectral=self.spectral, spatial=self.pan is not None)

    def coarse(
        self,
        planes: Sequence[Any],
        pan_valid: Any,
        means: Callable[[Sequence[Any], Pairs, Any], np.ndarray],
    ) -> np.ndarray:
        """Means of pairs of bands, then of those with PAN, which its filter's reach masks more."""
        valid, bands = coarse_mask(self.mask, self.ratio), self.bands
        spectral = pairs_of(bands, spectral=self.spectral, spatial=False)
        spatial = pairs_of(bands, spectral=False, spatial=self.pan is not None)
        parts = [
            means(planes, pairs, which)
            for pairs, which in ((spectral, valid), (spatial, both(valid, pan_valid)))
            if pairs
        ]
        return np.concatenate(parts, axis=-1)

    def low(self, gain: float) -> tuple[list[Any], Any]:
        """Planes of the MS grid, PAN through a Gaussian last, and where that is valid."""
        if self.pan is None:
            return [*self.ms], None
        if self.pan_low is not None:
            return [*self.ms, self.pan_low], None
        pan = Images((self.pan,)) if self.on_device else self.pan[None]
        made, reached = degrade(pan, self.ratio, (gain,), self.mask, self.phase)
        return [*self.ms, *made], reached

    def high(self) -> list[Any]:
        """Planes of the PAN grid."""
        return [*self.fused] if self.pan is None else [*self.fused, self.pan]


@dataclass(frozen=True)
class Spectra:
    """Mean Q per pair on the PAN grid and on the MS grid; pairs as in ``pairs_of``. Of `Images`
    [N, pairs], and ``[i]`` that of image i."""

    fine: np.ndarray
    coarse: np.ndarray
    spectral: int  # pairs of bands, which come first

    def __getitem__(self, i: int) -> Spectra:
        return replace(self, fine=self.fine[i], coarse=self.coarse[i])

    def bands(self) -> tuple[np.ndarray, np.ndarray]:
        return self.fine[: self.spectral], self.coarse[: self.spectral]

    def with_pan(self) -> tuple[np.ndarray, np.ndarray]:
        return self.fine[self.spectral :], self.coarse[self.spectral :]


def _spectra(r: Request, fine: np.ndarray, coarse: np.ndarray) -> Spectra:
    return Spectra(fine, coarse, len(band_pairs(r.bands)) if r.spectral else 0)


def _nothing(r: Request) -> Spectra:
    none = np.zeros((r.fused.shape[0], 0) if r.on_device else 0)
    return _spectra(r, none, none)


def coarse_window(window: int, ratio: int) -> int:
    """``window / ratio``.

    Raises
    ------
    OptionError
        If that is not a whole number.
    """
    if window % ratio:
        raise OptionError(
            f"window: {window} pixels of the PAN grid are {window / ratio:g} of the MS grid at "
            f"ratio {ratio}; need a multiple of {ratio}; take {max(1, window // ratio) * ratio}"
        )
    return window // ratio


def _uqi(window: int) -> Callable[..., np.ndarray]:
    def means(planes: Sequence[Any], pairs: Pairs, valid: Any) -> np.ndarray:
        return window_means(planes, pairs, window, core().UQI, valid)

    return means


def _alparone08(r: Request) -> Spectra:
    window = check_window(r.window, *r.fused.shape[-2:])
    small = coarse_window(window, r.ratio)
    if not r.pairs:
        return _nothing(r)
    fine = _uqi(window)(r.high(), r.pairs, r.mask)
    return _spectra(r, fine, r.coarse(*r.low(r.pan_gain), _uqi(small)))


def _eroded(valid: np.ndarray | None, ratio: int) -> np.ndarray | None:
    """Where the cubic upsampling reaches valid MS pixels only, on the PAN grid."""
    if valid is None:
        return None
    edge = np.pad(valid, 2, "edge")
    height, width = valid.shape
    worst = np.min(
        [edge[i : i + height, j : j + width] for i in range(5) for j in range(5)], axis=0
    )
    return np.repeat(np.repeat(worst, ratio, 0), ratio, 1)


def _toolbox(r: Request) -> Spectra:
    if r.on_device:
        raise on_the_cpu("variant", "'toolbox' upsamples MS")
    window = check_window(r.window, *r.fused.shape[-2:])
    if not r.pairs:
        return _nothing(r)

    def means(planes: Sequence[np.ndarray], pairs: Pairs, valid: np.ndarray | None) -> np.ndarray:
        values = partial(uqi_of_blocks, pairs=pairs)
        return block_means(planes, pairs, window, values, valid, mirror=False)

    def means_up(
        planes: Sequence[np.ndarray], pairs: Pairs, valid: np.ndarray | None
    ) -> np.ndarray:
        if valid is not None:
            planes = [np.where(valid != 0, plane, 0) for plane in planes]
        up = [upsample_ms(plane[None], r.ratio)[0] for plane in planes]
        return means(up, pairs, both(r.mask, _eroded(valid, r.ratio)))

    return _spectra(r, means(r.high(), r.pairs, r.mask), r.coarse(*r.low(r.pan_gain), means_up))


def _to_uint8(image: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN under a mask
        return np.clip(np.nan_to_num(np.floor(image)), 0, 255).astype(np.uint8)


def _pantiny(r: Request) -> Spectra:
    window = check_window(r.window, *r.ms.shape[-2:])
    if not r.pairs:
        return _nothing(r)
    valid = None if r.on_device else coarse_mask(r.mask, r.ratio)
    images = {
        name: (image, mask)
        for name, image, mask in (
            ("fused", r.fused, r.mask),
            ("pan", r.pan, r.mask),
            ("ms", r.ms, valid),
            ("pan_low", r.pan_low, valid),
        )
        if image is not None
    }
    for name, (image, mask) in images.items():
        if not r.on_device:
            refuse_nan(image, mask, name)
        elif image.dtype != "uint8":
            raise on_the_cpu(
                name,
                f"got {image.dtype} with variant 'pantiny', which floors images to uint8",
                f"floor {name} where it is and pass uint8, or pass host copies of all images",
            )
    # what is given is floored; PAN at MS scale, if made of it, is not floored again, and its sample
    # i is at PAN pixel r * i, not at the middle of the pixels that MS pixel i covers
    floors: dict[str, Any] = (
        {} if r.on_device else {name: _to_uint8(image) for name, (image, _) in images.items()}
    )
    floored = replace(r, **floors, phase=0.0)
    low, reached = floored.low(PANTINY_GAIN)
    uqi = _uqi(window)
    return _spectra(r, uqi(floored.high(), r.pairs, r.mask), r.coarse(low, reached, uqi))


def _boxed(pan: np.ndarray, ratio: int) -> np.ndarray:
    """PAN through a 7x7 box, mirrored at the edges, sampled bilinearly at MS pixel centres."""
    height, width = pan.shape
    wide = np.pad(pan.astype(np.float64), BOX // 2, "symmetric")

    def box(count: int) -> Taps:
        return Taps(np.arange(count), np.full((count, BOX), 1 / BOX))

    def bilinear(count: int) -> Taps:
        centre = (np.arange(count) + 0.5) * ratio - 0.5
        first = np.floor(centre).astype(np.int64)
        part = centre - first
        return Taps(first, np.stack([1 - part, part], axis=1))

    smooth = apply_taps(wide, box(height), box(width))
    return apply_taps(smooth, bilinear(height // ratio), bilinear(width // ratio))


def _torchmetrics(r: Request) -> Spectra:
    check_window(GAUSSIAN, r.ms.shape[-2], r.ms.shape[-1], "variant torchmetrics")
    if not r.pairs:
        return _nothing(r)

    def means(planes: Sequence[Any], pairs: Pairs, valid: Any) -> np.ndarray:
        index = core().GAUSSIAN_UQI
        return window_means(planes, pairs, GAUSSIAN, index, valid, 0.0, FLOAT32_EPS)

    low, reached = [*r.ms], None
    if r.pan is not None and r.pan_low is not None:
        low.append(r.pan_low)
    elif r.pan is not None:
        if r.on_device:
            raise on_the_cpu(
                "pan_low",
                "got none, and variant 'torchmetrics' makes it from PAN",
                "pass pan_low on the device, or host copies of all images",
            )
        pan = r.pan if r.mask is None else np.where(r.mask != 0, r.pan, 0)
        low.append(_boxed(pan, r.ratio))
        if r.mask is not None:
            reached = (_boxed(r.mask == 0, r.ratio) == 0).astype(np.uint8)
    return _spectra(r, means(r.high(), r.pairs, r.mask), r.coarse(low, reached, means))


VARIANTS: dict[str, Callable[[Request], Spectra]] = {
    "alparone08": _alparone08,
    "toolbox": _toolbox,
    "pantiny": _pantiny,
    "torchmetrics": _torchmetrics,
}


def get_variant(name: str) -> Callable[[Request], Spectra]:
    """The variant of a name.

    Raises
    ------
    OptionError
    """
    if not isinstance(name, str) or name not in VARIANTS:
        raise OptionError(f"variant: got {name!r}; need one of {', '.join(VARIANTS)}")
    return VARIANTS[name]
