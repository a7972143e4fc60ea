"""The GPU as the harness uses it, and what stands in for it in a dry run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pantiny import cuda

from ..candidate import Unavailable

Call = Callable[[], object]


class Gpu:
    """torch's current CUDA device."""

    dry = False
    kind = "cuda"

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise Unavailable("missing", "torch finds no CUDA device; --dry-run needs none")
        torch.backends.cudnn.benchmark = True  # the baselines get the best algorithms they have

    def about(self) -> dict[str, Any]:
        """What the numbers are made on."""
        p = torch.cuda.get_device_properties(0)
        return {
            "name": p.name,
            "capability": f"{p.major}.{p.minor}",
            "multiprocessors": p.multi_processor_count,
            "memory_bytes": p.total_memory,
            "l2_bytes": getattr(p, "L2_cache_size", None),
            "clock_khz": getattr(p, "clock_rate", None),
            "torch_cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }

    def timed(self, call: Call, count: int) -> float:
        """Milliseconds of one call, of ``count`` that follow each other, between events."""
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / count

    def sync(self) -> None:
        """Wait; raises what went wrong on the device."""
        torch.cuda.synchronize()

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """A copy there; uint16 becomes int16, which torch can do more with."""
        given = array.view(np.int16) if array.dtype == np.uint16 else array
        return torch.from_numpy(np.ascontiguousarray(given)).to(self.kind)

    def ours(self, tensor: torch.Tensor) -> Any:
        """What ``fuse`` and the indices take for an array on the device."""
        return tensor

    def stream(self) -> int:
        """Where our kernels are to be put."""
        return int(torch.cuda.current_stream().cuda_stream)

    def graphed(self, call: Call) -> Call:
        """The call captured by torch."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
            side.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=side):
                result = call()

        def replay() -> object:
            graph.replay()
            return result

        return replay

    def compiled(self, net: Any, mode: str) -> Any:
        """The module by torch.compile."""
        return torch.compile(net, dynamic=False, mode=mode)

    def release(self) -> None:
        """Memory that torch keeps for later."""
        gc.collect()
        torch.cuda.empty_cache()

    def forget(self) -> None:
        """Give back what the last group kept."""
        cuda.clear()
        torch._dynamo.reset()
        self.release()

    def kernels(self, call: Call, count: int) -> list[tuple[str, float, float]]:
        """Every kernel of a call: its name, how often it runs, microseconds in all."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
            for _ in range(count):
                call()
            self.sync()
        rows = []
        for e in found.key_averages():
            us = getattr(e, "self_device_time_total", None) or getattr(e, "self_cuda_time_total", 0)
            if us:
                rows.append((e.key, e.count / count, us / count))
        return rows


class Lent:
    """A tensor in host memory that says it lives on a device; on the emulator it does."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        array = self.tensor.numpy()
        return {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": array.strides,
            "version": 3,
        }


class DryRun(Gpu):
    """Our kernels on the emulator, torch on the CPU: the same code runs, its times mean nothing."""

    dry = True
    kind = "cpu"

    def __init__(self) -> None:
        try:
            from pantiny import _cuda_emulated as emulated
        except ImportError as error:
            raise Unavailable(
                "missing",
                "a dry run needs the emulated extension; reinstall with "
                "PANTINY_CMAKE_ARGS=-DPANTINY_EMULATED=ON",
            ) from error
        cuda._compiled = lambda: emulated  # type: ignore[assignment]
        torch.set_num_threads(1)

    def about(self) -> dict[str, Any]:
        return {"name": "emulator", "capability": "9.0", "multiprocessors": 1}

    def timed(self, call: Call, count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return 1e3 * (time.perf_counter() - start) / count

    def sync(self) -> None:
        cuda.module().wait(0)

    def ours(self, tensor: torch.Tensor) -> Any:
        return Lent(tensor)

    def stream(self) -> int:
        return 0

    def graphed(self, call: Call) -> Call:
        call()
        return call

    def compiled(self, net: Any, mode: str) -> Any:
        return torch.compile(net, dynamic=False, backend="eager")

    def release(self) -> None:
        gc.collect()

    def kernels(self, call: Call, count: int) -> list[tuple[str, float, float]]:
        name = (
            "void pantiny::cuda::entry<pantiny::cuda::(anonymous namespace)::BlockHalf<"
            "pantiny::cuda::Half, pantiny::cuda::Width<28, 2>, pantiny::cuda::Tile<4, 3, 5>, "
            "(pantiny::cuda::BlockPart)0> >(pantiny::cuda::Args)"
        )
        return [(name, 5.0, 1e3 * self.timed(call, count))]
