"""The CUDA backend: what of it is usable here; models, plans and their memory on devices. Arrays
that live on a device: ``cuda.arrays``; pairs in host memory: ``cuda.host``."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..engine import CORE_FUSIONS, Settings
from ..errors import BackendError, CoreError, MemoryBudgetError, OptionError
from ..system import format_bytes
from ..weights import Model

PRECISIONS = ("fp32", "fp16", "bf16")
DTYPES = {"uint8": 0, "uint16": 1, "int16": 2, "float32": 3}
KEPT_PLANS = 4  # with their device memory, for the next pair of the same size
KEPT_MODELS = 16


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """The extension, or None where the package was built without it."""
    try:
        from .. import _cuda
    except ImportError:
        return None
    return _cuda


def module() -> Any:
    """The extension with at least one usable device.

    Raises
    ------
    BackendError
        With the reason why CUDA cannot be used.
    """
    found = _compiled()
    if found is None:
        raise BackendError(
            "backend: 'cuda' was not compiled in; need a build on a machine with nvcc; reinstall "
            "with PANTINY_CUDA=ON, or use backend='cpu'"
        )
    if not found.devices():
        raise BackendError(
            f"backend: 'cuda' finds no usable device ({found.error()}); need an NVIDIA GPU and "
            "its driver; use backend='cpu'"
        )
    return found


@contextmanager
def using(device: int) -> Iterator[Any]:
    """The extension, with ``device`` the current one of this thread."""
    core = module()
    before = core.use(device)
    try:
        yield core
    finally:
        core.use(before)


def usable() -> bool:
    """Whether pairs can be fused on a device here."""
    try:
        module()
    except BackendError:
        return False
    return True


def describe() -> list[str]:
    """Lines on the devices, for ``pantiny info``."""
    try:
        found = module()
    except BackendError as error:
        return [f"backend cuda: not usable: {error}"]
    lines = [f"backend cuda: usable, compiled for {found.ARCHITECTURES}"]
    for i, (name, capability, processors, memory) in enumerate(found.devices()):
        lines.append(
            f"device cuda:{i}: {name}, compute capability {capability // 10}.{capability % 10}, "
            f"{processors} multiprocessors, {format_bytes(memory)}"
        )
    return lines


def check_model(model: Model, precision: str) -> None:
    """Refuse a network or precision that no kernel was compiled for.

    Raises
    ------
    BackendError
    """
    if not module().supports(_arch(model), _precision(precision)):
        v = model.variant
        raise BackendError(
            f"model: {model.name} (width {v.channels}, {v.heads} heads, fusion {v.fusion!r}, "
            f"{v.bands} bands) in {precision} has no CUDA kernels; need width 28 or 40, 4 bands, "
            "enhanced_conv; use backend='cpu'"
        )


def parse_devices(device: Any) -> tuple[int, ...]:
    """Numbers of the devices that an option names, ascending; None: the first.

    Parameters
    ----------
    device : None, int, str, torch.device or sequence of these
        ``"cuda"``, ``"cuda:1"``, ``"0,1"``.

    Raises
    ------
    OptionError
    """
    count = len(module().devices())

    def refuse(what: str) -> OptionError:
        return OptionError(
            f"device: got {device!r}, {what}; need numbers from 0 to {count - 1}, each once, such "
            "as 0, 'cuda:0' or [0, 1]; leave it out for the first device"
        )

    several = device.split(",") if isinstance(device, str) else device
    if not isinstance(several, (list, tuple)):
        several = [several]
    found = []
    for one in several:
        if one is None or str(one) == "cuda":
            number: int | None = 0
        elif isinstance(one, bool):
            number = None
        else:
            text = str(one).strip().removeprefix("cuda:")
            number = int(text[:9]) if text.isdecimal() else None  # there are fewer than 10^8
        if number is None:
            raise refuse("which names no device")
        if number >= count:
            raise refuse("which is not there")
        found.append(number)
    if not found or len(set(found)) < len(found):
        raise refuse("none" if not found else "one of them twice")
    return tuple(sorted(found))


def _precision(name: str) -> int:
    found = module()
    return int({"fp32": found.FP32, "fp16": found.FP16, "bf16": found.BF16}[name])


def _arch(model: Model) -> list[int]:
    v = model.variant
    fusion = CORE_FUSIONS.get(v.fusion, -1)
    return [v.bands, v.channels, v.heads, v.encoder_blocks, v.body_blocks, fusion]


@dataclass(frozen=True)
class Geometry:
    """What a plan is made for: sizes and grids of a batch.

    Attributes
    ----------
    images : int
    shape, ms_shape : (int, int)
        PAN and MS grid.
    scale, offset : (float, float)
        Where PAN pixels fall on the MS grid (see ``grid.Pairing``).
    consistency : int
    gains : tuple of float
        MTF gain of each band of the network.
    """

    images: int
    shape: tuple[int, int]
    ms_shape: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    consistency: int
    gains: tuple[float, ...]


def scene_of(g: Geometry) -> Any:
    """The same as the core takes it."""
    return module().Scene(
        images=g.images,
        shape=g.shape,
        ms_shape=g.ms_shape,
        scale=g.scale,
        offset=g.offset,
        consistency=g.consistency,
        gains=list(g.gains),
    )


@dataclass
class Kept:
    """A plan with what its runs need."""

    plan: Any
    scratch: Any  # of the scale contract
    dn_per_unit: Any
    lock: threading.Lock
    peak: Any = None  # copied to dn_per_unit


def allocate(size: int) -> Any:
    """Memory on the current device.

    Raises
    ------
    MemoryBudgetError
    """
    try:
        return module().Memory(max(1, size))
    except RuntimeError as error:
        raise MemoryBudgetError(
            f"memory: the device refuses {format_bytes(size)} ({error}); free memory there, or use "
            "backend='cpu'"
        ) from error


class _Store:
    """Models and plans with their device memory; the plans used last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._plans: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()

    def model(self, model: Model, precision: str, device: int) -> Any:
        key = (model.sha256, precision, device)
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
            else:
                check_model(model, precision)
                while len(self._models) >= KEPT_MODELS:
                    self._models.popitem(last=False)
                self._models[key] = module().Model(
                    _arch(model), _precision(precision), dict(model.tensors)
                )
            return self._models[key]

    def plan(
        self, model: Model, precision: str, device: int, stream: int, geometry: Geometry
    ) -> Kept:
        handle = self.model(model, precision, device)
        key = (model.sha256, precision, device, stream, geometry)
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
            while len(self._plans) >= KEPT_PLANS:
                self._plans.popitem(last=False)
            try:
                kept = self._made(handle, geometry)
            except MemoryBudgetError:
                if not self._plans:
                    raise
                self._plans.clear()
                kept = self._made(handle, geometry)
            self._plans[key] = kept
            return kept

    @staticmethod
    def _made(handle: Any, g: Geometry) -> Kept:
        core, scene = module(), scene_of(g)
        try:
            need = core.plan_bytes(handle, scene)
        except RuntimeError as error:
            raise CoreError(
                f"plan: refused by the CUDA core ({error}); need at most 2^30 PAN pixels an image, "
                "524280 PAN rows and 65535 MS rows; cut the scene, or use backend='cpu'"
            ) from error
        try:
            plan = core.Plan(handle, scene)
            scratch = core.Memory(core.scale_bytes(g.images))
            dn_per_unit = core.Memory(8 * g.images)
        except RuntimeError as error:
            raise MemoryBudgetError(
                f"memory: the device refuses {format_bytes(need)} for {g.images} image(s) of "
                f"{g.shape[0]}x{g.shape[1]} pixels ({error}); need smaller images or batches, or "
                "images in host memory, which are fused in bands"
            ) from error
        return Kept(plan, scratch, dn_per_unit, threading.Lock())

    def bytes(self, device: int) -> int:
        """Device memory of the plans, which goes when another needs it."""
        with self._lock:
            return sum(k.plan.bytes for key, k in self._plans.items() if key[2] == device)

    def drop_plans(self, device: int) -> None:
        """Give the memory of a device's plans back."""
        with self._lock:
            for key in [k for k in self._plans if k[2] == device]:
                del self._plans[key]

    def kept(self) -> list[Kept]:
        """The plans kept, that used last at the end."""
        with self._lock:
            return list(self._plans.values())

    def clear(self) -> None:
        with self._lock:
            self._plans.clear()
            self._models.clear()


store = _Store()


def clear() -> None:
    """Give back the memory kept for the next pair of the same size."""
    from .lanes import lanes

    store.clear()
    lanes.clear()


# One device array as the core takes it: (address, dtype, strides of image, band, row and column in
# samples).
Samples = tuple[int, int, list[int]]
Mask = tuple[int, list[int]]
NO_MASK: Mask = (0, [0, 0])


def run_plan(
    kept: Kept,
    *,
    out: Samples,
    out_bands: list[int],
    settings: Settings,
    stream: int,
    **images: Any,
) -> None:
    """Queue a plan; see ``core.Input`` and ``core.Output`` for the images."""
    core = module()
    try:
        kept.plan.run(
            core.Input(**images, dn_per_unit=kept.dn_per_unit.address),
            core.Output(
                out=out,
                bands=out_bands,
                low=settings.low,
                high=settings.high,
                fill=settings.fill,
                reserve=settings.reserve,
            ),
            stream,
        )
    except RuntimeError as error:
        raise CoreError(f"the CUDA core refuses the pair: {error}") from error
