"""Quality at reduced resolution: the network against the classical methods.

    python benchmarks/quality.py --data DIR [--model NAME_OR_PATH] [--out FILE] [--table-md FILE]

Writes JSON and prints the Markdown made from it. Without --data nothing is measured:
the tables are made again from the JSON that is there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pairs as data

import pantiny
from pantiny.classical import METHODS, fuse_classical
from pantiny.metrics import ergas, psnr, q2n, sam
from pantiny.scaling import peak_of

ROOT = Path(__file__).resolve().parents[1]
STEPS = (0, 1, 2, 3)
GROUPS_HEADLINE = "4-band"
INDICES = {"psnr": "PSNR dB", "sam": "SAM deg", "ergas": "ERGAS", "q2n": "Q2n"}
HIGHER_IS_BETTER = {"psnr", "q2n"}
PROTOCOL = (
    "Wald's protocol on whole images of the val split. MS: Gaussian of the sensor's MTF gains, "
    "decimated with aligned pixel centres, edges replicated (pantiny.degrade). PAN: antialiased "
    "cubic (a = -0.5) for native pairs, as stored for pairs that exist only degraded. Every method "
    "gets the same MS and PAN, rounded to uint16 DN; every result is rounded and clipped to "
    "0 .. 2^bits - 1. PSNR peak 2^bits - 1; Q2n in distinct 32x32 blocks. Means: over the pairs of "
    "a sensor, then over sensors. Checkpoints were chosen on these pairs, so the network's rows "
    "are validation and not test results."
)


def score(fused: np.ndarray, pair: data.Pair) -> dict[str, float]:
    """The four indices of ``fused`` [K, H, W], rounded and clipped to DN."""
    dn = np.clip(np.rint(fused), 0, peak_of(pair.bits))
    return {
        "psnr": psnr(dn, pair.truth, peak=peak_of(pair.bits)),
        "sam": sam(dn, pair.truth),
        "ergas": ergas(dn, pair.truth, ratio=pair.ratio),
        "q2n": q2n(dn, pair.truth),
    }


def classical_rows(pair: data.Pair) -> Iterator[tuple[str, dict[str, float]]]:
    """Method name and scores of every classical method."""
    for method in METHODS:
        yield method, score(fuse_classical(pair.ms, pair.pan, method, gains=pair.gains), pair)


def network_rows(pair: data.Pair, model: str | None) -> Iterator[tuple[str, dict[str, float]]]:
    """Method name and scores of the network, through the public API."""
    known = data.known_sensor(pair.sensor, len(pair.ms))
    options: dict[str, Any] = {"sensor": pair.sensor if known else None, "bits": pair.bits}
    if model is not None:
        options["model"] = model
    for steps in STEPS:
        fused = pantiny.fuse(pair.ms, pair.pan, consistency=steps, **options)
        yield f"network, consistency {steps}", score(fused, pair)


def machine() -> dict[str, Any]:
    """CPU model, usable cores and the versions that make the numbers."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def commit() -> str:
    """Hash of the checkout, ``-dirty`` where a tracked file differs; "none" without one."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)

    head = git("rev-parse", "HEAD")
    if head.returncode:
        return "none"
    dirty = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return head.stdout.strip() + ("-dirty" if dirty else "")


def measure(folder: Path, model: str | None) -> dict[str, Any]:
    """Scores of every method on every pair, with what is needed to repeat them."""
    rows = []
    for pair in data.load(folder):
        print(f"{pair.group} {pair.name}", file=sys.stderr)
        for method, indices in (*classical_rows(pair), *network_rows(pair, model)):
            rows.append(
                {
                    "group": pair.group,
                    "sensor": pair.sensor,
                    "pair": pair.name,
                    "ratio": pair.ratio,
                    "bands": len(pair.ms),
                    "bits": pair.bits,
                    "method": method,
                    **indices,
                }
            )
    return {
        "command": shlex.join(["python", *sys.argv]),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "model": model or "default",
        "protocol": PROTOCOL,
        "rows": rows,
    }


def mean_over_sensors(rows: list[dict[str, Any]], method: str) -> dict[str, float]:
    """Mean over a sensor's pairs, then over sensors, of one method's indices."""
    mine = [row for row in rows if row["method"] == method]
    sensors = {row["sensor"] for row in mine}
    return {
        index: float(
            np.mean([np.mean([r[index] for r in mine if r["sensor"] == s]) for s in sensors])
        )
        for index in INDICES
    }


def _table(lines: dict[str, dict[str, float]]) -> list[str]:
    """Markdown table, the best value of each column in bold."""
    best = {
        i: (max if i in HIGHER_IS_BETTER else min)(line[i] for line in lines.values())
        for i in INDICES
    }
    out = ["| method | " + " | ".join(INDICES.values()) + " |", "|---" * 5 + "|"]
    for method, line in lines.items():
        cells = []
        for index, value in line.items():
            text = f"{value:.4f}" if index == "q2n" else f"{value:.3f}"
            cells.append(f"**{text}**" if value == best[index] else text)
        out.append(f"| {method} | " + " | ".join(cells) + " |")
    if any(method.startswith("network") for method in lines):
        lost = [
            name
            for index, name in INDICES.items()
            if all(v[index] != best[index] for m, v in lines.items() if m not in METHODS)
        ]
        out += ["", f"Won by a classical method: {', '.join(lost) or 'none'}."]
    return out


def render(result: dict[str, Any], source: str) -> str:
    """Markdown of a result: per group the mean over sensors, then every pair."""
    cpu = result["machine"]
    out = [
        "# Quality at reduced resolution",
        "",
        result["protocol"],
        "",
        f"Made from `{source}`: `{result['command']}`, model {result['model']}, commit "
        f"{result['commit']}, {result['date']}, {cpu['cpu']}, {cpu['cores']} cores, "
        f"Python {cpu['python']}, numpy {cpu['numpy']}.",
    ]
    for group, title in data.GROUPS.items():
        rows = [row for row in result["rows"] if row["group"] == group]
        if not rows:
            continue
        methods = list(dict.fromkeys(row["method"] for row in rows))
        sensors = list(dict.fromkeys(row["sensor"] for row in rows))
        out += ["", f"## {title}", "", f"Mean over {', '.join(sensors)}.", ""]
        out += _table({m: mean_over_sensors(rows, m) for m in methods})
        for name in dict.fromkeys(row["pair"] for row in rows):
            mine = [row for row in rows if row["pair"] == name]
            head = f"### {mine[0]['sensor']}: {name}, {mine[0]['bands']} bands"
            out += ["", f"{head}, {mine[0]['bits']} bits", ""]
            out += _table({row["method"]: {i: row[i] for i in INDICES} for row in mine})
    return "\n".join(out) + "\n"


def headline(result: dict[str, Any], source: str) -> str:
    """The README's table: ratio 4, four bands, mean over sensors."""
    rows = [r for r in result["rows"] if r["group"] == GROUPS_HEADLINE]
    methods = list(dict.fromkeys(r["method"] for r in rows))
    out = _table({m: mean_over_sensors(rows, m) for m in methods})
    sensors = ", ".join(dict.fromkeys(r["sensor"] for r in rows))
    out += [
        "",
        f"Reduced resolution (Wald's protocol), four bands, ratio 4, mean over {sensors}; higher "
        "is better for PSNR and Q4 (Q2n of four bands), lower for SAM and ERGAS. The checkpoint "
        "was chosen on these images; WV3 was never trained on. Per sensor, eight bands, ratio 2: "
        "[docs/quality.md](docs/quality.md). "
        f"Made from `{source}` by `{result['command']}`, commit {result['commit'][:12]}.",
    ]
    return "\n".join(out)


def insert(path: Path, text: str) -> None:
    """Replace what stands between the quality markers of a Markdown file."""
    head, _, rest = path.read_text().partition("<!-- quality -->")
    _, closing, tail = rest.partition("<!-- /quality -->")
    if not closing:
        raise SystemExit(f"{path}: has no <!-- quality --> and <!-- /quality --> markers")
    path.write_text(f"{head}<!-- quality -->\n{text}\n{closing}{tail}")


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with manifest.json")
    parser.add_argument("--model", help="packaged model's name or a model file; default: fuse()'s")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/quality.json")
    parser.add_argument("--table-md", type=Path, help="write the Markdown here too")
    parser.add_argument("--readme", type=Path, help="put the headline table between its markers")
    options = parser.parse_args()
    if options.data:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(measure(options.data, options.model), indent=1) + "\n")
    if not options.out.is_file():
        parser.error(f"--out: {options.out} is not there to make tables from; give --data")
    out = options.out.resolve()
    source = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    text = render(json.loads(options.out.read_text()), str(source))
    print(text, end="")
    if options.table_md:
        options.table_md.write_text(text)
    if options.readme:
        insert(options.readme, headline(json.loads(options.out.read_text()), str(source)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
