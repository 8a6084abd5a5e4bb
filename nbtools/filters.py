"""Vertex AI's filter language for metadata, read into a small tree.

    display_name = "r*" AND metadata._metrics.val_accuracy.number_value > 0.9

The language is that of Vertex AI's documentation and of AIP-160. What is not understood is
refused, never taken for true. `grammar.py` reads, `clauses.py` makes SQL of the tree.
"""

from __future__ import annotations

import re
import warnings
from typing import Final

from nbtools.errors import RequestError
from nbtools.grammar import DEEPEST, Reader
from nbtools.terms import SUFFIXES, Filter, Group, Order, depth

LONGEST: Final = 30_000  #: characters of a filter


def parse(text: str, kind: type) -> Filter:
    """Read a filter for contexts, executions or artifacts (their class is `kind`).

    A blank one holds for everything. Raises RequestError, with the place and with what was
    expected there.
    """
    reader = Reader(text, kind)
    if "\0" in text:  # SQLite compares only what stands before it
        raise reader.wrong("no NUL", text.index("\0"))
    if len(text) > LONGEST:
        raise RequestError(f"a filter has at most {LONGEST} characters: this has {len(text)}")
    reader.space()
    if reader.ended():
        return Filter(kind, Group("AND", ()))
    tree = reader.expression(0)
    if not reader.ended():
        raise reader.wrong("AND, OR or the end")
    if depth(tree) > DEEPEST:
        raise RequestError(
            f"the filter {tree} groups more than {DEEPEST} levels deep: say it flatter"
        )
    warning = ""
    if reader.mixed:
        warning = f"OR binds tighter than AND: this filter is read as {tree}; use parentheses"
    return Filter(kind, tree, warning)


def parsed(filter: str | Filter, kind: type) -> Filter:
    """The filter, read if that was not done yet; then its warning, if any, is given here.

    Raises RequestError as `parse` does, or when it was read for another kind.
    """
    if isinstance(filter, Filter):
        if filter.kind is not kind:
            raise RequestError(
                f"the filter {filter} is for {filter.kind.__name__.lower()}s: "
                f"read it for {kind.__name__.lower()}s"
            )
        return filter
    read = parse(filter, kind)
    if read.warning:
        warnings.warn(read.warning, stacklevel=4)
    return read


def canonical(text: str, kind: type) -> str:
    """The filter as Vertex AI documents it: typed metadata fields, parentheses, quotes.

    Raises RequestError as `parse` does.
    """
    return str(parse(text, kind))


def ordering(text: str, kind: type) -> tuple[Order, ...]:
    """Read `create_time desc, name`: fields, ascending unless `desc` follows.

    Raises RequestError, with the place and with what was expected there.
    """
    reader, orders = Reader(text, kind, what="order"), []
    reader.space()
    while not reader.ended():
        field = reader.field()
        if field.type == "":
            raise reader.wrong("a type: " + ", ".join(f".{word}" for word in SUFFIXES))
        direction = reader.take(re.compile(r"(asc|desc)\b", re.IGNORECASE))
        orders.append(Order(field, direction.lower() == "desc"))
        if not reader.ended() and not reader.take(re.compile(",")):
            raise reader.wrong("asc, desc, a comma or the end")
    return tuple(orders)
