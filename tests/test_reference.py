"""The numpy reference of the whole network and the whole fusion: equal to the torch twin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pantiny.degrade import degrade_ms, upsample_ms
from pantiny.errors import ShapeError
from pantiny.kernels.consistency.consistency_ref import consistency_ref
from pantiny.kernels.testing import assert_close, random_weights
from pantiny.reference import fuse_ref, network_ref
from pantiny.variants import VARIANTS, get_variant

GAINS = (0.355, 0.36, 0.365, 0.22)
QUARTER = (0.25, 0.25)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


# The network against torch, and under masks


def twin(variant: str, weights: dict[str, np.ndarray]) -> Any:
    torch = pytest.importorskip("torch")
    from pantiny.nn import PanTiny

    net = PanTiny(variant).double()
    net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    return net


def run_twin(net: Any, ms_up: np.ndarray, pan: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        out = net(torch.from_numpy(ms_up)[None], torch.from_numpy(pan)[None, None])
    return np.asarray(out[0].numpy())


@every_variant
def test_network_equals_the_torch_twin(variant: str) -> None:
    weights = random_weights(variant, 1)
    net = twin(variant, weights)
    for height, width in ((5, 7), (1, 1), (1, 9)):
        ms_up, pan = image(2, 4, height, width), image(3, height, width)
        assert_close(network_ref(weights, variant, ms_up, pan), run_twin(net, ms_up, pan))


@every_variant
def test_a_masked_rectangle_is_a_crop(variant: str) -> None:
    weights = random_weights(variant, 4)
    rows, cols = slice(1, 6), slice(3, 9)
    valid = np.zeros((8, 10), bool)
    valid[rows, cols] = True
    ms_up, pan = image(5, 4, 8, 10), image(6, 8, 10)
    expected = network_ref(weights, variant, ms_up[:, rows, cols], pan[rows, cols])
    ms_up[:, ~valid] = np.nan
    pan[~valid] = np.nan
    fused = network_ref(weights, variant, ms_up, pan, valid)
    assert_close(fused[:, rows, cols], expected)
    assert not fused[:, ~valid].any()


@every_variant
def test_random_weights_are_lively(variant: str) -> None:
    weights = random_weights(variant, 7)
    assert {k: v.shape for k, v in weights.items()} == get_variant(variant).shapes()
    ms_up, pan = image(8, 4, 12, 13), image(9, 12, 13)
    fused = network_ref(weights, variant, ms_up, pan)
    assert 0.1 < np.std(fused - ms_up) < 10
    for name, value in weights.items():  # no tensor may be dead, or a fault in it is not seen
        changed = network_ref({**weights, name: value[::-1] * 1.25}, variant, ms_up, pan)
        assert np.abs(changed - fused).max() > 1e-3, name


def test_a_flip_of_image_and_kernels_flips_the_result() -> None:
    weights = random_weights("tiny", 10)
    ms_up, pan = image(11, 4, 6, 9), image(12, 6, 9)
    valid = image(13, 6, 9) < 0.8
    fused = network_ref(weights, "tiny", ms_up, pan, valid)
    for axis in (-1, -2):
        flipped = {k: np.flip(v, axis) if v.shape[-1] == 3 else v for k, v in weights.items()}
        arrays = (np.flip(a, axis) for a in (ms_up, pan, valid))
        assert_close(network_ref(flipped, "tiny", *arrays), np.flip(fused, axis))


def test_network_refuses_other_shapes() -> None:
    weights = random_weights("tiny")
    with pytest.raises(ShapeError, match="ms_up"):
        network_ref(weights, "tiny", image(0, 3, 4, 5), image(0, 4, 5))
    with pytest.raises(ShapeError, match="pan"):
        network_ref(weights, "tiny", image(0, 4, 4, 5), image(0, 5, 4))
    with pytest.raises(ShapeError, match="valid"):
        network_ref(weights, "tiny", image(0, 4, 4, 5), image(0, 4, 5), np.ones((4, 4), bool))


# Consistency


@pytest.fixture
def float64_tables() -> Iterator[None]:
    """The torch twin rounds its tap tables to float32; here it keeps them."""
    torch = pytest.importorskip("torch")
    from pantiny.nn import resample

    caches = (resample._up_matrix, resample._down_matrix)
    with pytest.MonkeyPatch.context() as patch:
        for cache in caches:
            cache.cache_clear()
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        yield
    for cache in caches:
        cache.cache_clear()


def torch_consistency(fused: np.ndarray, ms: np.ndarray, steps: int) -> np.ndarray:
    torch = pytest.importorskip("torch")
    from pantiny.nn import Consistency

    out = Consistency(steps)(torch.from_numpy(fused)[None], torch.from_numpy(ms)[None], GAINS)
    return np.asarray(out[0].numpy())


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_consistency_equals_the_torch_twin(ratio: int, float64_tables: None) -> None:
    for height, width in ((5, 7), (1, 9), (1, 1)):
        fused, ms = image(20, 4, height * ratio, width * ratio), image(21, 4, height, width)
        assert_close(consistency_ref(fused, ms, GAINS, 3), torch_consistency(fused, ms, 3))


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_consistency_is_that_of_degrade(ratio: int) -> None:
    fused, ms = image(22, 4, 6 * ratio, 7 * ratio), image(23, 4, 6, 7)
    residual = ms - degrade_ms(fused, ratio, GAINS)
    out = consistency_ref(fused, ms, GAINS, 1)
    assert_close(out, fused + upsample_ms(residual, ratio))
    assert np.abs(ms - degrade_ms(out, ratio, GAINS)).mean() < 0.7 * np.abs(residual).mean()


# From DN to DN


@every_variant
def test_fuse_equals_torch(variant: str, float64_tables: None) -> None:
    weights = random_weights(variant, 30)
    ms, pan, scale_dn = 2047 * image(31, 4, 3, 5), 2047 * image(32, 12, 20), 1500.0
    fused = run_twin(twin(variant, weights), upsample_ms(ms, 4) / scale_dn, pan / scale_dn)
    expected = torch_consistency(fused, ms / scale_dn, 2) * scale_dn
    kwargs: dict[str, Any] = {"scale_dn": scale_dn, "gains": GAINS, "consistency": 2}
    assert_close(fuse_ref(weights, variant, ms, pan, **kwargs), expected)
    ones: dict[str, Any] = {"valid": np.ones((12, 20), bool), "ms_valid": np.ones((3, 5), bool)}
    assert_close(fuse_ref(weights, variant, ms, pan, **kwargs, **ones), expected)


def test_fuse_never_reads_a_masked_pixel() -> None:
    weights = random_weights("tiny", 33)
    ms, pan = 2047 * image(34, 4, 6, 7), 2047 * image(35, 24, 28)
    kwargs: dict[str, Any] = {
        "scale_dn": 1500.0,
        "gains": GAINS,
        "consistency": 2,
        "offset": (0.1, -0.2),
        "scale": QUARTER,
        "valid": image(36, 24, 28) < 0.7,
        "ms_valid": image(37, 6, 7) < 0.7,
    }
    fused = fuse_ref(weights, "tiny", ms, pan, **kwargs)
    assert not fused[:, ~kwargs["valid"]].any()
    assert fused[:, kwargs["valid"]].all()
    ms[:, ~kwargs["ms_valid"]] = np.nan
    pan[~kwargs["valid"]] = np.nan
    assert np.array_equal(fuse_ref(weights, "tiny", ms, pan, **kwargs), fused)
    kwargs["scale_dn"] *= 4  # exact in binary: DN and scale together change nothing but the unit
    assert np.array_equal(fuse_ref(weights, "tiny", 4 * ms, 4 * pan, **kwargs), 4 * fused)


@pytest.mark.parametrize("masks", [False, True], ids=["whole", "masked"])
def test_fuse_looks_at_the_place_of_the_grid_in_ms(masks: bool) -> None:
    weights = random_weights("tiny", 38)
    ms, pan = image(39, 4, 10, 12), image(40, 16, 20)
    kwargs: dict[str, Any] = {"scale_dn": 1.0, "gains": GAINS, "consistency": 2, "scale": QUARTER}
    valid = image(41, 16, 20) < 0.8 if masks else None
    ms_valid = image(42, 10, 12) < 0.8 if masks else np.ones((10, 12), bool)

    def fuse(rows: slice, cols: slice, offset: tuple[float, float]) -> np.ndarray:
        known = ms_valid[rows, cols] if masks else None
        low = ms[:, rows, cols]
        return fuse_ref(
            weights, "tiny", low, pan, offset=offset, valid=valid, ms_valid=known, **kwargs
        )

    # PAN covers MS rows 3 .. 7 and columns 2.75 .. 7.75; the cubic reads rows and columns 1 on.
    fused = fuse(slice(0, 10), slice(0, 12), (3.0, 2.75))
    assert_close(fuse(slice(1, 9), slice(1, 10), (2.0, 1.75)), fused)
    assert np.abs(fuse(slice(0, 10), slice(0, 12), (3.0, 2.25)) - fused).max() > 1e-2
