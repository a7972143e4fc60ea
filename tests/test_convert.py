"""Conversion of torch checkpoints: the values arrive, and no pickled code runs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pantiny.convert import convert_checkpoint
from pantiny.errors import (
    DependencyError,
    ModelFileError,
    ModelHeaderError,
    ModelMissingError,
    ModelShapeError,
    ModelTruncatedError,
    ModelValueError,
    OptionError,
    OutputExistsError,
)
from pantiny.variants import Variant
from pantiny.weights import load_model, save_model

torch = pytest.importorskip("torch")

from pantiny.nn.modules import PanTiny  # noqa: E402

State = dict[str, Any]  # tensors by name

# Ours, the authors'; applied in this order. The authors' module tree is in the net.txt of
# each run in github.com/Zirconium233/PanTiny, checkpoints/model/.
AUTHORS_NAMES = [
    ("head.", "patch_embed.proj."),
    ("body.", "refinement."),
    ("fusion.conv1.", "fusion_module.fusion.0."),
    ("fusion.conv2.", "fusion_module.fusion.2."),
    (".norm1.", ".norm1.body."),
    (".norm2.", ".norm2.body."),
    (".attention.project.", ".attn.project_out."),
    (".attention.qkv_dw.", ".attn.qkv_dwconv."),
    (".attention.", ".attn."),
    (".ffn.expand.", ".ffn.project_in."),
    (".ffn.dw.", ".ffn.dwconv."),
    (".ffn.project.", ".ffn.project_out."),
]


def state_of(variant: str | Variant) -> State:
    torch.manual_seed(5)
    return {n: torch.randn_like(t) for n, t in PanTiny(variant).state_dict().items()}


def authors(state: State) -> State:
    out = {}
    for ours, tensor in state.items():
        name = ours
        for old, new in AUTHORS_NAMES:
            name = name.replace(old, new)
        out["advanced_refine.refine.weight" if ours == "refine.weight" else name] = tensor
    return out


@pytest.fixture(scope="module")
def tiny() -> State:
    return state_of("tiny")


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return tmp_path / "bestPSNR.pth"


@pytest.fixture
def dst(tmp_path: Path) -> Path:
    return tmp_path / "out.safetensors"


def test_the_renaming_of_this_test_is_the_published_tree(tiny: State) -> None:
    block = {f"norm{n}.body.{leaf}" for n in (1, 2) for leaf in ("weight", "bias")}
    block |= {f"attn.{n}" for n in ("temperature", "qkv.weight", "qkv_dwconv.weight")}
    block |= {"attn.project_out.weight", "ffn.project_in.weight", "ffn.dwconv.weight"}
    block |= {"ffn.project_out.weight"}
    published = {f"{s}.{i}.{b}" for s in ("encoder", "refinement") for i in range(3) for b in block}
    published |= {"patch_embed.proj.weight", "output.weight", "advanced_refine.refine.weight"}
    published |= {"fusion_module.fusion.0.weight", "fusion_module.fusion.2.weight"}
    assert authors(tiny).keys() == published


@pytest.mark.parametrize("asked", ["by name", None])
@pytest.mark.parametrize("name", ["tiny", "huge"])
def test_authors_checkpoint(name: str, asked: str | None, src: Path, dst: Path) -> None:
    state = state_of(name)
    wrapped = {f"module.{n}": t for n, t in authors(state).items()}
    torch.save({"net": wrapped, "epoch": 499}, src)
    model = convert_checkpoint(src, dst, variant=name if asked else None)
    loaded = load_model(dst)
    assert loaded.variant.name == name and loaded.sha256 == model.sha256
    assert loaded.tensors.keys() == state.keys()
    for key, tensor in state.items():
        assert np.array_equal(loaded.tensors[key], tensor.numpy()), key
    assert (loaded.contract, loaded.consistency, loaded.licence) == ("peak", 0, "unspecified")
    assert loaded.bands == ("blue", "green", "red", "nir")
    assert loaded.card == {
        "source": "converted checkpoint",
        "checkpoint": "bestPSNR.pth",
        "checkpoint_sha256": hashlib.sha256(src.read_bytes()).hexdigest(),
        "tensor_names": "authors",
    }
    with torch.no_grad():
        ours, theirs = PanTiny(name), PanTiny(name)
        ours.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in loaded.tensors.items()})
        theirs.load_state_dict(state)
        x = torch.rand(1, 4, 5, 7), torch.rand(1, 1, 5, 7)
        assert torch.equal(ours(*x), theirs(*x))


@pytest.mark.parametrize("key", [None, "net", "state_dict", "model"])
def test_where_the_state_dict_lies(key: str | None, tiny: State, src: Path, dst: Path) -> None:
    state = authors(tiny)
    torch.save({key: state, "epoch": 3} if key else state, src)
    model = convert_checkpoint(src, dst)
    assert np.array_equal(model.tensors["refine.weight"], tiny["refine.weight"].numpy())


def test_legacy_checkpoint_of_doubles(tiny: State, src: Path, dst: Path) -> None:
    doubles = {n: t.double() for n, t in authors(tiny).items()}
    torch.save(doubles, src, _use_new_zipfile_serialization=False)
    model = convert_checkpoint(src, dst)
    assert np.array_equal(model.tensors["head.weight"], tiny["head.weight"].numpy())


def test_our_training_checkpoint(src: Path, dst: Path) -> None:
    state = state_of("tiny-gated_conv")
    recipe = {"variant": "tiny-gated_conv", "contract": "scene", "consistency": 2, "rate": 1e-3}
    torch.save({"net": state, "recipe": recipe, "step": 6000}, src)
    model = convert_checkpoint(src, dst, variant=None, card={"val": {"psnr": 37.0}}, licence="MIT")
    assert (model.variant.name, model.contract, model.consistency) == (
        "tiny-gated_conv",
        "scene",
        2,
    )
    assert model.card["recipe"] == recipe and model.card["val"] == {"psnr": 37.0}
    assert model.card["tensor_names"] == "pantiny" and model.licence == "MIT"
    for key, tensor in state.items():
        assert np.array_equal(model.tensors[key], tensor.numpy()), key
    with pytest.raises(OptionError, match="got contract='peak'; need 'scene', with which"):
        convert_checkpoint(src, dst, variant=None, contract="peak", overwrite=True)


def test_our_names_without_recipe_need_a_contract(tiny: State, src: Path, dst: Path) -> None:
    torch.save({"net": tiny}, src)
    with pytest.raises(OptionError, match=r"got no recipe .* need contract='peak' or 'scene'"):
        convert_checkpoint(src, dst)
    assert not dst.exists()
    assert convert_checkpoint(src, dst, contract="scene").contract == "scene"


def test_other_band_count(src: Path, dst: Path) -> None:
    torch.save(authors(state_of(Variant("tiny", bands=3))), src)
    model = convert_checkpoint(src, dst, bands=("blue", "green", "red"), consistency=3)
    assert (model.variant.bands, model.wavelengths_nm) == (3, (480, 545, 660))
    assert model.consistency == 3
    with pytest.raises(ModelHeaderError, match="need a list of 3, as many as the variant has"):
        convert_checkpoint(src, dst, overwrite=True)


def test_existing_output_is_kept(tiny: State, src: Path, dst: Path) -> None:
    torch.save(authors(tiny), src)
    dst.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"out.safetensors exists; need a new path"):
        convert_checkpoint(src, dst)
    assert dst.read_text() == "mine"
    convert_checkpoint(src, dst, overwrite=True)
    assert load_model(dst).variant.name == "tiny"


class Bomb:
    """Makes a folder when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("form", ["bare", "legacy", "zip", "inside"])
