"""A self-contained HTML page of what was measured: tables, pictures, maps, a swipe comparison."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from .. import __version__
from .indices import FAMILIES, Index, indices_of
from .pictures import Picture
from .table import Values

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6675; --line: #d9dee6;
  --paper: #fff; --card: #f6f8fa; --mark: #0b6bcb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa5b5; --line: #333b47;
  --paper: #14181e; --card: #1c222b; --mark: #6cb6ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; } p { margin: .25rem 0 1rem; color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; } th { font-weight: 600; white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.soft, .soft { color: var(--soft); }
.swipe { position: relative; background: var(--card); border: 1px solid var(--line);
  overflow: hidden; line-height: 0; }
.swipe img { width: 100%; display: block; image-rendering: auto; user-select: none; }
.swipe .over { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.swipe .over img { height: 100%; }
.swipe .bar { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 3px #000a; pointer-events: none; }
.swipe input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; }
.swipe:focus-within { outline: 3px solid var(--mark); outline-offset: 2px; }
.choose { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin: .5rem 0; font-size: .92rem; }
select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  padding: .15rem .4rem; border-radius: 4px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; display: block; background: var(--card);
  border: 1px solid var(--line); } figcaption { font-size: .85rem; color: var(--soft); }
figcaption b { color: var(--ink); font-weight: 600; }
footer { margin-top: 3rem; font-size: .85rem; color: var(--soft); }
@media print { .swipe, .choose { display: none; } body { max-width: none; } }
"""

SCRIPT = """
document.querySelectorAll('.compare').forEach(function (box) {
  var swipe = box.querySelector('.swipe'), range = box.querySelector('input');
  var under = box.querySelector('.under'), over = box.querySelector('.over img');
  var left = box.querySelector('.left'), right = box.querySelector('.right');
  function move() { swipe.style.setProperty('--at', range.value + '%'); }
  function show() {
    over.src = document.getElementById(left.value).src;
    under.src = document.getElementById(right.value).src;
    over.alt = left.selectedOptions[0].text; under.alt = right.selectedOptions[0].text;
  }
  range.addEventListener('input', move);
  left.addEventListener('change', show); right.addEventListener('change', show);
  move(); show();
});
"""


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _label(index: Index) -> str:
    return f"<th scope=row>{escape(index.label)} <span class=soft>{escape(index.unit)}</span></th>"


def _one(family: str, values: Mapping[str, float]) -> str:
    rows = [
        f"<tr>{_label(i)}{_cell(i.text(values[i.key]), 'n')}{_cell(i.ideal, 'n soft')}"
        f"{_cell(i.direction, 'soft')}{_cell(i.meaning, 'soft')}</tr>"
        for i in indices_of(family)
    ]
    head = "<tr><th>index<th class=n>value<th class=n>perfect<th>better<th>what it says</tr>"
    return f"<div class=wide><table>{head}{''.join(rows)}</table></div>"


def _summary(results: Mapping[str, Values]) -> str:
    parts = []
    for family, title in FAMILIES.items():
        having = {name: found[family] for name, found in results.items() if family in found}
        if not having:
            continue
        rows = []
        for i in indices_of(family):
            values = [v[i.key] for v in having.values()]
            worst = i.worst(values)
            rows.append(
                f"<tr>{_label(i)}{_cell(i.text(sum(values) / len(values)), 'n')}"
                f"{_cell(i.text(values[worst]), 'n')}{_cell(list(having)[worst])}"
                f"{_cell(i.direction, 'soft')}</tr>"
            )
        head = "<tr><th>index<th class=n>mean<th class=n>worst<th>which<th>better</tr>"
        parts.append(
            f"<h3>{escape(title)}, {len(having)} products</h3>"
            f"<div class=wide><table>{head}{''.join(rows)}</table></div>"
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


def _figures(number: int, pictures: Sequence[Picture]) -> str:
    figures = [
        f"<figure><img id=p{number}-{escape(p.key)} src='{_source(p)}' alt='{escape(p.title)}'>"
        f"<figcaption><b>{escape(p.title)}</b> {escape(p.note)}</figcaption></figure>"
        for p in pictures
    ]
    return f"<div class=grid>{''.join(figures)}</div>"


def html_of(
    results: Mapping[str, Values],
    pictures: Mapping[str, Sequence[Picture]],
    options: Mapping[str, object],
) -> str:
    """The page: nothing of it lies elsewhere.

    Parameters
    ----------
    results : mapping
        Product -> family -> index -> value.
    pictures : mapping
        Product -> pictures, with "fused" among them.
    options : mapping
        What made the values; None is left out.
    """
    title = next(iter(results)) if len(results) == 1 else f"{len(results)} products"
    said = ", ".join(f"{k} {v}" for k, v in options.items() if v is not None)
    body = [f"<h1>{escape(title)}</h1><p>Quality of pan-sharpened images. {escape(said)}</p>"]
    if len(results) > 1:
        body.append(_summary(results))
    for number, (name, found) in enumerate(results.items()):
        body.append(f"<section><h2>{escape(name)}</h2>")
        body.append(_compare(number, pictures.get(name, ())))
        for family, heading in FAMILIES.items():
            if family in found:
                body.append(f"<h3>{escape(heading)}</h3>{_one(family, found[family])}")
        body.append(f"<h3>Pictures</h3>{_figures(number, pictures.get(name, ()))}</section>")
    body.append(
        f"<footer>pantiny {escape(__version__)}. Definitions of the indices: docs/indices.md "
        "of the package. Images share one stretch, the 2nd to the 98th percentile of the fused "
        "one; PAN has its own.</footer>"
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}: quality</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}<script>{SCRIPT}</script></body></html>\n"
    )
