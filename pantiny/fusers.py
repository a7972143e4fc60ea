"""What ``method=`` names: the network and the classical methods behind one set of calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from . import cuda
from .bands import band_groups
from .classical import METHODS
from .classical_fit import Cubic, classical_method
from .classical_stream import BandLayout, ClassicalRun, choose_bands
from .cuda.arrays import Pair, fuse_on_device
from .cuda.host import run_source
from .cuda.layout import choose_device_layout
from .cuda.whole import images_a_run, run_whole
from .engine import Progress, Settings, Sink, Source, choose_layout, run
from .errors import BackendError, OptionError
from .options import Radiometry, check_backend, check_consistency, check_precision
from .rounding import to_dn
from .survey import look, survey
from .weights import Model, load_model

log = logging.getLogger("pantiny")

NETWORK = "pantiny"
DEFAULT_MODEL = "tiny"


class AnyLayout(Protocol):
    """How a run is cut up; attributes as in ``engine.Layout``."""

    @property
    def band_rows(self) -> int: ...

    @property
    def threads(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    def describe(self, budget: int) -> str: ...


class Fuser(Protocol):
    """One method, from options to pixels, in the order of the calls."""

    consistency: int
    precision: str

    def prepare(self, names: Sequence[str] | None, rad: Radiometry) -> None:
        """The bands: their names and MTF gains."""

    def layout(self, source: Source, dtype: np.dtype, settings: Settings) -> AnyLayout:
        """How to cut the run up so that it fits the budget."""

    def survey(self, source: Source, rad: Radiometry, rows: int = 256) -> None:
        """One look at all pixels."""

    def run(
        self,
        source: Source,
        sink: Sink,
        settings: Settings,
        layout: Any,
        progress: Progress | None = None,
    ) -> None:
        """Every pixel."""

    def tags(self) -> dict[str, str]:
        """What the output says of the method."""


class NetworkFuser:
    """The network, by the compiled core."""

    def __init__(self, model: Model, precision: str, consistency: int) -> None:
        self.model, self.precision, self.consistency = model, precision, consistency

    def prepare(self, names: Sequence[str] | None, rad: Radiometry) -> None:
        self._groups = band_groups(len(rad.gains), names, self.model.variant.bands)

    def layout(self, source: Source, dtype: np.dtype, settings: Settings) -> AnyLayout:
        return choose_layout(source, dtype, self.model, settings)

    def survey(self, source: Source, rad: Radiometry, rows: int = 256) -> None:
        groups = [g.read for g in self._groups]
        self._scales = survey(source, rad, groups, self.model.contract, rows)

    def run(
        self,
        source: Source,
        sink: Sink,
        settings: Settings,
        layout: Any,
        progress: Progress | None = None,
    ) -> None:
        run(source, sink, self.model, self._groups, self._scales, settings, layout, progress)

    def tags(self) -> dict[str, str]:
        return {
            "PANTINY_METHOD": NETWORK,
            "PANTINY_MODEL": self.model.name,
            "PANTINY_MODEL_SHA256": self.model.sha256,
            "PANTINY_CONSISTENCY": str(self.consistency),
            "PANTINY_PRECISION": self.precision,
            "PANTINY_DN_PER_UNIT": " ".join(f"{s:.9g}" for s in self._scales),
        }


class WholeFuser(NetworkFuser):
    """The network, all rows at once."""

    def layout(self, source: Source, dtype: np.dtype, settings: Settings) -> AnyLayout:
        height = source.shape[0]
        return BandLayout(height, height, height, 1, 0)


class CudaFuser(NetworkFuser):
    """The network on one or several GPUs."""

    def __init__(
        self, model: Model, precision: str, consistency: int, devices: tuple[int, ...]
    ) -> None:
        super().__init__(model, precision, consistency)
        self.devices = devices

    def layout(self, source: Source, dtype: np.dtype, settings: Settings) -> AnyLayout:
        return choose_device_layout(
            source, dtype, self.model, self.precision, self._groups, self.devices, settings
        )

    def run(
        self,
        source: Source,
        sink: Sink,
        settings: Settings,
        layout: Any,
        progress: Progress | None = None,
    ) -> None:
        run_source(
            source,
            sink,
            self.model,
            self._groups,
            self._scales,
            settings,
            layout,
            self.precision,
            progress,
        )

    def run_all(
        self,
        source_of: Callable[[int], Source],
        sinks: Sequence[Sink],
        settings: Settings,
        rad: Radiometry,
        progress: Progress | None = None,
    ) -> int:
        """Images of a batch, several in one run where that is better; how many were fused."""
        if settings.tile is not None or len(self.devices) > 1:
            return 0
        device, total = self.devices[0], len(sinks)
        together = images_a_run(
            source_of(0),
            sinks[0].dtype,
            self.model,
            self.precision,
            self._groups,
            device,
            settings,
            total,
        )
        if together < 2:
            return 0
        for first in range(0, total, together):
            chunk = range(first, min(first + together, total))
            sources, scales = [source_of(i) for i in chunk], []
            for source in sources:
                self.survey(source, rad)
                scales.append(self._scales)

            # one without a mask must not get one: weights over all pixels add up to 1 but for
            # rounding
            done = 0
            for masked in (False, True):
                alike = [i for i, source in enumerate(sources) if source.masked == masked]
                if not alike:
                    continue

                def share(part: float, before: int = first + done, n: int = len(alike)) -> None:
                    if progress:
                        progress((before + part * n) / total)

                run_whole(
                    [sources[i] for i in alike],
                    [sinks[first + i] for i in alike],
                    self.model,
                    self._groups,
                    [scales[i] for i in alike],
                    settings,
                    self.precision,
                    device,
                    share,
                )
                done += len(alike)
        return total

    def run_on_device(
        self, ms: Any, pair: Pair, settings: Settings, *, rad: Radiometry, **options: Any
    ) -> Any:
        """A pair that lives on the device; see ``cuda.arrays.fuse_on_device``."""
        return fuse_on_device(
            ms,
            pair,
            model=self.model,
            precision=self.precision,
            groups=self._groups,
            settings=settings,
            bits=rad.bits,
            **options,
        )


class ReferenceFuser(WholeFuser):
    """The network in float64; for checks."""

    def run(
        self,
        source: Source,
        sink: Sink,
        settings: Settings,
        layout: Any,
        progress: Progress | None = None,
    ) -> None:
        from .reference import fuse_ref

        s, height, ms_height = settings, source.shape[0], source.ms_shape[1]
        valid, ms_valid = source.valid(0, height), source.ms_valid(0, ms_height)
        for group, scale in zip(self._groups, self._scales):
            dn = fuse_ref(
                self.model.tensors,
                self.model.variant,
                source.ms(0, ms_height)[list(group.read)].astype(np.float64),
                source.pan(0, height).astype(np.float64),
                scale_dn=scale,
                gains=tuple(s.gains[b] for b in group.read),
                consistency=s.consistency,
                scale=s.scale,
                offset=s.offset,
                valid=None if valid is None else valid != 0,
                ms_valid=None if ms_valid is None else ms_valid != 0,
            )
            dn = to_dn(dn, sink.dtype, s.low, s.high, s.fill, s.reserve, valid)
            for slot, band in enumerate(group.write):
                if band >= 0:
                    sink.write(0, [band], dn[slot : slot + 1])


class ClassicalFuser:
    """A classical method, streamed in float64."""

    consistency = 0
    precision = "fp64"

    def __init__(self, name: str) -> None:
        self._name = name
        self._method: Cubic

    def prepare(self, names: Sequence[str] | None, rad: Radiometry) -> None:
        self._method = classical_method(self._name, rad.gains)

    def layout(self, source: Source, dtype: np.dtype, settings: Settings) -> AnyLayout:
        return choose_bands(source, dtype, self._method, settings)

    def survey(self, source: Source, rad: Radiometry, rows: int = 256) -> None:
        found = look(source, [], "scene", rows)
        assert found.ms_range is not None and found.pan_range is not None
        self._method.see(found.ms_range, found.pan_range)
        log.info("%s", found.report(rad.bits, [], rad.high))

    def run(
        self,
        source: Source,
        sink: Sink,
        settings: Settings,
        layout: Any,
        progress: Progress | None = None,
    ) -> None:
        ClassicalRun(source, self._method, settings, layout, progress).run(sink)

    def tags(self) -> dict[str, str]:
        return {"PANTINY_METHOD": self._name}


def choose_fuser(
    method: Any,
    *,
    model: Any,
    backend: Any,
    precision: Any,
    consistency: Any,
    device: Any = None,
) -> Fuser:
    """The method of that name with its options.

    Raises
    ------
    OptionError, BackendError, ModelFileError
        If the method is unknown, an option is bad, or the method has no such option.
    """
    if method != NETWORK and (not isinstance(method, str) or method not in METHODS):
        raise OptionError(
            f"method: got {method!r}; need one of {NETWORK}, {', '.join(METHODS)}; leave it out "
            f"for {NETWORK}, the network"
        )
    if device is not None and backend == "auto":
        backend = "cuda"
    if method != NETWORK:
        _refuse(method, model, backend, precision, consistency)
        return ClassicalFuser(method)
    network = load_model(model)
    kind = check_backend(backend)
    exactness = check_precision(precision, kind)
    steps = check_consistency(consistency, network)
    if kind == "cuda":
        devices = cuda.parse_devices(device)
        cuda.check_model(network, exactness)
        return CudaFuser(network, exactness, steps, devices)
    if device is not None:
        raise OptionError(
            f"device: got {device!r} with backend {backend!r}, which runs on the CPU; need "
            "backend='cuda' for it; leave device out, or use backend='cuda'"
        )
    kinds = {"reference": ReferenceFuser}
    return kinds.get(kind, NetworkFuser)(network, exactness, steps)


def _refuse(method: str, model: Any, backend: Any, precision: Any, consistency: Any) -> None:
    """Options of the network that a classical method has not."""
    if not isinstance(model, str) or model != DEFAULT_MODEL:
        raise OptionError(
            f"model: got one with method {method!r}, which has no weights; need the network for "
            f"it; leave model out, or use method={NETWORK!r}"
        )
    if precision not in ("auto", "fp32"):
        raise OptionError(
            f"precision: got {precision!r} with method {method!r}, which computes in float64; "
            f"need the network for it; leave precision out, or use method={NETWORK!r}"
        )
    if consistency is not None and (isinstance(consistency, bool) or consistency != 0):
        raise OptionError(
            f"consistency: got {consistency!r} with method {method!r}; need 0, back-projection "
            f"belongs to the network; leave consistency out, or use method={NETWORK!r}"
        )
    if check_backend(backend) != "cpu":
        raise BackendError(
            f"backend: got {backend!r} with method {method!r}; usable: cpu; leave backend out, "
            "or call pantiny.classical.fuse_classical for the reference"
        )
