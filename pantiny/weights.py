"""Trained models: load, check, save.

The file format is ``pantiny.model_format``. Needs numpy and safetensors, not torch.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from .errors import (
    ModelFileError,
    ModelHeaderError,
    ModelMissingError,
    ModelShapeError,
    OptionError,
)
from .model_format import (
    MAX_FILE_BYTES,
    SUFFIX,
    Origin,
    check_fields,
    check_shapes,
    decode,
    dumps,
    encode,
    freeze,
    loads,
    tensors_sha256,
)
from .scaling import ScaleContract
from .sensors import BGRN, WAVELENGTHS_NM
from .variants import Variant, get_variant


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network and what one must know to run it.

    Compares and hashes by identity; compare ``sha256`` to compare tensors.

    Attributes
    ----------
    variant : Variant
        Sizes of the network.
    tensors : dict of str to ndarray
        float32, C-contiguous, read-only; names and shapes are ``variant.shapes()``.
        A packaged model is shared between callers: do not modify the dict.
    bands : tuple of str
        Band names in the order the network takes them.
    wavelengths_nm : tuple of int
        Centre wavelength of each band.
    contract : {"peak", "scene"}
        Scale contract, see ``pantiny.scaling``.
    consistency : int
        Default number of consistency steps.
    card : dict
        What the weights saw: sensors, recipe, scores. Free JSON.
    licence : str
        Licence of the weights.
    sha256 : str
        ``tensors_sha256(tensors)``.
    name : str
        Packaged name, or the file's name without suffix.
    """

    variant: Variant
    tensors: dict[str, np.ndarray] = field(repr=False)
    bands: tuple[str, ...]
    wavelengths_nm: tuple[int, ...]
    contract: ScaleContract
    consistency: int
    card: dict[str, Any] = field(repr=False)
    licence: str
    sha256: str
    name: str


