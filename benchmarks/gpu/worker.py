"""The process that measures: every group that is not in the JSON yet, then the verdict."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from pantiny import cuda

from ..candidate import Unavailable
from .bench import GRACE_S, Bench, DeviceLostError
from .groups import DRY_GROUPS, GROUPS, PLANTED
from .rows import SKIPPED, Store

DONE, LOST = 0, 3
DEVICE_S = 75.0  # to start
LEAST_S = 2.0  # of a group


def work(path: Path) -> int:
    """Run what is left; ``DONE``, or ``LOST`` where another process must go on."""
    store = Store(path)
    dry, until, seconds = (store.result[k] for k in ("dry", "until", "seconds"))
    bench: Bench | None = None
    for group in DRY_GROUPS if dry else GROUPS:
        if store.started(group.name):
            continue
        store.begin(group.name, group.title)
        if bench is None or group.name == PLANTED:
            store.running("the device", DEVICE_S)
            bench = _bench(store, group.name == PLANTED)
        started, left = time.monotonic(), until - time.time()
        print(f"\n== {group.name}: {group.title} ({left:.0f} s left)", flush=True)
        bench.until, bench.about = started + min(left, group.share * seconds), {}
        if left < LEAST_S:
            bench.add("every engine", SKIPPED, "no time left")
        else:
            try:
                group.make(bench)
            except DeviceLostError as error:
                store.running("the device", GRACE_S)
                store.give_up(f"the device does not answer any more: {error}")
                return LOST
            except Exception as error:  # a fault of the harness: the other groups are worth having
                bench.add("the group", "failed", f"{type(error).__name__}: {error}")
            bench.device.forget()
        store.end(time.monotonic() - started)
    return DONE


def _bench(store: Store, planted: bool) -> Bench:
    device: Any
    if planted:
        from .planted import NoDevice

        device = NoDevice()
    else:
        from .device import DryRun, Gpu

        device = DryRun() if store.result["dry"] else Gpu()
        if not cuda.usable():
            raise Unavailable("missing", cuda.describe()[0])
    store.result["device"] = device.about()
    return Bench(device, store, 0.0, store.result["scene_gpx"])


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
