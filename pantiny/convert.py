"""Checkpoints of torch to model files: the authors' and those of ``pantiny.training``.

Only tensors and plain values are read (``weights_only=True``); no pickled code runs.
torch is imported when a checkpoint is converted, not before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import (
    DependencyError,
    ModelFileError,
    ModelHeaderError,
    ModelMissingError,
    ModelShapeError,
    ModelTruncatedError,
    OptionError,
    OutputExistsError,
)
from .model_format import LIMITS, Origin, check_shapes
from .scaling import ScaleContract
from .sensors import BGRN
from .variants import VARIANTS, Variant, get_variant
from .weights import Model, save_model

if TYPE_CHECKING:
    from torch import Tensor

MAX_CHECKPOINT_BYTES = 256 << 20
OLDEST_TORCH = (2, 6)  # before it, weights_only=True could be made to run code (CVE-2025-32434)
_STATE_KEYS = ("net", "state_dict", "model")
_STAGES = {"encoder": "encoder", "refinement": "body"}
_IN_BLOCK = {
    "norm1.body": "norm1",
    "norm2.body": "norm2",
    "attn.temperature": "attention.temperature",
    "attn.qkv": "attention.qkv",
    "attn.qkv_dwconv": "attention.qkv_dw",
    "attn.project_out": "attention.project",
    "ffn.project_in": "ffn.expand",
    "ffn.dwconv": "ffn.dw",
    "ffn.project_out": "ffn.project",
}
_OUTSIDE = {
    "patch_embed.proj": "head",
    "fusion_module.fusion.0": "fusion.conv1",
    "fusion_module.fusion.2": "fusion.conv2",
    "advanced_refine.refine": "refine",
    "output": "output",
}
_BLOCK_NAME = re.compile(r"(encoder|refinement)\.(\d{1,3})\.(.+?)(\.weight|\.bias)?")


def convert_checkpoint(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    variant: str | Variant | None = "tiny",
    contract: ScaleContract | None = None,
    consistency: int | None = None,
    bands: Sequence[str] = BGRN,
    wavelengths_nm: Sequence[int] | None = None,
    licence: str = "unspecified",
    card: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Model:
    """Write the network of a torch checkpoint as a model file.

    Parameters
    ----------
    src : path
        A state dict, or a dict that holds one under ``net``, ``state_dict`` or ``model``;
        with the authors' tensor names (fusion ``enhanced_conv``) or with ours.
    dst : path
        Ends in ``.safetensors``.
    variant : str, Variant or None
        What the checkpoint must be; ``None`` finds it from the shapes. A string leaves the
        number of bands to the checkpoint.
    contract : {"peak", "scene"}, optional
        Default: what the recipe in the checkpoint says; ``"peak"``, the paper's, for the
        authors' names.
    consistency : int, optional
        Default number of consistency steps; default: the recipe's, otherwise 0.
    bands, wavelengths_nm, licence
        As in ``pantiny.weights.make_model``.
    card : mapping, optional
        Added to the card, which names the checkpoint and its SHA-256.
    overwrite : bool
        Replace ``dst`` if it exists.

    Returns
    -------
    Model
        What ``load_model(dst)`` gives.

    Raises
    ------
    DependencyError
        If torch is not installed or too old to read a checkpoint safely.
    OutputExistsError
        If ``dst`` exists and ``overwrite`` is false.
    OptionError
        If ``contract`` is needed, or is not the one the checkpoint was trained with.
    ModelMissingError
        If ``src`` is not a file.
    ModelTruncatedError
        If ``src`` is damaged.
    ModelShapeError
        If its tensors are not those of the variant.
    ModelFileError
        Base of these and the other errors of ``make_model``; itself if ``src`` can only be
        read by running pickled code.
    """
    if not overwrite and os.path.exists(dst):
        raise OutputExistsError(
            f"convert: {dst} exists; need a new path; choose another or overwrite it explicitly"
        )
    origin = Origin(f"checkpoint {src}", "check that it is a PanTiny checkpoint")
    data = _read(Path(src), origin)
    content = _load(data, origin)
    state = _state_dict(content, origin)
    authors = "patch_embed.proj.weight" in state
    tensors = _rename(state, origin) if authors else state
    v = _variant(tensors, variant, origin)
    recipe = _recipe(content, origin)
    fields = {
        "variant": v,
        "tensors": {n: t.detach().float().contiguous().numpy() for n, t in tensors.items()},
        "bands": bands,
        "wavelengths_nm": wavelengths_nm,
        "contract": _contract(contract, recipe, authors, origin),
        "consistency": recipe.get("consistency", 0) if consistency is None else consistency,
        "licence": licence,
        "card": {
            "source": "converted checkpoint",
            "checkpoint": Path(src).name,
            "checkpoint_sha256": hashlib.sha256(data).hexdigest(),
            "tensor_names": "authors" if authors else "pantiny",
            **({"recipe": recipe} if recipe else {}),
            **(card or {}),
        },
    }
    return save_model(fields, dst)


def _read(path: Path, origin: Origin) -> bytes:
    if not path.is_file():
        raise origin.error(ModelMissingError, "no such file", "a .pth file", "check the path")
    if (size := path.stat().st_size) > MAX_CHECKPOINT_BYTES:
        need = f"at most {MAX_CHECKPOINT_BYTES} (256 MiB)"
        raise origin.error(ModelFileError, f"{size} bytes", need)
    try:
        data = path.read_bytes()
    except OSError as error:
        got = f"a file that cannot be read ({error.strerror})"
        raise origin.error(ModelFileError, got, "read access", "check its permissions") from error
    if data[8:9] == b"{":
        got, fix = "a safetensors file", "use it as it is: a model file needs no conversion"
        raise origin.error(ModelFileError, got, "a torch checkpoint", fix)
    return data


def _load(data: bytes, origin: Origin) -> Any:
    """What torch reads from the checkpoint without running code from it."""
    try:
        import torch
    except ImportError as error:
        raise DependencyError(
            "convert: torch is not installed; need torch to read a checkpoint; "
            "pip install 'pantiny[train]'"
        ) from error
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    if (major, minor) < OLDEST_TORCH:
        raise DependencyError(
            f"convert: got torch {torch.__version__}, which a checkpoint can make run code "
            "(CVE-2025-32434); need torch 2.6 or newer; pip install -U torch"
        )
    try:
        with warnings.catch_warnings():  # of odd pickles, which become errors below
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        got = "a file that is no checkpoint or needs pickled code to load; nothing of it was run"
        need = "a checkpoint of tensors and plain values"
        fix = "where it was made: torch.save(net.state_dict(), path), and convert that"
        raise origin.error(ModelFileError, got, need, fix) from error
    except Exception as error:  # torch's readers raise many kinds for damaged files
        got = f"a damaged file ({type(error).__name__}: {str(error)[:200]})"
        need, fix = "a whole checkpoint", "get the file again from its source"
        raise origin.error(ModelTruncatedError, got, need, fix) from error


def _state_dict(content: Any, origin: Origin) -> dict[str, Tensor]:
    """The dense CPU tensors of the network by name, without the prefix of DataParallel."""
    import torch

    holder = content
    if isinstance(content, Mapping):
        for key in _STATE_KEYS:
            if isinstance(content.get(key), Mapping):
                holder = content[key]
                break
    if not isinstance(holder, Mapping) or not any(
        isinstance(value, torch.Tensor) for value in holder.values()
    ):
        got = f"a {type(content).__name__} without a state dict"
        need = f"a state dict, or one under {', '.join(_STATE_KEYS)}"
        raise origin.error(ModelShapeError, got, need)
    prefix = "module." if all(str(name).startswith("module.") for name in holder) else ""
    state: dict[str, Tensor] = {}
    for name, value in holder.items():
        if not (
            isinstance(name, str)
            and isinstance(value, torch.Tensor)
            and value.is_floating_point()
            and value.layout == torch.strided
            and value.device.type == "cpu"
        ):
            kind = getattr(value, "dtype", type(value).__name__)
            got = f"entry {name!r} of type {kind}"
            raise origin.error(ModelShapeError, got, "dense floating-point tensors only")
        state[name.removeprefix(prefix)] = value
    return state


def _rename(state: Mapping[str, Tensor], origin: Origin) -> dict[str, Tensor]:
    """The authors' names to ours."""
    tensors = {}
    for name, tensor in state.items():
        block = _BLOCK_NAME.fullmatch(name)
        stem, dot, leaf = name.rpartition(".")
        if block and block[3] in _IN_BLOCK:
            new = f"{_STAGES[block[1]]}.{int(block[2])}.{_IN_BLOCK[block[3]]}{block[4] or ''}"
        elif stem in _OUTSIDE:
            new = f"{_OUTSIDE[stem]}{dot}{leaf}"
        elif name.startswith("fusion_module."):
            got = f"tensor {name}, of a fusion other than enhanced_conv"
            need = "fusion_module.fusion.0.weight and .2.weight, as in tiny and huge"
            fix = "the authors' wiring of other fusions, such as large's, is not known here"
            raise origin.error(ModelShapeError, got, need, fix)
        else:
            raise origin.error(ModelShapeError, f"superfluous tensor {name}", "PanTiny's tensors")
        if new in tensors:
            raise origin.error(ModelShapeError, f"tensor {name} twice", "each tensor once")
        tensors[new] = tensor
    return tensors


