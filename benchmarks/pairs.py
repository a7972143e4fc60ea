"""Reduced-resolution pairs for the quality benchmark: any bands, any ratio, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantiny.degrade import degrade_ms, degrade_pan
from pantiny.errors import DataError, OptionError
from pantiny.scaling import peak_of
from pantiny.sensors import UNKNOWN_GAIN, Sensor, get_sensor

BGRN_OF_WORLDVIEW = (1, 2, 4, 6)


@dataclass(frozen=True)
class Pair:
    """One pair whose truth is the native MS.

    Attributes
    ----------
    group : str
        Key of `GROUPS`.
    name, sensor : str
    ratio, bits : int
    ms : array [K, h, w] uint16
    pan : array [H, W] uint16
    truth : array [K, H, W] float64
    gains : tuple of K floats
    """

    group: str
    name: str
    sensor: str
    ratio: int
    bits: int
    ms: np.ndarray
    pan: np.ndarray
    truth: np.ndarray
    gains: tuple[float, ...]


GROUPS = {
    "4-band": "4 bands (blue, green, red, near-infrared), ratio 4",
    "8-band": "all 8 bands, ratio 4",
    "ratio-2": "all bands as stored, ratio 2",
}


def known_sensor(name: str, n_bands: int) -> Sensor | None:
    """The sensor of the table, or None where the table has none of that name."""
    try:
        return get_sensor(name, n_bands)
    except OptionError:
        return None


def _dn(image: np.ndarray, bits: int) -> np.ndarray:
    return np.clip(np.rint(image), 0, peak_of(bits)).astype(np.uint16)


def _reduce(
    record: dict, stored: dict[str, np.ndarray], bands: tuple[int, ...], group: str
) -> Pair:
    ratio, bits, native = record["ratio"], record["bits"], record["kind"] == "FR"
    truth = stored["ms" if native else "gt"][..., list(bands)].transpose(2, 0, 1)
    truth = truth.astype(np.float64)
    rows, cols = (n // ratio * ratio for n in truth.shape[1:])
    scale = ratio if native else 1
    truth, pan = truth[:, :rows, :cols], stored["pan"][: rows * scale, : cols * scale]
    sensor = known_sensor(record["sensor"], len(bands))
    gains = sensor.gains_for(len(bands)) if sensor else (UNKNOWN_GAIN,) * len(bands)
    return Pair(
        group,
        record["id"],
        record["sensor"],
        ratio,
        bits,
        _dn(degrade_ms(truth, ratio, gains), bits),
        _dn(degrade_pan(pan, ratio) if native else pan, bits),
        truth,
        gains,
    )


def load(folder: Path, split: str = "val") -> Iterator[Pair]:
    """Every pair of a split, one at a time; an 8-band image appears in two groups.

    Raises
    ------
    DataError
        If the folder has no manifest.
    """
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise DataError(f"{manifest}: not found; need the data folder's manifest; check --data")
    for record in json.loads(manifest.read_text()):
        if record["split"] != split:
            continue
        with np.load(Path(folder) / record["file"]) as archive:
            stored = {key: archive[key] for key in archive.files}
        count = stored["ms"].shape[2]
        if record["ratio"] == 4:
            bands = BGRN_OF_WORLDVIEW if count == 8 else (0, 1, 2, 3)
            yield _reduce(record, stored, bands, "4-band")
        if record["ratio"] == 4 and count == 8:
            yield _reduce(record, stored, tuple(range(count)), "8-band")
        if record["ratio"] == 2:
            yield _reduce(record, stored, tuple(range(count)), "ratio-2")
