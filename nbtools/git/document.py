"""A notebook file as bytes and as cells, for the programs that git starts.

Unlike `codec`, which writes every notebook alike for the filter, this keeps the layout of
the file, so that a merge changes only what it merged. Standard library only: a merge driver
and a hook run where nothing is installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from nbtools.errors import RequestError
from nbtools.git import codec
from nbtools.git.codec import NotANotebook

#: What stands between the first brace and the first key.
_GAP = re.compile(r"\{([ \t\r\n]*)")

KINDS = ("code", "markdown", "raw")


class BadNotebook(RequestError):
    """The bytes are not a notebook that can be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a file is laid out, so that what is written back looks like what was read."""

    indent: int | str | None = 1
    ascii: bool = False  #: characters beyond ASCII are written as escapes
    newline: str = "\n"
    end: str = "\n"  #: what follows the last brace

    @classmethod
    def of(cls, text: str) -> Style:
        """The style of `text`, a JSON object."""
        newline = "\r\n" if "\r\n" in text else "\n"
        found = _GAP.search(text)
        gap = found[1] if found else ""
        indent: int | str | None = None
        if "\n" in gap:
            indent = gap.rpartition("\n")[2]
            indent = len(indent) if not indent.strip(" ") else indent
        end = text[text.rfind("}") + 1 :]
        return cls(indent, text.isascii() and "\\u" in text, newline, end)


@dataclass(slots=True)
class Cell:
    """One cell: what merging looks at, and the JSON object as it was read."""

    data: dict[str, Any]
    kind: str  #: code, markdown or raw
    source: str
    id: str = ""  #: empty: it has none

    @classmethod
    def of(cls, data: dict[str, Any]) -> Cell:
        """The cell that `data` holds; what it holds has been checked."""
        return cls(data, data["cell_type"], text_of(data["source"]), data.get("id") or "")

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata, never None."""
        found = self.data.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def attachments(self) -> dict[str, Any]:
        """Its attachments by name."""
        return self.data.get("attachments") or {}

    @property
    def outputs(self) -> list[Any]:
        """Its outputs; none for cells that are not code."""
        return self.data.get("outputs") or []


@dataclass(slots=True)
class Document:
    """A notebook of format 4."""

    data: dict[str, Any]
    cells: list[Cell]
    style: Style = field(default_factory=Style)

    @property
    def minor(self) -> int:
        """The 5 in nbformat 4.5."""
        found = self.data.get("nbformat_minor")
        return found if isinstance(found, int) else 0

    @classmethod
    def parse(cls, data: bytes, name: str) -> Document:
        """Read bytes; raises BadNotebook, which names `name` and the line."""
        try:
            notebook = codec.parse(data)
            cells = [Cell.of(cell) for cell in _checked(notebook, data)]
        except NotANotebook as error:
            raise BadNotebook(error.at(name)) from None
        return cls(notebook, cells, Style.of(data.decode()))

    def render(self) -> bytes:
        """The bytes of this notebook, laid out in its style."""
        data = {**self.data, "cells": [cell.data for cell in self.cells]}
        style = self.style
        if style.indent is None:
            text = json.dumps(data, ensure_ascii=style.ascii)
        else:
            step = style.indent if isinstance(style.indent, str) else " " * style.indent
            quote = encode_basestring_ascii if style.ascii else encode_basestring
            text = _laid_out(data, style.newline, step, quote)
        return (text + style.end).encode()


def text_of(source: str | list[str]) -> str:
    """A multi-line value as one string."""
    return source if isinstance(source, str) else "".join(source)


def form_of(text: str, like: object) -> str | list[str]:
    """`text` in the form of `like`: a list of lines, or one string."""
    return text if isinstance(like, str) else text.splitlines(keepends=True)


def _laid_out(value: Any, margin: str, step: str, quote: Callable[[str], str]) -> str:
    """`value` as json.dumps writes it with an indent, in a fifth of its time; keys as they are."""
    if not value or not isinstance(value, dict | list):
        return quote(value) if isinstance(value, str) else json.dumps(value)
    inner = margin + step
    if isinstance(value, dict):
        items = [
            f"{quote(key)}: {_laid_out(item, inner, step, quote)}" for key, item in value.items()
        ]
        return "{" + inner + ("," + inner).join(items) + margin + "}"
    if set(map(type, value)) == {str}:
        return "[" + inner + ("," + inner).join(map(quote, value)) + margin + "]"
    items = [_laid_out(item, inner, step, quote) for item in value]
    return "[" + inner + ("," + inner).join(items) + margin + "]"


def _checked(notebook: Any, data: bytes) -> list[dict[str, Any]]:
    """The cells; raises NotANotebook for what could not be merged without loss."""
    if codec.version(notebook) != 4:
        raise NotANotebook(
            f"is in notebook format {notebook['nbformat']}; convert every version with "
            "`jupyter nbconvert --to notebook --nbformat 4`",
            1,
        )
    cells = codec.cells(notebook, 4)[0]
    for number, cell in enumerate(cells):
        if wrong := _fault(cell):
            line = codec.line_of_cell(data, number)
            raise NotANotebook(f"cell {number + 1} {wrong}", line)
    if b"\\ud" in data or b"\\uD" in data:
        _refuse_halves(notebook, data)
    return cells


def _fault(cell: Any) -> str:
    if not isinstance(cell, dict):
        return "is no object"
    if cell.get("cell_type") not in KINDS:
        return f"has the type {cell.get('cell_type')!r}, which notebooks do not have"
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        return "has a source that is not text"
    if not isinstance(cell.get("id", ""), str):
        return "has an id that is not text"
    for key, kind in (("metadata", dict), ("attachments", dict), ("outputs", list)):
        if not isinstance(cell.get(key, kind()), kind):
            return f"has {key} that are no {'list' if kind is list else 'object'}"
    return ""


def _refuse_halves(notebook: dict[str, Any], data: bytes) -> None:
    """Half of a surrogate pair can be read as an escape, and never written as UTF-8."""
    try:
        codec.dumps(notebook)
    except UnicodeEncodeError as error:
        code = f"\\u{ord(error.object[error.start]):04x}"
        line = data[: max(data.lower().find(code.encode()), 0)].count(b"\n") + 1
        raise NotANotebook(f"holds half a character, {code}, which no file can", line) from None
