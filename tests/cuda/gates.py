"""Compile gates: registers and spills of every CUDA kernel, as ptxas told them in a build's log.

PANTINY_CUDA=ON pip wheel -v --no-deps . 2>&1 | tee build.log
python tests/cuda/gates.py build.log            # against tests/cuda/budgets.json
python tests/cuda/gates.py build.log --record   # makes it
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

BUDGETS = Path(__file__).with_name("budgets.json")
ARCHITECTURES = ("sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_120")
# a new compiler may take a few more; a spill costs memory traffic in the innermost loops
MORE_REGISTERS, MORE_SPILLS = 8, 16
_ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\d+)'")
_SPILL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
Usage = dict[str, dict[str, list[int]]]  # kernel -> architecture -> [registers, spilled bytes]


def parse(log: str) -> Usage:
    """Registers and bytes spilled (stored and loaded) of every kernel and architecture."""
    found: list[tuple[str, str, int, int]] = []
    name = architecture = ""
    spilled = 0
    for line in log.splitlines():
        if entry := _ENTRY.search(line):
            name, architecture = entry.groups()
        elif spill := _SPILL.search(line):
            spilled = int(spill[2]) + int(spill[3])
        elif (used := _USED.search(line)) and name:
            found.append((name, architecture, int(used[1]), spilled))
            name = ""
    plain = plain_names({f[0] for f in found})
    usage: Usage = {}
    for mangled, architecture, registers, spills in found:
        usage.setdefault(plain[mangled], {})[architecture] = [registers, spills]
    return usage


def plain_names(mangled: Iterable[str]) -> dict[str, str]:
    """What kernels are called, by their symbols."""
    names = sorted(mangled)
    told = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: _short(text) for name, text in zip(names, told, strict=True)}


def _short(text: str) -> str:
    """``FloatSegment<Width<28, 2>, true, true>`` of ``void pantiny::cuda::entry<...>(...)``."""
    inner = text[text.index("entry<") + len("entry<") : text.index(">(")]
    for noise in ("pantiny::cuda::", "(anonymous namespace)::", "pantiny::"):
        inner = inner.replace(noise, "")
    return inner.strip()


def compare(usage: Usage, budgets: Usage) -> list[str]:
    """What is over its budget, missing or new."""
    wrong = [f"{k}: in the budget, not in the build" for k in budgets if k not in usage]
    for kernel, of_architectures in sorted(usage.items()):
        if kernel not in budgets:
            wrong.append(f"{kernel}: has no budget; record it")
            continue
        for architecture in ARCHITECTURES:
            if architecture not in of_architectures:
                wrong.append(f"{kernel}: not compiled for {architecture}")
                continue
            registers, spills = of_architectures[architecture]
            most, most_spills = budgets[kernel][architecture]
            if registers > most + MORE_REGISTERS or spills > most_spills + MORE_SPILLS:
                wrong.append(
                    f"{kernel} on {architecture}: {registers} registers, {spills} bytes spilled; "
                    f"budget {most} and {most_spills}"
                )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    usage = parse(arguments.log.read_text())
    if not usage:
        print("the log tells of no kernel: was it built with PANTINY_CUDA=ON and pip -v?")
        return 1
    if arguments.record:
        BUDGETS.write_text(json.dumps(usage, indent=1, sort_keys=True) + "\n")
    wrong = compare(usage, json.loads(BUDGETS.read_text()))
    print("\n".join(wrong) or f"{len(usage)} kernels within their budgets")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
