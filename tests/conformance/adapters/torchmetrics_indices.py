"""torchmetrics: each index by the function and the options that come nearest to the definition."""

import torch
from torch.nn.functional import interpolate
from torchmetrics import functional as general
from torchmetrics.functional import image as tm
from torchmetrics.functional.image.utils import _uniform_filter


def batch(*images):
    """[N, K, H, W]; a PAN gets its band axis."""
    out = []
    for image in images:
        tensor = torch.tensor(image)
        out.append(tensor[None] if tensor.ndim == 3 else tensor)
    return out


def unmasked(mask):
    if mask is not None:
        raise NotImplementedError("no mask")


def psnr(fused, truth, peak, mask=None):
    unmasked(mask)
    return tm.peak_signal_noise_ratio(*batch(fused, truth), data_range=float(peak))


def rmse(fused, truth, mask=None):
    unmasked(mask)
    return general.mean_squared_error(*batch(fused, truth), squared=False)


def cc(fused, truth, mask=None):
    unmasked(mask)
    f, g = (t.transpose(0, 1).flatten(1).T for t in batch(fused, truth))
    return general.pearson_corrcoef(f, g).mean()


def sam(fused, truth, units, mask=None):
    unmasked(mask)
    angle = tm.spectral_angle_mapper(*batch(fused, truth)) if len(fused) > 1 else None
    if angle is None:
        raise NotImplementedError("one band")
    return torch.rad2deg(angle) if units == "degrees" else angle


def ergas(fused, truth, ratio, mask=None):
    unmasked(mask)
    return tm.error_relative_global_dimensionless_synthesis(*batch(fused, truth), ratio=ratio)


def scc(fused, truth, mask=None):
    unmasked(mask)
    return tm.spatial_correlation_coefficient(*batch(fused, truth))


def uqi(fused, truth, window, stride, mask=None):
    unmasked(mask)
    if (window, stride) != (8, 1):
        raise NotImplementedError("Gaussian window, stride 1")
    return tm.universal_image_quality_index(*batch(fused, truth))


def ssim(fused, truth, peak, mask=None):
    """Without the 5 pixels along the edges, whose windows reach into mirrored pixels."""
    unmasked(mask)
    _, values = tm.structural_similarity_index_measure(
        *batch(fused, truth), data_range=float(peak), return_full_image=True
    )
    return values[..., 5:-5, 5:-5].mean()


def ssim_by_default(fused, truth, peak):
    return tm.structural_similarity_index_measure(*batch(fused, truth), data_range=float(peak))


def only(variant):
    if variant not in ("alparone08", "torchmetrics"):
        raise NotImplementedError("one variant")


def d_lambda(fused, ms, variant, window=None, p=1):
    only(variant)
    return tm.spectral_distortion_index(*batch(ms, fused), p=p)


def with_pan(fused, ms, pan, pan_low):
    """torchmetrics wants PAN once a band. Without ``pan_low`` it calls torchvision's resize,
    which is torch's interpolate; done here, so that nothing depends on torchvision."""
    fused, ms = batch(fused, ms)
    pan = torch.tensor(pan).reshape(-1, 1, *pan.shape[-2:]).repeat(1, fused.shape[1], 1, 1)
    if pan_low is None:
        low = interpolate(
            _uniform_filter(pan, 7), size=ms.shape[-2:], mode="bilinear", antialias=False
        )
    else:
        low = torch.tensor(pan_low).reshape(-1, 1, *pan_low.shape[-2:]).repeat(1, len(ms[0]), 1, 1)
    return fused, ms, pan, low


def d_s(fused, ms, pan, variant, window=None, q=1, pan_low=None, sensor=None):
    only(variant)
    return tm.spatial_distortion_index(*with_pan(fused, ms, pan, pan_low), norm_order=q)


def qnr(fused, ms, pan, variant, window=None, alpha=1, beta=1, pan_low=None, sensor=None):
    only(variant)
    images = with_pan(fused, ms, pan, pan_low)
    return tm.quality_with_no_reference(*images, alpha=alpha, beta=beta)


# float32 inside: PSNR's peak, the tables of D_lambda and D_s
RTOL, ATOL = 1e-7, 1e-7
INDICES = {f.__name__: f for f in (psnr, rmse, cc, sam, ergas, scc, uqi, ssim, d_lambda, d_s, qnr)}
