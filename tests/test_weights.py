"""The model file: what is written comes back, and each damage has its own error."""

from __future__ import annotations

import importlib.resources
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from pantiny import model_format, weights
from pantiny.errors import (
    ModelFileError,
    ModelHashError,
    ModelHeaderError,
    ModelMissingError,
    ModelShapeError,
    ModelTruncatedError,
    ModelValueError,
    ModelVersionError,
    OptionError,
    PanTinyError,
)
from pantiny.variants import VARIANTS, Variant, get_variant
from pantiny.weights import Model, load_model, make_model, packaged_models, save_model

MINI = Variant("mini", channels=2, heads=1, encoder_blocks=1, body_blocks=1)
CARD = {"sensors": ["WV3", "GF2"], "val": {"psnr": 37.75}, "note": "Größe"}


def tensors_of(variant: Variant, seed: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.standard_normal(s, np.float32) for n, s in variant.shapes().items()}


def fields_of(variant: str | Variant = MINI, **changes: Any) -> dict[str, Any]:
    base = {
        "variant": variant,
        "tensors": tensors_of(get_variant(variant)),
        "contract": "scene",
        "licence": "Apache-2.0",
        "consistency": 2,
        "card": dict(CARD),
    }
    return {**base, **changes}


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    start = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:start]), data[start:]


