"""Indices that need the truth (reduced resolution)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ..engine import core
from ..errors import OptionError
from ..system import as_int
from ._device import Images, on_the_cpu
from ._hypercomplex import q2n_of_blocks, q2n_pairs
from ._inputs import (
    Given,
    as_images,
    as_mask,
    by_image,
    check_peak,
    over_images,
    pan_per_ms,
    refuse_nan,
    same_shape,
)
from ._pixels import Angles, Edges, Moments
from ._windows import GAUSSIAN, block_means, check_window, uqi_of_blocks, window_means

UNITS = ("degrees", "radians")


class _Pair(Given):
    """Checked images and mask of a call; with ``device`` they may lie there."""

    def __init__(self, fused: Any, truth: Any, mask: Any, *, device: bool = False) -> None:
        self.fused = as_images(fused, "fused", device=device)
        self.truth = as_images(truth, "truth", beside=self.fused)
        same_shape(self.fused, self.truth)
        self.mask = as_mask(mask, self.fused)
        self.count, self.bands, self.height, self.width = self.fused.shape

    def images(self, i: int) -> tuple[Any, Any]:
        return self._of(self.fused, i), self._of(self.truth, i)

    def planes(self, i: int) -> list[Any]:
        """Bands of the fused image, then the truth's."""
        return [band for image in self.images(i) for band in image]


def error_pairs(bands: int) -> list[tuple[int, int]]:
    """Products that ``cc`` and ``ergas`` need: squares of both images' bands, and across."""
    across = [(k, bands + k) for k in range(bands)]
    return [(k, k) for k in range(2 * bands)] + across


def psnr_of(moments: Moments, peak: float) -> float:
    """From ``Moments`` with errors."""
    mse = float(moments.square_error.sum()) / (moments.count * len(moments.square_error))
    if mse in (0, math.inf):
        return math.inf if mse == 0 else -math.inf
    return 10 * math.log10(peak * peak / mse)


def rmse_of(moments: Moments) -> float:
    """From ``Moments`` with errors."""
    return math.sqrt(moments.square_error.sum() / (moments.count * len(moments.square_error)))


def ergas_of(moments: Moments, ratio: float) -> float:
    """From ``Moments`` of the fused image's bands and the truth's, with errors."""
    mse = moments.square_error / moments.count
    mean = moments.mean[len(mse) :]
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(mse == 0, 0.0, mse / mean**2)
    return float(100.0 / ratio * np.sqrt(relative.mean()))


