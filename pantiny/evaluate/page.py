"""Style and script of the HTML page."""

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
figcaption .scale { display: flex; gap: .5rem; align-items: center; margin: .25rem 0; }
.scale img { flex: 1; width: auto; height: .7rem; min-width: 0; image-rendering: auto; }
.error { color: #c0392b; } .settings { font-size: .85rem; overflow-wrap: anywhere; }
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
