"""What the kernels set out to reach on one device, met or missed, with the figure."""

from __future__ import annotations

from typing import Any

from ..targets import target
from . import indices as ix
from .engines import AUTOTUNED, COMPILED, EAGER32, EAGER_TF32, ours_name
from .groups import ACCURACY, INDICES, ROOFS, SCENE, network_name
from .network import LIMITS
from .roofs import COPY
from .rows import OK, Row, find, rows_of

Result = dict[str, Any]
LARGE = (1024, 2048, 4096)
SCENE_GPX, SCENE_S = 1.6, 10.0
# Of fused-ssim's forward, float32: two images are read and a map is written, then the map's mean
# is taken, which is not counted.
FUSED_SSIM_BYTES = 12
BANDS = 4


def _ms(result: Result, group: str, engine: str) -> float | None:
    row = find(result, group, engine)
    return None if row is None else float(row["ms"])


def _why(result: Result, group: str, engines: tuple[str, ...]) -> str:
    """Why there is no figure."""
    rows = [r for r in rows_of(result, group) if r["engine"] in engines and r["status"] != OK]
    return "; ".join(f"{r['engine']}: {r['reason']}" for r in rows) or f"no rows in {group}"


def _times(
    result: Result, name: str, least: float, ours: str, rivals: tuple[str, ...], groups: list[str]
) -> Row:
    """The least of rival's time over ours; of several rivals the fastest."""
    limit, ratios = f">= {least:g} times faster", []
    for group in groups:
        own = _ms(result, group, ours)
        theirs = [(_ms(result, group, r), r) for r in rivals]
        timed = [(ms, r) for ms, r in theirs if ms is not None]
        if own and timed:
            ms, rival = min(timed)
            ratios.append((ms / own, f"{rival}, {group}"))
    if not ratios:
        why = _why(result, groups[0], (ours, *rivals))
        return target(name, limit, None, None, why=why)
    worst, where = min(ratios)
    return target(name, limit, f"{worst:.2f} times ({where})", bool(worst >= least))


def _rate(result: Result) -> Row:
    name, limit = "network fp16, 1024^2 and up", "<= 1.0 ms/Mpx"
    ours = ours_name("fp16")
    groups = [network_name(side, 1) for side in LARGE]
    rows = [(g, find(result, g, ours)) for g in groups]
    found = [(r["ms_per_mpx"], g) for g, r in rows if r is not None]
    if not found:
        return target(name, limit, None, None, why=_why(result, groups[0], (ours,)))
    worst, where = max(found)
    every = ", ".join(f"{v:.3f}" for v, _ in found)
    figure = f"{worst:.3f} ms/Mpx ({where}; all: {every})"
    return target(name, limit, figure, bool(worst <= 1.0))


def _small(result: Result) -> Row:
    name, limit = "one image of 128^2, fp16, from Python", "<= 100 us"
    group, ours = network_name(128, 1), ours_name("fp16")
    ms = _ms(result, group, ours)
    if ms is None:
        return target(name, limit, None, None, why=_why(result, group, (ours,)))
    return target(name, limit, f"{1e3 * ms:.1f} us", bool(ms <= 0.1))


def _accuracy(result: Result, precision: str, which: str) -> Row:
    name = f"accuracy {precision}, packaged weights, {which.replace('_', ' ')}"
    limit = f"<= {LIMITS[precision]:g}"
    rows = [r for r in rows_of(result, ACCURACY) if r["engine"].startswith(ours_name(precision))]
    found = [r[which] for r in rows if which in r]
    if not found or len(found) < len(rows):
        why = "; ".join(str(r["reason"]) for r in rows if which not in r) or "no rows"
        return target(name, limit, None, False if rows else None, why=why)
    return target(name, limit, f"{max(found):.2e}", bool(max(found) <= LIMITS[precision]))


def _qnr(result: Result) -> list[Row]:
    name, limit = "QNR family, 4 bands, kernels", "<= 30 us/Mpx"
    rows = [
        r for r in rows_of(result, INDICES)
        if r["engine"] == ix.QNR_KERNELS and r.get("ms") is not None
    ]  # fmt: skip
    if not rows:
        judged = [target(name, limit, None, None, why=_why(result, INDICES, (ix.QNR_KERNELS,)))]
    else:
        worst = max(rows, key=lambda r: float(r["ms_per_mpx"]))
        us = 1e3 * worst["ms_per_mpx"]
        figure = f"{us:.1f} us/Mpx (at {worst['side']}^2)"
        judged = [target(name, limit, figure, bool(us <= 30))]
    for engine in (ix.QNR_LOW, ix.QNR_KERNELS):
        judged.append(_of_size(result, f"{engine} against torchmetrics", 50, engine, ix.TM_QNR))
    return judged


