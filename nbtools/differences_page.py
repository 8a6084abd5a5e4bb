"""What differs between two jobs, as one page that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence

from nbtools.differences import CellDifference, Difference, JobDifference
from nbtools.figures.markup import Markup, element
from nbtools.figures.page import page as framed
from nbtools.figures.page import section

_COLOURS = {"-": "#c0392b", "+": "#1e8449"}


def page(found: JobDifference) -> str:
    """The page."""
    title = f"{found.before.name} and {found.after.name}"
    jobs = "".join(f"{job.name}: {job.state}. " for job in (found.before, found.after))
    head = element(
        "header", {}, element("h1", {}, title), element("p", {"class": "dim"}, jobs),
        element("p", {}, found.verdict),
    )  # fmt: skip
    sections = [head]
    for name, rows in (("What went in", found.causes), ("What came out", found.results)):
        if rows:
            sections.append(section(name, _table(rows)))
    for name, kind in (("Source", "source"), ("Outputs", "outputs")):
        cells = [_cell(c, getattr(c, kind)) for c in found.cells if getattr(c, kind)]
        if cells:
            sections.append(section(name, *cells))
    if found.unknown:
        rest = [element("p", {"class": "dim"}, why) for why in found.unknown]
        sections.append(section("Not compared", *rest))
    return framed(title, sections)


def _table(rows: Sequence[Difference]) -> Markup:
    lines = [
        element("tr", {}, *(element("td", {}, text) for text in
                            (d.kind, d.name, _text(d.before), _text(d.after))))
        for d in rows
    ]  # fmt: skip
    return element("div", {"class": "wide"}, element("table", {}, element("tbody", {}, *lines)))


def _cell(cell: CellDifference, lines: Sequence[str]) -> Markup:
    name = f"cell {cell.before or 'none'} → {cell.after or 'none'} [{cell.kind}] {cell.id}".strip()
    body = [
        element("span", {"style": f"color: {_COLOURS[line[0]]}" if line[:1] in _COLOURS else None},
                f"{line}\n")
        for line in lines
    ]  # fmt: skip
    return element("figure", {}, element("figcaption", {}, name), element("pre", {}, *body))


def _text(value: object) -> str:
    return "nothing" if value is None else str(value)
