"""One page of a list: filtered already; sorted, and cut where the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from jupyter_scheduler.models import SortDirection, SortField

from nbtools.errors import RequestError

T = TypeVar("T")
Keys = Mapping[str, Callable[[T], Any]]


def ordered(rows: Sequence[T], sort_by: Sequence[SortField], keys: Keys[T]) -> list[T]:
    """The rows sorted; what lacks a value is last. Raises RequestError for an unknown field."""
    found = list(rows)
    for field in reversed(sort_by):
        if field.name not in keys:
            raise RequestError(f"cannot sort by {field.name!r}: there is {', '.join(keys)}")
        value = keys[field.name]
        down = field.direction is SortDirection.desc
        with_one = [row for row in found if value(row) is not None]
        without = [row for row in found if value(row) is None]
        found = [*sorted(with_one, key=value, reverse=down), *without]
    return found


def bounds(max_items: int | None, next_token: str | None) -> tuple[int, int]:
    """Where a page begins, and how many it holds; raises RequestError for what is no token."""
    try:
        begin, count = int(next_token or 0), int(max_items or 0)
    except ValueError:
        begin, count = -1, 0
    if begin < 0 or count < 0:
        raise RequestError(f"no page {next_token!r} of {max_items!r}: take the token of a reply")
    return begin, count


def next_token(begin: int, shown: int, total: int) -> str | None:
    """What asks for the page after; None behind the last."""
    return str(begin + shown) if shown and begin + shown < total else None
