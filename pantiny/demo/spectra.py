"""Reflectances of the materials in the synthetic scene.

Typical surface reflectances, rounded, in the five parts of the spectrum that the
scene is rendered in: the four MS bands, and the part of the PAN response that no band
covers (yellow and the red edge).
"""

from __future__ import annotations

from typing import NamedTuple

Spectrum = tuple[float, float, float, float, float]  # blue, green, red, nir, gap


class Material(NamedTuple):
    """A surface that varies between two spectra.

    Attributes
    ----------
    kind : str
        ``vegetation``, ``water``, ``roof``, ``road``, ``ground`` or ``object``.
    base, alt : Spectrum
        Reflectances at mix 0 and 1: fresh to worn, lush to dry, crop to soil.
    patch : float
        How far the mix follows the scene's slow texture.
    grain : float
        Relative amplitude of the pixel-sized texture.
    """

    kind: str
    base: Spectrum
    alt: Spectrum
    patch: float
    grain: float


MATERIALS: dict[str, Material] = {
    "asphalt": Material(
        "road", (0.07, 0.08, 0.085, 0.105, 0.085), (0.105, 0.115, 0.125, 0.145, 0.125), 0.3, 0.05
    ),
    "street": Material(
        "road", (0.085, 0.095, 0.10, 0.12, 0.10), (0.12, 0.13, 0.14, 0.16, 0.14), 0.3, 0.05
    ),
    "paving": Material(
        "road", (0.13, 0.15, 0.165, 0.195, 0.165), (0.105, 0.12, 0.135, 0.165, 0.135), 0.3, 0.06
    ),
    "track": Material(
        "road", (0.14, 0.18, 0.23, 0.31, 0.25), (0.08, 0.12, 0.13, 0.34, 0.19), 0.35, 0.08
    ),
    "marking": Material(
        "road", (0.38, 0.40, 0.41, 0.41, 0.41), (0.26, 0.27, 0.28, 0.29, 0.28), 0.2, 0.04
    ),
    "lawn": Material(
        "vegetation", (0.04, 0.088, 0.058, 0.44, 0.20), (0.065, 0.11, 0.105, 0.36, 0.21), 0.3, 0.07
    ),
    "meadow": Material(
        "vegetation", (0.035, 0.078, 0.052, 0.42, 0.18), (0.06, 0.105, 0.10, 0.34, 0.20), 0.35, 0.09
    ),
    "verge": Material(
        "vegetation", (0.035, 0.070, 0.050, 0.36, 0.16), (0.06, 0.10, 0.095, 0.31, 0.18), 0.4, 0.11
    ),
    "crown": Material(
        "vegetation",
        (0.026, 0.056, 0.032, 0.42, 0.15),
        (0.038, 0.080, 0.048, 0.50, 0.20),
        0.3,
        0.14,
    ),
    "conifer": Material(
        "vegetation",
        (0.018, 0.034, 0.023, 0.27, 0.09),
        (0.024, 0.044, 0.030, 0.31, 0.11),
        0.3,
        0.14,
    ),
    "hedge": Material(
        "vegetation",
        (0.025, 0.055, 0.033, 0.42, 0.15),
        (0.035, 0.070, 0.048, 0.38, 0.16),
        0.3,
        0.12,
    ),
    "cereal": Material(
        "vegetation", (0.030, 0.070, 0.040, 0.48, 0.17), (0.06, 0.09, 0.085, 0.33, 0.17), 0.2, 0.04
    ),
    "rape": Material(
        "vegetation", (0.045, 0.120, 0.095, 0.47, 0.24), (0.05, 0.100, 0.080, 0.38, 0.19), 0.2, 0.05
    ),
    "maize": Material(
        "vegetation", (0.028, 0.060, 0.036, 0.43, 0.15), (0.07, 0.10, 0.11, 0.29, 0.16), 0.2, 0.06
    ),
    "stubble": Material(
        "ground", (0.12, 0.165, 0.215, 0.31, 0.245), (0.09, 0.13, 0.155, 0.29, 0.19), 0.25, 0.05
    ),
    "soil": Material(
        "ground", (0.09, 0.12, 0.15, 0.215, 0.165), (0.065, 0.09, 0.115, 0.17, 0.125), 0.35, 0.07
    ),
    "clay": Material(
        "ground", (0.09, 0.12, 0.25, 0.33, 0.27), (0.08, 0.11, 0.22, 0.29, 0.24), 0.2, 0.03
    ),
    "water": Material(
        "water",
        (0.040, 0.048, 0.030, 0.010, 0.034),
        (0.055, 0.072, 0.052, 0.020, 0.055),
        0.15,
        0.03,
    ),
    "pool": Material(
        "water", (0.26, 0.31, 0.13, 0.03, 0.16), (0.24, 0.29, 0.11, 0.03, 0.14), 0.2, 0.03
    ),
    "tile": Material(
        "roof", (0.08, 0.11, 0.185, 0.26, 0.205), (0.07, 0.09, 0.135, 0.20, 0.15), 0.2, 0.06
    ),
    "new tile": Material(
        "roof", (0.09, 0.13, 0.235, 0.31, 0.26), (0.075, 0.11, 0.19, 0.27, 0.21), 0.2, 0.05
    ),
    "brown tile": Material(
        "roof", (0.06, 0.078, 0.115, 0.17, 0.125), (0.05, 0.065, 0.09, 0.14, 0.10), 0.2, 0.06
    ),
    "slate": Material(
        "roof", (0.075, 0.08, 0.085, 0.10, 0.085), (0.10, 0.11, 0.115, 0.13, 0.115), 0.2, 0.06
    ),
    "membrane": Material(
        "roof", (0.36, 0.39, 0.41, 0.42, 0.41), (0.28, 0.31, 0.33, 0.34, 0.33), 0.35, 0.03
    ),
    "gravel roof": Material(
        "roof", (0.18, 0.20, 0.22, 0.24, 0.22), (0.13, 0.15, 0.165, 0.19, 0.165), 0.35, 0.06
    ),
    "metal": Material(
        "roof", (0.24, 0.26, 0.265, 0.27, 0.265), (0.18, 0.20, 0.21, 0.22, 0.21), 0.2, 0.03
    ),
    "panel": Material(
        "object", (0.055, 0.05, 0.045, 0.06, 0.045), (0.055, 0.05, 0.045, 0.06, 0.045), 0.0, 0.02
    ),
    "dark car": Material(
        "object", (0.05, 0.05, 0.05, 0.06, 0.05), (0.08, 0.08, 0.08, 0.09, 0.08), 0.5, 0.02
    ),
    "light car": Material(
        "object", (0.42, 0.44, 0.45, 0.45, 0.45), (0.26, 0.28, 0.29, 0.29, 0.29), 0.5, 0.02
    ),
    "silver car": Material(
        "object", (0.22, 0.23, 0.235, 0.24, 0.235), (0.12, 0.13, 0.13, 0.14, 0.13), 0.5, 0.02
    ),
    "red car": Material(
        "object", (0.04, 0.045, 0.17, 0.24, 0.16), (0.05, 0.055, 0.13, 0.19, 0.13), 0.5, 0.02
    ),
    "blue car": Material(
        "object", (0.13, 0.10, 0.07, 0.10, 0.08), (0.11, 0.09, 0.07, 0.09, 0.08), 0.5, 0.02
    ),
}
