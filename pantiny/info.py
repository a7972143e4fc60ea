"""What is usable here, and why the rest is not."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator

from . import __version__, cuda
from .engine import core
from .errors import PanTinyError
from .sensors import SENSORS
from .system import format_bytes, resident_bytes, usable_cores
from .weights import load_model, packaged_models


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def lines() -> Iterator[str]:
    """The report of ``pantiny info``, line by line."""
    yield f"pantiny {__version__}, Python {platform.python_version()}, {platform.platform()}"
    try:
        c = core()
        yield f"backend cpu: usable, instruction set {c.isa()} (usable here: {c.isa_usable()})"
        bf16 = "usable" if c.bf16_usable() else "not usable: needs AVX512-BF16 and avx512"
        yield f"precision fp32: usable; bf16: {bf16}"
    except PanTinyError as error:
        yield f"backend cpu: not usable: {error}"
    yield "backend reference: usable (numpy, float64, slow)"
    yield from cuda.describe()
    yield "backend triton: not in this version"
    yield f"cores: {usable_cores()}; memory held now: {format_bytes(resident_bytes())}"
    for name in packaged_models():
        model = load_model(name)
        yield (
            f"model {name}: {model.variant.parameter_count():,} parameters, bands "
            f"{', '.join(model.bands)}, contract {model.contract}, consistency "
            f"{model.consistency}, sha256 {model.sha256[:12]}"
        )
    for package, extra in (("torch", "train"), ("h5py", "train"), ("triton", "triton")):
        version = _version(package)
        yield (
            f"{package}: {version}"
            if version
            else f"{package}: not installed; pip install 'pantiny[{extra}]'"
        )
    for package in ("numpy", "rasterio", "safetensors"):
        yield f"{package}: {_version(package)}"
    yield f"sensors: {', '.join(SENSORS)}"
