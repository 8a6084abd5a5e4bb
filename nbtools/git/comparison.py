"""What changed between two versions of a notebook, cell by cell, as lines to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from nbtools.git.document import Cell, Document
from nbtools.git.matching import match
from nbtools.git.order import moved
from nbtools.git.textconv import shown
from nbtools.git.values import ABSENT, same

#: What a session writes and nobody means.
SILENT = frozenset({"execution_count", "id", "source", "cell_type", "metadata", "outputs"})


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison; `kind` says how it looks."""

    kind: str  #: file, cell, note, or the sign of a diff: "-", "+", " "
    text: str


def compare(old: Document, new: Document) -> Iterator[Line]:
    """The differences, in the order of the new version; nothing when there are none."""
    yield from _values(_rest(old.data), _rest(new.data), "")
    found = match(old.cells, new.cells)
    back = {i: j for j, i in found.items()}
    places = [found[j] for j in range(len(new.cells)) if j in found]
    away = moved(sorted(places), places)
    gone = 0
    for j, cell in enumerate(new.cells):
        if j not in found:
            yield _title("inserted", j, cell)
            yield from _sign("+", cell)
            continue
        i = found[j]
        if i not in away:  # deleted cells stand where they were
            yield from _deleted(old.cells, gone, i, back)
            gone = max(gone, i)
        yield from _changed(old.cells[i], cell, i, j, i in away)
    yield from _deleted(old.cells, gone, len(old.cells), back)


def text_diff(old: bytes, new: bytes) -> Iterator[Line]:
    """The differences of two texts that are not both notebooks."""
    before, after = (data.decode(errors="replace").splitlines() for data in (old, new))
    yield from _lines(before, after)


def _deleted(cells: Sequence[Cell], start: int, end: int, back: dict[int, int]) -> Iterator[Line]:
    for i in range(start, end):
        if i not in back:
            yield _title("deleted", i, cells[i])
            yield from _sign("-", cells[i])


def _changed(old: Cell, new: Cell, i: int, j: int, away: bool) -> Iterator[Line]:
    before = [line for output in old.outputs for line in shown(output)]
    after = [line for output in new.outputs for line in shown(output)]
    lines = [
        *_values(old.metadata, new.metadata, "metadata."),
        *_values(_other(old), _other(new), ""),
        *(
            _lines(old.source.split("\n"), new.source.split("\n"))
            if old.source != new.source
            else ()
        ),
        *(_lines(before, after) if before != after else ()),
    ]
    if old.kind != new.kind:
        lines.insert(0, Line("note", f"type: {old.kind} → {new.kind}"))
    if away:
        lines.insert(0, Line("note", f"moved from {i + 1} to {j + 1}"))
    if lines:
        yield _title("", j, new)
        yield from lines


def _title(what: str, number: int, cell: Cell) -> Line:
    name = f" id={cell.id}" if cell.id else ""
    return Line("cell", f"cell {number + 1} [{cell.kind}]{name}{f' {what}' if what else ''}")


def _sign(sign: str, cell: Cell) -> Iterator[Line]:
    outputs = (line for output in cell.outputs for line in shown(output))
    yield from (Line(sign, line) for line in (*cell.source.split("\n"), *outputs))


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    for line in list(unified_diff(old, new, n=3, lineterm=""))[2:]:
        yield Line("note", line) if line.startswith("@@") else Line(line[0], line[1:])


def _values(old: dict[str, Any], new: dict[str, Any], prefix: str) -> Iterator[Line]:
    for key in [*old, *(k for k in new if k not in old)]:
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if same(before, after):
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _values(before, after, f"{prefix}{key}.")
        else:
            yield Line("note", f"{prefix}{key}: {_short(before)} → {_short(after)}")


def _rest(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "cells"}


def _other(cell: Cell) -> dict[str, Any]:
    return {key: value for key, value in cell.data.items() if key not in SILENT}


def _short(value: Any, limit: int = 80) -> str:
    text = "nothing" if value is ABSENT else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"
