"""golden.json is what the scalar implementation says, and pantiny says the same."""

from __future__ import annotations

import json
import math
from typing import Any

import inputs
import make
import numpy as np
import pytest
import runner
import scalar
import scalar_full
import scalar_q2n
import scalar_resample
import scalar_windows
from adapters.scalar_indices import INDICES as SCALAR
from entries import entries
from scalar_q2n import conjugate, product
from scalar_resample import degrade, mtf_sigma, upsample

from pantiny.degrade import degrade_ms, upsample_ms

ROWS = runner.golden()
CASES = list(inputs.cases())


def of(case: str) -> list[dict[str, Any]]:
    return [row for row in ROWS if row["case"] == case]


def name(row: dict[str, Any]) -> str:
    words = "-".join(f"{k}={v}" for k, v in row["arguments"].items())
    return "-".join(filter(None, (row["case"], row["index"], words)))


def key(row: dict[str, Any]) -> str:
    return json.dumps([row["index"], row["arguments"]], sort_keys=True)


def test_golden_lists_every_entry() -> None:
    listed = [(e.index, e.case, e.arguments, list(e.images), e.rtol, e.atol) for e in entries()]
    stored = [
        tuple(r[k] for k in ("index", "case", "arguments", "images", "rtol", "atol")) for r in ROWS
    ]
    assert stored == listed
    assert {row["index"] for row in ROWS} == set(scalar.INDICES)
    assert len(set(map(str, stored))) == len(stored)


@pytest.mark.parametrize("case", CASES)
def test_golden_is_what_the_scalar_loops_say(case: str) -> None:
    """To the 12 digits kept; the few last bits of a math library may move the value."""
    for entry in entries():
        if entry.case == case:
            row = make.row(entry, make.value_of(entry))
            stored = next(r for r in of(case) if key(r) == key(row))
            expected = pytest.approx(float(stored["value"]), rel=2e-12, abs=1e-14)
            assert float(row["value"]) == expected, name(row)


@pytest.mark.parametrize("case", CASES)
def test_the_inputs_are_those_of_golden(case: str) -> None:
    stored = json.loads(make.GOLDEN.read_text())["cases"][case]
    assert make.described(inputs.cases()[case]) == stored


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_pantiny_agrees(row: dict[str, Any]) -> None:
    (result,) = runner.score(runner.load("pantiny").INDICES, [row])
    assert result.verdict == "agrees", runner.line(result)


def test_a_common_factor_changes_no_index() -> None:
    """The factor is a power of two, so that even the rounding is the same."""
    three = {key(row): row["value"] for row in of("three")}
    same = [r for r in of("tiny") if "peak" not in r["arguments"] and key(r) in three]
    assert len(same) > 15
    for row in same:
        factor = 2.0**-27 if row["index"] == "rmse" else 1.0
        assert row["value"] == pytest.approx(three[key(row)] * factor, rel=1e-11)


def test_a_perfect_image() -> None:
    best = {"psnr": "inf", "rmse": 0, "sam": 0, "ergas": 0}
    for row in of("equal"):
        assert row["value"] == best.get(row["index"], 1), name(row)


# What the runner must notice.


def rows_of(index: str) -> list[dict[str, Any]]:
    return [row for row in of("base") if row["index"] == index]


def verdict(index: str, function: Any) -> str:
    return next(iter(runner.score({index: function}, rows_of(index)))).verdict


def test_the_runner_calls_a_value_that_is_off_different() -> None:
    row = rows_of("ergas")[0]
    assert verdict("ergas", lambda f, t, ratio: row["value"] * (1 + 5e-11)) == "agrees"
    assert verdict("ergas", lambda f, t, ratio: row["value"] * (1 + 3e-10)) == "differs"
    assert verdict("ergas", lambda f, t, ratio: math.nan) == "differs"
    assert (
        verdict("ergas", lambda f, t, ratio: SCALAR["ergas"](f[:, ::-1], t, ratio=ratio))
        == "differs"
    )


def test_the_runner_tells_failing_from_lacking() -> None:
    def refuses(*_: Any, **__: Any) -> float:
        raise NotImplementedError("Gaussian windows only")

    assert verdict("uqi", refuses) == "skipped: Gaussian windows only"
    assert verdict("uqi", None) == "skipped: not in the adapter"
    assert verdict("uqi", lambda f, t, window: 1.0).startswith("fails: TypeError")
    assert verdict("psnr", lambda f, t, peak: 1 / 0) == "fails: ZeroDivisionError: division by zero"


@pytest.mark.parametrize("shift", [(0, 1), (1, 0)])
def test_every_index_notices_a_shift_by_one_pixel(shift: tuple[int, int]) -> None:
    def shifted(index: Any) -> Any:
        return lambda fused, *rest, **o: index(np.roll(fused, shift, (-2, -1)), *rest, **o)

    adapter = {index: shifted(function) for index, function in SCALAR.items()}
    for result in runner.score(adapter, [r for r in of("three") if r["index"] in adapter]):
        assert result.verdict == "differs", runner.line(result)


