"""torchmetrics and sewar against the same golden values: where they agree, where not, by how much.

Each number is measured with the version it names; another version may differ in the last two
digits kept here, or have been mended, and then the test says so.
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import Any

import compare
import numpy as np
import pytest
import runner
import scalar
from inputs import noise

ROWS = runner.golden()


def package(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name)
        return runner.load(name)


@pytest.fixture(scope="module")
def torchmetrics() -> ModuleType:
    return package("torchmetrics")


@pytest.fixture(scope="module")
def sewar() -> ModuleType:
    return package("sewar")


def scored(module: ModuleType) -> list[runner.Score]:
    tolerances = {name.lower(): getattr(module, name, 0.0) for name in ("RTOL", "ATOL")}
    return list(runner.score(module.INDICES, ROWS, **tolerances))


def differing(module: ModuleType) -> dict[str, set[str]]:
    """Index -> cases that do not agree; nothing may fail."""
    out: dict[str, set[str]] = {}
    for result in scored(module):
        assert not result.verdict.startswith("fails"), runner.line(result)
        if result.verdict == "differs":
            out.setdefault(result.index, set()).add(result.case)
    return out


def value(module: ModuleType, index: str, case: str, **arguments: Any) -> float:
    rows = [r for r in ROWS if (r["index"], r["case"]) == (index, case)]
    row = next(r for r in rows if arguments.items() <= r["arguments"].items())
    return runner.call(module.INDICES[index], row)


def near(expected: float) -> Any:
    return pytest.approx(expected, rel=2e-4)


ALL_CASES = {row["case"] for row in ROWS}
WITHOUT_TRUTH = {"base", "three", "eight", "dim", "tiny", "flat"}


def test_where_torchmetrics_differs(torchmetrics: ModuleType) -> None:
    """PSNR, RMSE, CC, SAM, ERGAS and SSIM agree but for batches, black and flat bands."""
    assert differing(torchmetrics) == {
        "psnr": {"batch"},
        "rmse": {"batch"},
        "cc": {"batch", "black", "missed"},
        "sam": {"flat"},
        "ergas": {"black"},
        "scc": ALL_CASES - {"equal", "masked"},
        "uqi": ALL_CASES - {"equal", "masked"},
        "d_lambda": WITHOUT_TRUTH | {"batch"},
        "d_s": WITHOUT_TRUTH | {"batch", "one"},
        "qnr": WITHOUT_TRUTH - {"flat"} | {"batch"},
    }


def test_where_sewar_differs(sewar: ModuleType) -> None:
    """PSNR, RMSE, SAM and SSIM agree; ERGAS but for a black band, Q2n for 1, 4 and 8 bands."""
    assert differing(sewar) == {
        "ergas": {"black"},
        "scc": ALL_CASES - {"equal", "masked", "batch"},
        "uqi": ALL_CASES - {"equal", "masked", "batch"},
        "q2n": {"three", "five", "tiny"},
        "d_lambda": WITHOUT_TRUTH,
        "d_s": WITHOUT_TRUTH | {"one"},
        "qnr": WITHOUT_TRUTH - {"flat"},
    }


# torchmetrics 1.9.0


def test_torchmetrics_uqi_is_gaussian_and_depends_on_the_scale(torchmetrics: ModuleType) -> None:
    """An epsilon in the denominator outweighs the variances of images in small units."""
    assert value(torchmetrics, "uqi", "three") == near(0.97337)  # 8 x 8 windows: 0.98142
    assert value(torchmetrics, "uqi", "tiny") == near(1.7647e-7)  # the same image
    assert value(torchmetrics, "d_lambda", "three", variant="alparone08") == near(0.037430)
    assert value(torchmetrics, "d_lambda", "tiny", variant="alparone08") < 1e-7


def test_torchmetrics_uqi_of_flat_windows_is_rounding(torchmetrics: ModuleType) -> None:
    """The variances are cut off at 0, the covariance is not."""

    def uqi(value: float, factor: float) -> float:
        same = np.full((1, 16, 16), value)
        return float(torchmetrics.INDICES["uqi"](same, same * factor, window=8, stride=1))

    assert uqi(512.0, 1.0) == near(1)
    assert uqi(512.0, 1.5) == near(2.7692)  # 0.92308; no Q is above 1
    assert abs(uqi(640.1, 1.0)) > 1e6
    assert value(torchmetrics, "uqi", "black") < 0  # 0.99134


def test_torchmetrics_pools_over_the_batch(torchmetrics: ModuleType) -> None:
    """PSNR of the mean MSE, RMSE of all pixels, Q of all images before the difference."""
    assert value(torchmetrics, "psnr", "batch") == near(36.21322)  # per image: 36.57926
    assert value(torchmetrics, "rmse", "batch") == near(31.65607)  # 31.00979
    batch = value(torchmetrics, "d_lambda", "batch", variant="alparone08")
    fused, ms = runner.array("batch", "fused"), runner.array("batch", "ms")
    function = torchmetrics.INDICES["d_lambda"]
    single = [float(function(f, m, variant="alparone08")) for f, m in zip(fused, ms)]
    assert batch == near(0.128366)
    assert sum(single) / 2 == near(0.135308)


def test_torchmetrics_sam_of_black_pixels_is_not_a_number(torchmetrics: ModuleType) -> None:
    assert math.isnan(value(torchmetrics, "sam", "flat"))


def test_torchmetrics_black_and_constant_bands(torchmetrics: ModuleType) -> None:
    assert math.isnan(value(torchmetrics, "ergas", "black"))  # 0 / 0 where it is met exactly
    assert math.isnan(value(torchmetrics, "cc", "black"))


def test_torchmetrics_ssim_counts_mirrored_pixels(torchmetrics: ModuleType) -> None:
    images = [runner.array("base", name) for name in ("fused", "truth")]
    assert float(torchmetrics.ssim_by_default(*images, peak=2047)) == near(0.98438)
    assert value(torchmetrics, "ssim", "base") == pytest.approx(0.985131808904, rel=1e-10)


def test_torchmetrics_scc_is_another_index(torchmetrics: ModuleType) -> None:
    """A Laplacian correlated in 8 x 8 windows."""
    assert value(torchmetrics, "scc", "base") == near(0.95947)  # Sobel: 0.99468


def test_torchmetrics_windows_do_not_follow_the_ground(torchmetrics: ModuleType) -> None:
    """11 px on both grids, PAN through a 7 x 7 box at any ratio."""
    assert value(torchmetrics, "d_s", "three", variant="alparone08") == near(0.27583)  # 0.03944
    assert value(torchmetrics, "d_s", "base", variant="alparone08") == near(0.043679)  # 0.09582
    assert math.isnan(value(torchmetrics, "d_lambda", "dim", variant="alparone08"))  # MS 10 x 9


# sewar 0.4.10


def test_sewar_uqi_confuses_means_with_sums(sewar: ModuleType) -> None:
    """Two unrelated noises of 500 DN around 1250 score like the same image."""

    def unrelated(seed: int) -> list[list[list[float]]]:
        return [[[1000 + noise(seed, y, x) / 128 for x in range(32)] for y in range(32)]]

    images = [unrelated(1), unrelated(2)]
    assert scalar.uqi(*images) == near(0.046401)
    theirs = sewar.INDICES["uqi"](*map(np.array, images), window=8, stride=1)
    assert float(theirs) == near(0.98646)
    assert 1 - value(sewar, "uqi", "dim") < 1e-9  # 0.75681
    assert value(sewar, "d_lambda", "dim", variant="alparone08") < 1e-9  # 0.19751


def test_sewar_d_s_and_qnr_inherit_it(sewar: ModuleType) -> None:
    assert value(sewar, "d_s", "base", variant="alparone08") == near(0.014190)  # 0.09582
    assert value(sewar, "qnr", "base", variant="alparone08") == near(0.95270)  # 0.88456


def test_sewar_ssim_is_flat_by_default(sewar: ModuleType) -> None:
    images = [runner.array("base", name) for name in ("fused", "truth")]
    assert float(sewar.ssim_by_default(*images, peak=2047)) == near(0.98955)
    assert value(sewar, "ssim", "base") == pytest.approx(0.985131808904, rel=1e-10)


def test_sewar_q2n_gives_appended_bands_a_mean_of_one(sewar: ModuleType) -> None:
    """As the toolbox does: zero bands are normalised too, (0 - 0) / eps + 1, and hide the bias."""
    fused, truth = (runner.array("three", name) for name in ("fused", "truth"))
    black = np.zeros((1, *truth.shape[1:]))
    four = [np.concatenate([image, black]).tolist() for image in (fused, truth)]
    for block in (8, 32):
        theirs = value(sewar, "q2n", "three", block=block)
        assert theirs == pytest.approx(scalar.q2n(*four, block=block), rel=1e-10)
    assert value(sewar, "q2n", "three", block=32) == near(0.98930)  # 0.98776
    assert value(sewar, "q2n", "five", block=8) == near(0.97804)  # 0.96566


def test_sewar_scc_is_another_index(sewar: ModuleType) -> None:
    assert value(sewar, "scc", "base") == near(0.95947)  # Sobel: 0.99468


# The page


TORCHMETRICS = 3  # column


def cells(text: str) -> dict[tuple[str, str], list[str]]:
    """(case, index) -> the row's cells."""
    out, case = {}, ""
    for line in text.splitlines():
        if line.startswith("### "):
            case = line[4:].split(":")[0]
        elif line.startswith("| ") and not line.startswith("| index"):
            label, *values = line.strip("| ").split(" | ")
            out[case, label] = values
    return out


def test_the_tables_of_the_page_are_what_is_measured(
    torchmetrics: ModuleType, sewar: ModuleType
) -> None:
    page = compare.stored((runner.HERE.parents[1] / "docs/indices-compared.md").read_text())
    now = compare.tables()
    if page.splitlines()[0] != now.splitlines()[0]:
        pytest.skip(f"the page is of {page.splitlines()[0]}")
    then, measured = cells(page), cells(now)
    assert then.keys() == measured.keys()
    for (case, label), values in measured.items():
        for column, (theirs, stored) in enumerate(zip(values, then[case, label], strict=True)):
            if case == "flat" and column == TORCHMETRICS:
                continue  # without texture its Q is its rounding
            if "-" in (theirs, stored):
                assert theirs == stored, (case, label)
            else:
                assert float(theirs) == pytest.approx(float(stored), rel=1e-3, nan_ok=True)