def test_pickled_code_is_never_run(form: str, tiny: State, src: Path, dst: Path) -> None:
    mark = src.with_name("was-run")
    if form == "bare":
        src.write_bytes(pickle.dumps(Bomb(mark)))
    elif form == "inside":
        torch.save({"net": authors(tiny), "extra": Bomb(mark)}, src)
    else:
        torch.save(Bomb(mark), src, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ModelFileError, match="needs pickled code to load; nothing of it was run"):
        convert_checkpoint(src, dst)
    assert not mark.exists() and not dst.exists()
    if form == "bare":
        pickle.loads(src.read_bytes())
    else:
        torch.load(src, weights_only=False)
    assert mark.exists(), "the bomb is a dud, so the assertion above proves nothing"


def change(name: str, tensor: Any) -> Callable[[dict[str, Any]], Any]:
    """Set an entry of the authors' state dict; ``None`` removes it."""

    def edit(state: dict[str, Any]) -> Any:
        state = {**state, name: tensor}
        if tensor is None:
            del state[name]
        return state

    return edit


S = ModelShapeError
REFINE = "advanced_refine.refine.weight"
BAD: list[tuple[str, Callable[[dict[str, Any]], Any], type[Exception], str]] = [
    ("missing", change(REFINE, None), S, "got no tensor refine.weight; need the 71 tensors"),
    ("superfluous", change("more.weight", torch.ones(1)), S, "got superfluous tensor more.weight"),
    ("third bias", change("output.bias", torch.ones(4)), S, "superfluous tensor output.bias"),
    ("shape", change(REFINE, torch.ones(28, 28)), S, r"refine.weight of shape \(28, 28\); need"),
    ("nan", change(REFINE, torch.full((28, 28, 3, 3), torch.nan)), ModelValueError, "NaN or inf"),
    (
        "integers",
        change(REFINE, torch.ones(1).int()),
        S,
        "refine.weight' of type torch.int32; need",
    ),
    ("sparse", change(REFINE, torch.ones(2, 2).to_sparse()), S, "need dense floating-point"),
    ("no tensor", change("epoch", 3), S, "entry 'epoch' of type int; need dense"),
    (
        "same block twice",
        change("encoder.00.norm1.body.bias", torch.ones(28)),
        S,
        "encoder.00.norm1.body.bias twice",
    ),
    (
        "large's fusion",
        change("fusion_module.fusion.project_in.weight", torch.ones(1)),
        S,
        "of a fusion other than enhanced_conv; need fusion_module.fusion.0.weight and .2.weight",
    ),
    ("list", lambda state: [1, 2], S, "got a list without a state dict; need a state dict, or"),
    ("no state", lambda state: {"epoch": 3}, S, "got a dict without a state dict"),
    ("foreign", lambda state: {"conv.weight": torch.ones(1)}, S, "no tensor .* and 68 more; need"),
    (
        "recipe",
        lambda state: {"net": state, "recipe": {"rate": torch.ones(1)}},
        ModelHeaderError,
        "got a recipe that JSON cannot hold",
    ),
    (
        "expanded",
        change("patch_embed.proj.weight", torch.ones(1).expand(28, 10**9, 3, 3)),
        S,
        r"head.weight of shape \(28, 1000000000, 3, 3\); need \(28, 4, 3, 3\)",
    ),
]


