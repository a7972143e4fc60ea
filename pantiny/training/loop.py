"""The all-in-one training loop: one model on every sensor, checkpoint chosen on val."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import DataError
from ..metrics import ergas, psnr, q2n, sam
from ..nn import Consistency, PanTiny, PanTinyLoss
from ..scaling import peak_of
from .data import RATIO, Pair, batches, load_pairs

log = logging.getLogger("pantiny.training")


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a run.

    Attributes
    ----------
    variant : str
    contract : {"peak", "scene"}
        Scale contract.
    steps : int
        Optimiser steps.
    batch, crop : int
        Crops per step and their side in PAN pixels.
    rate, rate_end : float
        Learning rate, cosine from one to the other after 200 steps of warm-up.
    weight_decay : float
        Coupled (L2), as published.
    consistency : int
        Back-projection steps trained through.
    plain : float
        Share of the loss on the network's own output, before those steps.
    jitter : float
        Half-width of the uniform jitter of log(scale).
    pan_blur : float
        Share of the crops whose PAN is blurred, up to as much as a native PAN is.
    ema : float
        Decay of the averaged weights, which are the ones validated and saved.
    seed : int
    """

    variant: str = "tiny"
    contract: str = "scene"
    steps: int = 6000
    batch: int = 16
    crop: int = 48
    rate: float = 1e-3
    rate_end: float = 1e-6
    weight_decay: float = 1e-4
    consistency: int = 2
    plain: float = 0.25
    jitter: float = 0.2
    pan_blur: float = 0.0
    ema: float = 0.998
    seed: int = 0


def score(fused: np.ndarray, truth: np.ndarray, bits: int) -> dict[str, float]:
    """PSNR (dB), SAM (degrees), ERGAS, Q2n of one image pair in DN."""
    return {
        "psnr": psnr(fused, truth, peak=peak_of(bits)),
        "sam": sam(fused, truth),
        "ergas": ergas(fused, truth, ratio=RATIO),
        "q4": q2n(fused, truth),
    }


@torch.no_grad()
def validate(
    net: PanTiny, pairs: list[Pair], contract: str, consistency: int
) -> dict[str, dict[str, float]]:
    """Scores per pair, whole images, rounded and clipped to DN."""
    table = {}
    project = Consistency(consistency)
    for pair in pairs:
        scale = pair.scale(contract)
        tensors = [
            torch.from_numpy(a / np.float32(scale))[None]
            for a in (pair.ms, pair.ms_up, pair.pan[None])
        ]
        fused = project(net(tensors[1], tensors[2]), tensors[0], pair.gains)
        dn = np.clip(np.rint(fused[0].double().numpy() * scale), 0, peak_of(pair.bits))
        table[f"{pair.sensor}/{pair.name}"] = score(dn, pair.truth, pair.bits)
    mean = {
        k: float(np.mean([row[k] for row in table.values()]))
        for k in ("psnr", "sam", "ergas", "q4")
    }
    return {**table, "mean": mean}


def _rate(recipe: Recipe, step: int) -> float:
    warm = min(1.0, (step + 1) / 200)
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return warm * (recipe.rate_end + (recipe.rate - recipe.rate_end) * cosine)


def train(recipe: Recipe, data: Path, out: Path, *, validate_every: int = 500) -> Path:
    """Train; resumes from ``out/last.pt`` if it is there.

    Returns
    -------
    Path
        ``out/best.pt``: the averaged weights with the lowest mean ERGAS on val.

    Raises
    ------
    DataError
        If the data folder is unusable or the loss becomes NaN.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    pairs = load_pairs(data, "train", other_bands=True)
    held = load_pairs(data, "val")
    net, averaged = PanTiny(recipe.variant), PanTiny(recipe.variant)
    averaged.load_state_dict(net.state_dict())
    optimiser = torch.optim.Adam(net.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
    criterion, project = PanTinyLoss(), Consistency(recipe.consistency)
    first, best, history = 0, math.inf, []
    last = out / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        net.load_state_dict(state["net"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        first, best, history = state["step"], state["best"], json.loads(state["history"])
        log.info("resumed at step %d", first)
    stream = batches(
        pairs,
        batch=recipe.batch,
        crop=recipe.crop,
        contract=recipe.contract,
        jitter=recipe.jitter,
        seed=recipe.seed,
        pan_blur=recipe.pan_blur,
        first=first,
    )
    started = time.monotonic()
    for step in range(first, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = _rate(recipe, step)
        b = next(stream)
        plain = net(b.ms_up, b.pan)
        loss = (1 - recipe.plain) * criterion(project(plain, b.ms, b.gains), b.truth)
        loss = loss + recipe.plain * criterion(plain, b.truth)
        if not torch.isfinite(loss):
            raise DataError(f"training: loss is {loss.item()} at step {step}; {last} is kept")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        decay = min(recipe.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for a, p in zip(averaged.parameters(), net.parameters()):
                a.lerp_(p, 1 - decay)
        done = step + 1
        if done % validate_every == 0 or done == recipe.steps:
            table = validate(averaged, held, recipe.contract, recipe.consistency)
            mean = table["mean"]
            rate = (done - first) / (time.monotonic() - started)
            log.info("step %d loss %.4f %.2f it/s val %s", done, loss.item(), rate, mean)
            history.append({"step": done, "loss": loss.item(), **mean})
            if mean["ergas"] < best:
                best = mean["ergas"]
                torch.save(
                    {"net": averaged.state_dict(), "recipe": asdict(recipe), "step": done},
                    out / "best.pt",
                )
            temporary = last.with_suffix(".tmp")
            torch.save(
                {
                    "net": net.state_dict(),
                    "averaged": averaged.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": done,
                    "best": best,
                    "history": json.dumps(history),
                },
                temporary,
            )
            temporary.replace(last)
            (out / "history.json").write_text(json.dumps(history, indent=1))
    return out / "best.pt"
