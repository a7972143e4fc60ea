"""Indices without a truth as losses: D_lambda, D_s, QNR, D_rho of [N, K, H, W] tensors.

Defined as in ``pantiny.metrics`` (variant ``alparone08``), in float64 inside, differentiable once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import DtypeError, OptionError, ShapeError
from ..metrics._inputs import positive
from ..sensors import UNKNOWN_PAN_GAIN, Sensor, get_sensor
from .ops import window_means
from .resample import mtf_matrix


def as_planes(x: Tensor, name: str, like: Tensor | None = None) -> Tensor:
    """[N, K, H, W] in float32 or float64; in the dtype and on the device of ``like`` if given.

    Raises
    ------
    ShapeError, DtypeError
    """
    if not isinstance(x, Tensor):
        raise DtypeError(
            f"{name}: got {type(x).__name__}; need a tensor; convert it with torch.as_tensor"
        )
    if x.dim() != 4 or 0 in x.shape:
        raise ShapeError(
            f"{name}: got shape {tuple(x.shape)}; need [N, K, H, W], none of them 0; "
            "for one image use image[None]"
        )
    if not x.dtype.is_floating_point:
        raise DtypeError(f"{name}: got {x.dtype}; need floating point; convert it with .float()")
    if like is not None:
        if x.device != like.device:
            raise OptionError(
                f"{name}: is on {x.device}, fused on {like.device}; need one device; move it "
                f"with .to({str(like.device)!r})"
            )
        return x.to(like.dtype)
    return x if x.dtype == torch.float64 else x.float()


def _power(x: Tensor, p: float) -> Tensor:
    """x^p of x >= 0, with gradient 0 at 0; NaN stays."""
    if p == 1:
        return x
    there = x != 0
    return torch.where(there, torch.where(there, x, 1.0) ** p, 0.0)


def _norm(first: Tensor, second: Tensor, p: float) -> Tensor:
    """Per image, (mean over pairs of |first - second|^p)^(1/p) of [N, pairs]; 0 of none."""
    apart, count = (first - second).abs(), max(1, first.shape[1])
    if p == 1 or not first.shape[1]:
        return apart.sum(1) / count
    # relative to the largest, or a large exponent leaves nothing; it cancels in the gradient
    largest = apart.detach().amax(1, keepdim=True)
    largest = torch.where(largest > 0, largest, 1.0)
    return largest[:, 0] * _power(_power(apart / largest, p).sum(1) / count, 1 / p)


class _Scene:
    """Checked tensors of a call."""

    def __init__(self, fused: Tensor, ms: Tensor, window: int) -> None:
        self.fused = as_planes(fused, "fused")
        _check_window(window)
        self.ms = as_planes(ms, "ms", self.fused)
        height, width = self.ms.shape[-2:]
        self.ratio = ratio = self.fused.shape[-1] // width
        if (
            self.fused.shape[:2] != self.ms.shape[:2]
            or ratio < 1
            or self.fused.shape[-2:] != (height * ratio, width * ratio)
        ):
            raise ShapeError(
                f"fused, ms: got shapes {tuple(fused.shape)} and {tuple(ms.shape)}; need the same "
                "images and bands and sizes that differ by one whole ratio both ways; crop them "
                "to the pixels they share"
            )
        if window % ratio:
            raise OptionError(
                f"window: {window} pixels of the PAN grid are {window / ratio:g} of the MS grid "
                f"at ratio {ratio}; need a multiple of {ratio}; take "
                f"{max(1, window // ratio) * ratio}"
            )
        self.window, self.bands = window, self.fused.shape[1]

    def low(
        self, pan: Tensor, sensor: str | Sensor | None, pan_low: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """PAN [N, 1, H, W] and P_L [N, 1, h, w]."""
        pan = as_pan(pan, self.fused)
        if pan_low is not None:
            return pan, as_pan(pan_low, self.ms, "pan_low")
        known = get_sensor(sensor)
        gain = known.pan_gain if known else UNKNOWN_PAN_GAIN
        # double: rounding to float32 here would move D_s by 1e-6
        rows, cols = (mtf_matrix(n, self.ratio, gain).to(pan.device) for n in self.ms.shape[-2:])
        return pan, rows @ pan.double() @ cols.T

    def spectral(self, p: float) -> Tensor:
        pairs = [(i, j) for i in range(self.bands) for j in range(i + 1, self.bands)]
        fine, coarse = (
            window_means(x, x[:, :0], pairs, side, "uqi")
            for x, side in ((self.fused, self.window), (self.ms, self.window // self.ratio))
        )
        return _norm(fine, coarse, p)

    def spatial(self, pan: Tensor, low: Tensor, q: float) -> Tensor:
        pairs = [(k, self.bands) for k in range(self.bands)]
        fine = window_means(self.fused, pan, pairs, self.window, "uqi")
        coarse = window_means(self.ms.to(low), low, pairs, self.window // self.ratio, "uqi")
        return _norm(fine, coarse, q)


def as_pan(pan: Tensor, like: Tensor, name: str = "pan") -> Tensor:
    """[N, 1, H, W] on the grid of ``like``.

    Raises
    ------
    ShapeError, DtypeError
    """
    need = (like.shape[0], 1, *like.shape[2:])
    if isinstance(pan, Tensor) and tuple(pan.shape) != need:
        raise ShapeError(
            f"{name}: got shape {tuple(pan.shape)}; need {need}; give one band on the grid of "
            "the bands it is compared with"
        )
    return as_planes(pan, name, like)


def d_lambda(fused: Tensor, ms: Tensor, *, window: int = 32, p: float = 1) -> Tensor:
    """Spectral distortion, mean over images; 0 is perfect, 0 for one band.

    Parameters
    ----------
    fused : Tensor [N, K, H, W]
        Any linear unit.
    ms : Tensor [N, K, h, w]
        Native MS in the same unit, which nothing here checks.
    window : int
        Pixels of the PAN grid, a multiple of the ratio.
    p : float

    Raises
    ------
    ShapeError, DtypeError, OptionError

    Notes
    -----
    Where a window is constant in both bands the structure factor of Q jumps; its gradient counts
    as 0 there, as does that of ``|Q_F - Q_M|`` at 0. The factor of the means keeps its own.
    """
    scene = _Scene(fused, ms, window)
    return scene.spectral(positive(p, "p")).mean().to(scene.fused.dtype)


def d_s(
    fused: Tensor,
    ms: Tensor,
    pan: Tensor,
    *,
    window: int = 32,
    q: float = 1,
    sensor: str | Sensor | None = None,
    pan_low: Tensor | None = None,
) -> Tensor:
    """Spatial distortion, mean over images; 0 is perfect.

    Parameters
    ----------
    pan : Tensor [N, 1, H, W]
        In the unit of the others; in another one D_s is near 0 whatever it holds.
    sensor : str or Sensor, optional
        Its PAN gain takes PAN to the MS grid; 0.15 for an unknown one.
    pan_low : Tensor [N, 1, h, w], optional
        PAN on the MS grid itself.

    Notes
    -----
    Other parameters, errors and notes as ``d_lambda``.
    """
    scene = _Scene(fused, ms, window)
    found = scene.spatial(*scene.low(pan, sensor, pan_low), positive(q, "q"))
    return found.mean().to(scene.fused.dtype)


def _factor(distortion: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """``(1 - distortion)^power``, 0 beyond 1; and how far beyond 1 it is, negative."""
    left = 1 - distortion
    return _power(left.clamp(min=0), power), left.clamp(max=0)


def qnr(
    fused: Tensor,
    ms: Tensor,
    pan: Tensor,
    *,
    window: int = 32,
    alpha: float = 1,
    beta: float = 1,
    sensor: str | Sensor | None = None,
    pan_low: Tensor | None = None,
) -> Tensor:
    """``(1 - D_lambda)^alpha (1 - D_s)^beta``, mean over images; higher is better.

    Where a distortion exceeds 1, ``pantiny.metrics.qnr`` is 0 and has no slope. Here it goes on
    below 0, for any exponent: the product with distortions cut at 1, which is 0, plus
    ``min(1 - D_lambda, 0) + min(1 - D_s, 0)``; at least -2. It never rises with a distortion,
    as the product of negative factors would.

    Parameters, errors and notes as ``d_lambda`` and ``d_s``.
    """
    scene = _Scene(fused, ms, window)
    spectral, too_spectral = _factor(scene.spectral(1.0), positive(alpha, "alpha"))
    distortion = scene.spatial(*scene.low(pan, sensor, pan_low), 1.0)
    spatial, too_spatial = _factor(distortion, positive(beta, "beta"))
    found = spectral * spatial + too_spectral + too_spatial
    return found.mean().to(scene.fused.dtype)


def _check_ratio(ratio: int) -> int:
    if isinstance(ratio, bool) or not isinstance(ratio, int) or not 1 <= ratio <= 64:
        raise OptionError(
            f"ratio: got {ratio!r}; need a whole number of PAN pixels per MS pixel, 1 to 64"
        )
    return ratio


def _check_window(window: int) -> int:
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise OptionError(f"window: got {window!r}; need a whole number of PAN pixels, 1 or more")
    return window


def _check_sensor(sensor: str | Sensor | None) -> str | Sensor | None:
    get_sensor(sensor)
    return sensor


def d_rho(fused: Tensor, pan: Tensor, *, ratio: int) -> Tensor:
    """Mean of 1 - local correlation of bands and PAN, windows of ``2 ceil(ratio / 2)`` pixels.

    Parameters
    ----------
    fused : Tensor [N, K, H, W]
    pan : Tensor [N, 1, H, W]
    ratio : int
        PAN pixels per MS pixel.

    Raises
    ------
    ShapeError, DtypeError, OptionError

    Notes
    -----
    Windows that are constant in one image count 1, in both 0; their gradient counts as 0.
    """
    _check_ratio(ratio)
    planes = as_planes(fused, "fused")
    pairs = [(k, planes.shape[1]) for k in range(planes.shape[1])]
    side = 2 * -(-ratio // 2)
    found = window_means(planes, as_pan(pan, planes), pairs, side, "decorrelation")
    return found.mean().to(planes.dtype)


class DLambdaLoss(nn.Module):
    """``d_lambda`` as a module."""

    def __init__(self, window: int = 32, p: float = 1) -> None:
        super().__init__()
        self.window, self.p = _check_window(window), positive(p, "p")

    def forward(self, fused: Tensor, ms: Tensor) -> Tensor:
        """Scalar of fused [N, K, H, W] and ms [N, K, h, w]."""
        return d_lambda(fused, ms, window=self.window, p=self.p)


class DSLoss(nn.Module):
    """``d_s`` as a module."""

    def __init__(self, window: int = 32, q: float = 1, sensor: str | Sensor | None = None) -> None:
        super().__init__()
        self.window, self.q = _check_window(window), positive(q, "q")
        self.sensor = _check_sensor(sensor)

    def forward(
        self, fused: Tensor, ms: Tensor, pan: Tensor, pan_low: Tensor | None = None
    ) -> Tensor:
        """Scalar of fused [N, K, H, W], ms [N, K, h, w], pan [N, 1, H, W]."""
        return d_s(
            fused, ms, pan, window=self.window, q=self.q, sensor=self.sensor, pan_low=pan_low
        )


class QNRLoss(nn.Module):
    """``1 - qnr`` as a module: 0 to 3, as ``qnr`` goes on below 0.

    Raises
    ------
    OptionError
        At once, for an option that cannot be honoured; so do the modules beside it.
    """

    def __init__(
        self,
        window: int = 32,
        alpha: float = 1,
        beta: float = 1,
        sensor: str | Sensor | None = None,
    ) -> None:
        super().__init__()
        self.window, self.sensor = _check_window(window), _check_sensor(sensor)
        self.alpha, self.beta = positive(alpha, "alpha"), positive(beta, "beta")

    def forward(
        self, fused: Tensor, ms: Tensor, pan: Tensor, pan_low: Tensor | None = None
    ) -> Tensor:
        """Scalar of fused [N, K, H, W], ms [N, K, h, w], pan [N, 1, H, W]."""
        return 1.0 - qnr(
            fused, ms, pan, window=self.window, alpha=self.alpha, beta=self.beta,
            sensor=self.sensor, pan_low=pan_low,
        )  # fmt: skip


class DRhoLoss(nn.Module):
    """``d_rho`` as a module."""

    def __init__(self, ratio: int = 4) -> None:
        super().__init__()
        self.ratio = _check_ratio(ratio)

    def forward(self, fused: Tensor, pan: Tensor) -> Tensor:
        """Scalar of fused [N, K, H, W] and pan [N, 1, H, W]."""
        return d_rho(fused, pan, ratio=self.ratio)
