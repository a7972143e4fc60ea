"""``pantiny bench``: the command, its JSON, its tables, its judgement."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import command
from test_bench import TRUTH, Fake, probed

from pantiny.benchmarks import report, run
from pantiny.benchmarks import roof as roofs
from pantiny.benchmarks.candidate import WHOLE, Outcome, Unavailable
from pantiny.benchmarks.groups import Bench, Work, make_row, timed_group
from pantiny.benchmarks.network import BASELINES
from pantiny.benchmarks.plot import draw
from pantiny.benchmarks.schema import check, schema
from pantiny.benchmarks.targets import targets
from pantiny.errors import DataError, DependencyError, OptionError, OutputExistsError

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
MPX = 1024 * 1024
QUICK = ("--quick", "--no-baselines", "--size", 64, "--rounds", 1, "-j", 2)
SMALL = ("--scene", 0.004, "--growth", "0.004,0.008")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one small run of all levels; the probes, which take seconds, are faked."""
    path = tmp_path_factory.mktemp("bench") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofs, "probe", lambda *_, **__: probed(100.0, 199.0))
        result = command("bench", *QUICK, *SMALL, "--output", path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "" and "pantiny: == File to file" in result.stderr
    return path


@pytest.fixture
def result(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / run.JSON).read_text())
    return loaded


def rows(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [r for g in result["groups"] if g["name"] == name for r in g["rows"]]


# The command


def test_the_command_measures_all_levels(folder: Path, result: dict[str, Any]) -> None:
    assert [g["name"] for g in result["groups"]] == [
        *(
            "passes",
            "indices",
            "network",
            "network, 1 thread",
            "variants",
            "call",
            "files",
            "growth",
        )
    ]
    for group in result["groups"]:
        for row in group["rows"]:
            assert row["status"] in ("ok", "missing", "unusable"), row["reason"]
            assert (row["status"] == "ok") == (len(row["samples_s"]) >= 1)
    assert len(rows(result, "passes")) == 9 and len(rows(result, "growth")) == 3
    assert all(r["peak_rss_bytes"] > 2**20 for r in rows(result, "files"))
    assert len(result["targets"]) == 16
    assert {r["op"] for r in rows(result, "indices")} == {
        "D_lambda and D_s",
        "QNR",
        "SSIM",
        "Q4",
        "SAM",
    }
    assert sorted(p.name for p in folder.iterdir() if p.suffix != ".png") == [
        *(run.JSON, run.MARKDOWN)
    ]
    expected = "pantiny bench --level all --size 64 -j 2 --quick --rounds 1 --no-baselines --scene"
    assert result["command"].startswith(expected)


def test_the_result_names_no_place_and_no_host(folder: Path) -> None:
    for name in (run.JSON, run.MARKDOWN):
        text = (folder / name).read_text()
        for place in (str(folder.parent), str(Path(sys.prefix)), str(Path.home()) + os.sep):
            assert place not in text
        assert os.uname().nodename not in text.split('"')


def test_an_earlier_result_is_not_replaced_unasked(folder: Path) -> None:
    before = (folder / run.JSON).read_bytes()
    refused = command("bench", *QUICK, "--output", folder)
    assert refused.exit_code == 1 and refused.stdout == ""
    assert "bench.json, bench.md" in refused.stderr and "--overwrite" in refused.stderr
    assert (folder / run.JSON).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--size", 66), 2, "need a multiple of 4 from 64 to 8192"),
        (("--rounds", 0), 2, "bench: rounds is 0"),
        (("--scene", -1), 2, "bench: scene is -1.0"),
        (("--growth", "nan"), 2, "bench: growth is nan"),
        (("--growth", "1,x"), 2, "need numbers with commas"),
        (("--memory", "much"), 2, "memory: got 'much'"),
        (("--level", "kernel"), 2, "kernel"),
        (("--threads", 0), 2, "threads: got 0"),
    ],
)
def test_options_that_cannot_be_honoured(
    tmp_path: Path, words: tuple[Any, ...], code: int, said: str
) -> None:
    refused = command("bench", *words, "--output", tmp_path / "out")
    assert refused.exit_code == code and said in refused.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    refused = command("bench", *QUICK, "--output", tmp_path / "out")
    assert refused.exit_code == 1 and "cannot make the folder" in refused.stderr


