"""The roofline: arithmetic intensity against speed, under the roof measured in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pantiny.errors import DependencyError, SceneWriteError

WIDTH, HEIGHT = 8.0, 5.0  # inches
INTENSITY = (0.5, 5000.0)  # FLOP per byte


def _points(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Our rows that have both an intensity and a speed, with all threads."""
    groups = [g for g in result["groups"] if g["name"] in ("passes", "network", "variants")]
    rows = {(row["op"], row["candidate"]): row for g in reversed(groups) for row in g["rows"]}
    return [row for row in rows.values() if row["gflops"] and row["bytes_per_pixel"]]


def _rivals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Timed baselines of the network."""
    groups = [g for g in result["groups"] if g["name"].startswith("network: ")]
    rows = [row for group in groups for row in group["rows"]]
    return [row for row in rows if row["gflops"] and not row["ours"]]


def _roofs(result: dict[str, Any]) -> tuple[float, float] | None:
    """Multiply-add peak and copy bandwidth: the best of all probes of the run."""
    probes = [g["roof"][w]["all_threads"] for g in result["groups"] for w in ("before", "after")]
    peaks = [p["fma_gflops"] for p in probes if p["fma_gflops"]]
    copies = [p["copy_gbytes"] for p in probes if p["copy_gbytes"]]
    return (max(peaks), max(copies)) if peaks and copies else None


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw ``result`` into a .png or .svg file.

    Raises
    ------
    DependencyError
        If matplotlib is not installed.
    SceneWriteError
        If the file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(
            "roofline: matplotlib is not installed; it is needed to draw; run: "
            "pip install matplotlib"
        ) from error
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    roofs = _roofs(result)
    if roofs:
        peak, copy = roofs
        ridge = peak / copy
        axes.plot([INTENSITY[0], ridge], [INTENSITY[0] * copy, peak], "k-")
        axes.plot([ridge, INTENSITY[1]], [peak, peak], "k-")
        axes.annotate(f"{peak:.0f} GFLOP/s", (INTENSITY[1], peak), ha="right", va="bottom")
        middle = (INTENSITY[0] * ridge) ** 0.5
        axes.annotate(f"copy {copy:.0f} GB/s ", (middle, middle * copy), ha="right", va="bottom")
    colours = [matplotlib.colormaps["tab20"](i) for i in range(20)]
    for row, colour in zip(_points(result), colours):
        intensity = 2 * row["macs_per_pixel"] / row["bytes_per_pixel"]
        label = row["op"] or f"network, {row['candidate']}"
        axes.plot(intensity, row["gflops"], "o" if row["op"] else "s", label=label, color=colour)
    rivals = sorted(_rivals(result), key=lambda row: float(row["gflops"]))
    for i, row in enumerate(rivals):  # how many bytes they move nobody knows
        axes.axhline(row["gflops"], linestyle=":", linewidth=0.8, color="grey")
        at = INTENSITY[0] * 4 ** (i % 2 + 1)  # labels of neighbours beside each other
        axes.annotate(row["candidate"], (at, row["gflops"]), fontsize=6, va="bottom")
    axes.set(xscale="log", yscale="log", xlim=INTENSITY)
    axes.set_xlabel("FLOP per byte that must cross memory")
    axes.set_ylabel("GFLOP/s of the network's own multiply-adds")
    machine = result["machine"]
    axes.set_title(f"{machine['cpu']}, {machine['isa']}, {result['settings']['threads']} threads")
    if _points(result):
        axes.legend(fontsize=6, loc="lower right")
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "pantiny"}
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    try:
        with matplotlib.rc_context(settings):
            figure.savefig(path, dpi=120, metadata=metadata)
    except (OSError, ValueError) as error:
        raise SceneWriteError(
            f"roofline: cannot write {path.name} ({error}); need a .png or .svg in a writable "
            "folder; choose another name"
        ) from error
