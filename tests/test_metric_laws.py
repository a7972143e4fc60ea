"""What the definitions of the quality indices imply, for every index."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indices import (
    PEAK,
    PERFECT,
    RATIO,
    WITH_TRUTH,
    WITHOUT,
    Scene,
    batch,
    image,
    noisy,
    scene,
)

from pantiny import metrics as m
from pantiny.degrade import degrade_ms

CLOSE = 1e-11  # sums over an image in another order
PAIR = noisy(image(1), 2), image(1)
BUNDLE = scene(3)
UNIT_BOUND = ("pantiny", "torchmetrics")  # variants that depend on the unit


def of_unit(name: str) -> bool:
    return name.endswith(UNIT_BOUND)


@pytest.mark.parametrize("bands", [1, 3, 4, 8])
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_an_image_against_itself_is_perfect(name: str, bands: int) -> None:
    x = image(4, bands, 64, 48)
    assert WITH_TRUTH[name](x, x) == pytest.approx(PERFECT.get(name, 1.0), abs=1e-12)


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_another_image_is_not_perfect(name: str) -> None:
    truth = PAIR[1]
    perfect = PERFECT.get(name, 1.0)
    values = [WITH_TRUTH[name](noisy(truth, 2, level), truth) for level in (20, 60, 180)]
    falls = values == sorted(values, reverse=True) and values[0] < perfect
    rises = values == sorted(values) and values[0] > perfect
    assert rises if perfect == 0 else falls


@pytest.mark.parametrize("name", WITHOUT)
@pytest.mark.parametrize("bands", [1, 4])
def test_a_scene_that_agrees_with_itself_is_perfect(name: str, bands: int) -> None:
    """Every band is PAN, and MS is what the sensor makes of it."""
    pan = image(5, 1, 128, 256)[0]
    low = degrade_ms(pan[None], RATIO, (0.15,))[0]
    s = Scene(np.stack([pan] * bands), np.stack([low] * bands), pan)
    options: dict[str, Any] = {}
    if name.startswith(("d_s-", "qnr", "hqnr")):
        options["pan_low"] = low
    if name.startswith(("d_lambda_k", "hqnr", "rqnr", "r_")):
        options["gains"] = (0.15,) * bands
    best = 1.0 if name.startswith(("qnr", "hqnr", "rqnr", "r_q2n")) else 0.0
    assert WITHOUT[name](s, **options) == pytest.approx(best, abs=1e-10)
    worse = WITHOUT[name](BUNDLE)
    assert worse < 0.9999 if best else worse > 0.0001


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_symmetry(name: str) -> None:
    fused, truth = PAIR
    there, back = WITH_TRUTH[name](fused, truth), WITH_TRUTH[name](truth, fused)
    if name.startswith(("ergas", "q2n")):  # these normalise by the truth
        assert abs(there - back) > 1e-6
    else:
        assert back == pytest.approx(there, rel=1e-13)


@pytest.mark.parametrize("scale", [2.0**-11, 1 / PEAK, 3.7, 1e-9, 1e9])
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_the_unit_of_both_images_does_not_matter(name: str, scale: float) -> None:
    fused, truth = PAIR
    index = WITH_TRUTH[name]
    options = {"peak": PEAK * scale} if name in ("psnr", "ssim") else {}
    expected = index(fused, truth) * (scale if name == "rmse" else 1)
    found = index(fused * scale, truth * scale, **options)
    if scale == 2.0**-11:  # exact in binary
        assert found == expected
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [2.0**-11, 1 / PEAK, 3.7])
@pytest.mark.parametrize("name", WITHOUT)
def test_the_unit_of_a_scene_does_not_matter(name: str, scale: float) -> None:
    scaled = Scene(*(a * scale for a in BUNDLE))
    found, expected = WITHOUT[name](scaled), WITHOUT[name](BUNDLE)
    if of_unit(name):
        assert scale > 1 or abs(found - expected) > 1e-6
        return
    if scale == 2.0**-11 and "toolbox" not in name:
        assert found == expected
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("name", ["cc", "scc", "d_rho", "d_s_r"])
def test_gain_and_offset_of_one_image_do_not_matter(name: str) -> None:
    if name in WITHOUT:
        other: Any = BUNDLE._replace(pan=0.37 * BUNDLE.pan + 90)
        found, expected = WITHOUT[name](other), WITHOUT[name](BUNDLE)
    else:
        fused, truth = PAIR
        found, expected = WITH_TRUTH[name](0.37 * fused + 90, truth), WITH_TRUTH[name](*PAIR)
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_gain_per_pixel_leaves_the_angle() -> None:
    fused, truth = PAIR
    gain = np.random.default_rng(6).uniform(0.2, 5, truth.shape[1:])
    assert m.sam(gain * fused, truth) == pytest.approx(m.sam(fused, truth), rel=1e-12)
    assert m.sam(gain * truth, truth) == pytest.approx(0, abs=1e-12)
    radians = m.sam(fused, truth, units="radians")
    assert radians == pytest.approx(np.radians(m.sam(fused, truth)), rel=1e-15)


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_a_batch_is_the_mean_of_its_images(name: str) -> None:
    truth = np.stack([image(i) for i in (7, 8, 9)])
    fused = np.stack([noisy(t, i, 10.0 * i) for i, t in enumerate(truth, 1)])
    index = WITH_TRUTH[name]
    single = [index(f, t) for f, t in zip(fused, truth)]
    assert len(set(single)) == 3
    assert index(fused, truth, reduction="none").tolist() == single
    assert index(fused, truth) == pytest.approx(np.mean(single), rel=1e-15)
    assert index(fused[0], truth[0], reduction="none").shape == (1,)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_batch_of_scenes_is_the_mean_of_its_images(name: str) -> None:
    scenes = [scene(i) for i in (10, 20)]
    single = [WITHOUT[name](s) for s in scenes]
    assert single[0] != single[1]
    many = batch(scenes)
    assert WITHOUT[name](many, reduction="none").tolist() == single
    assert WITHOUT[name](many) == pytest.approx(np.mean(single), rel=1e-15)
    flat = many._replace(pan=many.pan[:, None])
    assert WITHOUT[name](flat, reduction="none").tolist() == single


MOVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "left_right": lambda x: x[..., ::-1],
    "up_down": lambda x: x[..., ::-1, :],
    "half_turn": lambda x: x[..., ::-1, ::-1],
    "quarter_turn": lambda x: np.rot90(x, axes=(-2, -1)),
    "transposed": lambda x: x.swapaxes(-2, -1),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_flips_and_quarter_turns(name: str, move: str) -> None:
    """Sizes are multiples of the blocks: they start at the top left."""
    fused, truth = noisy(image(11, 3, 64, 96), 12), image(11, 3, 64, 96)
    index, moved = WITH_TRUTH[name], MOVES[move]
    expected = index(fused, truth)
    assert index(moved(fused), moved(truth)) == pytest.approx(expected, rel=CLOSE)
    if moved(fused).shape == truth.shape:  # and it takes both to be moved
        assert index(moved(fused), truth) != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", WITHOUT)
def test_flips_and_quarter_turns_of_scenes(name: str, move: str) -> None:
    moved = Scene(*(MOVES[move](a) for a in BUNDLE))
    found, expected = WITHOUT[name](moved), WITHOUT[name](BUNDLE)
    if name in ("d_s-pantiny", "qnr-pantiny") and move != "transposed":
        assert found != pytest.approx(expected, rel=1e-5)  # PAN is sampled off the centre
    else:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in WITH_TRUTH if not n.startswith("q2n")])
def test_the_order_of_bands(name: str) -> None:
    fused, truth = PAIR
    order = [2, 0, 3, 1]
    expected = WITH_TRUTH[name](fused, truth)
    assert WITH_TRUTH[name](fused[order], truth[order]) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    "name", [n for n in WITHOUT if n not in ("d_lambda_k", "hqnr", "rqnr", "r_q2n")]
)
def test_the_order_of_bands_of_scenes(name: str) -> None:
    order = [2, 0, 3, 1]
    other = BUNDLE._replace(fused=BUNDLE.fused[order], ms=BUNDLE.ms[order])
    assert WITHOUT[name](other) == pytest.approx(WITHOUT[name](BUNDLE), rel=1e-11)


def sign(order: tuple[int, ...]) -> int:
    return round(np.linalg.det(np.eye(len(order))[list(order)]))


def mixed(truth: np.ndarray, seed: int) -> np.ndarray:
    """Bands leak into each other unequally: the covariance across images is not symmetric."""
    leak = np.eye(len(truth)) + np.random.default_rng(seed).normal(0, 0.5, (len(truth),) * 2)
    return np.tensordot(leak, truth, 1)


def test_q4_and_the_order_of_bands() -> None:
    """The vector part of the product changes by the Pfaffian of an antisymmetric matrix.

    Q4 takes two values over all orders of the bands, one for the even and one for the odd ones.
    """
    truth = image(13)
    fused = mixed(truth, 14)
    values: dict[int, list[float]] = {1: [], -1: []}
    for order in itertools.permutations(range(4)):
        values[sign(order)].append(m.q2n(fused[list(order)], truth[list(order)]))
    for found in values.values():
        assert found == pytest.approx([found[0]] * 12, rel=1e-12)
    assert values[1][0] == pytest.approx(m.q2n(fused, truth), rel=1e-12)
    assert abs(values[1][0] - values[-1][0]) > 1e-4


@pytest.mark.parametrize("bands", [1, 2, 3])
def test_q2n_of_up_to_three_bands_and_their_order(bands: int) -> None:
    truth = image(15, bands)
    fused = mixed(truth, 16)
    for order in map(list, itertools.permutations(range(bands))):
        expected = m.q2n(fused, truth)
        assert m.q2n(fused[order], truth[order]) == pytest.approx(expected, rel=1e-12)


def test_q8_depends_on_the_order_of_bands_unless_symmetric() -> None:
    truth = image(17, 8)
    order = [1, 0, 2, 3, 4, 5, 6, 7]
    fused = mixed(truth, 18)
    assert abs(m.q2n(fused[order], truth[order]) - m.q2n(fused, truth)) > 1e-5
    # one gain for all bands: the covariance across the images is symmetric
    alike = 0.8 * (truth - truth.mean()) + truth.mean()
    assert m.q2n(alike[order], truth[order]) == pytest.approx(m.q2n(alike, truth), rel=1e-12)


@pytest.mark.parametrize("bands", [3, 5, 6, 7])
def test_bands_of_zeros_fill_up_to_a_power_of_two(bands: int) -> None:
    truth = image(19, bands)
    fused = mixed(truth, 20)
    full = 1 << (bands - 1).bit_length()
    padded = [np.concatenate([x, np.zeros((full - bands, 64, 64))]) for x in (fused, truth)]
    # a constant band is 1 in both after normalisation: it adds to the means, so compare the
    # covariance part alone, on images of equal means
    level = truth.mean((1, 2), keepdims=True)
    centred = fused - fused.mean((1, 2), keepdims=True) + level
    alike = m.q2n(centred, truth, block=64)
    padded[0][:bands] = centred
    assert m.q2n(*padded, block=64) == pytest.approx(alike, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 80), width=st.integers(1, 80), block=st.sampled_from([4, 8, 13, 32]))
def test_q2n_mirrors_what_sticks_out(height: int, width: int, block: int) -> None:
    truth = image(21, 2, height, width)
    fused = noisy(truth, 22)
    pad = ((0, 0), (0, -height % block), (0, -width % block))
    # numpy mirrors over and over where the image is smaller than the block, as defined
    whole = [np.pad(x, pad, "symmetric") for x in (fused, truth)]
    assert m.q2n(fused, truth, block=block) == pytest.approx(m.q2n(*whole, block=block), rel=1e-12)


@pytest.mark.parametrize("name", [n for n in WITH_TRUTH if n not in ("uqi-blocks", "q2n", "q2n-8")])
def test_a_masked_frame_is_a_crop(name: str) -> None:
    fused, truth = PAIR
    mask = np.zeros((64, 64), bool)
    mask[5:50, 11:60] = True
    cropped = WITH_TRUTH[name](fused[:, 5:50, 11:60], truth[:, 5:50, 11:60])
    assert WITH_TRUTH[name](fused, truth, mask=mask) == pytest.approx(cropped, rel=1e-12)


@pytest.mark.parametrize("name", ["uqi-blocks", "q2n", "q2n-8"])
def test_masked_blocks_are_left_out(name: str) -> None:
    fused, truth = PAIR
    mask = np.ones((64, 64), bool)
    mask[:, 40] = False
    block = 32 if name == "q2n" else 8
    left = 40 // block * block
    keep = np.r_[:left, left + block : 64]
    expected = WITH_TRUTH[name](fused[..., keep], truth[..., keep])
    assert WITH_TRUTH[name](fused, truth, mask=mask) == pytest.approx(expected, rel=1e-12)


def holes(height: int, width: int, seed: int = 23) -> np.ndarray:
    """A few specks and a frame that leave whole blocks of 32 free."""
    mask = np.ones((height, width), bool)
    mask[:3] = mask[:, -2:] = False
    mask[height // 2 :, :9] = np.random.default_rng(seed).random((height - height // 2, 9)) < 0.9
    return mask


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e12, 0.0])
@pytest.mark.parametrize("name", WITH_TRUTH)
def test_values_under_a_mask_never_matter(name: str, garbage: float) -> None:
    truth = image(24, 4, 96, 128)
    fused, mask = noisy(truth, 25), holes(96, 128)
    expected = WITH_TRUTH[name](fused, truth, mask=mask)
    assert np.isfinite(expected) and expected != WITH_TRUTH[name](fused, truth)
    spoilt = np.where(mask, fused, garbage), np.where(mask, truth, -garbage)
    assert WITH_TRUTH[name](*spoilt, mask=mask) == expected
    one = WITH_TRUTH[name](
        np.stack([fused, fused]), np.stack([truth] * 2), mask=np.stack([mask] * 2)
    )
    assert one == expected


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e12])
@pytest.mark.parametrize("name", WITHOUT)
def test_values_of_a_scene_under_a_mask_never_matter(name: str, garbage: float) -> None:
    s = scene(26, 3, 256, 384)
    mask = holes(256, 384)
    expected = WITHOUT[name](s, mask=mask)
    assert np.isfinite(expected) and expected != WITHOUT[name](s)
    under = mask.reshape(64, RATIO, 96, RATIO).all(axis=(1, 3))
    spoilt = Scene(
        np.where(mask, s.fused, garbage),
        np.where(under, s.ms, garbage),
        np.where(mask, s.pan, garbage),
    )
    assert WITHOUT[name](spoilt, mask=mask) == expected


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_a_mask_that_is_true_everywhere(name: str) -> None:
    fused, truth = PAIR
    found = WITH_TRUTH[name](fused, truth, mask=np.ones((64, 64), np.uint8))
    assert found == pytest.approx(WITH_TRUTH[name](fused, truth), rel=1e-13)


@pytest.mark.parametrize("name", WITHOUT)
def test_a_mask_of_a_scene_that_is_true_everywhere(name: str) -> None:
    found = WITHOUT[name](BUNDLE, mask=np.ones(BUNDLE.pan.shape, bool))
    assert found == pytest.approx(WITHOUT[name](BUNDLE), rel=1e-12)


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_flat_and_black_parts(name: str) -> None:
    """Where both images are flat, and equal, they are as good as equal elsewhere."""
    truth = image(27)
    truth[:, :32] = 0.3 * np.arange(1, 5)[:, None, None]
    truth[:, 32:, :32] = 0
    same = WITH_TRUTH[name](truth, truth)
    assert same == pytest.approx(PERFECT.get(name, 1.0), abs=1e-12)
    fused = truth.copy()
    fused[:, 32:, 32:] = noisy(truth[:, 32:, 32:], 28)
    worse = WITH_TRUTH[name](fused, truth)
    assert np.isfinite(worse) and worse != pytest.approx(same, abs=1e-6)
