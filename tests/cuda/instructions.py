"""Compile gate: instructions per pixel of the main kernels, counted in their disassembly.

pip install -c constraints.txt nvidia-cuda-nvdisasm     # and nvcc on the PATH
python tests/cuda/instructions.py                       # against tests/cuda/instructions.json
python tests/cuda/instructions.py --record              # makes it
python tests/cuda/instructions.py --table               # prints it as Markdown
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

if __package__:
    from .gates import plain_names
    from .sass import CLASSES, REST, StructureError, count, parse
else:
    from gates import plain_names
    from sass import CLASSES, REST, StructureError, count, parse

ROOT = Path(__file__).parents[2]
BUDGETS = Path(__file__).with_name("instructions.json")
ARCHITECTURES = ("sm_80", "sm_90")
MORE = 0.05  # of a kernel's instructions
PACKAGE = "nvidia-cuda-nvdisasm"


class Kernel(NamedTuple):
    source: str
    name: str  # as gates.py tells it
    threads: int
    pixels: int  # that a tile owns
    trips: list[int]  # of its loops (sass.count)
    products: int  # mma of a warp on the longest path
    shares: list[Fraction]


def _half(op: str, what: str, trips: list[int], products: int, halo: int = 2) -> Kernel:
    """A 16-bit kernel, width 28, in the tile of 60 x 13."""
    name = what.format("Half, Width<28, 2>, Tile<4, 3, 5>")
    pixels = (64 - 2 * halo) * (17 - 2 * halo)
    return Kernel(f"kernels/{op}_half_cuda.cu", name, 384, pixels, trips, products, [])


# Products: 8 or 6 a row and chunk of 32 channels. A warp has 5 inner rows, those at the ends 6.
KERNELS = {
    # loops: 3 chunks of gates, half a chunk follows; sums of a head, one a thread; 2 heads
    # products: mix 6 * 8; gates 3 (6 * 8 + 5 * 4) + 6 * 4 + 5 * 4; heads 2 (5 * 8 + 5 * 6); v 5 * 8
    "boundary fp16": _half("boundary/boundary", "BlockHalf<{}, (BlockPart)0>", [3, 1, 2], 476),
    # loops: MS columns mixed, in each of 4 sample types, 17 rows * 4 bands * 20 columns (PAN four
    # times finer) over the threads; pixels; those without all samples (no mask: none)
    # products: 5 rows * 4 tiles * 3 steps
    "head fp16": _half("head/head", "HeadHalf<{}>", [4, 4, 4, 4, 3, 0], 60, halo=1),
    # loops: the columns of each 3x3, its 3 rows of taps at once; products: 2 * 9 taps * 5 rows * 4
    # tiles * 2 steps
    "fuse fp16": _half("fusion/fusion", "FuseHalf<{}>", [3, 3], 720),
    # the second 3x3 has 1 tile of outputs; loops between them: as in the head, of 13 rows and 19
    # columns; after them: pixels without all samples
    "tail fp16": _half("tail/tail", "TailHalf<{}>", [3, 3, 3, 3, 3, 3, 0], 450),
    # Copies are unrolled by 4 and a rest: threads copy once or not at all, so that the unrolled
    # loops do not run. The matrix: rest, unrolled; a chunk of gates: unrolled, rows in pairs,
    # gates, 4 chunks; a group of planes: unrolled, rows in pairs, pixels of a warp's quarter, sums
    # of warps (unrolled), 3 groups, of which 2 are heads.
    "boundary fp32": Kernel(
        "kernels/boundary/boundary_cuda.cu",
        "FloatSegment<Width<28, 2>, true, true>",
        512,
        28 * 12,
        [1, 0, 0, 14, 14, 4, 0, 14, 4, 0, 3],
        0,
        [Fraction(2, 3)],
    ),
}
Budgets = dict[str, dict[str, dict[str, float]]]  # architecture -> kernel -> class -> a pixel


def nvdisasm() -> str | None:
    """The one of the Python package, else the one on the PATH."""
    try:
        for file in importlib.metadata.files(PACKAGE) or []:
            if file.name == "nvdisasm":
                return str(file.locate())
    except importlib.metadata.PackageNotFoundError:
        pass
    return shutil.which("nvdisasm")


def disassemble(tool: str, source: str, architecture: str, folder: Path) -> str:
    """Disassembly of a source, compiled as CMake does."""
    cubin = folder / f"{Path(source).stem}_{architecture}.cubin"
    number = architecture.removeprefix("sm_")
    command = ["nvcc", "-O3", "-DNDEBUG", "-std=c++17", "-I.", "-Icsrc", "-cubin"]
    command += [f"-gencode=arch=compute_{number},code={architecture}", "-o", str(cubin), source]
    subprocess.run(command, cwd=ROOT, check=True)
    return subprocess.run(
        [tool, "-c", str(cubin)], capture_output=True, text=True, check=True
    ).stdout


def of_kernel(kernel: Kernel, text: str) -> dict[str, float]:
    """Thread instructions a pixel that a tile owns, by class, and in all."""
    found = parse(text)
    # some c++filt put a blank between closing brackets
    names = {n.replace("> >", ">>"): mangled for mangled, n in plain_names(found).items()}
    if kernel.name not in names:
        raise StructureError(f"{kernel.name} is not in {kernel.source}")
    counted = count(found[names[kernel.name]], kernel.trips, kernel.shares)
    if counted["tensor"] != kernel.products:
        raise StructureError(f"{counted['tensor']} products of a warp, must be {kernel.products}")
    a_pixel = kernel.threads / kernel.pixels
    result = {c: round(counted[c] * a_pixel, 1) for c in [*CLASSES, REST]}
    result["all"] = round(sum(counted.values()) * a_pixel, 1)
    return result


def compare(measured: Budgets, budgets: Budgets) -> list[str]:
    """What is over its budget, missing or new."""
    wrong = []
    for architecture in sorted(measured.keys() | budgets.keys()):
        of_kernels = measured.get(architecture, {})
        of_budgets = budgets.get(architecture, {})
        for name in sorted(of_kernels.keys() | of_budgets.keys()):
            where = f"{name} on {architecture}"
            if name not in of_kernels:
                wrong.append(f"{where}: in the budget, not counted")
                continue
            if name not in of_budgets:
                wrong.append(f"{where}: has no budget; record it")
                continue
            now, then = of_kernels[name], of_budgets[name]
            if now["all"] > then["all"] * (1 + MORE):
                more = [f"{c} {then[c]} -> {now[c]}" for c in now if now[c] > then[c]]
                wrong.append(f"{where}: over its budget by more than 5 %: {', '.join(more)}")
            if now["local loads"] > then["local loads"]:
                wrong.append(
                    f"{where}: {now['local loads']} loads from local memory a pixel, "
                    f"budget {then['local loads']}"
                )
    return wrong


def table(budgets: Budgets) -> str:
    """The budgets as a Markdown table."""
    kinds = ["all", *CLASSES, REST]
    lines = ["| kernel | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for architecture, of_kernels in budgets.items():
        for name, n in of_kernels.items():
            cells = " | ".join(f"{n[kind]:,.0f}" for kind in kinds)
            lines.append(f"| {name}, {architecture} | {cells} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(BUDGETS.read_text())))
        return 0
    if not shutil.which("nvcc"):
        print("no nvcc here: instructions are not counted")
        return 0
    tool = nvdisasm()
    if tool is None:
        print(f"no nvdisasm: pip install -c constraints.txt {PACKAGE}")
        return 1
    measured: Budgets = {a: {} for a in ARCHITECTURES}
    wrong: list[str] = []
    jobs = [(a, name) for a in ARCHITECTURES for name in KERNELS]  # one kernel a source
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = pool.map(
            lambda job: disassemble(tool, KERNELS[job[1]].source, job[0], Path(folder)), jobs
        )
        for (architecture, name), text in zip(jobs, texts, strict=True):
            try:
                measured[architecture][name] = of_kernel(KERNELS[name], text)
            except StructureError as error:
                wrong.append(f"{name} on {architecture}: {error}; see KERNELS")
    if arguments.record and not wrong:
        BUDGETS.write_text(json.dumps(measured, indent=1) + "\n")
    if not BUDGETS.exists():
        wrong.append(f"{BUDGETS.name} does not exist: --record makes it")
    else:
        wrong += compare(measured, json.loads(BUDGETS.read_text()))
    print("\n".join(wrong) or f"{len(jobs)} kernels within their instructions a pixel")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
