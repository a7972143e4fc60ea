"""The training loop on a small synthetic folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pantiny.demo import make_scene  # noqa: E402
from pantiny.errors import DataError  # noqa: E402
from pantiny.training.data import batches, load_pairs  # noqa: E402
from pantiny.training.loop import Recipe, train  # noqa: E402

TINY = Recipe(steps=4, batch=2, crop=16, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sensors to train on, one pair to choose on; one record of each kind."""
    root = tmp_path_factory.mktemp("pairs")
    records = []
    for i, (split, kind) in enumerate([("train", "RR"), ("train", "FR"), ("val", "RR")]):
        scene = make_scene(128, seed=i)
        stored = {"ms": scene.ms.transpose(1, 2, 0), "pan": scene.pan}
        if kind == "RR":
            stored["gt"] = scene.truth.transpose(1, 2, 0)
        np.savez(root / f"{i}.npz", **stored)
        records.append(
            {
                "id": f"s{i}",
                "split": split,
                "kind": kind,
                "ratio": 4,
                "bits": 11,
                "sensor": "WV2" if i else "unlisted",
                "file": f"{i}.npz",
            }
        )
    (root / "manifest.json").write_text(json.dumps(records))
    return root


def test_pairs_follow_the_protocol(folder: Path) -> None:
    reduced, native = load_pairs(folder, "train")
    assert reduced.truth.shape == (4, 128, 128) and reduced.ms.shape == (4, 32, 32)
    assert native.truth.shape == (4, 32, 32) and native.pan.shape == (32, 32)
    # the degraded truth is the MS, so back-projecting the truth changes nothing
    from pantiny.degrade import degrade_ms

    np.testing.assert_allclose(degrade_ms(reduced.truth, 4, reduced.gains), reduced.ms, rtol=1e-6)


def test_batches_depend_on_seed_and_step_only(folder: Path) -> None:
    pairs = load_pairs(folder, "train")

    def take(first: int, seed: int = 0):  # type: ignore[no-untyped-def]
        return next(
            batches(pairs, batch=3, crop=16, contract="scene", jitter=0.2, seed=seed, first=first)
        )

    stream = batches(pairs, batch=3, crop=16, contract="scene", jitter=0.2, seed=0)
    for step in range(3):
        expected = next(stream)
        got = take(step)
        assert torch.equal(got.truth, expected.truth) and torch.equal(got.pan, expected.pan)
    assert not torch.equal(take(0).truth, take(1).truth)
    assert not torch.equal(take(0).truth, take(0, seed=1).truth)


def test_a_batch_is_aligned(folder: Path) -> None:
    """MS, PAN and truth of a crop show the same ground after flips and turns."""
    pairs = load_pairs(folder, "train")[:1]
    stream = batches(pairs, batch=8, crop=32, contract="scene", jitter=0.0, seed=5)
    b = next(stream)
    # truth averaged over 4 x 4 is close to MS; any misplaced turn or flip breaks it
    means = torch.nn.functional.avg_pool2d(b.truth, 4)
    for i in range(8):
        mine = torch.corrcoef(torch.stack([means[i].flatten(), b.ms[i].flatten()]))[0, 1]
        assert mine > 0.97, mine
        intensity = torch.stack([b.truth[i].mean(0).flatten(), b.pan[i, 0].flatten()])
        assert torch.corrcoef(intensity)[0, 1] > 0.8


def test_resumed_run_equals_uninterrupted_run(folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train(TINY, folder, tmp_path / "whole", validate_every=2)
    # stop after the first checkpoint by asking for a validation there and failing afterwards
    calls = 0

    def stop(*args: object, **kwargs: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 4:  # two losses per step: the third step fails
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    from pantiny.nn.losses import PanTinyLoss

    original = PanTinyLoss.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PanTinyLoss, "forward", stop)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, folder, tmp_path / "broken", validate_every=2)
    assert torch.load(tmp_path / "broken" / "last.pt", weights_only=True)["step"] == 2
    train(TINY, folder, tmp_path / "broken", validate_every=2)
    one, two = (
        torch.load(tmp_path / d / "last.pt", weights_only=True) for d in ("whole", "broken")
    )
    for key in one["net"]:
        assert torch.equal(one["net"][key], two["net"][key]), key
        assert torch.equal(one["averaged"][key], two["averaged"][key]), key


def test_training_lowers_the_loss(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(steps=12, batch=2, crop=32, seed=0, rate=2e-3, rate_end=2e-3, jitter=0.0)
    train(recipe, folder, tmp_path / "run", validate_every=4)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["ergas"] < history[0]["ergas"]


def test_missing_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json: not found"):
        load_pairs(tmp_path, "train")


def test_empty_split_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match="no ratio-4 pair in split 'test'"):
        load_pairs(folder, "test")


def test_nan_loss_stops_and_keeps_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(Recipe(steps=2, batch=2, crop=16), folder, out, validate_every=2)
    kept = (out / "last.pt").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        from pantiny.nn.losses import PanTinyLoss

        patch.setattr(
            PanTinyLoss, "forward", lambda *_: torch.tensor(float("nan"), requires_grad=True)
        )
        with pytest.raises(DataError, match="loss is nan at step 2"):
            train(Recipe(steps=4, batch=2, crop=16), folder, out, validate_every=2)
    assert (out / "last.pt").read_bytes() == kept
