"""Builds CUDA sources for the emulator (the host compiler) or, with a GPU, by nvcc."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMON = ("csrc/cuda/error.cc", "csrc/cuda/emulator.cc", "csrc/cuda/emulated_memory.cc")
_INCLUDE = re.compile(r'^\s*#\s*include "([^"]+)"', re.MULTILINE)
WITH_GPU = os.environ.get("PANTINY_TEST_GPU") == "1"
Fault = tuple[str, str, str]  # file, text, what replaces its first occurrence
_LOADED: dict[tuple[tuple[str, ...], tuple[Fault, ...]], ctypes.CDLL] = {}


def cache() -> Path:
    """Where built libraries are kept."""
    at = ROOT / "build" / "emulated"
    at.mkdir(parents=True, exist_ok=True)
    return at


def _worker() -> str:
    return f"{os.getpid()}-{threading.get_ident()}"


def _digest(parts: Sequence[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part + b"\0")
    return total.hexdigest()[:20]


def _content(root: Path, source: str) -> bytes:
    """A source and all headers of the checkout that it includes."""
    found: dict[Path, bytes] = {}
    left = [root / source]
    while left:
        file = left.pop()
        if file in found:
            continue
        found[file] = file.read_bytes()
        for name in _INCLUDE.findall(found[file].decode()):
            places = (root / name, root / "csrc" / name, file.parent / name)
            left += [p for p in places if p.exists()][:1]
    return b"\0".join(found[f] for f in sorted(found))


def _compile(root: Path, source: str, out: Path) -> None:
    include = ["-I", str(root), "-I", str(root / "csrc")]
    if WITH_GPU:
        command = ["nvcc", "-x", "cu", "-std=c++17", "-O3", "-arch=native", "-lineinfo"]
        command += ["-Xcompiler", "-fPIC", *include, "-c", str(root / source), "-o", str(out)]
    else:
        command = ["g++", "-x", "c++", "-std=c++17", "-O1", "-g0", "-fPIC", "-Wall", "-Wextra"]
        # half precision in hardware where there is some: conversions dominate otherwise
        command += ["-march=native", "-ffp-contract=off", "-Werror", "-Wno-unknown-pragmas"]
        command += [*include, "-c", str(root / source), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def library(sources: Sequence[str], faults: Sequence[Fault] = ()) -> ctypes.CDLL:
    """A library of the sources (relative to the checkout), built once per content.

    Parameters
    ----------
    sources : sequence of str
    faults : sequence of (file, text, replacement)
        Seeded into a copy of the tree before it is built; the text must occur.
    """
    key = tuple(sources), tuple(faults)
    if key not in _LOADED:
        with tempfile.TemporaryDirectory() as scratch:
            root = _seeded(Path(scratch), faults) if faults else ROOT
            _LOADED[key] = ctypes.CDLL(str(_build(root, sources)))
    return _LOADED[key]


def _seeded(root: Path, faults: Sequence[Fault]) -> Path:
    """The checkout with the faults: what they leave alone are links."""
    changed: dict[Path, str] = {}
    for file, text, replacement in faults:
        content = changed.get(Path(file)) or (ROOT / file).read_text()
        if text not in content:
            raise ValueError(f"{file}: {text!r} does not occur: the fault cannot be seeded")
        changed[Path(file)] = content.replace(text, replacement, 1)
    folders = {folder for file in changed for folder in file.parents}
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for entry in (ROOT / folder).iterdir():
            name = folder / entry.name
            if name not in folders and name not in changed:
                (root / name).symlink_to(entry)
    for file, content in changed.items():
        (root / file).write_text(content)
    return root


def _build(root: Path, sources: Sequence[str]) -> Path:
    common = ("csrc/cuda/error.cc", "csrc/cuda/memory.cu") if WITH_GPU else COMMON
    kind = b"gpu" if WITH_GPU else b"emulated"
    objects = []
    for source in (*common, *sources):
        name = _digest([kind, source.encode(), _content(root, source)])
        target = cache() / f"{name}.o"
        if not target.exists():
            partial = target.with_suffix(f".{_worker()}.o")
            _compile(root, source, partial)
            partial.rename(target)
        objects.append(target)
    name = _digest([kind, *(o.name.encode() for o in objects)])
    target = cache() / f"{name}.so"
    if not target.exists():
        partial = target.with_suffix(f".{_worker()}.so")
        linker = ["nvcc", "-shared"] if WITH_GPU else ["g++", "-shared"]
        subprocess.run([*linker, "-o", str(partial), *map(str, objects)], check=True)
        partial.rename(target)
    return target
