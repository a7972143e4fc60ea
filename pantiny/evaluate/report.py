"""A self-contained HTML page of what was measured: tables, pictures, maps, a swipe comparison."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from .. import __version__
from .indices import FAMILIES, Index, indices_of
from .page import SCRIPT, STYLE
from .pictures import Picture, colour_bar
from .run import Measured
from .settings import said
from .table import of_all, summaries


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _label(index: Index) -> str:
    return f"<th scope=row>{escape(index.label)} <span class=soft>{escape(index.unit)}</span></th>"


def _one(family: str, result: Measured) -> str:
    values = result.values[family]
    rows = []
    for i in indices_of(family):
        why = result.left_out.get(i.key)
        meaning = i.meaning if why is None else f"not computed: {why}"
        rows.append(
            f"<tr>{_label(i)}{_cell(i.text(values.get(i.key)), 'n')}{_cell(i.ideal, 'n soft')}"
            f"{_cell(i.direction, 'soft')}{_cell(meaning, 'soft')}</tr>"
        )
    head = "<tr><th>index<th class=n>value<th class=n>perfect<th>better<th>what it says</tr>"
    return f"<div class=wide><table>{head}{''.join(rows)}</table></div>"


def _summary(results: Mapping[str, Measured]) -> str:
    rows = []
    for name, result in results.items():
        covered = result.coverage
        share = "-" if covered is None else f"{covered.share:.4f}"
        state = _cell("measured", "soft") if result.error is None else _cell(result.error, "error")
        rows.append(f"<tr>{_cell(name)}{_cell(share, 'n')}{state}</tr>")
    head = "<tr><th>product<th class=n>coverage<th>state</tr>"
    parts = [f"<div class=wide><table>{head}{''.join(rows)}</table></div>"]
    for family, title in FAMILIES.items():
        found = summaries(results, family)
        if not found:
            continue
        rows = [
            f"<tr>{_label(s.index)}{_cell(s.index.text(s.mean), 'n')}"
            f"{_cell(of_all(s.count, results), 'n')}{_cell(s.index.text(s.worst), 'n')}"
            f"{_cell(s.product)}{_cell(s.index.direction, 'soft')}</tr>"
            for s in found
        ]
        head = (
            "<tr><th>index<th class=n>mean<th class=n>of<th class=n>worst<th>which<th>better</tr>"
        )
        parts.append(
            f"<h3>{escape(title)}</h3><div class=wide><table>{head}{''.join(rows)}</table></div>"
        )
    return "".join(parts)


def _source(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode("ascii")


def _compare(number: int, pictures: Sequence[Picture]) -> str:
    """Two pictures over each other. A range input is the handle: mouse, touch and keyboard."""
    shown = [p for p in pictures if p.key != "consistency"]  # of one size
    if len(shown) < 2:
        return ""
    keys = [p.key for p in shown]
    left = keys.index("ms") if "ms" in keys else keys.index("truth") if "truth" in keys else 0
    right = keys.index("fused")

    def choose(side: str, chosen: int) -> str:
        options = "".join(
            f"<option value=p{number}-{escape(p.key)}{' selected' if i == chosen else ''}>"
            f"{escape(p.title)}</option>"
            for i, p in enumerate(shown)
        )
        return f"<label>{side} <select class={side}>{options}</select></label>"

    return (
        f"<div class=compare><div class=choose>{choose('left', left)}{choose('right', right)}</div>"
        "<div class=swipe style='--at:50%'><img class=under alt=''>"
        "<div class=over><img alt=''></div><div class=bar></div>"
        "<input type=range min=0 max=100 step=0.5 value=50 "
        "aria-label='Share of the left picture that is shown, in percent'></div></div>"
    )


def _scale(picture: Picture) -> str:
    if picture.top is None:
        return ""
    bar = "data:image/png;base64," + base64.b64encode(colour_bar()).decode("ascii")
    return (
        f"<span class=scale>0 DN <img src='{bar}' alt='colours from the least error to the most'> "
        f"{picture.top:.3g} DN and more</span>"
    )


def _figures(number: int, pictures: Sequence[Picture]) -> str:
    figures = [
        f"<figure><img id=p{number}-{escape(p.key)} src='{_source(p)}' alt='{escape(p.title)}'>"
        f"<figcaption><b>{escape(p.title)}</b> {escape(p.note)}{_scale(p)}</figcaption></figure>"
        for p in pictures
    ]
    return f"<div class=grid>{''.join(figures)}</div>"


def _section(number: int, name: str, result: Measured, pictures: Sequence[Picture]) -> str:
    body = [f"<section><h2>{escape(name)}</h2>"]
    if result.error is not None:
        return f"{body[0]}<p class=error>Not measured: {escape(result.error)}</p></section>"
    if result.coverage is not None:
        kind = "error" if result.coverage.lacking else "soft"
        body.append(f"<p class={kind}>Coverage {escape(result.coverage.text())}.</p>")
    body.append(_compare(number, pictures))
    for family, heading in FAMILIES.items():
        if family in result.values:
            body.append(f"<h3>{escape(heading)}</h3>{_one(family, result)}")
    paths = "; ".join(
        f"{part} {path if isinstance(path, str) else ' '.join(path)}"
        for part in ("fused", "truth", "ms", "pan")
        if (path := result.settings.get(part)) is not None
    )
    body.append(f"<p class=settings>{escape(paths)}<br>{escape(said(result.settings))}</p>")
    if pictures:
        body.append(f"<h3>Pictures</h3>{_figures(number, pictures)}")
    return "".join([*body, "</section>"])


def html_of(
    results: Mapping[str, Measured],
    pictures: Mapping[str, Sequence[Picture]],
    options: Mapping[str, object],
) -> str:
    """The page: nothing of it lies elsewhere.

    Parameters
    ----------
    results : mapping
        Product -> what was measured.
    pictures : mapping
        Product -> pictures, with "fused" among them, maps drawn by ``on_one_scale``.
    options : mapping
        What made the values; None is left out.
    """
    title = next(iter(results)) if len(results) == 1 else f"{len(results)} products"
    options_said = ", ".join(f"{k} {v}" for k, v in options.items() if v is not None)
    body = [
        f"<h1>{escape(title)}</h1><p>Quality of pan-sharpened images. {escape(options_said)}</p>"
    ]
    if len(results) > 1:
        body.append(_summary(results))
    for number, (name, result) in enumerate(results.items()):
        body.append(_section(number, name, result, pictures.get(name, ())))
    body.append(
        f"<footer>pantiny {escape(__version__)}. Definitions of the indices: docs/indices.md "
        "of the package. Images share one stretch, the 2nd to the 98th percentile of the fused "
        "one; PAN has its own. Error maps of a kind "
        "share one scale on this page.</footer>"
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}: quality</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}<script>{SCRIPT}</script></body></html>\n"
    )