def _of_size(result: Result, name: str, least: float, ours: str, rival: str) -> Row:
    limit, ratios = f">= {least:g} times faster", []
    for row in rows_of(result, INDICES):
        if row["engine"] != rival or row.get("ms") is None:
            continue
        own = [
            r["ms"] for r in rows_of(result, INDICES)
            if r["engine"] == ours and r.get("side") == row["side"] and r.get("ms")
        ]  # fmt: skip
        ratios += [(row["ms"] / ms, row["side"]) for ms in own]
    if not ratios:
        return target(name, limit, None, None, why=_why(result, INDICES, (ours, rival)))
    worst, side = min(ratios)
    every = ", ".join(f"{r:.1f} at {s}^2" for r, s in ratios)
    return target(name, limit, f"{worst:.1f} times (at {side}^2; all: {every})", worst >= least)


def _ssim(result: Result) -> Row:
    name = "SSIM forward, float32, against the bytes of fused-ssim's"
    limit = f">= 1.3 times faster than {FUSED_SSIM_BYTES} B a sample at the copy's rate"
    ours = [
        r for r in rows_of(result, INDICES)
        if r["engine"] == ix.SSIM_KERNELS and r.get("ms") is not None
    ]  # fmt: skip
    copy = next(
        (r for r in rows_of(result, ROOFS) if r["engine"] == COPY and r["status"] == OK), None
    )
    if not ours or copy is None:
        why = _why(result, INDICES, (ix.SSIM_KERNELS,)) if not ours else "the copy was not measured"
        return target(name, limit, None, None, why=why)
    row = max(ours, key=lambda r: int(r["side"]))  # what no cache holds
    samples = BANDS * row["side"] ** 2
    bound_ms = FUSED_SSIM_BYTES * samples / copy["gbytes_per_s"] / 1e6
    times = bound_ms / row["ms"]
    rival = [
        r for r in rows_of(result, INDICES)
        if r["engine"] == ix.FUSED_SSIM and r.get("ms") and r["side"] == row["side"]
    ]  # fmt: skip
    measured = f"{rival[0]['ms'] / row['ms']:.2f} times the package" if rival else "package not run"
    figure = f"{times:.2f} times (at {row['side']}^2; {measured})"
    return target(name, limit, figure, bool(times >= 1.3))


def _scene(result: Result) -> Row:
    name = f"{SCENE_GPX:g} Gpx, host memory to host memory, fp16, network alone"
    limit = f"<= {SCENE_S:g} s"
    engine = f"{ours_name('fp16')}, scene in host memory"
    rows = [
        r for r in rows_of(result, SCENE) if r["engine"] == engine and r.get("ms") is not None
    ]  # fmt: skip
    if not rows:
        return target(name, limit, None, None, why=_why(result, SCENE, (engine,)))
    row = max(rows, key=lambda r: float(r["gpx"]))
    seconds = row["ms"] / 1e3
    figure = f"{seconds:.2f} s for {row['gpx']:.3f} Gpx, {row['gpx_per_s']:.3f} Gpx/s"
    if row["gpx"] < 0.999 * SCENE_GPX:
        return target(name, limit, figure, None, why=f"a smaller scene: {row['what']}")
    return target(name, limit, figure, bool(seconds <= SCENE_S))


def verdict(result: Result) -> list[Row]:
    """Every target, also those that this run cannot judge; in a dry run none is."""
    large = [network_name(side, 1) for side in LARGE]
    small = [network_name(128, 16)]
    fp16, fp32 = ours_name("fp16"), ours_name("fp32")
    compiled = "torch.compile max-autotune fp16"
    judged = [
        _accuracy(result, "fp16", "of_residual"),
        _accuracy(result, "fp32", "of_result"),
        _rate(result),
        _times(result, f"fp16 against {compiled}, 1024^2 and up", 6, fp16, (AUTOTUNED,), large),
        _times(
            result, "fp16 against torch eager fp32, 1024^2 and up", 15, fp16,
            (EAGER32, EAGER_TF32), large,
        ),
        _times(result, "fp32 against torch eager fp32, 1024^2 and up", 3, fp32, (EAGER32,), large),
        _small(result),
        _times(
            result, "16 images of 128^2, fp16, against torch.compile", 6, fp16,
            (COMPILED, AUTOTUNED), small,
        ),
        *_qnr(result),
        _ssim(result),
        _scene(result),
    ]  # fmt: skip
    if result["dry"]:
        judged = [{**t, "met": None, "why": "dry run: figures mean nothing"} for t in judged]
    return judged
