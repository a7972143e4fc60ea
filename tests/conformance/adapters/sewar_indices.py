"""sewar: each index by the function and the options that come nearest to the definition."""

import math

import numpy as np
import sewar
from sewar.utils import Filter


def hwc(*images):
    """[H, W, K], one image; PAN [H, W]."""
    if images[0].ndim != 3:
        raise NotImplementedError("one image a call")
    return [np.moveaxis(i, 0, -1) if i.ndim == 3 else i for i in images]


def unmasked(mask):
    if mask is not None:
        raise NotImplementedError("no mask")


def psnr(fused, truth, peak, mask=None):
    unmasked(mask)
    return sewar.psnr(*hwc(truth, fused), MAX=peak)


def rmse(fused, truth, mask=None):
    unmasked(mask)
    return sewar.rmse(*hwc(truth, fused))


def sam(fused, truth, units, mask=None):
    unmasked(mask)
    angle = sewar.sam(*hwc(truth, fused))
    return math.degrees(angle) if units == "degrees" else angle


def ergas(fused, truth, ratio, mask=None):
    unmasked(mask)
    return sewar.ergas(*hwc(truth, fused), r=1 / ratio)


def scc(fused, truth, mask=None):
    unmasked(mask)
    return sewar.scc(*hwc(truth, fused))


def uqi(fused, truth, window, stride, mask=None):
    unmasked(mask)
    if stride != 1:
        raise NotImplementedError("stride 1")
    return sewar.uqi(*hwc(truth, fused), ws=window)


def ssim(fused, truth, peak, mask=None):
    """Its default is a flat 11 x 11 window."""
    unmasked(mask)
    gaussian = {"fltr": Filter.GAUSSIAN, "sigma": 1.5, "ws": 11}
    return sewar.ssim(*hwc(truth, fused), MAX=peak, fltr_specs=gaussian)[0]


def ssim_by_default(fused, truth, peak):
    return sewar.ssim(*hwc(truth, fused), MAX=peak)[0]


def q2n(fused, truth, block, round_to_uint16=False, mask=None):
    unmasked(mask)
    if round_to_uint16:
        raise NotImplementedError("no rounding")
    return sewar.q2n(*hwc(truth, fused), ws=block)


def only(variant):
    if variant != "alparone08":
        raise NotImplementedError("one variant")


def d_lambda(fused, ms, variant, window=None, p=1):
    """Its windows are of 8 pixels on both grids."""
    only(variant)
    return sewar.d_lambda(*hwc(ms, fused), p=p)


def ratio_of(fused, ms):
    return fused.shape[-1] // ms.shape[-1]


def own_pan_low(pan_low):
    if pan_low is not None:
        raise NotImplementedError("low-passes PAN itself")


def d_s(fused, ms, pan, variant, window=None, q=1, pan_low=None, sensor=None):
    only(variant)
    own_pan_low(pan_low)
    f, m, p = hwc(fused, ms, pan)
    return sewar.d_s(p, m, f, q=q, r=ratio_of(fused, ms))


def qnr(fused, ms, pan, variant, window=None, alpha=1, beta=1, pan_low=None, sensor=None):
    only(variant)
    own_pan_low(pan_low)
    f, m, p = hwc(fused, ms, pan)
    return sewar.qnr(p, m, f, alpha=alpha, beta=beta, r=ratio_of(fused, ms))


INDICES = {f.__name__: f for f in (psnr, rmse, sam, ergas, scc, uqi, ssim, q2n, d_lambda, d_s, qnr)}
