"""The frame of a page: its style, its little script, its sections."""

from __future__ import annotations

from nbtools.figures.markup import Markup, element, joined

STYLE = Markup("""
:root { color-scheme: light dark; --ink: #1c2733; --dim: #66727f; --line: #d9dee4;
  --back: #ffffff; --mark: #fff3c4; --bar: #3b6ea5; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe5ea; --dim: #93a0ad; --line: #3a444e;
  --back: #171c21; --mark: #4a4118; --bar: #6ea0d6; } }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back);
  margin: 2rem auto; max-width: 1360px; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .dim, figcaption { color: var(--dim); }
code { font-size: .92em; }
.wide { overflow: auto; max-height: 32rem; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid var(--line); }
th { position: sticky; top: 0; background: var(--back); cursor: pointer; }
[data-run] { cursor: pointer; } tr.on, .legend .on { background: var(--mark); }
td.swatch { padding-right: 0; } i { display: inline-block; width: .8rem; height: .8rem;
  border-radius: 3px; vertical-align: -1px; } .legend span { margin-right: 1rem;
  white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr));
  gap: 1rem 1.5rem; }
figure { margin: 0; overflow-x: auto; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--dim); font-size: 11px; } svg .head { fill: var(--ink); font-weight: 600; }
svg .tick { paint-order: stroke; stroke: var(--back); stroke-width: 3px; }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--dim); }
svg path { fill: none; stroke-width: 1.4; stroke-linecap: round; stroke-linejoin: round;
  opacity: var(--alpha, .85); }
svg path:hover { stroke-width: 4; opacity: 1; }
.some svg path { opacity: .08; } .some svg path.on { opacity: 1; stroke-width: 2.6; }
.bars { max-width: 760px; } .bars text { font-size: 12px; } .bar { fill: var(--bar); }
""")

# A click on a run marks it everywhere, a click on a column's head sorts by it. There is neither
# a "less than" nor an "and" sign in it, so that the page is XML too.
SCRIPT = Markup("""
document.querySelectorAll('[data-run]').forEach(function (one) {
  one.addEventListener('click', function () {
    var on = !one.classList.contains('on');
    document.querySelectorAll('[data-run="' + one.dataset.run + '"]').forEach(
      function (same) { same.classList.toggle('on', on); });
    document.body.classList.toggle('some', document.querySelector('tr.on') !== null);
  });
});
document.querySelectorAll('th').forEach(function (head) {
  head.addEventListener('click', function () {
    var body = document.querySelector('tbody'), place = head.cellIndex;
    var sign = head.dataset.sign = head.dataset.sign === '1' ? '-1' : '1';
    function key(row) { return row.cells[place].dataset.value || row.cells[place].textContent; }
    Array.from(body.rows).sort(function (a, b) {
      var x = key(a), y = key(b), n = Number(x) - Number(y);
      if (x === '' || y === '') { return (x === '') - (y === ''); }
      return sign * (isNaN(n) ? x.localeCompare(y) : n);
    }).forEach(function (row) { body.appendChild(row); });
  });
});
""")


def page(title: str, sections: list[Markup]) -> str:
    """A whole page, which is XML too."""
    head = element(
        "head",
        {},
        Markup('<meta charset="utf-8"/>'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1"/>'),
        element("title", {}, title),
        element("style", {}, STYLE),
    )
    body = element("body", {}, joined(*sections), element("script", {}, SCRIPT))
    whole = element("html", {"lang": "en", "xmlns": "http://www.w3.org/1999/xhtml"}, head, body)
    return f"<!DOCTYPE html>\n{whole}\n"


def section(title: str, *inner: str) -> Markup:
    """A part of the page under its heading."""
    return element("section", {}, element("h2", {}, title), *inner)
