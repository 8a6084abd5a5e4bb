"""What stays of a view when the notebook is saved, exported, or shown without a kernel.

HTML that needs nothing else: tables, and pictures as data in `<img>`, in which no script
can run and which also those show who strip SVG from a notebook's output.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from nbtools.figures.markup import Markup, element, joined, number

#: characters of a cell, rows of a table.
WIDEST: Final = 120
ROWS: Final = 50

# Grey enough for a light page and a dark one: nobody tells a picture which it is on.
_STYLE: Final = Markup(
    "<style>text{fill:#7b858f;font:11px sans-serif}.head{font-weight:600}"
    "line{stroke:#7b858f55}path{fill:none;stroke-width:1.5;stroke-linejoin:round}"
    "circle{fill-opacity:.8}</style>"
)


# JupyterLab's error about a view that is no longer there is not worth a line above what stays.
_ALONE: Final = Markup(
    "<style>.jp-OutputArea-child:has(.jupyter-widgets):not(:has(.nbl-live))"
    ":has(+ .jp-OutputArea-child .nbl-still){display:none}</style>"
)


def still(title: str, *parts: str) -> Markup:
    """All of it; parts that are no markup are text."""
    head = element("p", {}, element("b", {}, title))
    return element("div", {"class": "nbl-still"}, _ALONE, head, *parts)


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> Markup:
    """A table of values, its first rows where there are very many; nothing without rows."""
    found = list(rows)
    if not found:
        return Markup("")
    body = [element("tr", {}, *(element("td", {}, text(v)) for v in row)) for row in found[:ROWS]]
    if len(found) > ROWS:
        more = element("td", {"colspan": len(heads)}, f"and {len(found) - ROWS} more")
        body.append(element("tr", {}, more))
    parts = [element("caption", {}, caption)] if caption else []
    if any(heads):
        top = element("tr", {}, *(element("th", {}, head) for head in heads))
        parts.append(element("thead", {}, top))
    return element("table", {}, *parts, element("tbody", {}, *body))


def named(groups: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Values by name in groups, as one table."""
    rows = [(kind, key, value) for kind, values in groups.items() for key, value in values.items()]
    return table(("", "", ""), rows)


def picture(figure: str, alt: str) -> Markup:
    """The SVG of a figure as an image, as large as it was drawn; `alt` says what it shows."""
    drawn = svg(figure)
    width = re.search(r'viewBox="0 0 (\d+)', drawn)
    at = drawn.index(">") + 1
    style = Markup("") if "<style>" in drawn else _STYLE
    whole = (drawn[:at] + style + drawn[at:]).encode()
    source = f"data:image/svg+xml;base64,{b64encode(whole).decode()}"
    return element("img", {"src": source, "alt": alt, "width": width and width[1]})


def svg(figure: str) -> str:
    """The drawing of a figure, without what stands around it."""
    return figure[figure.index("<svg") : figure.rindex("</svg>") + len("</svg>")]


def text(value: Any) -> str:
    """A value as a cell shows it."""
    if value is None:
        return ""
    shown = number(value) if isinstance(value, float) else str(value)
    return shown if len(shown) <= WIDEST else shown[: WIDEST - 1] + "…"


def paragraph(*parts: str) -> Markup:
    """A line of text."""
    return element("p", {}, joined(*parts))
