"""Pages of lists: a token says where the next one begins, of which list, as of when."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from nbtools.emulator.call import Refused
from nbtools.nouns import moment, stamp
from nbtools.resources import Resource

T = TypeVar("T")

#: what may differ between the requests of two pages of one list.
_FREE: Final = ("page_token", "page_size")


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for."""

    size: int
    offset: int
    time: datetime  #: UTC; what was added later is on no page but the first
    digest: str  #: of what else was asked for

    @property
    def is_first(self) -> bool:
        """Whether the list begins here."""
        return not self.offset

    def token(self, more: bool) -> str:
        """Where the next page begins; empty when there is none."""
        if not more:
            return ""
        values = [self.offset + self.size, stamp(self.time), self.digest]
        return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()

    def old(self, found: Iterable[Resource]) -> list[Resource]:
        """Those that were there when the list's first page was asked for."""
        return [r for r in found if self.is_first or (r.create_time or self.time) <= self.time]

    def cut(self, found: Sequence[T]) -> tuple[list[T], str]:
        """This page of the whole list, and the token of the next."""
        end = self.offset + self.size
        return list(found[self.offset : end]), self.token(len(found) > end)

    def fetched(self, read: Callable[[int, int], list[T]]) -> tuple[list[T], str]:
        """As `cut`, of what `read(limit, offset)` returns."""
        found = read(self.size + 1, self.offset)
        return found[: self.size], self.token(len(found) > self.size)


def page(request: Any, now: datetime, *, default: int, most: int, strict: bool = False) -> Page:
    """The page that a list request is for. A size beyond `most` is `most`, or refused if
    `strict`. Raises Refused.
    """
    size = request.page_size or default
    if size < 0 or (strict and size > most):
        raise Refused("INVALID_ARGUMENT", f"page_size is 1 to {most}: not {request.page_size}")
    asked = type(request)()
    asked.CopyFrom(request)
    for name in _FREE:
        asked.ClearField(name)
    data = asked.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()[:16]
    if not request.page_token:
        return Page(min(size, most), 0, now, digest)
    try:
        offset, time, of = json.loads(base64.urlsafe_b64decode(request.page_token.encode()))
        begun = moment(time)
    except (ValueError, TypeError):
        begun = None
    if begun is None or of != digest or not isinstance(offset, int) or offset < 0:
        raise Refused("INVALID_ARGUMENT", "page_token is not of a list with these parameters")
    return Page(min(size, most), offset, begun, digest)