def test_overwriting_and_no_matplotlib(
    tmp_path: Path,
    result: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(run, "measure_all", lambda *_: result)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in (run.JSON, run.PLOT):
        (tmp_path / name).write_text("old")
    with pytest.raises(OutputExistsError, match=r"bench\.json, roofline\.png"):
        run.run_bench(tmp_path)
    with caplog.at_level("INFO", "pantiny"):
        run.run_bench(tmp_path, overwrite=True)
    assert json.loads((tmp_path / run.JSON).read_text()) == result
    assert not (tmp_path / run.PLOT).exists() and "pip install matplotlib" in caplog.text
    with pytest.raises(DependencyError):
        draw(result, tmp_path / run.PLOT)


def test_the_harness_imports_no_baseline() -> None:
    code = (
        "import sys, pantiny.benchmarks.run, pantiny.benchmarks.worker\n"
        "assert not {'torch', 'onnxruntime', 'openvino', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr


# The schema


def test_the_result_fits_the_schema(result: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())
    assert check(result)


def _without_samples(row: dict[str, Any]) -> None:
    row["samples_s"] = []


@pytest.mark.parametrize(
    "fault",
    [
        lambda r: r.pop("machine"),
        lambda r: r["machine"].update(hostname="box"),
        lambda r: r["machine"].pop("isa"),
        lambda r: r["groups"].clear(),
        lambda r: r["groups"][0].update(level="kernel"),
        lambda r: r["groups"][0]["roof"].pop("after"),
        lambda r: r["groups"][0]["rows"][0].update(status="fine"),
        lambda r: r["groups"][0]["rows"][0].update(samples_s=[]),
        lambda r: r["groups"][0]["rows"][0].update(status="wrong"),
        lambda r: r["groups"][0]["rows"][0].update(error=None),
        lambda r: r["groups"][0]["rows"][0].update(median_s="0.1"),
        lambda r: r["targets"][0].update(met=None, why=None),
        lambda r: r["targets"][0].update(met=True, figure=None),
        lambda r: r.update(command="bench"),
    ],
)
def test_a_broken_result_is_refused(result: dict[str, Any], fault: Any) -> None:
    pytest.importorskip("jsonschema")
    broken = copy.deepcopy(result)
    fault(broken)
    with pytest.raises(DataError, match="the result is not valid at"):
        check(broken)


# The tables


@pytest.fixture
def options() -> Any:
    return run.resolve(size=1024, threads=2, rounds=2)


def faked(options: Any, monkeypatch: pytest.MonkeyPatch, *probes: Any) -> dict[str, Any]:
    """A group of ours and of rivals that win, lose, are wrong, missing and broken."""
    given = iter(probes)
    monkeypatch.setattr(roofs, "probe", lambda *_, **__: next(given))
    fakes = [
        Fake("pantiny", [], seconds=0.4),
        Fake("winner", [], seconds=0.2),
        Fake("loser", [], seconds=1.0),
        Fake("liar", [], seconds=0.1, result=-TRUTH),
        Fake("absent", [], error=Unavailable("missing", "not installed: pip install absent")),
        Fake("broken", [], error=Unavailable("failed", "out of memory"), fails_at=2),
    ]

    def made(outcomes: list[Outcome], roof: Any) -> list[Any]:
        work = Work(MPX, 83_748, 1000.0)
        return [make_row(o, work, ours=o.name == "pantiny", threads=2, roof=roof) for o in outcomes]

    return timed_group(
        Bench(replace(options, baselines=False), Path(), lambda _: None),
        level="network",
        name="network",
        title="Fakes",
        note="None.",
        candidates=fakes,
        rows=made,
    )


def test_no_row_is_left_out_and_losing_is_said(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = faked(options, monkeypatch, probed(100, 200), probed(102, 198))
    text = "\n".join(report.group_lines(group))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert "| **0.50** |" in lines["winner"] and "| 2.50 |" in lines["loser"]
    assert "Lost by pantiny: winner takes 0.50 of our time." in text
    assert "| wrong |" in lines["liar"] and "not timed" in lines["liar"]
    assert "not installed: pip install absent" in lines["absent"]
    assert "out of memory" in lines["broken"] and "Flagged" not in text


def test_figures_of_a_row(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = faked(options, monkeypatch, probed(100, 200), probed(100, 180))["rows"][0]
    assert row["samples_s"] == [0.4, 0.4] and row["cold_s"] == 0.4
    assert row["s_per_mpx"] == pytest.approx(0.4 / 1.048576)
    assert row["gflops"] == pytest.approx(2 * 83_748 * MPX / 0.4 / 1e9)
    assert row["percent_of_roof"] == pytest.approx(100 * row["gflops"] / 190)
    assert row["gbytes_per_s"] == pytest.approx(1000 * MPX / 0.4 / 1e9)


def test_a_call_after_idling_is_a_remark() -> None:
    outcome = Outcome("a", samples={WHOLE: [0.01]}, facts={"after_idle_s": 0.0194})
    roof = {"fma_gflops": None, "copy_gbytes": None}
    row = make_row(outcome, Work(MPX), ours=True, threads=1, roof=roof)
    assert report._remark(row, repeated=False) == "19.4 ms after idling"


def test_median_and_quartiles() -> None:
    outcome = Outcome("a", samples={WHOLE: [10.0, 1.0, 2.0]})
    roof = {"fma_gflops": None, "copy_gbytes": None}
    row = make_row(outcome, Work(MPX), ours=True, threads=1, roof=roof)
    assert (row["q1_s"], row["median_s"], row["q3_s"]) == (1.5, 2.0, 6.0)
    assert row["gflops"] is row["percent_of_roof"] is row["gbytes_per_s"] is None


def test_an_unsteady_roof_stands_in_the_table(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = faked(options, monkeypatch, probed(100, 200), probed(100, 120))
    text = "\n".join(report.group_lines(group))
    assert "**Flagged:** the roof changed by 40%" in text and "they shared a core" in text
    (judged, *_) = targets([group], options)
    assert judged["met"] is True and "unsteady" in judged["why"]


def test_targets_are_met_or_missed(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    group = faked(options, monkeypatch, probed(100, 200), probed(100, 200))
    found = {t["name"]: t for t in targets([group], options)}
    network = found["network, 2 threads"]
    assert (network["met"], network["figure"]) == (True, "0.381 s/Mpx")
    assert network["percent_of_roof"] == pytest.approx(219.5, abs=0.1)
    slow = copy.deepcopy(group)
    slow["rows"][0]["s_per_mpx"] = 0.451
    assert targets([slow], options)[0]["met"] is False
    other = targets([group], replace(options, size=512))[0]
    assert other["met"] is None and "1024 x 1024" in other["why"]
    assert found["network, bf16, 2 threads"]["why"] == "needs --level network or all"
    text = "\n".join(report.target_lines(targets([slow], options)))
    assert "| **missed** |" in text and "| not judged |" in text


@pytest.mark.parametrize(("best", "met"), [(7.01, True), (6.99, False)])
def test_the_target_of_seven_times_looks_at_the_best_baseline(
    options: Any, monkeypatch: pytest.MonkeyPatch, best: float, met: bool
) -> None:
    made = faked(options, monkeypatch, probed(100, 200), probed(100, 200))
    groups = []
    for family, entries in BASELINES.items():
        rivals = [
            {
                **made["rows"][0],
                "candidate": e.name,
                "ours": False,
                "dtype": e.dtype,
                "times_ours": best if e.name == "OpenVINO, f32" else 9.0,
            }
            for e in entries
            if e.dtype == "float32"
        ]
        bf16 = {**rivals[0], "dtype": "bfloat16", "times_ours": 0.5}
        rows_ = [made["rows"][0], *rivals, bf16]
        groups.append({**made, "name": f"network: {family}", "rows": rows_})
    found = targets(groups, options)[1]
    assert found["met"] is met and "(OpenVINO, f32)" in found["figure"]
    groups[1]["rows"][1].update(times_ours=None, status="missing", reason="not installed")
    found = targets(groups, options)[1]
    assert found["met"] is None and "torch.compile" in found["why"]


def test_growth_and_files_are_judged(options: Any, result: dict[str, Any]) -> None:
    groups = copy.deepcopy(result["groups"])
    by_name = {g["name"]: g["rows"] for g in groups}
    for i, row in enumerate(by_name["growth"]):
        row["facts"]["s_per_mpx_without_start"] = 0.5 + 0.02 * (i == 2)
        row["peak_rss_bytes"] = 150 << 20
    by_name["network"][0]["s_per_mpx"], by_name["files"][0]["s_per_mpx"] = 0.5, 0.6
    full = replace(options, growth_mpx=(1.0, 4.0))
    found = {t["name"]: t for t in targets(groups, full)}
    assert found["time from 1, 4 Mpx, start left out"]["met"] is True
    assert found["memory at 1, 4 Mpx"]["met"] is True
    share = found["file to file, 16 Mpx, against the network's rate"]
    assert (share["met"], share["figure"]) == (False, "83%")
    by_name["growth"][1]["facts"]["s_per_mpx_without_start"] = 0.4
    by_name["growth"][1]["peak_rss_bytes"] = 193 << 20
    found = {t["name"]: t for t in targets(groups, full)}
    assert found["time from 1, 4 Mpx, start left out"]["met"] is False
    assert found["memory at 1, 4 Mpx"]["met"] is False


def test_the_page_is_made_again_from_the_json(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["report", str(folder / run.JSON), "--results", "results", "--markdown", "page.md"]
    assert f"]({run.PLOT})" in (folder / run.MARKDOWN).read_text() or not HAS_MATPLOTLIB
    monkeypatch.setattr(sys, "argv", words)
    assert report.main() == 0
    (filed,) = (tmp_path / "results").iterdir()
    assert json.loads(filed.read_text()) == result and filed.stem.endswith(result["machine"]["isa"])
    page = (tmp_path / "page.md").read_text()
    again = f"python -m pantiny.benchmarks.report results/{filed.name} --markdown page.md"
    assert f"page by `{again}`" in page and result["command"] in page
    assert page.index("### Summary, 2 threads") < page.index("### Summary, 1 thread")
    for group in result["groups"]:
        assert f"### {group['title']}" in page
        for row in group["rows"]:
            assert f"| {row['candidate']} |" in page


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_roofline_is_drawn(tmp_path: Path, result: dict[str, Any], suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"roofline{suffix}"
    draw(result, path)
    assert 5_000 < path.stat().st_size < (60_000 if suffix == ".svg" else 200_000)
    if suffix == ".svg":
        text = path.read_text()
        assert "network, pantiny" in text and "block 6, tail" in text


def test_a_level_that_is_unknown() -> None:
    with pytest.raises(OptionError, match="need one of op, indices, network, files, all"):
        run.resolve(level="kernel")
