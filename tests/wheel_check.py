"""Run by CI from outside the tree, in an environment without torch: import and fuse.

Not collected by pytest. Fails with a message on the first thing that is wrong.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
import warnings

warnings.simplefilter("error")


def main() -> None:
    assert importlib.util.find_spec("torch") is None, "torch is installed: nothing is shown"
    script = "import time; t = time.perf_counter(); import pantiny; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    assert not any(r.stderr for r in runs), runs[0].stderr
    best = min(float(r.stdout) for r in runs)
    assert best < 0.15, f"import pantiny takes {best:.3f} s; need less than 0.15 s"

    import numpy as np

    import pantiny

    assert "torch" not in sys.modules
    rng = np.random.default_rng(0)
    pan = rng.integers(200, 900, (256, 320)).astype(np.uint16)
    ms = np.stack([pan.reshape(64, 4, 80, 4).mean((1, 3))] * 4).astype(np.uint16)
    started = time.perf_counter()
    fused = pantiny.fuse(ms, pan, sensor="WV2")
    elapsed_s = time.perf_counter() - started
    assert fused.shape == (4, 256, 320) and fused.dtype == np.uint16
    back = fused.reshape(4, 64, 4, 80, 4).mean((2, 4))
    error = float(np.abs(back - ms).mean())
    assert 0 < error < 20, f"the fused image is {error:.1f} DN away from MS on average"
    try:
        import pantiny.nn
    except pantiny.PanTinyError as error_without_torch:
        assert "pip install" in str(error_without_torch)
    else:
        raise AssertionError("pantiny.nn imported without torch")
    print(f"import {best * 1e3:.0f} ms, fuse {elapsed_s * 1e3:.0f} ms, {pantiny.__file__}")


if __name__ == "__main__":
    main()
