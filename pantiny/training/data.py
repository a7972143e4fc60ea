"""Training and validation pairs: Wald's protocol over a folder of real images.

The folder holds ``manifest.json`` and ``.npz`` files with ``ms`` [h,w,K], ``pan`` [H,W]
and, for pairs that only exist degraded, ``gt`` [H,W,K].
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..degrade import degrade_ms, degrade_pan, upsample_ms
from ..errors import DataError, OptionError
from ..kernels.resample.resample_ref import gaussian_sigma
from ..scaling import array_scene_scale, peak_of
from ..sensors import UNKNOWN_GAIN, UNKNOWN_PAN_GAIN, Sensor, get_sensor

RATIO = 4
WV_GROUPS = ((1, 2, 4, 6), (0, 3, 5, 7))  # blue, green, red, nir and the other four


@dataclass(frozen=True)
class Pair:
    """One reduced-resolution pair with its truth, DN in float32.

    Attributes
    ----------
    name, sensor : str
    ms : array [K, h, w]
    ms_up, truth : array [K, H, W]
    pan : array [H, W]
        Sharp: antialiased cubic, or as stored.
    pan_native : array [H, W]
        As blurred relative to its grid as a native PAN is.
    gains : tuple of K floats
    bits : int
    """

    name: str
    sensor: str
    ms: np.ndarray
    ms_up: np.ndarray
    truth: np.ndarray
    pan: np.ndarray
    pan_native: np.ndarray
    gains: tuple[float, ...]
    bits: int

    def scale(self, contract: str) -> float:
        """DN per network value under a scale contract."""
        return peak_of(self.bits) if contract == "peak" else array_scene_scale(self.ms)


def _known(sensor: str, n_bands: int = 4) -> Sensor | None:
    try:
        return get_sensor(sensor, n_bands)
    except OptionError:
        return None


def sensor_gains(sensor: str, n_bands: int = 4) -> tuple[float, ...]:
    """MTF gains of a sensor of the table, or the unknown sensor's."""
    found = _known(sensor, n_bands)
    return found.gains_for(n_bands) if found else (UNKNOWN_GAIN,) * n_bands


def blur_pan(pan: np.ndarray, gain: float) -> np.ndarray:
    """PAN [H, W] under a Gaussian with ``gain`` at its own Nyquist frequency; edges replicated."""
    sigma = gaussian_sigma(gain, 1.0)
    offset = np.arange(-4, 5)
    weight = np.exp(-0.5 * (offset / sigma) ** 2)
    weight /= weight.sum()
    for axis in (0, 1):
        size = pan.shape[axis]
        index = np.clip(np.arange(size)[:, None] + offset, 0, size - 1)
        pan = np.moveaxis(np.moveaxis(pan, axis, -1)[..., index] @ weight, -1, axis)
    return pan


