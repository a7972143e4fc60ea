"""How much of what it is measured against a product has: indices say nothing of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rasterio.windows import Window

from .images import Area, Image, both_valid, pieces_of

BORDER = 8  # pixels at an edge that fusing and degrading may cut: the largest ratio
HOLES = 0.01  # share that masks may take more of the product than of what it is measured against


@dataclass(frozen=True)
class Coverage:
    """Pixels of a product, and of what it is measured against.

    Attributes
    ----------
    against : str
        "truth" or "pan".
    pixels, valid : int
        Of the product; valid in every band.
    needed : int
        Valid pixels of the truth, or of PAN where MS lies under it.
    covered : int
        Those of them that are valid in the product.
    holes : int
        Those that the product's raster holds, but not as valid pixels.
    cut : int
        Rows or columns by which the product's raster ends short, at the worst edge.
    """

    against: str
    pixels: int
    valid: int
    needed: int
    covered: int
    holes: int
    cut: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.covered / self.needed if self.needed else 0.0

    @property
    def lacking(self) -> bool:
        """Whether more is missing than a border."""
        return self.cut > BORDER or self.holes > HOLES * self.needed or not self.needed

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "against": self.against,
            "share": self.share,
            "lacking_share": 1 - self.share,
            "needed_pixels": self.needed,
            "covered_pixels": self.covered,
            "product_pixels": self.pixels,
            "product_valid_pixels": self.valid,
        }

    def text(self) -> str:
        name = {"pan": "PAN"}.get(self.against, self.against)
        share = f"{self.share:.4f}"
        if self.covered < self.needed:  # never rounded up to all
            share = min(share, "0.9999")
        return (
            f"{share}: {self.covered} of {self.needed} valid pixels of {name}; "
            f"{self.valid} of the product's {self.pixels} pixels are valid"
        )


def coverage_of(
    fused: Image, reference: Image, area: Area, within: Any = None, against: str = "truth"
) -> Coverage:
    """Count, reading masks only, and those only where there are any.

    Parameters
    ----------
    fused, reference : Image
    area : Area
        Where both lie, the product first.
    within : Window, optional
        Of ``reference``, what of it the product should have; default all. Holds ``area``.
    against : str

    Raises
    ------
    SceneReadError
    """
    full = within if within is not None else Window(0, 0, reference.width, reference.height)
    needed = _count(reference, full)
    inside = _count(reference, area.rows_of_other(0, area.height))
    return Coverage(
        against=against,
        pixels=fused.height * fused.width,
        valid=_count(fused, Window(0, 0, fused.width, fused.height)),
        needed=needed,
        covered=(covered := _covered(fused, reference, area)),
        holes=inside - covered,
        cut=max(
            area.other_row - full.row_off,
            area.other_col - full.col_off,
            full.row_off + full.height - area.other_row - area.height,
            full.col_off + full.width - area.other_col - area.width,
        ),
    )


def _count(image: Image, window: Any) -> int:
    """Valid pixels of a window."""
    if not image.masked:
        return int(window.height * window.width)
    total = 0
    for row, count in pieces_of(window.height, image.bands * window.width * 8):
        valid = image.valid(Window(window.col_off, window.row_off + row, window.width, count))
        assert valid is not None
        total += int(valid.sum())
    return total


def _covered(fused: Image, reference: Image, area: Area) -> int:
    if not fused.masked and not reference.masked:
        return area.height * area.width
    total = 0
    for row, count in pieces_of(area.height, fused.bands * area.width * 8):
        masks = fused.valid(area.rows(row, count)), reference.valid(area.rows_of_other(row, count))
        total += int(both_valid(*masks, (count, area.width)).sum())
    return total