def join(header: Any, body: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good model file of the smallest variant."""
    save_model(fields_of(), tmp_path / "good.safetensors")
    return tmp_path / "good.safetensors"


@pytest.mark.parametrize("variant", [*VARIANTS, MINI, Variant("eight", 4, 2, 1, 2, bands=8)])
def test_round_trip(variant: str | Variant, tmp_path: Path) -> None:
    v = get_variant(variant)
    names = [f"b{i}" for i in range(v.bands)]
    waves = list(range(400, 400 + v.bands))
    given = fields_of(v, bands=names, wavelengths_nm=waves)
    saved = save_model(given, tmp_path / "net.safetensors")
    loaded = load_model(tmp_path / "net.safetensors")
    assert loaded.variant == v
    assert (loaded.bands, loaded.wavelengths_nm) == (tuple(names), tuple(waves))
    assert (loaded.contract, loaded.consistency) == ("scene", 2)
    assert (loaded.card, loaded.licence, loaded.name) == (CARD, "Apache-2.0", "net")
    assert saved.name == "net"
    assert loaded.sha256 == saved.sha256 == weights.tensors_sha256(given["tensors"])
    assert list(loaded.tensors) == list(v.shapes())
    for name, array in loaded.tensors.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous
        assert np.array_equal(array, given["tensors"][name]), name
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_the_library_reads_the_same_file(path: Path) -> None:
    arrays = safetensors.numpy.load_file(path)
    given = tensors_of(MINI)
    assert arrays.keys() == given.keys()
    for name, array in arrays.items():
        assert np.array_equal(array, given[name]), name
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata["variant"]) == {
        "name": "mini",
        "channels": 2,
        "heads": 1,
        "encoder_blocks": 1,
        "body_blocks": 1,
        "fusion": "enhanced_conv",
        "bands": 4,
    }
    assert json.loads(metadata["wavelengths_nm"]) == [480, 545, 660, 830]
    assert (metadata["format"], metadata["format_version"]) == ("pantiny", "1")


def test_tiny_is_small(tmp_path: Path) -> None:
    save_model(fields_of("tiny"), tmp_path / "tiny.safetensors")
    size = (tmp_path / "tiny.safetensors").stat().st_size
    assert 4 * 81_744 < size <= 400_000


def test_same_model_same_bytes_in_any_process(path: Path) -> None:
    code = (
        "import sys, test_weights as t\n"
        "f = t.fields_of(); f['tensors'] = dict(reversed(f['tensors'].items()))\n"
        "t.save_model(f, sys.argv[1])"
    )
    again = path.with_name("again.safetensors")
    here = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path]), "PYTHONHASHSEED": "3"}
    subprocess.run([sys.executable, "-c", code, str(again)], env=env, check=True)
    assert again.read_bytes() == path.read_bytes()
    save_model(load_model(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_hash_covers_names_shapes_and_values() -> None:
    a = {"a": np.zeros((2, 1), np.float32)}
    hashes = {
        weights.tensors_sha256(t)
        for t in (
            a,
            {"b": a["a"]},
            {"a": a["a"].reshape(1, 2)},
            {"a": a["a"] - np.float32(1e-30)},
            {"a": -a["a"]},
            {},
        )
    }
    assert len(hashes) == 6
    # printf 'a F32 2x1\n' followed by eight zero bytes, through sha256sum
    assert weights.tensors_sha256(a).startswith("176374c2997a571d")
    strided = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert weights.tensors_sha256({"a": strided.T}) == weights.tensors_sha256(
        {"a": np.array([[0, 3], [1, 4], [2, 5]], ">f4")}
    )


def test_model_is_passed_through_and_hashable(path: Path) -> None:
    model = load_model(path)
    assert load_model(model) is model
    assert {model: 1}[model] == 1


def test_input_is_copied() -> None:
    given = fields_of(card={"size": [1, 2]})
    model = make_model(**given)
    given["tensors"]["head.weight"][...] = 0
    given["card"]["size"][0] = 0
    assert model.tensors["head.weight"].all()
    assert model.card == {"size": [1, 2]}
    assert make_model(**fields_of(card={"size": (1, 2)})).card == {"size": [1, 2]}


def test_import_needs_no_torch() -> None:
    code = "import sys, pantiny.weights, pantiny.convert; sys.exit('torch' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0


def edit_entry(name: str, **changes: Any) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        header, body = split(data)
        header[name] = {**header[name], **changes}
        return join(header, body)

    return edit


def edit_field(key: str, value: Any) -> Callable[[bytes], bytes]:
    """Set one metadata field; ``None`` removes it; lists and dicts are stored as JSON."""

    def edit(data: bytes) -> bytes:
        header, body = split(data)
        header["__metadata__"][key] = json.dumps(value) if isinstance(value, list) else value
        if value is None:
            del header["__metadata__"][key]
        return join(header, body)

    return edit


def edit_size(**changes: Any) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        header, body = split(data)
        sizes = {**json.loads(header["__metadata__"]["variant"]), **changes}
        header["__metadata__"]["variant"] = json.dumps(sizes)
        return join(header, body)

    return edit


def drop_tensor(data: bytes) -> bytes:
    header, body = split(data)
    last = max((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"])
    return join(header, body[: header.pop(last)["data_offsets"][0]])


def add_tensor(data: bytes) -> bytes:
    header, body = split(data)
    spot = [len(body), len(body) + 4]
    header["extra.weight"] = {"dtype": "F32", "shape": [1], "data_offsets": spot}
    return join(header, body + bytes(4))


def swap_shapes(data: bytes) -> bytes:
    header, body = split(data)
    header["head.weight"]["shape"] = [4, 2, 3, 3]
    return join(header, body)


def overlap(data: bytes) -> bytes:
    header, body = split(data)
    entry = header["encoder.0.norm1.weight"]
    entry["data_offsets"] = header["encoder.0.norm1.bias"]["data_offsets"]
    return join(header, body)


def put_value(value: float) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        header, body = split(data)
        at = header["refine.weight"]["data_offsets"][0] + 8
        return join(header, body[:at] + np.float32(value).tobytes() + body[at + 4 :])

    return edit


def oversized(data: bytes) -> bytes:
    header, body = split(data)
    header["__metadata__"]["padding"] = "x" * (1 << 20)
    return join(header, body)


def edit_raw(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        start = 8 + int.from_bytes(data[:8], "little")
        assert old in data[8:start]
        return join(data[8:start].replace(old, new, 1), data[start:])

    return edit


T, H, V, S = ModelTruncatedError, ModelHeaderError, ModelVersionError, ModelShapeError
DAMAGES: list[tuple[str, Callable[[bytes], bytes], type[ModelFileError], str]] = [
    ("empty", lambda d: b"", T, "got 0 bytes; need at least 8; get the file again"),
    ("cut header", lambda d: d[:300], T, r"got 300 bytes; need \d+ for the header alone"),
    ("cut data", lambda d: d[:-1], T, r"got 2\d\d\d bytes of tensor data; need 2\d\d\d, as its"),
    ("oversized", oversized, H, r"got a header of 10\d+ bytes; need at most 1048576 \(1 MiB\)"),
    ("random", lambda d: b"\xff" * 64, H, r"got a header of 18446744073709551615 bytes"),
    ("zip", lambda d: b"PK\x03\x04" + d, H, "got a torch checkpoint, .* pantiny convert CHECK"),
    ("pickle", lambda d: pickle.dumps({"a": d}), H, "got a torch checkpoint.*pantiny convert"),
    ("not json", lambda d: join(b"{oops", d), H, "got a header that is not JSON .*; need a JSON"),
    ("not utf-8", lambda d: join(b'{"\xff":1}', d), H, "a header that is not JSON .*utf-8"),
    ("deep", lambda d: join(b'{"a":' + b"[" * 90000, d), H, "got a header that is not JSON"),
    ("array", lambda d: join(b"[1]", d), H, "got a header that starts with b'\\['; need JSON"),
    ("nan", edit_raw(b'"shape":[2]}', b'"shape":[NaN]}'), H, "NaN is not JSON"),
    ("twice", edit_raw(b'"__metadata__"', b'"a":1,"a":2,"__metadata__"'), H, "key occurs twice"),
    ("no metadata", lambda d: join({}, d), H, "got safetensors with format None .*; need format"),
    ("foreign", edit_field("format", "pt"), H, "got safetensors with format 'pt' in __metadata__"),
    ("version", edit_field("format_version", "2"), V, "got format version '2'; need version '1'"),
    ("number", edit_field("licence", 3), H, "'licence' that is no string; need a string"),
    ("card json", edit_field("card", "{"), H, "field 'card' that is not JSON"),
    ("card list", edit_field("card", []), H, r"field 'card' = '\[\]'; need a JSON object"),
    ("bands", edit_field("bands", ["r"]), H, r"field 'bands' = .*; need a list of 4"),
    ("same band", edit_field("bands", list("aabc")), H, "'bands' = .*; need different non-empty"),
    ("waves", edit_field("wavelengths_nm", [1, 2, 3, -4]), H, "'wavelengths_nm' .* nanometres"),
    ("contract", edit_field("contract", "dn"), H, "'contract' = 'dn'; need one of peak, scene"),
    ("steps", edit_field("consistency", "-1"), H, "'consistency' = '-1'; need 0 to 100"),
    ("steps bool", edit_field("consistency", "true"), H, "'consistency' = 'True'; need 0"),
    ("licence", edit_field("licence", ""), H, "field 'licence' = ''; need a name"),
    ("sha text", edit_field("sha256", "abc"), H, "'sha256' = 'abc'; need 64 lower-case hex"),
    ("variant", edit_field("variant", "{}"), H, "field 'variant' = '{}'; need an object of name"),
    ("channels", edit_size(channels=0), H, "need channels from 1 to 1024"),
    ("float size", edit_size(bands=4.0), H, "need bands from 1 to 64"),
    ("heads", edit_size(channels=3, heads=2), H, "need heads that divide channels"),
    ("fusion", edit_size(fusion=["a"]), H, "need a fusion among conv1x1, gated_conv"),
    ("other size", edit_size(channels=3), S, r"tensor head.weight of shape \(2, 4, 3, 3\); need"),
    ("more blocks", edit_size(body_blocks=2), S, "no tensor body.1.attention.* and 8 more; need"),
    ("missing", drop_tensor, S, "got no tensor refine.weight; need the 27 tensors of 'mini'"),
    ("superfluous", add_tensor, S, "got superfluous tensor extra.weight; need the 27 tensors"),
    ("shape", swap_shapes, S, r"head.weight of shape \(4, 2, 3, 3\); need \(2, 4, 3, 3\)"),
    ("dtype", edit_entry("refine.weight", dtype="I32"), S, "refine.weight of dtype I32; need F32"),
    ("entry", edit_entry("refine.weight", shape="2"), H, "malformed header entry for .* refine"),
    ("offsets", edit_entry("refine.weight", data_offsets=[-4, 0]), H, "malformed header entry"),
    ("overlap", overlap, H, r"tensor encoder.0.norm1.\w+ at bytes .* without gap or overlap"),
    ("trailing", lambda d: d + b"x", H, r"bytes of tensor data; need 2\d\d\d, as its header says"),
    ("nan value", put_value(np.nan), ModelValueError, "refine.weight with 1 values that are NaN"),
    ("infinite", put_value(-np.inf), ModelValueError, "refine.weight with 1 values that are NaN"),
    ("changed", put_value(1), ModelHashError, "got tensors with SHA-256 .*; need .*, as its head"),
    *(
        (f"no {key}", edit_field(key, None), H, f"no field '{key}'; need a string '{key}'")
        for key in ("format_version", *model_format._FIELDS, "sha256")
    ),
]


@pytest.mark.parametrize(
    ("damage", "kind", "match"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES]
)
def test_damage(
    path: Path, damage: Callable[[bytes], bytes], kind: type[ModelFileError], match: str
) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(kind, match=match) as caught:
        load_model(path)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"model file {path}: got ")


def test_every_cut_is_a_truncation(path: Path) -> None:
    data = path.read_bytes()
    cut = path.with_name("cut.safetensors")
    for length in [*range(0, len(data), 7), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(ModelTruncatedError):
            load_model(cut)


def test_any_changed_byte_is_found_or_harmless(path: Path) -> None:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    good = load_model(path)
    rng = np.random.default_rng(11)
    origin = model_format.Origin("fuzz", "none")
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 1 << int(rng.integers(8))
        try:
            found = model_format.decode(bytes(bad), origin)
        except PanTinyError as error:
            hashed = isinstance(error, ModelHashError | ModelValueError)
            assert at < start or hashed, f"byte {at}: {error}"
        else:
            assert at < start, f"byte {at} of the tensors changed unseen"
            assert found["sha256"] == good.sha256


def test_missing_file_and_name(tmp_path: Path) -> None:
    with pytest.raises(
        ModelMissingError, match=r"got nothing there \(No such file.*check the path"
    ):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="got a folder; need a model file"):
        load_model(tmp_path)
    with pytest.raises(
        ModelMissingError, match=r"'nonesuch', which is no packaged.*nonesuch.safet"
    ):
        load_model("nonesuch")
    with pytest.raises(ModelMissingError, match=r"nothing there .*null byte"):
        load_model("a\0.safetensors")


def test_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelMissingError, match="got a device or pipe; need a model file"):
        load_model(tmp_path / "pipe.safetensors")


def test_big_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = tmp_path / "big.safetensors"
    with big.open("wb") as file:
        file.truncate((64 << 20) + 1)
    monkeypatch.setattr("builtins.open", lambda *a, **k: pytest.fail("was opened"))
    with pytest.raises(ModelFileError, match=r"got 67108865 bytes; need at most 67108864 \(64 MiB"):
        load_model(big)


def test_pickle_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "was-run"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(mark),)

    for protocol in range(2, 6):
        (tmp_path / "net.pth").write_bytes(pickle.dumps(Bomb(), protocol))
        with pytest.raises(ModelHeaderError, match="torch checkpoint, which can run code"):
            load_model(tmp_path / "net.pth")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert mark.exists(), "the bomb is a dud, so the test above proves nothing"


def test_packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    saved = save_model(fields_of(), tmp_path / "weights" / "mini.safetensors")
    (tmp_path / "weights" / "README.md").write_text("not a model")
    (tmp_path / "weights" / ".part.safetensors").write_text("not a model")
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    weights._load_packaged.cache_clear()
    try:
        assert packaged_models() == ["mini"]
        model = load_model("mini")
        assert (model.name, model.sha256) == ("mini", saved.sha256)
        assert load_model("mini") is model
        with pytest.raises(
            ModelMissingError, match=r"'huge', which is .* available: mini; use one"
        ):
            load_model("huge")
        with pytest.raises(ModelMissingError, match=r"nothing there .* a packaged model: mini"):
            load_model(Path("mini"))
        (tmp_path / "weights" / "bad.safetensors").write_bytes(b"")
        with pytest.raises(
            ModelTruncatedError, match=r"packaged model 'bad': got 0 .* install pan"
        ):
            load_model("bad")
    finally:
        weights._load_packaged.cache_clear()


@pytest.mark.parametrize("name", packaged_models())
def test_shipped_models_load(name: str) -> None:
    model = load_model(name)
    assert isinstance(model, Model) and model.name == name
    assert model.card and model.licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("changes", "kind", "match"),
    [
        ({"contract": "dn"}, H, "model 'mini': got field 'contract' = 'dn'; need one of peak"),
        ({"bands": ("a", "b", "c", "d")}, H, "got bands .'a', .*need wavelengths_nm for bands"),
        ({"bands": ("blue", "red")}, H, "need a list of 4, as many as the variant has bands"),
        ({"card": {"x": float("nan")}}, H, "a value that JSON cannot hold"),
        ({"card": {"x": object()}}, H, "a value that JSON cannot hold"),
        ({"consistency": 101}, H, "'consistency' = '101'; need 0 to 100; correct that argument"),
        ({"licence": ""}, H, "field 'licence' = ''; need a name"),
        ({"tensors": {}}, S, "no tensor body.0.* and 24 more; need the 27 tensors of 'mini'"),
        ({"card": {"x": "y" * (1 << 20)}}, H, "got a header of .*; need at most .*shorten the c"),
    ],
)
def test_bad_fields_are_not_saved(
    changes: dict[str, Any], kind: type[Exception], match: str, path: Path
) -> None:
    before = path.read_bytes()
    with pytest.raises(kind, match=match):
        save_model(fields_of(**changes), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("array", "kind", "match"),
    [
        (np.zeros((2, 2, 3, 3)), S, "tensor refine.weight of dtype float64; need numpy float32"),
        (np.zeros((2, 2, 3, 3), ">f4"), S, "tensor refine.weight of dtype >f4"),
        ([0.0], S, "tensor refine.weight of dtype list"),
        (np.zeros((2, 2), np.float32), S, r"refine.weight of shape \(2, 2\); need \(2, 2, 3, 3\)"),
        (np.full((2, 2, 3, 3), np.inf, np.float32), ModelValueError, "with 36 values that are"),
    ],
)
def test_bad_tensors_are_refused(array: Any, kind: type[Exception], match: str) -> None:
    given = fields_of()
    given["tensors"]["refine.weight"] = array
    with pytest.raises(kind, match=match):
        make_model(**given)


def test_save_is_whole_or_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ModelFileError, match=r"cannot write .*good.safetensors \(No space left"):
        save_model(fields_of(contract="peak"), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_save_needs_suffix_and_folder(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"got .*net.pth; need a path ending in .safetensors"):
        save_model(fields_of(), tmp_path / "net.pth")
    with pytest.raises(ModelFileError, match="need a folder that exists"):
        save_model(fields_of(), tmp_path / "none" / "net.safetensors")


def test_save_of_a_model_hashes_what_it_holds(tmp_path: Path) -> None:
    model = replace(make_model(**fields_of()), sha256="0" * 64)
    saved = save_model(model, tmp_path / "net.safetensors")
    assert saved.sha256 == weights.tensors_sha256(model.tensors)
    assert load_model(tmp_path / "net.safetensors").sha256 == saved.sha256