def _variant(
    tensors: Mapping[str, Tensor], wanted: str | Variant | None, origin: Origin
) -> Variant:
    """The variant whose shapes these are, or ModelShapeError."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    head = shapes.get("head.weight", ())
    bands = head[1] if len(head) == 4 and head[1] <= LIMITS["bands"] else len(BGRN)
    candidates = [replace(v, bands=bands) for v in VARIANTS.values()]
    found = next((v for v in candidates if v.shapes() == shapes), None)
    if wanted is None:
        if found is None:
            got = f"{len(shapes)} tensors, head.weight {head or 'missing'}, of no known variant"
            fix = "give variant= to learn which tensor differs"
            raise origin.error(ModelShapeError, got, f"one of {', '.join(VARIANTS)}", fix)
        return found
    target = get_variant(wanted)
    if isinstance(wanted, str):
        target = replace(target, bands=bands)
    if found is not None and found.shapes() != target.shapes():
        fix = f"give variant={found.name!r}, or variant=None to find it"
        raise origin.error(ModelShapeError, f"a {found.name!r} network", repr(target.name), fix)
    check_shapes(shapes, target, origin)
    return target


def _recipe(content: Any, origin: Origin) -> dict[str, Any]:
    """The recipe our training stores beside the network, or nothing."""
    recipe = content.get("recipe", {}) if isinstance(content, Mapping) else {}
    if not isinstance(recipe, Mapping):
        return {}
    try:
        json.dumps(recipe, allow_nan=False)
    except (TypeError, ValueError) as error:
        got = f"a recipe that JSON cannot hold ({error})"
        raise origin.error(ModelHeaderError, got, "plain values in recipe") from None
    return dict(recipe)


def _contract(
    asked: ScaleContract | None, recipe: Mapping[str, Any], authors: bool, origin: Origin
) -> Any:
    trained = recipe.get("contract", "peak" if authors else None)
    if trained is None and asked is None:
        raise OptionError(
            f"{origin.where}: got no recipe that says which scale contract it was trained with; "
            "need contract='peak' or 'scene'; state it"
        )
    if asked is not None and "contract" in recipe and asked != trained:
        raise OptionError(
            f"{origin.where}: got contract={asked!r}; need {trained!r}, with which the checkpoint "
            "was trained; leave contract out"
        )
    return trained if asked is None else asked
