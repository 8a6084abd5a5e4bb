"""What a filter is made of: the tree that `filters.py` reads and `clauses.py` makes SQL of.

The text of each is canonical: as Vertex AI documents it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

#: how the type of a metadata field is written, and what it is called here.
SUFFIXES: Final = {"number_value": "number", "string_value": "text", "bool_value": "bool"}
WORDS: Final = {kind: word for word, kind in SUFFIXES.items()}
#: types that Vertex AI's metadata may have, and that no filter compares.
OTHER_TYPES: Final = ("struct_value", "list_value", "null_value")

_BARE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Field:
    """What is compared: an attribute, or a field of the metadata."""

    attribute: str  #: `display_name`, …, or `metadata`
    type: str  #: text, number, bool, time or state
    path: tuple[str, ...] = ()  #: the keys that lead to a field of the metadata

    def __str__(self) -> str:
        if not self.path:
            return self.attribute
        return ".".join([self.attribute, *map(_segment, self.path), WORDS[self.type]])


@dataclass(frozen=True)
class Text:
    """A text to compare with; between its parts, if there are several, anything may stand."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return '"' + "*".join(re.sub(r'(["\\*])', r"\\\1", part) for part in self.parts) + '"'


@dataclass(frozen=True)
class Time:
    """A time to compare with."""

    written: str  #: as the filter has it
    stamp: str  #: as the store writes times, so that they compare as text

    def __str__(self) -> str:
        return f'"{self.written}"'


Literal = Text | Time | float | bool | str


@dataclass(frozen=True)
class Comparison:
    """One field, an operator, and a value: Text, Time, a number, a bool, or a state's word."""

    field: Field
    operator: str  #: = != < > <= >=
    value: Literal

    def __str__(self) -> str:
        literal = self.value
        shown = json.dumps(literal) if isinstance(literal, bool | str) else str(literal)
        if isinstance(literal, float) and literal in (float("inf"), float("-inf")):
            shown = shown.replace("inf", "1e999")
        return f"{self.field} {self.operator} {shown}"


@dataclass(frozen=True)
class Edge:
    """Whether a record is joined to one of some contexts."""

    name: str  #: in_context, parent_contexts or child_contexts
    contexts: tuple[str, ...]  #: ids, or full resource names

    def __str__(self) -> str:
        listed = ", ".join(str(Text((context,))) for context in self.contexts)
        return f"in_context({listed})" if self.name == "in_context" else f"{self.name}:{listed}"


@dataclass(frozen=True)
class Not:
    """Everything that the inner one does not hold for."""

    inner: Tree

    def __str__(self) -> str:
        inner = str(self.inner)
        return f"NOT ({inner})" if isinstance(self.inner, Group | Not) else f"NOT {inner}"


@dataclass(frozen=True)
class Group:
    """Several that must all hold, or of which one must. Of no parts all hold."""

    word: str  #: AND or OR
    parts: tuple[Tree, ...]

    def __str__(self) -> str:
        parts = (f"({part})" if isinstance(part, Group) else str(part) for part in self.parts)
        return f" {self.word} ".join(parts)


Tree = Comparison | Edge | Not | Group


@dataclass(frozen=True)
class Filter:
    """A filter that was understood; its text is canonical."""

    kind: type  #: Context, Execution or Artifact
    tree: Tree
    warning: str = ""  #: how it was read where a reader may expect otherwise

    def __str__(self) -> str:
        return str(self.tree)


@dataclass(frozen=True)
class Order:
    """One of the fields that records are sorted by."""

    field: Field
    descending: bool


def _segment(key: str) -> str:
    """A key as it stands in a filter."""
    if _BARE.fullmatch(key) and key not in (*SUFFIXES, *OTHER_TYPES):
        return key
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'


def depth(tree: Tree) -> int:
    """How many parentheses lie in each other where `tree` is written down."""
    if isinstance(tree, Not):
        return depth(tree.inner) + isinstance(tree.inner, Group | Not)
    if isinstance(tree, Group):
        return max((depth(part) + isinstance(part, Group) for part in tree.parts), default=0)
    return 0
