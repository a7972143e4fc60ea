"""Scenes in bands have the bits of whole ones; each seeded fault must be found."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from pantiny.kernels import testing

from .scan_ops import STEP, Pair, Scans

_SCAN, _STEPS = "csrc/cuda/scan.cu", "csrc/cuda/steps.cu"
_CORRECT, _FOLD = "kernels/consistency/consistency_cuda.cu", "kernels/fold/fold_cuda.cu"
BAND = 3 * STEP
# (features kept, back-projection, mask): what shows a fault
KEEP, AGAIN = (True, 0, False), (False, 0, False)
KEEP_CORRECTED, MASKED = (True, 1, False), (False, 1, True)

FAULTS: dict[str, tuple[str, str, str, tuple[bool, int, bool]]] = {
    "no halo of the head": (_SCAN, "kHead + kStatistics", "0 * kHead + kStatistics", AGAIN),
    "no halo of the fusion": (_SCAN, "? kFuse : 0);\n  return", "? 0 : 0);\n  return", AGAIN),
    "no halo of the tail": (_SCAN, "sums + kApply + kTail", "sums + kApply", AGAIN),
    "no halo of the last block": (_SCAN, "sums + kApply + kTail", "sums + kTail", AGAIN),
    "no halo of the tail, kept": (_SCAN, "return kApply + kTail", "return kApply", KEEP),
    "no halo of the fusion, kept": (_SCAN, "? kFuse : 0) + kSt", "? 0 : 0) + kSt", KEEP),
    "features overwritten": (_SCAN, "kShift = 4;", "kShift = 3;", KEEP),
    "features of another pass": (_SCAN, "(blocks_of(m) - 1 - pass);", "(0 * pass + 1);", KEEP),
    "kept from the top of the image": (
        _SCAN,
        "steps.features(), scene.height, above, false",
        "steps.features(), scene.height, 0, false",
        KEEP,
    ),
    "v not kept": (_SCAN, "which < 2;", "which < 1;", KEEP),
    "sums from the top of the image": (_SCAN, "sum(pass_, above / tile,", "sum(pass_, 0,", AGAIN),
    "sums in one place": (_SCAN, "rows_.first / tile, rows_of", "0, rows_of", AGAIN),
    "no halo of back-projection": (
        _SCAN,
        "step < s.consistency; ++step",
        "step < 0; ++step",
        KEEP_CORRECTED,
    ),
    "MS rows a band is too short by": (
        _SCAN,
        "axis.ms_size) + 1};",
        "axis.ms_size) - 5};",
        KEEP_CORRECTED,
    ),
    "residuals of other rows": (_CORRECT, "row_firsts[i] - s.first_row", "row_firsts[i]", MASKED),
    "MS rows from the top": (_CORRECT, "s.ms_first + block().y", "block().y", KEEP_CORRECTED),
    "residuals from the top": (_CORRECT, "i - s.ms_first,", "i,", KEEP_CORRECTED),
    "stored from the top": (
        _SCAN,
        "output.first_row = static_cast<int>(above)",
        "output.first_row = 0",
        AGAIN,
    ),
    "taps of other rows": (_SCAN, "p_.tables.rows + image_.first", "p_.tables.rows", AGAIN),
    "PAN from the top": (
        _SCAN,
        "image_.first - pan_first;",
        "image_.first - pan_first + 1;",
        AGAIN,
    ),
    "fewer rows of tiles": (_STEPS, "f.rows = rows;", "f.rows = rows - 1;", AGAIN),
    "matrices of one block": (
        _STEPS,
        "static_cast<size_t>(block) * static_cast<size_t>(scene_.images)",
        "static_cast<size_t>(0 * block) * static_cast<size_t>(scene_.images)",
        AGAIN,
    ),
}


@lru_cache
def pair(consistency: int, masked: bool) -> Pair:
    """Two bands and a bit."""
    rng = np.random.default_rng(0)
    height, width = 2 * BAND + STEP, 12
    ms = rng.integers(100, 1800, (4, height // 4, width // 4)).astype(np.uint16)
    pan = rng.integers(100, 1800, (height, width)).astype(np.uint16)
    valid = (rng.random(pan.shape) < 0.9).astype(np.uint8) if masked else None
    return Pair(ms, pan, valid, consistency)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return testing.random_weights("tiny")


@pytest.fixture(scope="module")
def sound(weights: dict[str, np.ndarray]) -> Scans:
    return Scans(weights)


@lru_cache
def expected(scans: Scans, consistency: int, masked: bool) -> np.ndarray:
    return scans.whole(pair(consistency, masked))


@pytest.mark.parametrize("case", [KEEP, AGAIN, KEEP_CORRECTED, MASKED])
def test_bands_have_the_bits_of_the_whole(case: tuple[bool, int, bool], sound: Scans) -> None:
    keep, *kind = case
    assert np.array_equal(sound.bands(pair(*kind), BAND, keep), expected(sound, *kind))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_found(name: str, sound: Scans, weights: dict[str, np.ndarray]) -> None:
    *fault, (keep, *kind) = FAULTS[name]
    scans = Scans(weights, [tuple(fault)])
    right = expected(sound, *kind)
    try:
        found = scans.bands(pair(*kind), BAND, keep)
    except RuntimeError:
        return
    assert not np.array_equal(found, right)
