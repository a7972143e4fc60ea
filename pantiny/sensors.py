"""The sensor table: bands, wavelengths, bit depth and MTF gains at Nyquist.

Gains are the amplitude of each band's modulation transfer function at the
Nyquist frequency of its own grid; sources as listed in ``docs/sensors.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import GainWarning, OptionError, warn

# Centre wavelengths in nm of the names used for bands, field standard order.
WAVELENGTHS_NM: dict[str, int] = {
    "coastal": 425,
    "blue": 480,
    "green": 545,
    "yellow": 605,
    "red": 660,
    "red-edge": 725,
    "nir": 830,
    "nir2": 950,
}

BGRN = ("blue", "green", "red", "nir")
WORLDVIEW8 = ("coastal", "blue", "green", "yellow", "red", "red-edge", "nir", "nir2")
# Names assumed for an image of so many bands when nobody gives any.
DEFAULT_NAMES: dict[int, tuple[str, ...]] = {3: BGRN[:3], 4: BGRN, 8: WORLDVIEW8}


@dataclass(frozen=True)
class Sensor:
    """What is known of one sensor.

    Attributes
    ----------
    name : str
        Short name, the key of the table.
    bits : int
        Bit depth of the delivered DN.
    bands : tuple of str
        Band names in delivery order.
    gains : tuple of float
        MTF gain of each MS band at the Nyquist frequency of the MS grid.
    pan_gain : float
        MTF gain of PAN at the Nyquist frequency of the PAN grid.
    """

    name: str
    bits: int
    bands: tuple[str, ...]
    gains: tuple[float, ...]
    pan_gain: float

    def gains_for(self, n_bands: int, names: Sequence[str] | None = None) -> tuple[float, ...]:
        """MTF gains for an image of ``n_bands`` bands of this sensor.

        Bands with names get the gain of that name, or the mean of all where the table has none.
        Without names, an image of the sensor's band count is in delivery order; otherwise three
        bands are blue, green, red and four blue, green, red, nir. For any other count the mean of
        all gains is taken in every band, with a ``GainWarning`` where they differ.
        """
        if names is None and n_bands == len(self.gains):
            return self.gains
        known = dict(zip(self.bands, self.gains))
        if names is None and known.keys() >= set(DEFAULT_NAMES.get(n_bands, ("none",))):
            names = DEFAULT_NAMES[n_bands]
        mean = self.gains[0]
        if len(set(self.gains)) > 1:
            mean = sum(self.gains) / len(self.gains)
            if names is None:
                warn(
                    f"sensor: {self.name} has MTF gains for {', '.join(self.bands)}, the image "
                    f"{n_bands} bands without names; need to know which; their mean {mean:.3f} is "
                    "taken in every band; give gains= or, to fuse, bands=",
                    GainWarning,
                )
        return (mean,) * n_bands if names is None else tuple(known.get(n, mean) for n in names)


def _table() -> dict[str, Sensor]:
    rows = [
        Sensor("WV2", 11, BGRN, (0.35,) * 4, 0.11),
        Sensor("WV2-8", 11, WORLDVIEW8, (0.35,) * 7 + (0.27,), 0.11),
        Sensor("WV3", 11, BGRN, (0.355, 0.36, 0.365, 0.335), 0.14),
        Sensor(
            "WV3-8",
            11,
            WORLDVIEW8,
            (0.325, 0.355, 0.36, 0.35, 0.365, 0.36, 0.335, 0.315),
            0.14,
        ),
        Sensor("WV4", 11, BGRN, (0.23,) * 4, 0.16),
        Sensor("GE1", 11, BGRN, (0.23,) * 4, 0.16),
        Sensor("IKONOS", 11, BGRN, (0.26, 0.28, 0.29, 0.28), 0.17),
        Sensor("QB", 11, BGRN, (0.34, 0.32, 0.30, 0.22), 0.15),
        Sensor("GF2", 10, BGRN, (0.30,) * 4, 0.15),
        Sensor("PL", 12, BGRN, (0.30,) * 4, 0.15),
        Sensor("SPOT6", 12, BGRN, (0.30,) * 4, 0.15),
        Sensor("L8", 16, ("blue", "green", "red"), (0.30,) * 3, 0.15),
        Sensor("L7", 8, BGRN, (0.30,) * 4, 0.15),
    ]
    return {row.name: row for row in rows}


SENSORS: dict[str, Sensor] = _table()
UNKNOWN_GAIN = 0.30
UNKNOWN_PAN_GAIN = 0.15

_ALIASES = {
    "WORLDVIEW2": "WV2",
    "WORLDVIEW3": "WV3",
    "WORLDVIEW4": "WV4",
    "GAOFEN2": "GF2",
    "QUICKBIRD": "QB",
    "GEOEYE1": "GE1",
    "PLEIADES": "PL",
    "PLEIADES1": "PL",
    "LANDSAT8": "L8",
    "LANDSAT7": "L7",
}


def get_sensor(name: str | Sensor | None, n_bands: int | None = None) -> Sensor | None:
    """Look a sensor up by name, ignoring case, spaces, dashes and underscores.

    Parameters
    ----------
    name : str, Sensor or None
        ``None`` and ``"unknown"`` give ``None``.
    n_bands : int, optional
        8 selects the 8-band row of a WorldView sensor.

    Raises
    ------
    OptionError
        If the table has no such sensor.
    """
    if name is None or isinstance(name, Sensor):
        return name
    if not isinstance(name, str):
        raise OptionError(
            f"sensor: got {type(name).__name__}; need a name from the sensor table: "
            f"{', '.join(SENSORS)}; leave it out if unknown"
        )
    key = "".join(ch for ch in name.upper() if ch.isalnum())
    if key == "UNKNOWN":
        return None
    by_key = {"".join(ch for ch in n.upper() if ch.isalnum()): n for n in SENSORS}
    found = by_key.get(key) or _ALIASES.get(key)
    if found is None:
        known = ", ".join(SENSORS)
        raise OptionError(
            f"sensor: {name!r} is not in the sensor table; known: {known}; "
            "use one of these, or leave sensor out and give bits="
        )
    if n_bands == 8 and f"{found}-8" in SENSORS:
        found = f"{found}-8"
    return SENSORS[found]
