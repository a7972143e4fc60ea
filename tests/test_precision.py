"""precision=: refused where it cannot be met, used where it can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pantiny
from pantiny.engine import core
from pantiny.errors import BackendError, OptionError


def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    ms = rng.integers(100, 1500, (4, 12, 20)).astype(np.float32)
    return ms, rng.integers(100, 1500, (48, 80)).astype(np.float32)


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(OptionError, match=r"precision: got 'int8'; need one of auto, fp32,"):
        pantiny.fuse(*pair(), bits=11, precision="int8")
    with pytest.raises(BackendError, match=r"precision: 'fp16' needs a GPU"):
        pantiny.fuse(*pair(), bits=11, precision="fp16")


def test_bf16_is_close_where_it_runs_and_an_error_where_not() -> None:
    exact = pantiny.fuse(*pair(), bits=11, precision="fp32")
    np.testing.assert_array_equal(exact, pantiny.fuse(*pair(), bits=11))
    if not core().bf16_usable():
        with pytest.raises(BackendError, match="needs a processor with AVX512-BF16"):
            pantiny.fuse(*pair(), bits=11, precision="bf16")
        return
    rough = pantiny.fuse(*pair(), bits=11, precision="bf16")
    apart = np.linalg.norm(rough - exact) / np.linalg.norm(exact)
    assert 0 < apart < 2**-8


def test_the_reference_has_no_bf16() -> None:
    with pytest.raises(BackendError, match="computes in float64"):
        pantiny.fuse(*pair(), bits=11, precision="bf16", backend="reference")


def test_files_refuse_it_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="precision: got 'half'"):
        pantiny.fuse_files("no.tif", "no.tif", tmp_path / "out.tif", precision="half")
