"""The CUDA backend: what of it is usable here; models, plans and their memory on devices; pairs
in host memory fused on a device. Arrays that live on a device: ``cuda_arrays``."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .engine import CORE_FUSIONS, Progress, Settings, Sink, Source
from .errors import BackendError, CoreError, MemoryBudgetError
from .system import format_bytes
from .weights import Model

PRECISIONS = ("fp32", "fp16", "bf16")
DTYPES = {"uint8": 0, "uint16": 1, "int16": 2, "float32": 3}
KEPT_PLANS = 4  # with their device memory, for the next pair of the same size


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """The extension, or None where the package was built without it."""
    try:
        from . import _cuda
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


@dataclass
class Kept:
    """A plan with what its runs need."""

    plan: Any
    scratch: Any  # of the scale contract
    dn_per_unit: Any
    lock: threading.Lock


class _Store:
    """Models and plans with their device memory; the plans used last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[tuple[Any, ...], Any] = {}
        self._plans: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()

    def model(self, model: Model, precision: str, device: int) -> Any:
        key = (model.sha256, precision, device)
        with self._lock:
            if key not in self._models:
                check_model(model, precision)
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
            kept = self._made(handle, geometry)
            self._plans[key] = kept
            return kept

    def _made(self, handle: Any, g: Geometry) -> Kept:
        core = module()
        scene = core.Scene(
            images=g.images,
            shape=g.shape,
            ms_shape=g.ms_shape,
            scale=g.scale,
            offset=g.offset,
            consistency=g.consistency,
            gains=list(g.gains),
        )
        try:
            need = core.plan_bytes(handle, scene)
        except RuntimeError as error:
            raise CoreError(
                f"plan: refused by the CUDA core ({error}); need at most 2^30 PAN pixels an image "
                "and 65535 MS rows; cut the scene, or use backend='cpu'"
            ) from error
        try:
            plan = core.Plan(handle, scene)
            scratch = core.Memory(core.scale_bytes(g.images))
            dn_per_unit = core.Memory(8 * g.images)
        except RuntimeError as error:
            self._plans.clear()
            raise MemoryBudgetError(
                f"memory: the device refuses {format_bytes(need)} for {g.images} image(s) of "
                f"{g.shape[0]}x{g.shape[1]} pixels ({error}); need smaller images or batches, or "
                "backend='cpu', which streams"
            ) from error
        return Kept(plan, scratch, dn_per_unit, threading.Lock())

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
    """Give back the device memory kept for the next pair of the same size."""
    store.clear()


# One device array as the core takes it: (address, dtype, strides of image, band, row and column in
# samples).
Samples = tuple[int, int, list[int]]
Mask = tuple[int, list[int]]
NO_MASK: Mask = (0, [0, 0])


def _on_device(array: np.ndarray, stream: int) -> tuple[Any, np.ndarray]:
    whole = np.ascontiguousarray(array)
    memory = module().Memory(max(1, whole.nbytes))
    memory.copy_in(whole, stream)
    return memory, whole


def _plane_strides(shape: tuple[int, ...]) -> list[int]:
    """Strides [image, band, row, column] of a contiguous [K, H, W] or [H, W]."""
    rows, cols = shape[-2:]
    return [0, rows * cols, cols, 1]


def run_source(
    source: Source,
    sink: Sink,
    model: Model,
    groups: list[Any],
    scales: list[float],
    settings: Settings,
    precision: str,
    progress: Progress | None = None,
) -> None:
    """Fuse a pair in host memory on device 0, whole.

    Parameters
    ----------
    groups : list of Group
    scales : list of float
        DN per network value of each group.
    """
    core = module()
    before = core.use(0)
    try:
        _run_source(source, sink, model, groups, scales, settings, precision, progress)
    finally:
        core.use(before)


def _run_source(
    source: Source,
    sink: Sink,
    model: Model,
    groups: list[Any],
    scales: list[float],
    settings: Settings,
    precision: str,
    progress: Progress | None,
) -> None:
    core = module()
    height, width = source.shape
    ms_height = source.ms_shape[1]
    keep = []  # device memory must outlive the copies

    def put(array: np.ndarray) -> tuple[int, np.ndarray]:
        memory, whole = _on_device(array, 0)
        keep.append(memory)
        return memory.address, whole

    ms_at, ms = put(source.ms(0, ms_height))
    pan_at, pan = put(source.pan(0, height))
    valid, ms_valid = source.valid(0, height), source.ms_valid(0, ms_height)
    mask = NO_MASK if valid is None else (put(valid.astype(np.uint8))[0], [0, width])
    ms_width = source.ms_shape[2]
    ms_mask = NO_MASK if ms_valid is None else (put(ms_valid.astype(np.uint8))[0], [0, ms_width])
    dtype = DTYPES[str(sink.dtype)]
    for done, (group, scale) in enumerate(zip(groups, scales)):
        geometry = Geometry(
            1,
            source.shape,
            source.ms_shape[1:],
            settings.scale,
            settings.offset,
            settings.consistency,
            tuple(settings.gains[b] for b in group.read),
        )
        written = [b for b in group.write if b >= 0]
        slots = iter(range(len(written)))
        targets = [next(slots) if b >= 0 else -1 for b in group.write]
        out = np.empty((len(written), height, width), sink.dtype)
        result = core.Memory(out.nbytes)
        kept = store.plan(model, precision, 0, 0, geometry)
        with kept.lock:
            kept.dn_per_unit.copy_in(np.array([scale], np.float64))
            run_plan(
                kept,
                ms=(ms_at, DTYPES[str(ms.dtype)], _plane_strides(ms.shape)),
                pan=(pan_at, DTYPES[str(pan.dtype)], _plane_strides(pan.shape)),
                ms_bands=list(group.read),
                valid=mask,
                ms_valid=ms_mask,
                out=(result.address, dtype, _plane_strides(out.shape)),
                out_bands=targets,
                settings=settings,
                stream=0,
            )
            result.copy_out(out)
        sink.write(0, written, out)
        if progress:
            progress((done + 1) / len(groups))


def run_plan(kept: Kept, *, settings: Settings, stream: int, **images: Any) -> None:
    try:
        kept.plan.run(
            **images,
            dn_per_unit=kept.dn_per_unit.address,
            low=settings.low,
            high=settings.high,
            fill=settings.fill,
            reserve=settings.reserve,
            stream=stream,
        )
    except RuntimeError as error:
        raise CoreError(f"the CUDA core refuses the pair: {error}") from error
