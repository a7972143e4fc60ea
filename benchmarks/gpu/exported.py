"""The exported network in other runtimes, where they are installed: ONNX Runtime and TensorRT."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..baselines.common import export_onnx
from ..candidate import Unavailable
from .device import Call
from .engines import Batch

ORT32, ORT16 = "ONNX Runtime fp32", "ONNX Runtime fp16"
TENSORRT = "TensorRT fp16"


def _need(*packages: str) -> list[Any]:
    try:
        return [importlib.import_module(p) for p in packages]
    except ImportError as error:
        raise Unavailable("missing", f"{error.name or error} is not installed") from error


def _exported(batch: Batch, dtype: torch.dtype, folder: str) -> tuple[Path, Any]:
    _need("onnx", "onnxscript")
    net, inputs = batch.module(dtype)
    path = Path(folder) / "network.onnx"
    export_onnx(net, inputs, path)
    return path, inputs


def onnx_runtime(batch: Batch, dtype: torch.dtype) -> Call:
    """A session on the device; inputs and output stay there."""
    (ort,) = _need("onnxruntime")
    provider = "CPUExecutionProvider" if batch.device.dry else "CUDAExecutionProvider"
    if provider not in ort.get_available_providers():
        raise Unavailable("missing", f"onnxruntime {ort.__version__} has no {provider}")
    with tempfile.TemporaryDirectory() as folder:
        path, inputs = _exported(batch, dtype, folder)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(str(path), options, [provider])
    if provider not in session.get_providers():
        raise Unavailable("unusable", f"onnxruntime could not load its {provider}")
    fused = torch.empty(batch.out.shape, dtype=dtype, device=batch.device.kind)
    binding = session.io_binding()
    element = str(dtype).removeprefix("torch.")

    def bound(tensor: torch.Tensor) -> dict[str, Any]:
        return {
            "device_type": batch.device.kind,
            "device_id": 0,
            "element_type": np.dtype(element),
            "shape": tuple(tensor.shape),
            "buffer_ptr": tensor.data_ptr(),
        }

    for name, tensor in zip(("ms_up", "pan"), inputs):
        binding.bind_input(name, **bound(tensor))
    binding.bind_output("fused", **bound(fused))
    batch.device.sync()

    def call() -> torch.Tensor:
        session.run_with_iobinding(binding)  # waits for its own stream
        assert inputs is not None  # their memory is bound
        return fused

    return call


def tensorrt(batch: Batch) -> Call:
    """An engine of the types of the graph, half throughout."""
    (trt,) = _need("tensorrt")
    if batch.device.dry:
        raise Unavailable("missing", "TensorRT needs a GPU")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, logger)
    with tempfile.TemporaryDirectory() as folder:
        path, inputs = _exported(batch, torch.float16, folder)
        if not parser.parse(path.read_bytes()):
            raise Unavailable("unusable", f"TensorRT: {parser.get_error(0)}")
    built = builder.build_serialized_network(network, builder.create_builder_config())
    if built is None:
        raise Unavailable("unusable", "TensorRT builds no engine of the graph")
    engine = trt.Runtime(logger).deserialize_cuda_engine(built)
    context = engine.create_execution_context()
    fused = torch.empty(batch.out.shape, dtype=torch.float16, device=batch.device.kind)
    for name, tensor in (("ms_up", inputs[0]), ("pan", inputs[1]), ("fused", fused)):
        context.set_tensor_address(name, tensor.data_ptr())

    def call() -> torch.Tensor:
        assert inputs is not None and engine is not None  # the context does not hold them
        if not context.execute_async_v3(batch.device.stream()):
            raise RuntimeError("TensorRT refuses to run")
        return fused

    return call
