"""The machine block: what makes the numbers, and nothing that identifies the host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pantiny
from pantiny.engine import core
from pantiny.system import usable_cores

PACKAGES = (
    "pantiny",
    "numpy",
    "rasterio",
    "torch",
    "torchmetrics",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "triton",
    "tensorrt",
    "fused_ssim",
)
FLAGS = (
    "sse4_2 avx avx2 fma f16c avx_vnni avx512f avx512bw avx512vl avx512_vnni avx512_bf16 "
    "avx512_fp16 amx_tile amx_bf16 amx_int8 asimd asimdhp asimddp bf16 sve sve2"
).split()
VARIABLES = (
    "PANTINY_ISA OMP_NUM_THREADS OMP_WAIT_POLICY OMP_PROC_BIND OMP_DYNAMIC OMP_THREAD_LIMIT "
    "KMP_AFFINITY KMP_BLOCKTIME GOMP_SPINCOUNT MKL_NUM_THREADS MALLOC_ARENA_MAX MALLOC_MMAP_MAX_ "
    "MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_ MALLOC_TOP_PAD_ GDAL_NUM_THREADS GDAL_CACHEMAX"
).split()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _field(lines: Iterable[str], *names: str) -> str | None:
    """The value of the first ``name : value`` line."""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return None


def _caches() -> dict[str, str]:
    """Size of each cache that the first core sees, such as ``{"L2": "512K"}``."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ("".join(_lines(str(folder / f))) for f in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _compiler() -> str | None:
    """What the compiled core's file says of its compiler."""
    try:
        data = Path(core().__file__).read_bytes()
    except (OSError, TypeError):
        return None
    match = re.search(rb"(GCC: \([^)\0]*\) [\d.]+|clang version [\d.]+)", data)
    return match[1].decode("ascii", "replace") if match else None


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def versions() -> dict[str, str | None]:
    """Python and every package that takes part; None: not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    found["pantiny"] = pantiny.__version__
    return found


def commit() -> dict[str, Any]:
    """Hash of the checkout the package is run from, and whether a tracked file differs."""
    root = Path(pantiny.__file__).resolve().parents[1]

    def git(*words: str) -> str | None:
        try:
            run = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
        except OSError:
            return None
        return run.stdout.strip() if run.returncode == 0 else None

    head = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    changed = git("status", "--porcelain", "--untracked-files=no") if head else None
    return {"commit": head, "dirty": None if changed is None else bool(changed)}


def machine() -> dict[str, Any]:
    """The block that goes into every result."""
    cpuinfo = _lines("/proc/cpuinfo")
    present = set((_field(cpuinfo, "flags", "Features") or "").split())
    memory = _field(_lines("/proc/meminfo"), "MemTotal")
    load = _lines("/proc/loadavg")
    return {
        "cpu": _field(cpuinfo, "model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "flags": [f for f in FLAGS if f in present],
        "caches": _caches(),
        "cores": usable_cores(),
        "memory_bytes": int(memory.split()[0]) * 1024 if memory else None,
        "load_1min": float(load[0].split()[0]) if load else None,
        "system": _system(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "isa": core().isa(),
        "isa_usable": core().isa_usable().split(),
        "compiler": _compiler(),
        "versions": versions(),
        **commit(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def available_memory() -> int:
    """Bytes of host memory that can be taken without swapping; 0: not known."""
    text = _field(_lines("/proc/meminfo"), "MemAvailable")
    return int(text.split()[0]) * 1024 if text else 0


def slug(block: dict[str, Any]) -> str:
    """A file name made from CPU and instruction set, such as ``amd-epyc-avx2``."""
    return re.sub(r"[^a-z0-9]+", "-", f"{block['cpu']} {block['isa']}".lower()).strip("-")