def make_model(
    variant: str | Variant,
    tensors: Mapping[str, np.ndarray],
    *,
    contract: ScaleContract,
    licence: str,
    bands: Sequence[str] = BGRN,
    wavelengths_nm: Sequence[int] | None = None,
    consistency: int = 0,
    card: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Model:
    """Check the parts of a model, copy the tensors and hash them.

    Parameters
    ----------
    variant : str or Variant
    tensors : mapping of str to ndarray
        float32, named and shaped as ``variant.shapes()``.
    contract : {"peak", "scene"}
    licence : str
    bands : sequence of str
        As many as ``variant.bands``.
    wavelengths_nm : sequence of int, optional
        Default: from the table of band names in ``pantiny.sensors``.
    consistency : int
        0 to 100.
    card : mapping, optional
        JSON values only.
    name : str, optional
        Default: the variant's name.

    Raises
    ------
    ModelHeaderError
        If a field has a bad value.
    ModelShapeError
        If a tensor is missing, superfluous, or has the wrong shape or dtype.
    ModelValueError
        If a tensor holds NaN or infinity.
    """
    v = get_variant(variant)
    origin = Origin(f"model {name or v.name!r}", "correct that argument")
    if wavelengths_nm is None:
        unknown = [band for band in bands if band not in WAVELENGTHS_NM]
        if unknown:
            need = f"wavelengths_nm for bands other than {', '.join(WAVELENGTHS_NM)}"
            raise origin.error(ModelHeaderError, f"bands {unknown}", need)
        wavelengths_nm = [WAVELENGTHS_NM[band] for band in bands]
    values = {
        "variant": asdict(v),
        "bands": list(bands),
        "wavelengths_nm": list(wavelengths_nm),
        "contract": contract,
        "consistency": consistency,
        "card": dict(card or {}),
        "licence": licence,
    }
    try:  # what a file would hold, so that a saved model loads equal
        values = loads(dumps(values))
    except (TypeError, ValueError, RecursionError) as error:
        need = "JSON values in every field and in card"
        got = f"a value that JSON cannot hold ({error})"
        raise origin.error(ModelHeaderError, got, need) from None
    checked = check_fields(values, origin)
    for tensor, array in tensors.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            kind = getattr(array, "dtype", type(array).__name__)
            raise origin.error(ModelShapeError, f"tensor {tensor} of dtype {kind}", "numpy float32")
    check_shapes({n: a.shape for n, a in tensors.items()}, v, origin)
    frozen = freeze(tensors, v, origin)
    return Model(**checked, tensors=frozen, sha256=tensors_sha256(frozen), name=str(name or v.name))


def save_model(model: Model | Mapping[str, Any], path: str | os.PathLike[str]) -> Model:
    """Write a model file: whole or not at all, and the same bytes for the same model.

    Parameters
    ----------
    model : Model or mapping
        A mapping holds the arguments of ``make_model``.
    path : path
        Ends in ``.safetensors``; an existing file is replaced.

    Returns
    -------
    Model
        What ``load_model(path)`` gives.

    Raises
    ------
    OptionError
        If the path does not end in ``.safetensors``.
    ModelFileError
        As ``make_model``; or if the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise OptionError(f"save_model: got {path}; need a path ending in {SUFFIX}; rename it")
    parts = _parts(model) if isinstance(model, Model) else model
    checked = replace(make_model(**parts), name=path.stem)
    values = _parts(checked)
    data = encode(values, values.pop("tensors"), Origin(f"save_model: {path}", ""))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ModelFileError(
            f"save_model: cannot write {path} ({error.strerror}); need a folder that exists, can "
            "be written and has space; create it or choose another path"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return checked


def _parts(model: Model) -> dict[str, Any]:
    """The arguments of ``make_model`` that gave this model."""
    return {f.name: getattr(model, f.name) for f in fields(model) if f.name != "sha256"}


def packaged_models() -> list[str]:
    """Names of the models shipped with the package, sorted."""
    return sorted(_packaged_files())


def load_model(source: str | os.PathLike[str] | Model) -> Model:
    """Read and check a model.

    Parameters
    ----------
    source : str, path or Model
        A string without path separator and suffix is the name of a packaged model, of
        which one copy is kept; any other string and every ``Path`` is a file.
        A ``Model`` is returned as it is.

    Raises
    ------
    ModelMissingError
        If there is no such file or packaged model.
    ModelTruncatedError
        If the file ends early.
    ModelHeaderError
        If the header is oversized, is not JSON, or lacks a field or has a bad one.
    ModelVersionError
        If the format version is not known.
    ModelShapeError
        If a tensor is missing, superfluous, or has the wrong shape or dtype.
    ModelValueError
        If a tensor holds NaN or infinity.
    ModelHashError
        If the tensors are not those that were hashed.
    ModelFileError
        Base of all these; itself if the file is above 64 MiB or cannot be read.
    """
    if isinstance(source, Model):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise OptionError(
            f"model: got {type(source).__name__}; need the name of a packaged model, a path or a "
            f"Model; packaged: {', '.join(packaged_models())}"
        )
    if isinstance(source, str) and not (Path(source).suffix or set(source) & {"/", "\\"}):
        return _load_packaged(source)
    path = Path(source)
    origin = Origin(f"model file {path}", "get the file again from its source")
    return Model(**decode(_read(path, origin), origin), name=path.stem)


def _packaged_files() -> dict[str, Any]:
    folder = resources.files("pantiny").joinpath("weights")
    if not folder.is_dir():
        return {}
    entries = [e for e in folder.iterdir() if e.name.endswith(SUFFIX) and e.name[0] != "."]
    return {entry.name[: -len(SUFFIX)]: entry for entry in entries}


@cache
def _load_packaged(name: str) -> Model:
    files = _packaged_files()
    if name not in files:
        raise ModelMissingError(
            f"model: got {name!r}, which is no packaged model; available: "
            f"{', '.join(sorted(files)) or 'none'}; use one of these, or give a file with its "
            f"suffix, such as {name}{SUFFIX}"
        )
    origin = Origin(f"packaged model {name!r}", "install pantiny again")
    return Model(**decode(files[name].read_bytes(), origin), name=name)


def _read(path: Path, origin: Origin) -> bytes:
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        got = f"nothing there ({getattr(error, 'strerror', None) or error})"
        names = ", ".join(packaged_models()) or "none"
        need = f"a model file, or the name of a packaged model: {names}"
        raise origin.error(ModelMissingError, got, need, "check the path") from None
    if not stat.S_ISREG(info.st_mode):
        got = "a folder" if stat.S_ISDIR(info.st_mode) else "a device or pipe"
        raise origin.error(ModelMissingError, got, "a model file", f"give the {SUFFIX} file")
    if info.st_size > MAX_FILE_BYTES:
        got, need = f"{info.st_size} bytes", f"at most {MAX_FILE_BYTES} (64 MiB)"
        raise origin.error(ModelFileError, got, need, "check that it is a pantiny model")
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        got = f"a file that cannot be read ({error.strerror})"
        raise origin.error(ModelFileError, got, "read access", "check its permissions") from error