@pytest.mark.parametrize(("edit", "kind", "match"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_checkpoint(
    edit: Callable[[dict[str, Any]], Any],
    kind: type[Exception],
    match: str,
    tiny: State,
    src: Path,
    dst: Path,
) -> None:
    torch.save(edit(authors(tiny)), src)
    with pytest.raises(kind, match=match) as caught:
        convert_checkpoint(src, dst)
    assert type(caught.value) is kind
    assert not dst.exists()


def test_wrong_or_unknown_variant(src: Path, dst: Path) -> None:
    torch.save(authors(state_of("huge")), src)
    with pytest.raises(ModelShapeError, match="got a 'huge' network; need 'tiny'; give variant='h"):
        convert_checkpoint(src, dst)
    odd = Variant("odd", channels=6, heads=1)
    torch.save(authors(state_of(odd)), src)
    with pytest.raises(ModelShapeError, match=r"head.weight \(6, 4, 3, 3\), of no known variant"):
        convert_checkpoint(src, dst, variant=None)
    assert convert_checkpoint(src, dst, variant=odd).variant == odd


def test_unreadable_sources(tiny: State, src: Path, dst: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"got no such file; need a .pth file; check the"):
        convert_checkpoint(src, dst)
    torch.save(authors(tiny), src)
    src.write_bytes(src.read_bytes()[:-100])
    with pytest.raises(ModelTruncatedError, match=r"got a damaged file .*need a whole checkpoint"):
        convert_checkpoint(src, dst)
    src.write_bytes(b"")
    with pytest.raises(ModelTruncatedError, match=r"got a damaged file \(EOFError"):
        convert_checkpoint(src, dst)
    with src.open("wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(ModelFileError, match=r"got 268435457 bytes; need at most .*256 MiB"):
        convert_checkpoint(src, dst)
    tensors = {n: t.numpy() for n, t in tiny.items()}
    parts = {"variant": "tiny", "tensors": tensors, "contract": "peak", "licence": "MIT"}
    save_model(parts, src.with_suffix(".safetensors"))
    with pytest.raises(ModelFileError, match=r"got a safetensors file; .* use it as it is"):
        convert_checkpoint(src.with_suffix(".safetensors"), dst)


def test_torch_absent_or_unsafe(
    tiny: State, src: Path, dst: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(authors(tiny), src)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.5.1+cpu")
        with pytest.raises(DependencyError, match=r"got torch 2.5.1.*CVE-2025-32434.*2.6 or newer"):
            convert_checkpoint(src, dst)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)
        with pytest.raises(DependencyError, match=r"torch is not installed; .* pip install"):
            convert_checkpoint(src, dst)
    convert_checkpoint(src, dst)
    assert dst.exists()


def test_conversion_is_the_same_in_any_process(tiny: State, src: Path, dst: Path) -> None:
    torch.save(authors(tiny), src)
    convert_checkpoint(src, dst)
    other = dst.with_name("other.safetensors")
    code = "import sys; from pantiny.convert import convert_checkpoint as c; c(*sys.argv[1:])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "9"}
    subprocess.run([sys.executable, "-c", code, str(src), str(other)], env=env, check=True)
    assert other.read_bytes() == dst.read_bytes()
    header = json.loads(dst.read_bytes()[8 : 8 + int.from_bytes(dst.read_bytes()[:8], "little")])
    assert header["__metadata__"]["contract"] == "peak"
