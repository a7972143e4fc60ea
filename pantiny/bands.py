"""How an image of K bands goes through a network of four.

The network was trained on blue, green, red, near-infrared. An image is cut into
groups of four bands, each fused with the same PAN:

* four bands: one group, in order of wavelength;
* eight bands of WorldView: (blue, green, red, nir1) and (coastal, yellow, red-edge,
  nir2);
* any other K: the bands in order of wavelength are dealt out to ``ceil(K / 4)`` groups
  like cards, so that each group spans the spectrum; a group of fewer than four repeats
  its last band, and the surplus output is dropped.

Without names, the order of the bands is taken to be that of wavelength (WorldView's
delivery order for eight bands).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import OptionError
from .sensors import BGRN, DEFAULT_NAMES, WAVELENGTHS_NM, WORLDVIEW8

_SYNONYMS = {
    "b": "blue",
    "g": "green",
    "r": "red",
    "n": "nir",
    "nir1": "nir",
    "near-infrared": "nir",
    "nearinfrared": "nir",
    "near infrared": "nir",
    "near-infrared 1": "nir",
    "near-infrared 2": "nir2",
    "c": "coastal",
    "coastal blue": "coastal",
    "coastal aerosol": "coastal",
    "y": "yellow",
    "re": "red-edge",
    "rededge": "red-edge",
    "red edge": "red-edge",
}
_LETTERS = frozenset(key for key in _SYNONYMS if len(key) == 1)


@dataclass(frozen=True)
class Group:
    """Bands read by one run of the network and where its outputs go.

    Attributes
    ----------
    read : tuple of int
        Input band of each of the network's bands.
    write : tuple of int
        Output band of each, -1 for a surplus one.
    """

    read: tuple[int, ...]
    write: tuple[int, ...]


def canonical_band(name: str) -> str | None:
    """The table's name of a band, or None if it is not a known name."""
    key = name.strip().lower().replace("_", "-")
    key = _SYNONYMS.get(key, key)
    return key if key in WAVELENGTHS_NM else None


def parse_bands(bands: str | Sequence[str], n_bands: int) -> tuple[str, ...]:
    """Band names from ``"red,green,blue,nir"``, ``"rgbn"`` or a sequence.

    Raises
    ------
    OptionError
        If a name is unknown or repeated, or their number is not ``n_bands``.
    """
    if isinstance(bands, str):
        parts: Sequence[str] = bands.split(",") if "," in bands else [bands]
        if len(parts) == 1 and n_bands > 1 and len(bands) == n_bands:
            parts = list(bands)
    elif isinstance(bands, Sequence) and all(isinstance(b, str) for b in bands):
        parts = bands
    else:
        raise OptionError(
            f"bands: got {bands!r}; need names, for example 'red,green,blue,nir', 'rgbn' or a list "
            "of str; name the bands in file order"
        )
    names = []
    for part in parts:
        name = canonical_band(part)
        if name is None and len(parts) == 1 and _LETTERS.issuperset(part.lower()):
            raise OptionError(
                f"bands: got {len(part)} letters ({part!r}) for {n_bands} bands; "
                "need each band named once, in file order; for other bands separate full names "
                "by commas"
            )
        if name is None:
            raise OptionError(
                f"bands: {part!r} is not a known band; known: {', '.join(WAVELENGTHS_NM)}; "
                "name the bands in file order, separated by commas"
            )
        names.append(name)
    if len(names) != n_bands or len(set(names)) != len(names):
        raise OptionError(
            f"bands: got {len(names)} names ({', '.join(names)}) for {n_bands} bands; "
            f"need each band named once, in file order; known: {', '.join(WAVELENGTHS_NM)}"
        )
    return tuple(names)


def default_names(n_bands: int) -> tuple[str, ...] | None:
    """Names assumed when nobody gives any, or None."""
    return DEFAULT_NAMES.get(n_bands)


def band_groups(
    n_bands: int, names: Sequence[str] | None = None, model_bands: int = 4
) -> list[Group]:
    """Groups of bands to run the network on; see the module's docstring for the rule."""
    if names is None:
        names = default_names(n_bands)
    order = list(range(n_bands))
    if names is not None:
        order.sort(key=lambda i: WAVELENGTHS_NM[names[i]])
        if set(names) == set(WORLDVIEW8) and model_bands == 4:
            first = [names.index(b) for b in BGRN]
            second = [i for i in order if i not in first]
            return [Group(tuple(g), tuple(g)) for g in (first, second)]
    count = -(-n_bands // model_bands)
    groups = []
    for g in range(count):
        members = order[g::count]
        pad = model_bands - len(members)
        groups.append(Group((*members, *([members[-1]] * pad)), (*members, *([-1] * pad))))
    return groups
