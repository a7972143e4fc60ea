"""Runs the groups in a child process, and another where that dies; then the verdict."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..machine import machine
from ..report import machine_lines, target_lines
from .bench import line
from .rows import FAILED, OK, SKIPPED, WRONG, Store
from .worker import DEVICE_S, DONE

SECONDS, DRY_SECONDS = 520.0, 600.0
SCENE_GPX = 1.6
LATE_S = 20.0  # behind the end, for what was under way
MEANINGLESS = "DRY RUN on the emulator: times mean nothing"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pantiny.benchmarks.gpu", description=__doc__)
    parser.add_argument("out", type=Path, help="the JSON; a table goes beside it, as .md")
    parser.add_argument("--seconds", type=float, help=f"for all of it, default {SECONDS:.0f}")
    parser.add_argument(
        "--scene", type=float, default=SCENE_GPX, help="10^9 pixels of the scene, default 1.6"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tiny, on the emulator: checks the harness, no GPU"
    )
    found = parser.parse_args()
    results = Path(__file__).resolve().parents[1] / "results"
    if found.dry_run and results in found.out.resolve().parents:
        parser.error("out: a dry run measures nothing; need a file outside benchmarks/results")
    return found


def begun(asked: argparse.Namespace) -> Store:
    """A JSON without groups."""
    seconds = asked.seconds or (DRY_SECONDS if asked.dry_run else SECONDS)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.unlink(missing_ok=True)
    command = "python -m pantiny.benchmarks.gpu" + (" --dry-run" if asked.dry_run else "")
    store = Store(
        asked.out,
        {
            "command": f"{command} --seconds {seconds:g} --scene {asked.scene:g}",
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "dry": asked.dry_run,
            "note": MEANINGLESS if asked.dry_run else None,
            "seconds": seconds,
            "until": time.time() + seconds,
            "scene_gpx": 1e-6 if asked.dry_run else asked.scene,
            "device": None,
            "machine": machine(),
            "groups": [],
            "targets": [],
        },
    )
    store.write()
    return store


def watched(store: Store, command: Sequence[str]) -> str:
    """Run the worker; why it ended, or nothing if all is done."""
    until = store.result["until"]
    child = subprocess.Popen(command)
    started = time.time()
    try:
        while child.poll() is None:
            time.sleep(0.1)
            running = store.now()
            last = running["until"] if running else started + DEVICE_S
            if time.time() > min(last, until + LATE_S):
                return "gave no answer; its process was ended"
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    return "" if child.returncode == DONE else f"its process ended with {child.returncode}"


def page(result: dict[str, Any], said: str) -> str:
    """Targets, every row and the machine, as Markdown."""
    device = result["device"] or {}
    title = ", ".join(f"{key} {value}" for key, value in device.items())
    out = ["# On a GPU", "", result["note"] or title, "", *target_lines(result["targets"])]
    for group in result["groups"]:
        seconds = group["seconds"]
        out += [f"## {group['name']}", "", f"{group['title']}; {seconds} s", "", "```text"]
        out += [*(line(row) for row in group["rows"]), "```", ""]
    out += result.get("errors", [])
    return "\n".join([*out, *machine_lines(result["machine"]), said, ""])


def main() -> int:
    """Measure, judge, print; 1 if anything is wrong or failed."""
    asked = options()
    store = begun(asked)
    worker = [sys.executable, "-m", f"{__package__}.worker", str(asked.out)]
    groups = -1
    while len(store.result["groups"]) > groups:  # each process gets further than the one before
        groups = len(store.result["groups"])
        why = watched(store, worker)
        store = Store(asked.out)
        if not why:
            break
        print(f"\n{why}", flush=True)
        last = store.result["groups"][-1:]
        if not last or last[0]["seconds"] is None:
            store.give_up(why)
    from .verdict import verdict

    store.result["targets"] = verdict(store.result)
    store.idle()
    store.write()
    counts = {s: 0 for s in (OK, WRONG, FAILED, SKIPPED)}
    for group in store.result["groups"]:
        for row in group["rows"]:
            counts[row["status"]] += 1
    said = ", ".join(f"{n} {status}" for status, n in counts.items())
    text = page(store.result, f"Rows: {said}.")
    asked.out.with_suffix(".md").write_text(text)
    print(f"\n{text}")
    return 1 if counts[WRONG] or not counts[OK] else 0


if __name__ == "__main__":
    sys.exit(main())
