"""Fills torch.compile's cache beside a build: ``python benchmarks/gpu/warm.py STOP``.

Needs no installed package. Ends behind the engine at hand once the file STOP is there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(stop: Path) -> None:
    """Compile what ``groups`` times, the engines of the targets first."""
    sys.path[0] = str(ROOT)
    import pantiny

    pantiny.__path__.append(str(ROOT))  # where pantiny.kernels and pantiny.benchmarks are
    import torch

    from pantiny.benchmarks.gpu.device import Gpu
    from pantiny.benchmarks.gpu.engines import AUTOTUNED, COMPILED, MODES, Batch
    from pantiny.benchmarks.gpu.groups import COMPILED_SIZES

    device = Gpu()
    for name in (AUTOTUNED, COMPILED):
        for side, images in COMPILED_SIZES:
            if stop.exists():
                return
            started = time.monotonic()
            try:
                Batch(device, side, images).eager(torch.float16, MODES[name])()
                device.sync()
                print(f"{name}, {side}^2 x {images}: {time.monotonic() - started:.1f} s")
            except Exception as error:  # the run itself says so in a row
                print(f"{name}, {side}^2 x {images}: {type(error).__name__}: {error}")
            device.forget()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