def test_the_runner_scores_a_class(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    class Package:
        def rmse(self, fused: Any, truth: Any) -> float:
            return float(((fused - truth) ** 2).mean() ** 0.5)

    results = list(runner.score(Package(), of("base")))
    assert {r.index for r in results if r.verdict == "agrees"} == {"rmse"}
    assert all(r.verdict.startswith("skipped") for r in results if r.index != "rmse")
    own = tmp_path / "own.py"
    own.write_text(
        "INDICES = {'rmse': lambda fused, truth: ((fused - truth) ** 2).mean() ** 0.5}\n"
    )
    assert (
        runner.load(str(own)).INDICES["rmse"](
            *[runner.array("base", i) for i in ("fused", "truth")]
        )
        > 1
    )


FAULTS: list[tuple[Any, str, Any, str, str]] = [
    # module, name, fault, index, case
    (scalar_resample, "mtf_reach", lambda gains, r: 99, "r_sam", "base"),
    (
        scalar_resample,
        "mtf_reach",
        lambda gains, r: math.ceil(4 * mtf_sigma(0.36, r)),
        "r_sam",
        "base",
    ),
    (scalar_resample, "keys", lambda d: max(0.0, 1 - abs(d)), "d_lambda", "three"),
    (scalar_q2n, "product", lambda x, y: product(y, x), "q2n", "eight"),
    (scalar_q2n, "mirrored", lambda i, n: min(i, n - 1), "q2n", "three"),
    (scalar_q2n, "mirrored", lambda i, n: i if i < n else 2 * n - 2 - i, "q2n", "byte"),
    (scalar_q2n, "as_uint16", lambda v: float(round(v)), "q2n", "byte"),
    (scalar_q2n, "EPS", 1.0, "q2n", "flat"),
    (scalar_full, "as_uint8", lambda plane: plane, "d_lambda", "byte"),
    (scalar_windows, "GAUSSIAN", [1 / 121] * 121, "ssim", "one"),
]


@pytest.mark.parametrize("module, attribute, fault, index, case", FAULTS)
def test_the_values_notice_a_fault(
    module: Any, attribute: str, fault: Any, index: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least one entry of the index on that case changes by more than its tolerance."""
    monkeypatch.setattr(module, attribute, fault)
    rows = [row for row in of(case) if row["index"] == index]
    assert "differs" in {result.verdict for result in runner.score(SCALAR, rows)}


# The scalar loops, by hand.


def test_hypercomplex_units() -> None:
    unit = [[float(i == k) for i in range(8)] for k in range(8)]
    assert product(unit[1], unit[2]) == unit[3]  # ij = k
    assert product(unit[2], unit[1]) == [-v for v in unit[3]]
    for k in range(1, 8):
        assert product(unit[k], unit[k]) == [-1.0] + [0.0] * 7
        assert product(unit[k], conjugate(unit[k])) == unit[0]
    left = product(product(unit[1], unit[2]), unit[4])
    assert left == [-v for v in product(unit[1], product(unit[2], unit[4]))]  # octonions


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_resampling_keeps_a_ramp_and_the_gain(ratio: int) -> None:
    ramp = [[3.0 * x + 2.0 * y for x in range(24 * ratio)] for y in range(24 * ratio)]
    (coarse,) = degrade([ramp], ratio, [0.3])
    middle = (ratio - 1) / 2
    assert coarse[12][11] == pytest.approx(
        3 * (11 * ratio + middle) + 2 * (12 * ratio + middle), rel=1e-12
    )
    assert upsample(coarse, ratio)[12 * ratio][11 * ratio + 1] == pytest.approx(
        ramp[12 * ratio][11 * ratio + 1], rel=1e-12
    )
    assert math.exp(-((mtf_sigma(0.3, ratio) * math.pi / ratio) ** 2) / 2) == pytest.approx(0.3)
    wave = [[math.cos(math.pi * (x - middle) / ratio) for x in range(24 * ratio)]] * ratio
    (coarse,) = degrade([wave], ratio, [0.3])
    assert coarse[0][12] == pytest.approx(0.3, abs=2e-4 * 0.3 * 10)


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_resampling_is_that_of_pantiny(ratio: int) -> None:
    """Gains that differ, so that the widest band's reach shows in the others."""
    gains = [0.36, 0.3, 0.15]
    image = inputs.scene(3, 9 * ratio, 7 * ratio, ratio, 5, inputs.Look())["truth"]
    np.testing.assert_allclose(
        degrade(image, ratio, gains), degrade_ms(np.array(image), ratio, gains), rtol=1e-13
    )
    np.testing.assert_allclose(
        [upsample(band, ratio) for band in image], upsample_ms(np.array(image), ratio), rtol=1e-13
    )


def test_indices_by_hand() -> None:
    truth = [[[1.0, 2.0], [3.0, 4.0]]]
    fused = [[[2.0, 4.0], [6.0, 8.0]]]
    # means 2.5 and 5, variances 1.25 and 5, covariance 2.5: (2 * 12.5 / 31.25) * (5 / 6.25)
    assert scalar.uqi(fused, truth, window=2) == pytest.approx(0.64, rel=1e-14)
    assert scalar.cc(fused, truth) == pytest.approx(1, rel=1e-14)
    # MSE (1 + 4 + 9 + 16) / 4 = 7.5, mean 2.5
    assert scalar.ergas(fused, truth, ratio=4) == pytest.approx(25 * math.sqrt(1.2), rel=1e-14)
    assert scalar.sam([[[1.0]], [[0.0]]], [[[1.0]], [[1.0]]]) == pytest.approx(45, rel=1e-14)