def cc_of(moments: Moments) -> float:
    """From ``Moments`` of ``error_pairs``."""
    bands = len(moments.square_error)
    first, second, cross = np.split(moments.product, 3)
    spread = np.sqrt(first[:bands]) * np.sqrt(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        both = (first == 0) & (second == 0)
        correlation = np.where(spread == 0, both.astype(float), cross / spread)
    return float(np.clip(correlation, -1, 1).mean())


def _moments(pair: _Pair, i: int) -> Moments:
    moments = Moments(error_pairs(pair.bands), errors=True)
    moments.update(pair.images(i), pair.valid(i))
    return moments.compute()


def psnr(fused: Any, truth: Any, *, peak: float, mask: Any = None, reduction: str = "mean") -> Any:
    """Peak signal-to-noise ratio in dB; higher is better, infinite for equal images.

    ``10 log10(peak^2 / MSE)``, MSE over all bands and pixels of an image.

    Parameters
    ----------
    fused, truth : array [K, H, W] or [N, K, H, W]
        DN or any other linear unit, any real dtype; numpy or torch. ``uqi``, ``ssim`` and ``q2n``
        also take both, and the mask, on a CUDA device: uint8, uint16, int16, float32, float64.
    peak : float
        The largest possible value in that unit, e.g. 2047 for 11-bit DN.
    mask : array [H, W] or [N, H, W], optional
        True where pixels count; what others hold, also NaN, is never used.
    reduction : {"mean", "none"}
        The mean over images, or an array [N].

    Returns
    -------
    float, or array [N] float64

    Raises
    ------
    ShapeError, DtypeError, OptionError, DataError
    BackendError
        Images on a device and an index that runs on the CPU, or some here and some there.
    """
    top, pair = check_peak(peak), _Pair(fused, truth, mask)
    return over_images(pair.count, reduction, lambda i: psnr_of(_moments(pair, i), top))


def rmse(fused: Any, truth: Any, *, mask: Any = None, reduction: str = "mean") -> Any:
    """Root of the mean square error over all bands and pixels, in the unit of the images.

    Lower is better, 0 is perfect. Parameters, returns and errors as ``psnr``.
    """
    pair = _Pair(fused, truth, mask)
    return over_images(pair.count, reduction, lambda i: rmse_of(_moments(pair, i)))


def cc(fused: Any, truth: Any, *, mask: Any = None, reduction: str = "mean") -> Any:
    """Correlation coefficient (Pearson), mean over bands; -1 to 1, higher is better.

    A band that is constant in both images counts 1, in one of them 0. Parameters, returns and
    errors as ``psnr``.
    """
    pair = _Pair(fused, truth, mask)
    return over_images(pair.count, reduction, lambda i: cc_of(_moments(pair, i)))


def check_units(units: object) -> None:
    """Raise OptionError unless SAM can be given in them."""
    if units not in UNITS:
        raise OptionError(f"units: got {units!r}; need 'degrees' or 'radians'")


def sam(
    fused: Any, truth: Any, *, units: str = "degrees", mask: Any = None, reduction: str = "mean"
) -> Any:
    """Spectral angle mapper: mean angle between spectra; lower is better, 0 is perfect.

    ``mean over pixels of arccos(<f, g> / (|f| |g|))``. A zero spectrum has no angle: pixels where
    either is zero are left out, and ``DataError`` where none is left.

    Parameters
    ----------
    units : {"degrees", "radians"}

    Notes
    -----
    Source: Yuhas, Goetz, Boardman, JPL Airborne Geoscience Workshop, 1992. Other parameters,
    returns and errors as ``psnr``.
    """
    check_units(units)
    pair = _Pair(fused, truth, mask)
    factor = 180 / math.pi if units == "degrees" else 1.0

    def one(i: int) -> float:
        angles = Angles()
        angles.update(pair.images(i), pair.valid(i))
        return angles.compute() * factor

    return over_images(pair.count, reduction, one)


def ergas(
    fused: Any, truth: Any, *, ratio: float, mask: Any = None, reduction: str = "mean"
) -> Any:
    """Relative dimensionless global error; lower is better, 0 is perfect.

    ``100 / ratio * sqrt(mean_k MSE_k / mean(truth_k)^2)``. A band of zero mean counts 0 where it
    is met exactly and makes the index infinite where it is not.

    Parameters
    ----------
    ratio : float
        PAN pixels per MS pixel, e.g. 4; at least 1. Some papers write its inverse, h/l.

    Notes
    -----
    Source: Wald, Data Fusion, 2002 (ERGAS is from 2000). Other parameters, returns and errors as
    ``psnr``.
    """
    factor, pair = pan_per_ms(ratio), _Pair(fused, truth, mask)
    return over_images(pair.count, reduction, lambda i: ergas_of(_moments(pair, i), factor))


def scc(fused: Any, truth: Any, *, mask: Any = None, reduction: str = "mean") -> Any:
    """Spatial correlation coefficient; 0 to 1, higher is better.

    Uncentred cosine, over all bands and pixels, of the Sobel gradient magnitudes of both images;
    the outermost pixels have none. 1 where neither image has an edge, 0 where one has none. With
    a mask, gradients that touch a masked pixel are left out.

    Notes
    -----
    Source: Zhou, Civco, Silander, Int. J. Remote Sens. 19(4), 1998, with Sobel in place of their
    Laplacian as in Vivone et al., IEEE Geosci. Remote Sens. Mag. 9(1), 2021. Parameters, returns
    and errors as ``psnr``.
    """
    pair = _Pair(fused, truth, mask)
    check_window(3, pair.height, pair.width, "fused")

    def one(i: int) -> float:
        edges = Edges()
        edges.update(pair.images(i), pair.valid(i))
        return edges.compute()

    return over_images(pair.count, reduction, one)


def check_stride(stride: object, window: int) -> bool:
    """Whether windows are distinct blocks.

    Raises
    ------
    OptionError
        If ``stride`` is neither 1 nor ``window``.
    """
    found = as_int(stride)
    if found not in (1, window):
        raise OptionError(
            f"stride: got {stride!r}; need 1 (every window) or {window} (distinct blocks)"
        )
    return found != 1


def uqi(
    fused: Any,
    truth: Any,
    *,
    window: int = 8,
    stride: int = 1,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Universal image quality index Q; -1 to 1, higher is better.

    ``Q = 2 m_x m_y / (m_x^2 + m_y^2) * 2 s_xy / (s_x^2 + s_y^2)`` of every window that lies
    inside the image; a factor of 0/0 is 1. Mean over windows, then over bands.

    Parameters
    ----------
    window : int
        Side in pixels, at most 256.
    stride : int
        1: every window; ``window``: distinct blocks from the top left.

    Notes
    -----
    Source: Wang, Bovik, IEEE Signal Process. Lett. 9(3), 2002. Windows with a masked pixel are
    left out. Other parameters, returns and errors as ``psnr``.
    """
    pair = _Pair(fused, truth, mask, device=True)
    side = check_window(window, pair.height, pair.width)
    distinct = check_stride(stride, side) and side > 1
    pairs = [(k, pair.bands + k) for k in range(pair.bands)]

    def means(i: int) -> np.ndarray:
        planes, valid = pair.planes(i), pair.valid(i)
        if not distinct:
            return window_means(planes, pairs, side, core().UQI, valid)
        values = partial(uqi_of_blocks, pairs=pairs)
        return block_means(planes, pairs, side, values, valid, mirror=False)

    found = by_image(pair.fused, means)
    return over_images(pair.count, reduction, lambda i: float(found(i).mean()))


def ssim(fused: Any, truth: Any, *, peak: float, mask: Any = None, reduction: str = "mean") -> Any:
    """Structural similarity; at most 1, higher is better.

    11x11 Gaussian window of sigma 1.5, weighted (biased) moments, C1 = (0.01 peak)^2, C2 = (0.03
    peak)^2, windows inside the image only; mean over positions, then over bands.

    Notes
    -----
    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Process. 13(4), 2004. Windows with
    a masked pixel are left out. Parameters, returns and errors as ``psnr``.
    """
    top, pair = check_peak(peak), _Pair(fused, truth, mask, device=True)
    check_window(GAUSSIAN, pair.height, pair.width, "SSIM")
    pairs = [(k, pair.bands + k) for k in range(pair.bands)]

    def means(i: int) -> np.ndarray:
        constants = (0.01 * top) ** 2, (0.03 * top) ** 2
        planes, valid = pair.planes(i), pair.valid(i)
        return window_means(planes, pairs, GAUSSIAN, core().SSIM, valid, *constants)

    found = by_image(pair.fused, means)
    return over_images(pair.count, reduction, lambda i: float(found(i).mean()))


def to_uint16(image: np.ndarray) -> np.ndarray:
    """Rounded half up and saturated."""
    return np.clip(np.floor(image.astype(np.float64) + 0.5), 0, 65535).astype(np.uint16)


def q2n_planes(truth: Any, fused: Any, block: int, mask: Any) -> np.ndarray:
    """Q2n of two images [K, H, W], a scalar array; of `Images` [N]."""
    bands = int(truth.shape[-3])
    values = partial(q2n_of_blocks, bands=bands, samples=block * block)
    planes = [*truth, *fused]
    found = block_means(planes, q2n_pairs(bands), block, values, mask, mirror=True)
    return np.asarray(found[..., 0])


def _rounded(pair: _Pair, i: int) -> tuple[Any, Any]:
    """Images of ``pair`` as uint16.

    Raises
    ------
    BackendError
        If they lie on a device in another dtype.
    DataError
    """
    images = pair.images(i)
    for image, name in zip(images, ("fused", "truth")):
        if not isinstance(image, Images):
            refuse_nan(image, pair.valid(i), name)
        elif image.dtype not in ("uint8", "uint16"):
            raise on_the_cpu(
                name,
                f"got {image.dtype}; rounded to uint16",
                f"round {name} where it is, or leave round_to_uint16 out",
            )
    if isinstance(images[0], Images):
        return images
    return to_uint16(images[0]), to_uint16(images[1])


def check_block(block: object) -> int:
    """Side of a block of Q2n.

    Raises
    ------
    OptionError
    """
    side = as_int(block)
    if side is None or not 2 <= side <= core().MAX_WINDOW:
        raise OptionError(
            f"block: got {block!r}; need a whole number of pixels, 2 to {core().MAX_WINDOW}"
        )
    return side


def q2n(
    fused: Any,
    truth: Any,
    *,
    block: int = 32,
    round_to_uint16: bool = False,
    mask: Any = None,
    reduction: str = "mean",
) -> Any:
    """Q2n: Q4 for 4 bands, Q8 for 8; 0 to 1, higher is better.

    Pixels are hypercomplex numbers, one part per band (zeros up to the next power of two). Both
    images are normalised by the truth's block, ``(x - mean) / std + 1`` (N - 1; eps where 0);
    ``q = |cov| * 2 / (var_1 + var_2) * 2 |m_1| |m_2| / (|m_1|^2 + |m_2|^2)`` with Cayley-Dickson
    products; mean over blocks.

    Parameters
    ----------
    block : int
        Side of the distinct blocks. Sizes that are not multiples are mirrored on the right and
        the bottom.
    round_to_uint16 : bool
        Round both images first, as the Matlab toolbox does; spoils data in 0 .. 1.

    Notes
    -----
    Source: Garzelli, Nencini, IEEE Geosci. Remote Sens. Lett. 6(4), 2009; Q4: Alparone et al.,
    IEEE Geosci. Remote Sens. Lett. 1(4), 2004. Blocks with a masked pixel are left out. Other
    parameters, returns and errors as ``psnr``.
    """
    pair = _Pair(fused, truth, mask, device=True)
    side = check_block(block)

    def values(i: int) -> np.ndarray:
        first, second = _rounded(pair, i) if round_to_uint16 else pair.images(i)
        return q2n_planes(second, first, side, pair.valid(i))

    found = by_image(pair.fused, values)
    return over_images(pair.count, reduction, lambda i: float(found(i)))
