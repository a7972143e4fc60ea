"""A few runs of one size, for a profiler: ``python -m pantiny.benchmarks.gpu.once [PRECISION]``."""

from __future__ import annotations

import sys

from .device import Gpu
from .engines import Batch
from .roofs import KERNELS_SIDE

RUNS = 2


def main(precision: str) -> None:
    """Queue the runs and wait for them."""
    device = Gpu()
    call = Batch(device, KERNELS_SIDE, 1).ours(precision)
    for _ in range(RUNS):
        call()
    device.sync()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "fp16")
