"""pantiny's own indices: the conformance kit calls them as they are."""

from entries import IMAGES

from pantiny import metrics

INDICES = {name: getattr(metrics, name) for name in IMAGES if hasattr(metrics, name)}
