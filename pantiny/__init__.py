"""pantiny: pan-sharpening of satellite images.

    import pantiny
    sharp = pantiny.fuse(ms, pan, sensor="WV2")
    pantiny.fuse_files("ms.tif", "pan.tif", "sharp.tif")

Nothing heavy is imported until it is used; torch only by ``pantiny.nn`` and
``pantiny.training``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "fuse": "api",
    "fuse_files": "scene",
    "degrade_files": "degrade.files",
    "degrade_pair": "degrade",
    "load_model": "weights",
    "save_model": "weights",
    "Model": "weights",
    "PanTinyError": "errors",
}
_MODULES = (
    "benchmarks",
    "classical",
    "demo",
    "degrade",
    "errors",
    "evaluate",
    "kernels",
    "metrics",
    "nn",
    "sensors",
    "training",
    "weights",
)

__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from .api import fuse as fuse
    from .degrade import degrade_files as degrade_files
    from .degrade import degrade_pair as degrade_pair
    from .errors import PanTinyError as PanTinyError
    from .scene import fuse_files as fuse_files
    from .weights import Model as Model
    from .weights import load_model as load_model
    from .weights import save_model as save_model


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'pantiny' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])
