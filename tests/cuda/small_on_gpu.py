"""Small pairs through every precision, and the indices, for compute-sanitizer."""

from __future__ import annotations

import numpy as np

import pantiny
from pantiny import cuda, metrics
from pantiny.cuda.views import DeviceArray


def placed(array: np.ndarray) -> DeviceArray:
    """A copy on the device."""
    there = DeviceArray(array.shape, str(array.dtype), 0)
    there._memory.copy_in(array)
    return there


def fuse(height: int, width: int, nodata: int | None) -> None:
    """Two images of an MS grid of this size, in host memory."""
    rng = np.random.default_rng(0)
    ms = rng.integers(1, 2000, (2, 4, height, width)).astype(np.uint16)
    pan = rng.integers(1, 2000, (2, 4 * height, 4 * width)).astype(np.uint16)
    if nodata is not None:
        ms[:, :, :3, :4] = nodata
    for precision in cuda.PRECISIONS:
        pantiny.fuse(ms, pan, backend="cuda", precision=precision, nodata=nodata)


def indices() -> None:
    """Of images that no kernel's tile divides."""
    rng = np.random.default_rng(1)
    pan = rng.integers(300, 1500, (1, 52, 68)).astype(np.uint16)
    fused = (pan[:, None] + rng.integers(0, 300, (1, 4, 52, 68))).astype(np.uint16)
    images = placed(fused), placed(fused[..., 1::4, 2::4].copy()), placed(pan)
    metrics.qnr(*images, window=16)
    metrics.ssim(images[0], placed(np.roll(fused, 1, -1).copy()), peak=2047)
    metrics.q2n(images[0], placed(np.roll(fused, 1, -1).copy()), block=8)


def main() -> None:
    fuse(13, 17, None)
    fuse(20, 9, 0)
    indices()
    print("ran", ", ".join([*cuda.PRECISIONS, "indices"]))


if __name__ == "__main__":
    main()
