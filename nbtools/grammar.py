"""The grammar of Vertex AI's filter language: a reader that goes from left to right.

Of AIP-160 it knows what Vertex AI documents for its metadata. `filters.py` calls it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from nbtools.errors import RequestError
from nbtools.nouns import Artifact, Context, Execution
from nbtools.resources import Resource
from nbtools.terms import (
    OTHER_TYPES,
    SUFFIXES,
    Comparison,
    Edge,
    Field,
    Group,
    Literal,
    Not,
    Text,
    Time,
    Tree,
)

#: what each kind of record can be filtered by, besides `metadata`; and the type of each.
ATTRIBUTES: Final[dict[type, dict[str, str]]] = {
    Context: dict.fromkeys(("name", "display_name", "schema_title"), "text")
    | dict.fromkeys(("create_time", "update_time"), "time"),
}
ATTRIBUTES[Execution] = ATTRIBUTES[Context] | {"state": "state"}
ATTRIBUTES[Artifact] = ATTRIBUTES[Execution] | {"uri": "text"}
ATTRIBUTES[Resource] = (
    ATTRIBUTES[Context]
    | dict.fromkeys(("description", "source", "value_type", "plugin_name"), "text")
    | dict.fromkeys(("schema_version", "schema_type"), "text")
    | {"is_default": "bool"}
)
#: what joins a record to contexts, and how each is written.
EDGES: Final[dict[type, dict[str, str]]] = {
    Context: {"parent_contexts": ":", "child_contexts": ":"},
    Execution: {"in_context": "("},
    Artifact: {"in_context": "("},
    Resource: {},
}
STATES: Final[dict[type, tuple[str, ...]]] = {
    Execution: ("NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELLED"),
    Artifact: ("PENDING", "LIVE"),
}
DEEPEST: Final = 5  #: parentheses in parentheses, as on Vertex AI
LONGEST_TEXT: Final = 5_000  #: characters between quotes
MOST_KEYS: Final = 20  #: that lead to one field of the metadata

_BARE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SEGMENT = re.compile(r"[\w-]+")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_OPERATOR = re.compile(r"<=|>=|!=|=|<|>")
_FLOAT_TAG = re.compile(r"\$+float")


class Reader:
    """Reads from left to right; each method takes what it is named after, and the space behind."""

    def __init__(self, text: str, kind: type, what: str = "filter") -> None:
        self.text, self.kind, self.what = text, kind, what
        self.at = 0
        self._bare_or = False  #: whether the last factor was joined by OR without parentheses
        self.mixed = False  #: AND and OR side by side, with no parentheses to say how

    def wrong(self, expected: str, at: int | None = None) -> RequestError:
        """What to raise: what was expected here, and what was found."""
        at = self.at if at is None else at
        found = repr(self.text[at : at + 20]) if at < len(self.text) else "its end"
        text = self.text if len(self.text) <= 200 else f"{self.text[:200]}…"
        return RequestError(
            f"{self.what} {text!r}, character {at + 1}: expected {expected}, found {found}"
        )

    def ended(self) -> bool:
        return self.at >= len(self.text)

    def space(self) -> None:
        while not self.ended() and self.text[self.at].isspace():
            self.at += 1

    def take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        self.space()
        return found[0]

    def word(self, word: str) -> bool:
        return bool(self.take(re.compile(rf"{word}(?=[\s(]|$)")))

    def expression(self, depth: int) -> Tree:
        factors, bare = [self.factor(depth)], [self._bare_or]
        while self.word("AND"):
            factors.append(self.factor(depth))
            bare.append(self._bare_or)
        if len(factors) > 1 and any(bare):
            self.mixed = True
        return factors[0] if len(factors) == 1 else Group("AND", tuple(factors))

    def factor(self, depth: int) -> Tree:
        terms = [self.term(depth)]
        while self.word("OR"):
            terms.append(self.term(depth))
        self._bare_or = len(terms) > 1
        return terms[0] if len(terms) == 1 else Group("OR", tuple(terms))

    def term(self, depth: int) -> Tree:
        negated = self.word("NOT") or self.take(re.compile(r"-(?=[A-Za-z(])"))
        return Not(self.simple(depth)) if negated else self.simple(depth)

    def simple(self, depth: int) -> Tree:
        at = self.at
        if not self.take(re.compile(r"\(")):
            return self.restriction()
        if depth == DEEPEST:
            raise self.wrong(f"at most {DEEPEST} parentheses in each other", at)
        inner = self.expression(depth + 1)
        if not self.take(re.compile(r"\)")):
            raise self.wrong("AND, OR or a closing parenthesis")
        return inner

    def restriction(self) -> Comparison | Edge:
        at = self.at
        name = _BARE.match(self.text, at)
        if name and name[0] in EDGES[self.kind]:
            return self.edge(name[0])
        field = self.field()
        operator_at = self.at
        operator = self.take(_OPERATOR)
        if not operator:
            raise self.wrong("an operator: = != < > <= >=")
        value_at = self.at
        value = self.literal(field)
        type_ = field.type or {bool: "bool", Text: "text"}.get(type(value), "number")
        field = Field(field.attribute, type_, field.path)
        if operator not in ("=", "!="):
            if type_ in ("bool", "state"):
                raise self.wrong(f"= or !=, which is all that {field} takes", operator_at)
            if isinstance(value, Text) and len(value.parts) > 1:
                raise self.wrong("a text without *, which goes with = and != only", value_at)
        return Comparison(field, operator, value)

    def edge(self, name: str) -> Edge:
        self.take(_BARE)
        opening = EDGES[self.kind][name]
        if not self.take(re.compile(re.escape(opening))):
            raise self.wrong(f"{opening!r} behind {name}")
        contexts = [self._context()]
        if opening == "(":
            if not self.take(re.compile(r"\)")):
                raise self.wrong("a closing parenthesis")
        else:
            while self.take(re.compile(",")):
                contexts.append(self._context())
        return Edge(name, tuple(contexts))

    def _context(self) -> str:
        at = self.at
        parts = self.string().parts if self._quoted() else ()
        if len(parts) != 1:
            raise self.wrong("a context's name in quotes, without *", at)
        return parts[0]

    def field(self) -> Field:
        at = self.at
        name = _BARE.match(self.text, at)
        known = ATTRIBUTES[self.kind]
        if name and name[0] == "metadata" and self.kind is not Resource:
            self.at = name.end()
            path, last = self._path()
            self.space()
            return Field("metadata", SUFFIXES.get(last, ""), path)
        if not name or name[0] not in known:
            hint = ""
            if name and name[0] == "state":  # a run is a context, and keeps it elsewhere
                hint = "; a run's state is metadata._state"
            names = [*known, *["metadata.KEY"][: self.kind is not Resource], *EDGES[self.kind]]
            raise self.wrong(f"one of {', '.join(names)}{hint}")
        self.take(_BARE)
        return Field(name[0], known[name[0]])

    def _path(self) -> tuple[tuple[str, ...], str]:
        """The keys behind `metadata`, and the word of the type if there is one."""
        keys, last = list[str](), ""
        while self.text[self.at : self.at + 1] == ".":
            if last:
                raise self.wrong(
                    f"an operator behind .{last} (a key of that name is written in quotes)"
                )
            self.at += 1
            at = self.at
            if self._quoted():
                keys.append("*".join(self.string(trailing=False).parts))
                if _FLOAT_TAG.fullmatch(keys[-1]):
                    raise self.wrong("another key: this one is how NaN is kept", at)
                continue
            found = _SEGMENT.match(self.text, at)
            if not found:
                raise self.wrong(
                    "a key, in quotes if it has other characters than letters and digits"
                )
            self.at = found.end()
            if found[0] in SUFFIXES:
                last = found[0]
            elif found[0] in OTHER_TYPES:
                raise self.wrong("number_value, string_value or bool_value", at)
            else:
                keys.append(found[0])
        if not keys:
            raise self.wrong("a dot and a key, as in metadata.lr")
        if len(keys) > MOST_KEYS:
            raise self.wrong(f"at most {MOST_KEYS} keys before this")
        return tuple(keys), last

    def literal(self, field: Field) -> Literal:
        at, type_ = self.at, field.type
        if type_ == "time":
            return self._time()
        if type_ == "state":
            word = self.string().parts[0] if self._quoted() else self.take(_BARE)
            if word not in STATES[self.kind]:
                raise self.wrong(f"one of {', '.join(STATES[self.kind])}", at)
            return word
        if type_ in ("text", "") and self._quoted():
            return self.string()
        if type_ in ("bool", "") and (word := self.take(re.compile(r"(true|false)\b"))):
            return word == "true"
        if type_ in ("number", "") and (digits := self.take(_NUMBER)):
            whole = re.fullmatch(r"[+-]?\d{1,20}", digits) and abs(int(digits)) < 2**63
            return int(digits) if whole else float(digits)
        names = {
            "text": 'a text in quotes, as in "r*"',
            "bool": "true or false",
            "number": "a number",
        }
        raise self.wrong(names.get(type_) or "a number, a text in quotes, true or false")

    def _time(self) -> Time:
        at = self.at
        written = "*".join(self.string().parts) if self._quoted() else ""
        if found := _TIME.fullmatch(written):
            day, clock, fraction, zone = found.groups()
            digits = (fraction or "").ljust(9, "0")
            try:
                when = datetime.fromisoformat(f"{day}T{clock}.{digits[:6]}{zone.upper()}")
                # `nouns.stamp`, but right for years of three digits too
                stamp = when.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
            except (ValueError, OverflowError):
                pass
            else:
                # Finer than the store keeps: behind that microsecond, before the next.
                return Time(written, stamp + "+" * (digits[6:] != "000"))
        raise self.wrong('a time in quotes, as in "2026-11-19T11:30:00Z"', at)

    def _quoted(self) -> bool:
        return self.text[self.at : self.at + 1] in ('"', "'")

    def string(self, trailing: bool = True) -> Text:
        r"""A text in quotes; `\` takes its meaning from a quote, a `*` and a `\`."""
        begin, quote = self.at, self.text[self.at]
        parts, self.at = [""], self.at + 1
        while not self.ended() and self.text[self.at] != quote:
            sign = self.text[self.at]
            if sign == "\\":
                self.at += 1
                sign = self.text[self.at : self.at + 1]
                if sign not in ("\\", "*", '"', "'"):
                    raise self.wrong(r"\\ for a backslash", self.at - 1)
                parts[-1] += sign
            elif sign == "*":
                parts.append("")
            else:
                parts[-1] += sign
            self.at += 1
        if self.ended():
            raise self.wrong(f"a closing {quote} for this", begin)
        if self.at - begin > LONGEST_TEXT:
            raise self.wrong(f"a text of at most {LONGEST_TEXT} characters", begin)
        self.at += 1
        if trailing:
            self.space()
        return Text(tuple(parts))