def _reduce(record: dict, arrays: dict[str, np.ndarray], bands: tuple[int, ...]) -> Pair:
    gains8 = sensor_gains(record["sensor"], 8) if arrays["ms"].shape[2] == 8 else None
    gains = tuple(gains8[b] for b in bands) if gains8 else sensor_gains(record["sensor"])
    known = _known(record["sensor"])
    pan_gain = known.pan_gain if known else UNKNOWN_PAN_GAIN
    if record["kind"] == "RR":
        truth = arrays["gt"].transpose(2, 0, 1)[list(bands)].astype(np.float64)
        pan = arrays["pan"].astype(np.float64)
        native = blur_pan(pan, pan_gain)
    else:
        truth = arrays["ms"].transpose(2, 0, 1)[list(bands)].astype(np.float64)
        rows, cols = (n // RATIO * RATIO for n in truth.shape[1:])
        truth = truth[:, :rows, :cols]
        whole = arrays["pan"][: rows * RATIO, : cols * RATIO]
        pan = degrade_pan(whole, RATIO)
        native = degrade_ms(whole[None], RATIO, (pan_gain,))[0]
    ms = degrade_ms(truth, RATIO, gains)
    return Pair(
        record["id"],
        record["sensor"],
        ms.astype(np.float32),
        upsample_ms(ms, RATIO).astype(np.float32),
        truth.astype(np.float32),
        pan.astype(np.float32),
        native.astype(np.float32),
        gains,
        int(record["bits"]),
    )


def load_pairs(folder: Path, split: str, *, other_bands: bool = False) -> list[Pair]:
    """All ratio-4 pairs of a split, four bands each (blue, green, red, nir).

    Parameters
    ----------
    folder : Path
        Where ``manifest.json`` lies.
    split : {"train", "val"}
    other_bands : bool
        Also make a pair of the other four bands of 8-band images.

    Raises
    ------
    DataError
        If the manifest is missing or holds no such pair.
    """
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise DataError(f"{manifest}: not found; need the training folder's manifest; check --data")
    pairs: list[Pair] = []
    for record in json.loads(manifest.read_text()):
        if record["split"] != split or record["ratio"] != RATIO:
            continue
        with np.load(Path(folder) / record["file"]) as stored:
            arrays = {key: stored[key] for key in stored.files}
        if arrays["ms"].shape[2] == 8:
            groups = WV_GROUPS if other_bands else WV_GROUPS[:1]
            for i, group in enumerate(groups):
                pair = _reduce(record, arrays, group)
                pairs.append(
                    pair if i == 0 else Pair(**{**vars(pair), "sensor": pair.sensor + "-2"})
                )
        else:
            pairs.append(_reduce(record, arrays, (0, 1, 2, 3)))
    if not pairs:
        raise DataError(f"{manifest}: no ratio-{RATIO} pair in split {split!r}; check --data")
    return pairs


@dataclass(frozen=True)
class Batch:
    """One batch in network values."""

    ms: Tensor
    ms_up: Tensor
    pan: Tensor
    truth: Tensor
    gains: Tensor


def _dihedral(array: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    array = np.rot90(array, turns, (-2, -1))
    return array[..., ::-1] if flip else array


def batches(
    pairs: list[Pair],
    *,
    batch: int,
    crop: int,
    contract: str,
    jitter: float,
    seed: int,
    pan_blur: float = 0.0,
    first: int = 0,
) -> Iterator[Batch]:
    """Endless random crops with flips, quarter turns and a jitter of the scale.

    Batch ``i`` depends on ``seed`` and ``i`` only, so a run resumed at ``first`` sees what
    it would have seen. With probability ``pan_blur`` a crop's PAN lies anywhere between
    sharp and as blurred as a native one. Sensors are drawn with probability proportional to the
    square root of their pixels, scenes within a sensor in proportion to their pixels; scenes
    smaller than a crop are left out.
    """
    side = crop // RATIO
    pairs = [p for p in pairs if min(p.ms.shape[1:]) >= side]
    if not pairs:
        raise DataError(f"crop: no training pair holds {crop} x {crop} PAN pixels; use less")
    sensors = sorted({p.sensor for p in pairs})
    members = {s: [p for p in pairs if p.sensor == s] for s in sensors}
    area = {s: [float(p.pan.size) for p in members[s]] for s in sensors}
    # the second band group of an 8-band sensor is an extra, not a sensor of its own
    weight = np.array([(0.4 if s.endswith("-2") else 1.0) * np.sqrt(sum(area[s])) for s in sensors])
    scales = {p.name + p.sensor: p.scale(contract) for p in pairs}
    for step in itertools.count(first):
        rng = np.random.default_rng((seed, step))
        rows: list[tuple[np.ndarray, ...]] = []
        for _ in range(batch):
            name = sensors[rng.choice(len(sensors), p=weight / weight.sum())]
            share = np.array(area[name])
            pair = members[name][rng.choice(len(share), p=share / share.sum())]
            y = int(rng.integers(0, pair.ms.shape[1] - side + 1))
            x = int(rng.integers(0, pair.ms.shape[2] - side + 1))
            fine = np.s_[..., y * RATIO : (y + side) * RATIO, x * RATIO : (x + side) * RATIO]
            scale = scales[pair.name + pair.sensor] * np.exp(rng.uniform(-jitter, jitter))
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            blur = float(rng.uniform()) if rng.uniform() < pan_blur else 0.0
            pan = pair.pan[fine] + np.float32(blur) * (pair.pan_native[fine] - pair.pan[fine])
            images = (
                pair.ms[:, y : y + side, x : x + side],
                pair.ms_up[fine],
                pan[None],
                pair.truth[fine],
            )
            rows.append(
                (*(_dihedral(i, turns, flip) / scale for i in images), np.array(pair.gains))
            )
        yield Batch(*(torch.from_numpy(np.stack(col).astype(np.float32)) for col in zip(*rows)))
