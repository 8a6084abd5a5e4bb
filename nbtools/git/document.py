"""A notebook file as bytes and as cells, for the programs that git starts.

Standard library only: a merge driver and a hook run where nothing is installed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from nbtools.errors import RequestError

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
        first = text.find("{")
        second = text[first + 1 :].lstrip(" \t\r\n")
        gap = text[first + 1 : len(text) - len(second)]
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
        text = _decoded(data, name)
        notebook = _loaded(text, name)
        cells = [Cell.of(cell) for cell in _checked(notebook, name)]
        return cls(notebook, cells, Style.of(text))

    def render(self) -> bytes:
        """The bytes of this notebook, laid out in its style."""
        data = {**self.data, "cells": [cell.data for cell in self.cells]}
        style = self.style
        text = json.dumps(data, indent=style.indent, ensure_ascii=style.ascii)
        return (text.replace("\n", style.newline) + style.end).encode()


def text_of(source: str | list[str]) -> str:
    """A multi-line value as one string."""
    return source if isinstance(source, str) else "".join(source)


def form_of(text: str, like: object) -> str | list[str]:
    """`text` in the form of `like`: a list of lines, or one string."""
    return text if isinstance(like, str) else text.splitlines(keepends=True)


def _decoded(data: bytes, name: str) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise BadNotebook(f"{name}:1: begins with a byte order mark; save it without")
    if data.startswith(b"version https://git-lfs"):
        raise BadNotebook(f"{name}:1: is a Git LFS pointer, not a notebook; run `git lfs pull`")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadNotebook(f"{name}:{line}: not a notebook, it is not UTF-8 text") from None


def _loaded(text: str, name: str) -> dict[str, Any]:
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        at = text.find("<<<<<<< ") if "\n<<<<<<< " in text or text[:8] == "<<<<<<< " else -1
        if at >= 0:
            line = text.count("\n", 0, at) + 1
            raise BadNotebook(
                f"{name}:{line}: holds git's conflict markers; run `nbtools git fix {name}`"
            ) from None
        raise BadNotebook(
            f"{name}:{error.lineno}: not a notebook, its JSON is broken: {error.msg}"
        ) from None
    except (RecursionError, ValueError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadNotebook(f"{name}:1: not a notebook that can be read: {why}") from None
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(notebook, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadNotebook(f"{name}:{_surrogate(text)}: holds half a character") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        raise BadNotebook(f"{name}:1: is JSON, but not a notebook: it names no nbformat")
    if notebook["nbformat"] != 4:
        raise BadNotebook(
            f"{name}:1: is in notebook format {notebook['nbformat']}; convert every side with "
            "`jupyter nbconvert --to notebook --nbformat 4`"
        )
    return notebook


def _surrogate(text: str) -> int:
    """The first line that holds a lone half of a surrogate pair."""
    for number, line in enumerate(text.split("\n"), 1):
        pairs = line.lower().count("\\ud")
        if pairs:
            try:
                json.loads(f'"{line.strip().strip(",").strip(chr(34))}"').encode()
            except ValueError:  # UnicodeEncodeError is one
                return number
    return 1


def _checked(notebook: dict[str, Any], name: str) -> list[dict[str, Any]]:
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise BadNotebook(f"{name}:1: is not a notebook: it has no list of cells")
    for number, cell in enumerate(cells, 1):
        wrong = _fault(cell)
        if wrong:
            raise BadNotebook(f"{name}: cell {number} {wrong}")
    return cells


def _fault(cell: Any) -> str:
    if not isinstance(cell, dict):
        return "is not an object"
    if cell.get("cell_type") not in KINDS:
        return f"has the cell type {cell.get('cell_type')!r}, which notebooks do not have"
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        return "has a source that is not text"
    if not isinstance(cell.get("id", ""), str):
        return "has an id that is not text"
    for key, kind in (("metadata", dict), ("attachments", dict), ("outputs", list)):
        if not isinstance(cell.get(key, kind()), kind):
            return f"has {key} that are not {'a list' if kind is list else 'an object'}"
    return ""
