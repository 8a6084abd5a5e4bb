"""Which of some messages a list is to have, and in which order: the filters of the services
that are not ML Metadata's. AIP-160, with the fields and operators that each documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nbtools.emulator.call import Refused
from nbtools.errors import RequestError
from nbtools.filters import LONGEST
from nbtools.grammar import Reader
from nbtools.nouns import stamp
from nbtools.terms import Comparison, Group, Not, Tree
from nbtools.terms import Field as Path

_NAME = re.compile(r'[A-Za-z_]\w*(?:\.(?:[\w-]+|"[^"]*"))*', re.ASCII)
_OPERATOR = re.compile(r"=~|!~|<=|>=|!=|=|<|>|:")
_WORD = re.compile(r"[\w.@/+-]+|\*")


@dataclass(frozen=True)
class Field:
    """Something that a list can be filtered by."""

    value: Callable[[Any], Any]  #: of a message: a text, a time as text, a mapping, or None
    operators: tuple[str, ...]  #: of = != =~ !~ < > <= >= and : which is "has"
    is_time: bool = False  #: compared with a time in RFC 3339
    is_id: bool = False  #: compared with an id, of which a full name is as good


def id_of(message: Any) -> str:
    """The last part of a message's name."""
    return str(message.name.rpartition("/")[2])


def time_of(name: str) -> Callable[[Any], str | None]:
    """Reads a time of a message; None where it has none."""

    def read(message: Any) -> str | None:
        if not message.HasField(name):
            return None
        return stamp(_moment(getattr(message, name).ToJsonString()))

    return read


def word_of(name: str) -> Callable[[Any], str]:
    """Reads the word of an enumeration of a message."""

    def read(message: Any) -> str:
        kind = message.DESCRIPTOR.fields_by_name[name].enum_type
        return str(kind.values_by_number[getattr(message, name)].name)

    return read


TIME: Final = ("=", "!=", "<", ">", "<=", ">=", ":")


def matching(
    found: Iterable[Any],
    filter: str,
    order_by: str,
    fields: Mapping[str, Field],
    orders: Sequence[str],
) -> list[Any]:
    """Those of the messages that a filter holds for, in an order. Raises RequestError."""
    if len(filter) > LONGEST:
        raise RequestError(f"a filter has at most {LONGEST} characters: this has {len(filter)}")
    reader = _Reader(filter, fields)
    reader.space()
    tree: Tree = Group("AND", ()) if reader.ended() else reader.expression(0)
    if not reader.ended():
        raise reader.wrong("AND, OR or the end")
    kept = [message for message in found if _holds(tree, message, fields)]
    for name, descending in reversed(_ordering(order_by, orders)):
        kept.sort(key=lambda one, name=name: _key(one, name), reverse=descending)  # type: ignore[misc]
    return kept


class _Reader(Reader):
    """As for metadata, but for what is compared with what."""

    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        super().__init__(text, dict)
        self._fields = fields

    def restriction(self) -> Comparison:
        at = self.at
        name, _, rest = self.take(_NAME).partition(".")
        name = _snake(name)
        field = self._fields.get(name)
        if field is None or (rest and name != "labels"):
            raise self.wrong(f"one of {', '.join(self._fields)}", at)
        at = self.at
        operator = self.take(_OPERATOR)
        if operator not in field.operators:
            raise self.wrong(f"an operator of {name}: {' '.join(field.operators)}", at)
        at = self.at
        value = self._value()
        if field.is_time and value != "*":
            time = _moment(value)
            if time is None:
                raise self.wrong('a time in quotes, as in "2026-11-19T11:30:00Z"', at)
            value = stamp(time) or ""
        if field.is_id and operator in ("=", "!="):
            value = value.rpartition("/")[2]
        if operator in ("=~", "!~"):
            try:
                re.compile(value)
            except re.error as error:
                raise self.wrong(f"a regular expression ({error})", at) from None
        path = (rest.strip('"'),) if rest else ()
        return Comparison(Path(name, "text", path), operator, value)

    def _value(self) -> str:
        if self._quoted():
            quote, at = self.text[self.at], self.at
            found = re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}").match(self.text, at)
            if not found:
                raise self.wrong(f"a closing {quote} for this")
            self.at = found.end()
            self.space()
            return re.sub(r"\\([\"'\\])", r"\1", found[1])
        if word := self.take(_WORD):
            return word
        raise self.wrong("a value")


def _holds(tree: Tree, message: Any, fields: Mapping[str, Field]) -> bool:
    if isinstance(tree, Group):
        parts = (_holds(part, message, fields) for part in tree.parts)
        return all(parts) if tree.word == "AND" else any(parts)
    if isinstance(tree, Not):
        return not _holds(tree.inner, message, fields)
    assert isinstance(tree, Comparison)  # this reader knows no edges
    value = fields[tree.field.attribute].value(message)
    wanted, operator = str(tree.value), tree.operator
    if isinstance(value, Mapping):
        if tree.field.path:
            value = value.get(tree.field.path[0])
        else:  # labels:key
            return wanted in value
    if operator == ":" and wanted == "*":
        return value not in (None, "")
    if value is None:
        return operator == "!="
    if operator == ":":
        return re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), value) is not None
    if operator in ("=~", "!~"):
        return (re.search(wanted, value) is not None) is (operator == "=~")
    return _COMPARED[operator](value, wanted)


_COMPARED: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _ordering(text: str, known: Sequence[str]) -> list[tuple[str, bool]]:
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, direction = part.partition(" ")
        name, direction = _snake(name), direction.strip().lower()
        if name not in known or direction not in ("", "asc", "desc"):
            raise Refused(
                "INVALID_ARGUMENT",
                f"order_by {part!r}: expected one of {', '.join(known)}, and desc behind it or not",
            )
        found.append((name, direction == "desc"))
    return found


def _key(message: Any, name: str) -> str:
    value = getattr(message, name)
    return value if isinstance(value, str) else time_of(name)(message) or ""


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    return found if found.tzinfo else None
