"""One product measured with all it has, or many: what one lacks does not stop the others."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio.errors import RasterioError

from ..errors import OptionError, PanTinyError, SceneMissingError
from ..metrics._grids import ms_gains, pan_gain
from ..paths import is_local, printable
from ..sensors import get_sensor
from .coverage import Coverage, coverage_of
from .images import aligned, opened
from .indices import FULL_RESOLUTION, WITH_TRUTH
from .measure import assess, compare, with_truth_area
from .products import Product
from .settings import NO_PEAK, NO_RATIO, find_peak, find_ratio
from .variants import DEFAULT

log = logging.getLogger("pantiny")


@dataclass(frozen=True)
class Measured:
    """What came of one product.

    Attributes
    ----------
    values : dict
        Family ("with_truth", "full_resolution") -> index -> value.
    settings : dict
        What the values were made with: paths, sensor, ratio, peak, gains, window and so on; a
        key ending in ``_from`` says where the one before it came from.
    coverage : Coverage or None
        None where it could not be measured.
    left_out : dict
        Index -> why it has no value.
    error : str or None
        Why nothing was measured.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    coverage: Coverage | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def flat(self) -> dict[str, float]:
        """Index -> value, of both families."""
        return {k: v for family in self.values.values() for k, v in family.items()}


def measure_product(
    product: Product,
    *,
    peak: float | None = None,
    ratio: float | None = None,
    gains: Sequence[float] | None = None,
    window: int = 32,
    block: int = 32,
    variant: str = DEFAULT,
    nodata: float | None = None,
) -> Measured:
    """Both families of indices, as far as the product has what they need.

    Parameters
    ----------
    product : Product
        Its own ratio wins over ``ratio``.
    peak, ratio, gains, window, block, variant, nodata
        See ``compare_files`` and ``assess_files``, also for the errors.
    """
    product.check()
    name = printable(product.name)
    values: dict[str, dict[str, float]] = {}
    settings: dict[str, Any] = {
        "fused": product.fused,
        "truth": product.truth,
        "ms": product.ms,
        "pan": product.pan,
        "sensor": product.sensor or "unknown",
    }
    left_out: dict[str, str] = {}
    covered = of_grids = None
    with contextlib.ExitStack() as stack:

        def image(path: Any, name: str) -> Any:
            return stack.enter_context(opened(path, name, nodata))

        fused = image(product.fused, "fused")
        known = get_sensor(product.sensor, fused.bands)
        if product.ms is not None:
            ms, pan = image(product.ms, "ms"), image(product.pan, "pan")
            cut = aligned(ms, pan, fused)
            of_grids = cut.ratio
        asked = product.ratio if product.ratio is not None else ratio
        found, source = find_ratio(asked, of_grids, fused.tags)
        settings |= {"ratio": found, "ratio_from": source}
        if product.truth is not None:
            truth = image(product.truth, "truth")
            area = with_truth_area(fused, truth)
            covered = coverage_of(fused, truth, area)
            top, top_source = find_peak(peak, product.sensor, truth.dtype, fused.tags)
            settings |= {"peak": top, "peak_from": top_source}
            settings["rows_with_truth"], settings["columns_with_truth"] = area.height, area.width
            if not area.whole:
                log.info(
                    "%s: product %d x %d and truth %d x %d pixels of one lattice; measured in the "
                    "%d x %d that both have",
                    *(
                        printable(product.name),
                        fused.height,
                        fused.width,
                        truth.height,
                        truth.width,
                    ),
                    *(area.height, area.width),
                )
            if found is None:
                left_out["ergas"] = NO_RATIO
            if top is None:
                left_out |= {key: NO_PEAK for key in ("psnr", "ssim")}
            values[WITH_TRUTH], missing = compare(
                fused, truth, area, ratio=found, peak=top, block=block
            )
            left_out = missing | left_out
        if product.ms is not None:
            if covered is None:
                covered = coverage_of(fused, pan, cut.on_pan, cut.fusible, "pan")
            settings |= {
                "gains": list(ms_gains(known, gains, fused.bands)),
                "gains_from": "the option" if gains else "the sensor" if known else "the default",
                "pan_gain": pan_gain(known),
                "rows": cut.height,
                "columns": cut.width,
                "phase": list(cut.phase),
                "window": window,
                "variant": variant,
            }
            values[FULL_RESOLUTION], missing = assess(
                ms, pan, fused, cut,
                sensor=known, gains=gains, window=window, block=block, variant=variant,
            )  # fmt: skip
            left_out |= missing
        settings |= {"block": block, "nodata": nodata}
    assert covered is not None
    if covered.lacking:
        log.warning(
            "warning: %s: the product lacks %.1f %% of what it is measured against (coverage %s); "
            "the indices say nothing of that part",
            *(name, 100 * (1 - covered.share), covered.text()),
        )
    return Measured(values, settings, covered, left_out)


def measure_products(products: Iterable[Product], **options: Any) -> dict[str, Measured]:
    """Each product by its name; what is wrong with one is recorded as its ``error``.

    Parameters
    ----------
    products : iterable of Product
    **options
        See ``measure_product``.

    Raises
    ------
    OptionError
        If the ratio or the peak is wrong for every product, or two have one name.
    """
    products = list(products)
    names = [product.name for product in products]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(
            f"products: {', '.join(twice)} more than once; need a name per product; rename them"
        )
    find_ratio(options.get("ratio"), None, {})
    find_peak(options.get("peak"), None, np.dtype(np.uint8), {})
    found = {}
    for product in products:
        try:
            found[product.name] = measure_product(product, **options)
        except (PanTinyError, RasterioError, OSError, MemoryError) as error:
            text = f"{product.name} ({product.fused}): {error}"
            log.error("error: %s", printable(text))
            paths = {p: getattr(product, p) for p in ("fused", "truth", "ms", "pan", "sensor")}
            found[product.name] = Measured(settings=paths, error=text)
    return found


def check_exists(path: str) -> None:
    """Before it is asked what a path is.

    Raises
    ------
    SceneMissingError
    """
    if is_local(path) and not os.path.exists(path):
        raise SceneMissingError(
            f"evaluate: {path} does not exist; need a product, a folder of products, or a manifest "
            "whose name ends in .csv or .json; check the path"
        )
