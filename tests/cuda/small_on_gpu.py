"""A few small pairs through every precision, for compute-sanitizer and ncu."""

from __future__ import annotations

import numpy as np

import pantiny
from pantiny import cuda


def main() -> None:
    rng = np.random.default_rng(0)
    for height, width, masked in ((13, 17, False), (20, 9, True)):
        ms = rng.integers(1, 2000, (2, 4, height, width)).astype(np.uint16)
        pan = rng.integers(1, 2000, (2, 4 * height, 4 * width)).astype(np.uint16)
        if masked:
            ms[:, :, :3, :4] = 0
        for precision in cuda.PRECISIONS:
            nodata = 0 if masked else None
            pantiny.fuse(ms, pan, backend="cuda", precision=precision, nodata=nodata)
    print("ran", ", ".join(cuda.PRECISIONS))


if __name__ == "__main__":
    main()
