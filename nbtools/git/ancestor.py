"""A base that is itself a merge: after a criss-cross, git merges the bases first.

Where that merge conflicts, its result holds both versions between markers. Taken as it is,
it would say that the side which agrees with its first version has changed nothing, and that
side would be lost without a word. What both versions have in common is the true base.
"""

from __future__ import annotations

from typing import Any

from nbtools.git.cells import common_cell
from nbtools.git.document import Cell, Document
from nbtools.git.markers import PATHS, marked


def resolved(base: Document, ours: Document, theirs: Document) -> Document:
    """`base` without conflicts; as it is when a side has them too, and so knows of them."""
    if any(marked(cell.metadata) for side in (ours, theirs) for cell in side.cells):
        return base
    if not any(marked(cell.metadata) for cell in base.cells):
        return base
    data = base.data
    cells: list[Cell] = []
    sides: dict[str, list[Cell]] = {"ours": [], "between": []}
    at = ""
    forgotten: list[str] = []
    for cell in base.cells:
        found = marked(cell.metadata)
        if found == "metadata":
            forgotten = cell.metadata.get(PATHS) or []
            if not cells:
                data = _without(data, forgotten)
        elif found == "theirs":
            pairs = zip(sides["ours"], sides["between"], strict=False)
            cells += [_named(common_cell(a, b), a.id) for a, b in pairs]
            sides = {"ours": [], "between": []}
            at = ""
        elif found:
            at = found
        else:
            (sides[at] if at else cells).append(_forgetful(cell, forgotten))
            forgotten = []
    return Document(data, cells + sides["ours"], base.style)


def _named(cell: Cell, name: str) -> Cell:
    return Cell(cell.data, cell.kind, cell.source, name)


def _forgetful(cell: Cell, paths: list[str]) -> Cell:
    data = {**_without(cell.data, paths), "metadata": _without(cell.metadata, paths)}
    return Cell(data, cell.kind, cell.source, cell.id)


def _without(data: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    """`data` without the values that clashed."""
    for path in paths:
        key, _, rest = path.partition(".")
        if rest and isinstance(data.get(key), dict):
            data = {**data, key: _without(data[key], [rest])}
        elif not rest:
            data = {k: v for k, v in data.items() if k != key}
    return data
