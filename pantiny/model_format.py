"""The bytes of a model file, parsed by hand before any library sees them.

A safetensors file: 8 bytes little-endian header length, a JSON header, then the tensors,
float32, gapless, in sorted name order. ``__metadata__`` holds strings only: ``format``
"pantiny", ``format_version`` "1", ``variant`` (JSON of every field of ``Variant``), ``bands``,
``wavelengths_nm``, ``consistency``, ``card`` (JSON each), ``contract``, ``licence`` and
``sha256`` (see ``tensors_sha256``). Each kind of damage has its own error; nothing is ever
unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from math import prod
from typing import Any, NamedTuple, get_args

import numpy as np
import safetensors
import safetensors.numpy

from .errors import (
    ModelFileError,
    ModelHashError,
    ModelHeaderError,
    ModelShapeError,
    ModelTruncatedError,
    ModelValueError,
    ModelVersionError,
)
from .scaling import ScaleContract
from .variants import FUSIONS, Variant

FORMAT = "pantiny"
FORMAT_VERSION = "1"
SUFFIX = ".safetensors"
MAX_FILE_BYTES = 64 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_CONSISTENCY = 100
LIMITS = {"channels": 1024, "heads": 64, "encoder_blocks": 64, "body_blocks": 64, "bands": 64}
_FIELDS = ("variant", "bands", "wavelengths_nm", "contract", "consistency", "card", "licence")
_TEXT = ("contract", "licence")
_HEX = frozenset("0123456789abcdef")


class Origin(NamedTuple):
    """Where a model comes from and what to do if it is bad, for error texts."""

    where: str
    fix: str

    def error(
        self, kind: type[ModelFileError], got: str, need: str, fix: str | None = None
    ) -> ModelFileError:
        """The error ``where: got ...; need ...; fix``."""
        return kind(f"{self.where}: got {got}; need {need}; {fix or self.fix}")


def tensors_sha256(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of tensors, independent of the file that holds them.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        float32, any strides.

    Returns
    -------
    str
        64 hex digits. Hashed are, for each name in sorted order, ``name F32 AxBxC`` (shape
        in decimal), a newline, and the little-endian C-order bytes.

    Examples
    --------
    >>> tensors_sha256({"a": np.zeros((2, 1), np.float32)})[:16]
    '176374c2997a571d'
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} F32 {'x'.join(map(str, array.shape))}\n".encode())
        digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest()


def decode(data: bytes, origin: Origin) -> dict[str, Any]:
    """Everything of ``Model`` but its name, from a file's bytes.

    Parameters
    ----------
    data : bytes
        The whole file.
    origin : Origin
        For error texts.

    Returns
    -------
    dict
        Arguments ``variant`` to ``sha256`` of ``pantiny.weights.Model``.

    Raises
    ------
    ModelFileError
        One of its subclasses per kind of damage.
    """
    header, start = _header(data, origin)
    values, sha256 = _metadata(header.pop("__metadata__", None), origin)
    checked = check_fields(values, origin)
    _check_layout(header, checked["variant"], len(data) - start, origin)
    try:
        arrays = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        got = f"a file that safetensors refuses ({error})"
        raise origin.error(ModelHeaderError, got, "valid safetensors") from error
    tensors = freeze(arrays, checked["variant"], origin)
    actual = tensors_sha256(tensors)
    if actual != sha256:
        got = f"tensors with SHA-256 {actual}"
        raise origin.error(ModelHashError, got, f"{sha256}, as its header says")
    return {**checked, "tensors": tensors, "sha256": actual}


def encode(values: Mapping[str, Any], tensors: Mapping[str, np.ndarray], origin: Origin) -> bytes:
    """A file's bytes; by hand, because safetensors writes the metadata in random order.

    Parameters
    ----------
    values : mapping
        Checked fields, as ``check_fields`` returns them.
    tensors : mapping of str to ndarray
        Checked tensors.
    origin : Origin
        For error texts.

    Raises
    ------
    ModelHeaderError
        If the header would exceed 1 MiB.
    ModelFileError
        If the file would exceed 64 MiB.
    """
    stored = {**values, "variant": asdict(values["variant"])}
    metadata = {key: stored[key] if key in _TEXT else dumps(stored[key]) for key in _FIELDS}
    metadata.update(format=FORMAT, format_version=FORMAT_VERSION, sha256=tensors_sha256(tensors))
    header: dict[str, Any] = {"__metadata__": metadata}
    chunks, end = [], 0
    for name in sorted(tensors):
        array = tensors[name]
        start, end = end, end + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, end]}
        chunks.append(array.astype("<f4").tobytes())
    raw = dumps(header).encode()
    raw += b" " * (-len(raw) % 8)  # tensors start at a multiple of 8, as safetensors has it
    total = 8 + len(raw) + end
    if len(raw) > MAX_HEADER_BYTES:
        got, need = f"a header of {len(raw)} bytes", f"at most {MAX_HEADER_BYTES} (1 MiB)"
        raise origin.error(ModelHeaderError, got, need, "shorten the card")
    if total > MAX_FILE_BYTES:
        got, need = f"{total} bytes", f"at most {MAX_FILE_BYTES} (64 MiB)"
        raise origin.error(ModelFileError, got, need, "choose a smaller variant")
    return b"".join([len(raw).to_bytes(8, "little"), raw, *chunks])


def dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> Any:
    """JSON without the laxness of ``json.loads``: no NaN, no repeated keys."""

    def constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) < len(pairs):
            raise ValueError("a key occurs twice")
        return out

    return json.loads(text, parse_constant=constant, object_pairs_hook=unique)


def _header(data: bytes, origin: Origin) -> tuple[dict[str, Any], int]:
    """The parsed header and the offset of the first tensor byte."""
    if len(data) < 8:
        raise origin.error(ModelTruncatedError, f"{len(data)} bytes", "at least 8")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:  # the first bytes of pickle and zip read as huge lengths
        if data[:2] == b"PK" or data[:1] == b"\x80":
            got = "a torch checkpoint, which can run code when it is loaded"
            fix = f"convert it: pantiny convert CHECKPOINT MODEL{SUFFIX}"
            raise origin.error(ModelHeaderError, got, "a safetensors model file", fix)
        got, need = f"a header of {length} bytes", f"at most {MAX_HEADER_BYTES} (1 MiB)"
        raise origin.error(ModelHeaderError, got, need)
    if 8 + length > len(data):
        got, need = f"{len(data)} bytes", f"{8 + length} for the header alone"
        raise origin.error(ModelTruncatedError, got, need)
    raw = data[8 : 8 + length]
    if raw[:1] != b"{":
        raise origin.error(ModelHeaderError, f"a header that starts with {raw[:1]!r}", "JSON")
    try:
        return loads(raw.decode("utf-8")), 8 + length
    except (ValueError, RecursionError) as error:
        got = f"a header that is not JSON ({error})"
        raise origin.error(ModelHeaderError, got, "a JSON object") from None


def _metadata(metadata: Any, origin: Origin) -> tuple[dict[str, Any], str]:
    """Field values as stored, parsed but not checked, and the stated SHA-256."""
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        stated = metadata.get("format") if isinstance(metadata, dict) else None
        got = f"safetensors with format {stated!r} in __metadata__"
        fix = "convert a checkpoint with pantiny convert"
        raise origin.error(ModelHeaderError, got, f"format {FORMAT!r}", fix)
    version = metadata.get("format_version")
    if version is not None and version != FORMAT_VERSION:
        got, need = f"format version {version!r}", f"version {FORMAT_VERSION!r}"
        raise origin.error(ModelVersionError, got, need, "install a newer pantiny")
    for key in ("format_version", *_FIELDS, "sha256"):
        if not isinstance(metadata.get(key), str):
            got = f"no field {key!r}" if key not in metadata else f"{key!r} that is no string"
            raise origin.error(ModelHeaderError, f"__metadata__ with {got}", f"a string {key!r}")
    values: dict[str, Any] = {}
    for key in _FIELDS:
        values[key] = metadata[key]
        if key not in _TEXT:
            try:
                values[key] = loads(metadata[key])
            except (ValueError, RecursionError) as error:
                got = f"field {key!r} that is not JSON ({error})"
                raise origin.error(ModelHeaderError, got, "JSON") from None
    sha256 = metadata["sha256"]
    if len(sha256) != 64 or not set(sha256) <= _HEX:
        got = f"field 'sha256' = {sha256[:80]!r}"
        raise origin.error(ModelHeaderError, got, "64 lower-case hex digits")
    return values, sha256


def _is_int(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def check_fields(values: dict[str, Any], origin: Origin) -> dict[str, Any]:
    """The arguments of ``Model`` that the fields give, or ModelHeaderError."""

    def require(ok: bool, key: str, need: str) -> None:
        if not ok:
            got = f"field {key!r} = {str(values[key])[:200]!r}"
            raise origin.error(ModelHeaderError, got, need)

    sizes, bands, waves = values["variant"], values["bands"], values["wavelengths_nm"]
    names = [f.name for f in fields(Variant)]
    known = isinstance(sizes, dict) and sorted(sizes) == sorted(names)
    require(known, "variant", f"an object of {', '.join(names)}")
    require(isinstance(sizes["name"], str) and sizes["name"] != "", "variant", "a name")
    require(sizes["fusion"] in FUSIONS, "variant", f"a fusion among {', '.join(FUSIONS)}")
    for key, high in LIMITS.items():
        require(_is_int(sizes[key], 1, high), "variant", f"{key} from 1 to {high}")
    require(sizes["channels"] % sizes["heads"] == 0, "variant", "heads that divide channels")
    count = sizes["bands"]
    for key, listed in (("bands", bands), ("wavelengths_nm", waves)):
        sized = isinstance(listed, list) and len(listed) == count
        require(sized, key, f"a list of {count}, as many as the variant has bands")
    named = all(isinstance(b, str) and b for b in bands) and len(set(bands)) == count
    require(named, "bands", "different non-empty names")
    require(all(_is_int(w, 1, 10**6) for w in waves), "wavelengths_nm", "whole nanometres")
    contracts = get_args(ScaleContract)
    require(values["contract"] in contracts, "contract", f"one of {', '.join(contracts)}")
    steps = values["consistency"]
    require(_is_int(steps, 0, MAX_CONSISTENCY), "consistency", f"0 to {MAX_CONSISTENCY}")
    require(isinstance(values["card"], dict), "card", "a JSON object")
    require(isinstance(values["licence"], str) and values["licence"] != "", "licence", "a name")
    return {
        **values,
        "variant": Variant(**sizes),
        "bands": tuple(bands),
        "wavelengths_nm": tuple(waves),
    }


def _some(names: set[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + rest


def check_shapes(found: Mapping[str, tuple[int, ...]], variant: Variant, origin: Origin) -> None:
    """Raise ModelShapeError unless names and shapes are exactly those of the variant."""
    expected = variant.shapes()
    need = f"the {len(expected)} tensors of {variant.name!r}"
    if missing := expected.keys() - found.keys():
        raise origin.error(ModelShapeError, f"no tensor {_some(missing)}", need)
    if extra := found.keys() - expected.keys():
        raise origin.error(ModelShapeError, f"superfluous tensor {_some(extra)}", need)
    for name, shape in expected.items():
        if tuple(found[name]) != shape:
            got = f"tensor {name} of shape {tuple(found[name])}"
            raise origin.error(ModelShapeError, got, f"{shape} for {variant.name!r}")


def _check_layout(
    entries: dict[str, Any], variant: Variant, data_bytes: int, origin: Origin
) -> None:
    """Names, dtypes, shapes and a gapless layout of ``data_bytes`` bytes of tensor data."""
    limit = 1 << 62
    for name, entry in entries.items():
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("dtype"), str)
            and isinstance(entry.get("shape"), list)
            and all(_is_int(n, 0, limit) for n in entry["shape"])
            and isinstance(entry.get("data_offsets"), list)
            and len(entry["data_offsets"]) == 2
            and all(_is_int(n, 0, limit) for n in entry["data_offsets"])
        ):
            got = f"a malformed header entry for tensor {name}"
            raise origin.error(ModelHeaderError, got, "dtype, shape and data_offsets")
    end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if end > data_bytes:
        got = f"{data_bytes} bytes of tensor data"
        raise origin.error(ModelTruncatedError, got, f"{end}, as its header says")
    check_shapes({name: tuple(entry["shape"]) for name, entry in entries.items()}, variant, origin)
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] != "F32":
            raise origin.error(ModelShapeError, f"tensor {name} of dtype {entry['dtype']}", "F32")
        first, last = entry["data_offsets"]
        if first != position or last != first + 4 * prod(entry["shape"]):
            got = f"tensor {name} at bytes {first} to {last}"
            need = f"{position} to {position + 4 * prod(entry['shape'])}, without gap or overlap"
            raise origin.error(ModelHeaderError, got, need)
        position = last
    if position != data_bytes:
        got = f"{data_bytes} bytes of tensor data"
        raise origin.error(ModelHeaderError, got, f"{position}, as its header says")


def freeze(
    arrays: Mapping[str, np.ndarray], variant: Variant, origin: Origin
) -> dict[str, np.ndarray]:
    """Read-only copies in the order of the forward pass, all values finite."""
    out = {}
    for name in variant.shapes():
        copy = np.array(arrays[name], np.float32, order="C")
        bad = copy.size - int(np.count_nonzero(np.isfinite(copy)))
        if bad:
            got = f"tensor {name} with {bad} values that are NaN or infinite"
            raise origin.error(ModelValueError, got, "finite values")
        copy.setflags(write=False)
        out[name] = copy
    return out
